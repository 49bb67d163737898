// The page of one job: what it tells, each of its buttons, and that it follows what happens.
import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { test } from 'node:test';
import { start, until } from './harness.mjs';
import { completed, dead, happened, HOSTILE, open, press, said, story, submit, take } from './seed.mjs';

const card = ({ page }, title) => page.getByRole('region', { name: title, exact: true });
const fact = ({ page }, name) => page.locator('dl.facts dt', { hasText: name }).locator('+ dd').first();
const events = ({ page }) => page.locator('.story li').evaluateAll((steps) => steps.map((step) => step.dataset.event));
const state = ({ page }, word) => page.locator('.row .badge', { hasText: word }).waitFor();
const show = (at, job) => open(at, `/jobs/${job}`, `Job ${job}`);

// A job with just these bytes, given as the characters 0 to 255; the page sends it, since it is logged in.
const post = ({ page }, text, settings = {}) => page.evaluate(async ([bytes, query]) => {
  const body = Uint8Array.from(bytes, (one) => one.charCodeAt(0));
  return (await fetch(`/api/v1/queues/web/jobs?${query}`, { method: 'POST', body })).json();
}, [text, new URLSearchParams(settings).toString()]);

test('what a job is and what happened to it stands on its page, as text', async (t) => {
  const at = await start(t);
  const group = HOSTILE.slice(0, 40);
  const texts = { key: HOSTILE, group, headers: { trace: HOSTILE }, payload: { [HOSTILE]: HOSTILE } };
  const [job] = await submit(at, [{ queue: 'web', backoff: 'fixed:1ms', max_attempts: 2, ...texts }]);
  for (const attempt of [1, 2]) {
    const [one] = await take(at, 'web', 1, HOSTILE);
    await at.api('POST', '/fail', { items: [{ ...one, error: `${HOSTILE} ${attempt}` }] });
  }
  await show(at, job);
  await state(at, 'dead');
  assert.deepEqual(await events(at), ['ENQUEUE', 'DISPATCH', 'RETRY', 'DISPATCH', 'DEAD']);
  assert.equal(await fact(at, 'Key').textContent(), HOSTILE);
  assert.equal(await fact(at, 'Group').textContent(), group);
  assert.equal(await fact(at, 'Attempts').textContent(), '2 of 2');
  assert.equal(await card(at, 'Its last error').locator('pre').textContent(), `${HOSTILE} 2`);
  assert.equal(await card(at, 'Headers').locator('dd').textContent(), HOSTILE);
  assert.equal(await at.page.locator('tr').filter({ hasText: HOSTILE }).count(), 2);
  assert.deepEqual(JSON.parse(await card(at, 'Payload').locator('pre').textContent()), texts.payload);
  assert.equal(await at.page.locator('main img, main script, main svg').count(), 0);
  await at.page.getByRole('link', { name: 'web' }).click();
  await at.page.waitForURL('**/queues/web');
});

test('a dead job is requeued, and then changed and cancelled', async (t) => {
  const at = await start(t);
  const [job] = await dead(at, 'web', 'broken');
  await show(at, job);
  assert.ok(await at.page.getByRole('button', { name: 'Change' }).isDisabled());
  assert.equal(await press(at, 'Requeue', 'Requeue'), 'Requeue 1 job?');
  await happened(at, job, 'REQUEUE');
  await state(at, 'pending');
  await press(at, 'Change', 'Change', async (dialog) => {
    await dialog.getByLabel('Priority').fill('7');
    await dialog.getByLabel('Most attempts').fill('9');
    await dialog.getByLabel('Delay').fill('1h');
    await dialog.getByLabel('Time to begin it in').fill('2h');
  });
  await said(at, `Job ${job} was changed.`);
  await happened(at, job, 'UPDATE');
  const { priority, max_attempts: most, standing, expires_at: expires } = await at.api('GET', `/jobs/${job}`);
  assert.ok(Date.parse(expires) > Date.now() + 3_600_000, expires);
  assert.deepEqual({ priority, most, standing }, { priority: 7, most: 9, standing: 'delayed' });
  await state(at, 'delayed');
  assert.equal(await fact(at, 'Priority').textContent(), '7');
  await press(at, 'Cancel', 'Leave as it is');
  assert.ok(!(await story(at, job)).includes('CANCEL'));
  await press(at, 'Cancel', 'Cancel');
  await happened(at, job, 'CANCEL');
});

test('a change that changes nothing is none', async (t) => {
  const at = await start(t);
  const [job] = await submit(at, [{ queue: 'web' }]);
  await show(at, job);
  await press(at, 'Change', 'Change');
  await said(at, 'Nothing was changed.');
  assert.deepEqual(await story(at, job), ['ENQUEUE']);
});

test('a job that runs is followed, and cancelled with force', async (t) => {
  const at = await start(t);
  const [job] = await submit(at, [{ queue: 'web' }]);
  await show(at, job);
  await state(at, 'pending');
  await card(at, 'Why it does not run now').getByText('no worker polls').waitFor();
  const [lease] = await take(at, 'web', 1, 'mailer-1');
  await state(at, 'in-flight');
  await at.api('POST', '/progress', { ...lease, percent: 40, text: HOSTILE });
  await fact(at, 'Progress').getByText('40 %').waitFor();
  assert.ok((await fact(at, 'Progress').textContent()).includes(HOSTILE));
  await card(at, 'What goes on').getByText('mailer-1').waitFor();
  for (const name of ['Requeue', 'Purge']) {
    assert.ok(await at.page.getByRole('button', { name, exact: true }).isDisabled());
  }
  await press(at, 'Cancel', 'Cancel', (dialog) => dialog.getByLabel('Force').check());
  const isOver = ({ event, ends }) => event === 'CANCEL' && ends;
  await until('it is cancelled', async () => (await at.walLog(job)).some(isOver));
});

test('each change of a job is shown as it happens', async (t) => {
  const at = await start(t);
  const [job] = await submit(at, [{ queue: 'web' }]);
  await show(at, job);
  for (const priority of [1, 2, 3, 4]) {
    await at.cli('job', 'update', String(job), '--priority', String(priority));
    await until(`priority ${priority}`, async () => (await fact(at, 'Priority').textContent()) === String(priority));
  }
  await card(at, 'What happened').getByText('priority 4').waitFor();
});

test('a worker of its own is seen from its begin to its result', async (t) => {
  const at = await start(t);
  const [job] = await submit(at, [{ queue: 'web', payload: 'hello' }]);
  await show(at, job);
  await at.worker('web', 'cat');
  await state(at, 'completed');
  assert.deepEqual(await events(at), ['ENQUEUE', 'DISPATCH', 'ACK']);
  assert.equal(await card(at, 'Result').locator('pre').textContent(), '"hello"');
  await at.page.getByRole('region', { name: 'Attempts' }).getByText('completed').waitFor();
});

test('bytes are shown as JSON, text and hexadecimal, and downloaded as they are', async (t) => {
  const at = await start(t);
  const { job } = await post(at, '[1,{"a":12345678901234567890,"a":{},"b":[]}]', { keep: '1d' });
  const [lease] = await take(at, 'web');
  await at.api('POST', '/ack', { items: [{ ...lease, result: 'plain <b>text</b>' }] });
  await show(at, job);
  const payload = card(at, 'Payload');
  const laidOut = '[\n  1,\n  {\n    "a": 12345678901234567890,\n    "a": {},\n    "b": []\n  }\n]';
  assert.equal(await payload.locator('pre').textContent(), laidOut);
  await payload.getByRole('button', { name: 'Text' }).click();
  assert.match(await payload.locator('pre').textContent(), /^\[1,\{"a":/);
  await payload.getByRole('button', { name: 'Hex' }).click();
  assert.match(await payload.locator('pre').textContent(), /^000000 {2}5b 31 2c 7b 22 61 22 3a .* {2}\[1,\{"a":/);
  await payload.getByRole('button', { name: 'JSON' }).click();
  assert.equal(await payload.locator('pre').textContent(), laidOut);
  const result = card(at, 'Result');
  assert.equal(await result.locator('pre').textContent(), 'plain <b>text</b>');
  const coming = at.page.waitForEvent('download');
  await result.getByRole('link', { name: 'Download' }).click();
  const download = await coming;
  assert.equal(download.suggestedFilename(), `job-${job}-result`);
  assert.equal(await readFile(await download.path(), 'utf8'), 'plain <b>text</b>');
});

test('a large payload is cut, and one that is no text is hexadecimal', async (t) => {
  const at = await start(t);
  const { job: large } = await post(at, '<'.repeat(1024 * 1024));
  const { job: binary } = await post(at, '\x00\xff<>');
  const { job: empty } = await post(at, '');
  await show(at, large);
  await card(at, 'Payload').getByText('The first 64 KiB are shown').waitFor();
  assert.equal((await card(at, 'Payload').locator('pre').textContent()).length, 64 * 1024);
  await show(at, binary);
  assert.equal((await card(at, 'Payload').locator('pre').textContent()).replace(/ +/g, ' '), '000000 00 ff 3c 3e ..<>');
  await show(at, empty);
  await card(at, 'Payload').getByText('It is empty.').waitFor();
});

test('what it waits for are links, and its batch is told', async (t) => {
  const at = await start(t);
  const [first] = await submit(at, [{ queue: 'web', key: 'first' }]);
  const [second] = await submit(at, [{ queue: 'web', after: ['key:first'], delay_ms: 60_000, if_failed: 'run' }]);
  await at.api('PUT', '/batches/night');
  const { jobs: [{ job: third }] } = await at.api('POST', '/jobs?batch=night', [{ queue: 'web', payload: 1 }]);
  await show(at, third);
  assert.equal(await fact(at, 'Batch').textContent(), 'night (open, 1 of 1 job left)');
  await show(at, second);
  await state(at, 'waiting');
  assert.equal(await fact(at, 'Delay after those').textContent(), '1 min');
  await fact(at, 'Waits for').getByRole('link', { name: `job ${first}` }).click();
  await at.page.getByRole('heading', { name: `Job ${first}` }).waitFor();
});

test('one that was purged, and one that never was, say so', async (t) => {
  const at = await start(t);
  const job = await completed(at, 'web');
  await show(at, job);
  await press(at, 'Purge', 'Purge');
  await happened(at, job, 'PURGE');
  await at.page.getByRole('alert').getByText('It was purged').waitFor();
  await until('its story is told', async () => (await events(at)).at(-1) === 'PURGE');
  await show(at, 999_999);
  await at.page.getByRole('alert').getByText('There never was a job 999999').waitFor();
});

test('a log of several pages is told whole, with what it lost', async (t) => {
  const at = await start(t);
  const [job] = await submit(at, [{ queue: 'web' }]);
  const event = (lsn, event) => ({ lsn, at: `2026-01-01T00:00:0${lsn}.000Z`, event, job, queue: 'web' });
  const lost = { first: 1, last: 3, next_at: '2026-01-01T00:00:04.000Z' };
  const pages = {
    first: { events: [event(4, 'REQUEUE')], missing: [lost], next: 5 },
    5: { events: [event(6, 'REQUEUE')], missing: [], next: 7 },
    7: { events: [], missing: [], next: 8 },
    8: { events: [event(8, 'PURGE')], missing: [], next: null },
  };
  await at.page.route(/\/log(\?.*)?$/, (route) => {
    const from = new URL(route.request().url()).searchParams.get('from') ?? 'first';
    return route.fulfill({ json: pages[from] ?? { events: [], missing: [], next: null } });
  });
  await show(at, job);
  await until('all pages', async () => (await events(at)).filter(Boolean).join() === 'REQUEUE,REQUEUE,PURGE');
  await card(at, 'What happened').getByText('3 of its records are gone').waitFor();
  assert.equal(await card(at, 'What happened').getByText('2 s later').count(), 2);
});

test('the command for it is copied', async (t) => {
  const at = await start(t);
  const [job] = await submit(at, [{ queue: 'web' }]);
  await at.page.context().grantPermissions(['clipboard-read', 'clipboard-write']);
  await show(at, job);
  const line = `falcon-cli job show ${job}`;
  await at.page.getByRole('button', { name: `Copy ${line}` }).click();
  await said(at, 'Copied.');
  assert.equal(await at.page.evaluate(() => navigator.clipboard.readText()), line);
  assert.match(await at.cli(...line.split(' ').slice(1)), /pending/);
});
