// The page of all jobs: each filter, each button, and that the list does not move by itself.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { start, until } from './harness.mjs';
import { completed, dead, happened, HOSTILE, open, press, said, story, submit, take } from './seed.mjs';

const rowsOf = ({ page }) => page.locator('tbody tr').evaluateAll((rows) => rows.map((row) => Number(row.dataset.row)));
const isShown = (at, jobs) => until(`rows ${jobs}`, async () => String(await rowsOf(at)) === String(jobs));
const filterOf = ({ page }) => Object.fromEntries(new URL(page.url()).searchParams);
const row = ({ page }, job) => page.locator(`tr[data-row="${job}"]`);

async function type({ page }, label, text) {
  await page.getByLabel(label, { exact: true }).fill(text);
  await page.getByLabel(label, { exact: true }).press('Enter');
}

test('each filter stands in the address and says which jobs are shown', async (t) => {
  const at = await start(t);
  const [a, b] = await submit(at, [
    { queue: 'mail', key: 'order-1', group: 'ada' },
    { queue: 'web', key: 'item-2', group: 'bob' },
  ]);
  const [c] = await dead(at, 'other', 'mailbox full');
  const [d] = await submit(at, [{ queue: 'web', delay_ms: 3_600_000 }]);
  await open(at, '/jobs', 'Jobs');
  await isShown(at, [d, c, b, a]);
  const each = [
    ['Group', 'group', 'ada', [a]],
    ['Key begins with', 'key_prefix', 'item', [b]],
    ['Error has in it', 'error', 'full', [c]],
    ['Older than', 'older_than', '1h', []],
    ['Newer than', 'newer_than', '1h', [d, c, b, a]],
  ];
  for (const [label, name, text, jobs] of each) {
    await type(at, label, text);
    await until(`the address has ${name}`, () => filterOf(at)[name] === text);
    await isShown(at, jobs);
    await at.page.getByRole('link', { name: 'Clear the filter' }).click();
    await until('the filter is clear', () => Object.keys(filterOf(at)).length === 0);
    const field = at.page.getByLabel(label, { exact: true });
    await until(`${label} is empty`, async () => (await field.inputValue()) === '');
  }
  await at.page.getByLabel('Queue', { exact: true }).selectOption('mail');
  await isShown(at, [a]);
  assert.deepEqual(filterOf(at), { queue: 'mail' });
  await at.page.goBack();
  await isShown(at, [d, c, b, a]);
});

test('several states can be chosen, and a kind of errors comes with a link', async (t) => {
  const at = await start(t);
  const [a] = await submit(at, [{ queue: 'web', delay_ms: 3_600_000 }]);
  const [b] = await dead(at, 'web', 'broken pipe');
  const [c] = await submit(at, [{ queue: 'web' }]);
  await open(at, '/jobs', 'Jobs');
  await at.page.getByRole('checkbox', { name: 'dead' }).check();
  await isShown(at, [b]);
  await at.page.getByRole('checkbox', { name: 'delayed' }).check();
  await isShown(at, [b, a]);
  assert.deepEqual(filterOf(at), { state: 'delayed,dead' });
  await at.page.getByRole('checkbox', { name: 'dead' }).uncheck();
  await isShown(at, [a]);
  const { errors: [{ error_kind: kind }] } = await at.api('GET', '/jobs/count?by=error&state=dead');
  await open(at, `/jobs?error_kind=${kind}`, 'Jobs');
  await isShown(at, [b]);
  await type(at, 'Kind of error', '');
  await isShown(at, [c, b, a]);
});

test('a span that is none stays out of the address', async (t) => {
  const at = await start(t);
  const [a] = await submit(at, [{ queue: 'web' }]);
  await open(at, '/jobs', 'Jobs');
  await isShown(at, [a]);
  await type(at, 'Older than', 'soon');
  assert.deepEqual(filterOf(at), {});
  assert.equal(await at.page.getByLabel('Older than').inputValue(), 'soon');
});

test('older jobs are pages of fifty', async (t) => {
  const at = await start(t);
  const jobs = await submit(at, Array.from({ length: 70 }, () => ({ queue: 'web' })));
  const newest = [...jobs].reverse();
  await open(at, '/jobs?queue=web', 'Jobs');
  await isShown(at, newest.slice(0, 50));
  await at.page.getByRole('link', { name: 'Older' }).click();
  await isShown(at, newest.slice(50));
  assert.equal(filterOf(at).queue, 'web');
  await at.page.getByRole('link', { name: 'Newest' }).click();
  await isShown(at, newest.slice(0, 50));
});

test('what comes meanwhile is counted, and what changes does so in its place', async (t) => {
  const at = await start(t);
  const jobs = await submit(at, [{ queue: 'web' }, { queue: 'web' }]);
  const shown = [...jobs].reverse();
  await open(at, '/jobs?queue=web&state=pending', 'Jobs');
  await isShown(at, shown);
  const more = await submit(at, [{ queue: 'web' }, { queue: 'web' }, { queue: 'other' }]);
  await at.page.getByRole('button', { name: '2 new' }).waitFor();
  await at.api('POST', '/jobs/change/cancel', { jobs: [jobs[0]] });
  await row(at, jobs[0]).getByText('cancelled').waitFor();
  assert.equal(await row(at, jobs[0]).locator('.past').count(), 1);
  await isShown(at, shown);
  await at.page.getByRole('button', { name: '2 new' }).click();
  await isShown(at, [more[1], more[0], jobs[1]]);
});

test('a job that was purged stays in its row as gone', async (t) => {
  const at = await start(t);
  const [a] = await dead(at, 'web', 'broken');
  await open(at, '/jobs', 'Jobs');
  await isShown(at, [a]);
  await at.api('POST', '/jobs/change/purge', { jobs: [a] });
  await row(at, a).getByText('gone').waitFor();
});

test('those that are selected are requeued, cancelled and purged', async (t) => {
  const at = await start(t);
  const [a, b] = await dead(at, 'web', 'broken', 2);
  const [c] = await submit(at, [{ queue: 'web', delay_ms: 3_600_000 }]);
  await open(at, '/jobs', 'Jobs');
  await at.page.getByLabel(`Select job ${a}`, { exact: true }).check();
  await at.page.getByLabel(`Select job ${c}`, { exact: true }).check();
  assert.equal(await press(at, 'Requeue 1', 'Requeue'), 'Requeue 1 job?');
  await said(at, '1 job requeued.');
  await happened(at, a, 'REQUEUE');
  await at.page.getByLabel(`Select job ${b}`, { exact: true }).check();
  assert.equal(await press(at, 'Purge 1', 'Leave as it is'), 'Purge 1 job?');
  assert.ok(!(await story(at, b)).includes('PURGE'));
  await press(at, 'Purge 1', 'Purge');
  await happened(at, b, 'PURGE');
  await row(at, b).getByText('gone').waitFor();
  await at.page.getByLabel('Select all that are shown').check();
  assert.equal(await press(at, 'Cancel 2', 'Cancel'), 'Cancel 2 jobs?');
  await happened(at, a, 'CANCEL');
  await happened(at, c, 'CANCEL');
});

test('a job that runs waits for its worker, but not with force', async (t) => {
  const at = await start(t);
  const [a] = await submit(at, [{ queue: 'web' }]);
  await take(at, 'web', 1, HOSTILE);
  const endings = async () => (await at.walLog(a)).filter(({ event }) => event === 'CANCEL').map(({ ends }) => ends);
  await open(at, '/jobs', 'Jobs');
  await row(at, a).getByText(HOSTILE).waitFor();
  await at.page.getByLabel(`Select job ${a}`, { exact: true }).check();
  await press(at, 'Cancel 1', 'Cancel');
  await until('it is to be cancelled', async () => String(await endings()) === 'false');
  await at.page.getByLabel(`Select job ${a}`, { exact: true }).check();
  await press(at, 'Cancel 1', 'Cancel', (dialog) => dialog.getByLabel('Force').check());
  await until('it is cancelled', async () => String(await endings()) === 'false,true');
});

test('all that a filter means is changed, once its number is confirmed', async (t) => {
  const at = await start(t);
  const meant = await dead(at, 'web', 'broken', 60);
  const [other] = await dead(at, 'mail', 'broken');
  const done = await completed(at, 'web');
  await open(at, '/jobs?queue=web', 'Jobs');
  assert.equal(await press(at, 'Requeue all…', 'Leave as it is'), 'Requeue 60 jobs?');
  assert.ok(!(await story(at, meant[0])).includes('REQUEUE'));
  await press(at, 'Requeue all…', 'Requeue');
  await said(at, '60 jobs requeued.');
  for (const job of [meant[0], meant[59]]) await happened(at, job, 'REQUEUE');
  assert.ok(!(await story(at, other)).includes('REQUEUE'));
  assert.equal(await press(at, 'Cancel all…', 'Cancel'), 'Cancel 60 jobs?');
  await said(at, '60 jobs cancelled.');
  // What is kept of them and of the one that completed.
  const left = (await at.api('GET', '/jobs/count?queue=web')).count;
  assert.equal(await press(at, 'Purge all…', 'Purge'), `Purge ${left} jobs?`);
  await happened(at, done, 'PURGE');
  assert.ok(!(await story(at, other)).includes('PURGE'));
  await at.page.getByRole('button', { name: 'Purge all…' }).click();
  await said(at, 'There is no job to purge.');
});

test('a change that takes long goes on until it is through', async (t) => {
  const at = await start(t);
  await dead(at, 'web', 'broken', 2);
  const cursor = { next: 2, since: 9 };
  const answers = [{ count: 12 }, { done: 5, refused: 0, cursor }, { done: 6, refused: 1, cursor: null }];
  const asked = [];
  await at.page.route('**/api/v1/jobs/change/requeue', (route) => {
    asked.push(route.request().postDataJSON());
    return route.fulfill({ json: answers[asked.length - 1] });
  });
  await open(at, '/jobs?queue=web', 'Jobs');
  assert.equal(await press(at, 'Requeue all…', 'Requeue'), 'Requeue 12 jobs?');
  await said(at, '11 jobs requeued; 1 refused.');
  const filter = { queue: 'web', state: ['dead'] };
  assert.deepEqual(asked, [{ filter, dry_run: true }, { filter }, { filter, cursor }]);
});

test('purging by a filter leaves alone what waits', async (t) => {
  const at = await start(t);
  const [a] = await submit(at, [{ queue: 'web' }]);
  await open(at, '/jobs?state=pending', 'Jobs');
  assert.ok(await at.page.getByRole('button', { name: 'Purge all…' }).isDisabled());
  await open(at, '/jobs', 'Jobs');
  await at.page.getByRole('button', { name: 'Purge all…' }).click();
  await said(at, 'There is no job to purge.');
  assert.deepEqual(await story(at, a), ['ENQUEUE']);
});

test('a job is submitted with all that was filled in', async (t) => {
  const at = await start(t);
  await open(at, '/jobs', 'Jobs');
  const fill = async (dialog) => {
    const fields = { Queue: 'web', Payload: 'to: ada\nline 2', Key: HOSTILE, Priority: '3', Delay: '1h', Group: 'g 1' };
    for (const [label, text] of Object.entries(fields)) await dialog.getByLabel(label, { exact: true }).fill(text);
  };
  await press(at, 'Submit a job', 'Submit', fill);
  await said(at, 'was submitted');
  const { jobs: [job] } = await at.api('GET', '/jobs');
  const facts = await at.api('GET', `/jobs/${job.job}`);
  const { queue, key, priority, group, standing } = facts;
  const wanted = { queue: 'web', key: HOSTILE, priority: 3, group: 'g 1', standing: 'delayed' };
  assert.deepEqual({ queue, key, priority, group, standing }, wanted);
  const [{ payload }] = await at.walLog(job.job);
  assert.equal(payload, 'to: ada\nline 2');
  await isShown(at, [job.job]);
});

test('a job that is refused stays in its dialog, with the reason', async (t) => {
  const at = await start(t);
  at.expect(/429/);
  await at.cli('queue', 'pause', 'web', '--in');
  await open(at, '/jobs', 'Jobs');
  await press(at, 'Submit a job', 'Submit', async (dialog) => {
    await dialog.getByLabel('Queue', { exact: true }).fill('web');
    await dialog.getByLabel('Payload').fill('kept');
  });
  const dialog = at.page.getByRole('dialog');
  await dialog.getByRole('alert').waitFor();
  assert.equal(await dialog.getByLabel('Payload').inputValue(), 'kept');
  await dialog.getByRole('button', { name: 'Leave it' }).click();
  assert.deepEqual((await at.api('GET', '/jobs')).jobs, []);
});

test('whoever may only look is told which role a button needs', async (t) => {
  const at = await start(t);
  await dead(at, 'web', HOSTILE);
  const session = { holder: 'ada', role: 'read', open: false };
  await at.page.route('**/session', (route) => route.fulfill({ json: session }));
  await open(at, '/jobs', 'Jobs');
  for (const name of ['Requeue all…', 'Cancel all…', 'Purge all…', 'Submit a job']) {
    const role = name === 'Submit a job' ? 'submit' : 'admin';
    const button = at.page.getByRole('button', { name });
    assert.ok(await button.isDisabled());
    assert.equal(await button.getAttribute('title'), `this needs the role ${role}`);
  }
});
