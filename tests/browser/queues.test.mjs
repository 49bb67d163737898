// Now, the queues and one of them: what is said of them, and every button, field and filter, with its effect.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { start } from './harness.mjs';

const dialog = (page) => page.locator('dialog');
const button = (page, name) => page.getByRole('main').getByRole('button', { name, exact: true });

async function confirm(page, name, fields = {}) {
  for (const [field, value] of Object.entries(fields)) {
    const at = dialog(page).locator(`[name="${field}"]`);
    if ((await at.evaluate((element) => element.tagName)) === 'SELECT') await at.selectOption(value);
    else await at.fill(value);
  }
  await dialog(page).getByRole('button', { name, exact: true }).click();
}

test('now says what is wrong, in words, and leads to it', async (t) => {
  const at = await start(t);
  await at.open('/');
  await at.page.getByText('Nothing: each queue with jobs has a worker').waitFor();
  await at.cli('submit', 'email', 'a');
  await at.cli('submit', 'email', 'b');
  const wrong = at.page.getByRole('link', { name: /^queue email: 2 ready, no worker since the master started/ });
  await wrong.waitFor();
  const { jobs } = await at.api('POST', '/poll', { queues: ['email'], wait: '5s' });
  const item = { job: jobs[0].job, lease: jobs[0].lease, error: 'no route', for_good: true };
  await at.api('POST', '/fail', { items: [item] });
  await at.page.getByRole('link', { name: /^queue email: 1 ready, no worker for / }).waitFor();
  await at.page.getByRole('link', { name: 'queue email: 1 dead job' }).click();
  await at.page.waitForURL('**/dead?queue=email');
  await at.open('/');
  for (const [name, to] of [
    ['Pending', 'pending'],
    ['In flight', 'in-flight'],
    ['Delayed', 'delayed'],
  ]) {
    const link = at.page.getByLabel('Figures').getByRole('link', { name });
    assert.equal(await link.getAttribute('href'), `/jobs?state=${to}`);
  }
  await at.page.getByLabel('Busiest queues').getByRole('link', { name: 'email' }).click();
  await at.page.waitForURL('**/queues/email');
});

test('what changes is there within a second or two, and the history is a table too', async (t) => {
  const at = await start(t);
  await at.open('/');
  await at.cli('submit', 'email', 'a');
  const pending = at.page.getByLabel('Figures').locator('.card', { hasText: 'Pending' }).locator('.figure');
  await at.until('the count', async () => (await pending.textContent()) === '1', 2_500);
  const { at: moments } = await at.api('GET', '/history');
  assert.ok(moments.length >= 1);
});

test('queues are found by a part of their name, sorted, paused and resumed', async (t) => {
  const at = await start(t);
  await at.cli('submit', 'email', 'a');
  await at.cli('submit', 'reports', 'a');
  await at.cli('submit', 'reports', 'b');
  await at.open('/queues');
  const rows = at.page.locator('tbody tr');
  await at.until('two rows', async () => (await rows.count()) === 2);
  await at.page.getByRole('button', { name: 'Pending' }).click();
  assert.equal(await rows.first().getAttribute('data-row'), 'reports');
  assert.equal(await at.page.getByRole('columnheader', { name: /^Pending/ }).getAttribute('aria-sort'), 'descending');
  await at.page.getByRole('button', { name: /^Pending/ }).click();
  assert.equal(await rows.first().getAttribute('data-row'), 'email');
  await at.page.getByLabel('Name contains').fill('mai');
  await at.page.waitForURL('**/queues?name=mai');
  await at.until('one row', async () => (await rows.count()) === 1);
  await button(at.page, 'Pause email').click();
  await confirm(at.page, 'Leave as it is');
  assert.ok(!(await at.api('GET', '/queues/email')).paused_out, 'nothing before it is confirmed');
  await button(at.page, 'Pause email').click();
  await confirm(at.page, 'Pause');
  await at.page.getByText('hands out none').waitFor();
  assert.ok((await at.api('GET', '/queues/email')).paused_out);
  await button(at.page, 'Resume email').click();
  await confirm(at.page, 'Resume');
  await at.until('its end', async () => !(await at.api('GET', '/queues/email')).paused_out);
  await at.page.getByRole('cell').getByRole('link', { name: '1', exact: true }).click();
  await at.page.waitForURL('**/jobs?queue=email&state=pending');
});

test('a queue is paused for a while with a reason, and told why its jobs wait', async (t) => {
  const at = await start(t);
  await at.cli('submit', 'email', 'a');
  await at.open('/queues/email');
  await at.page.getByText(/no worker polls queue "email"/).waitFor();
  assert.ok(await button(at.page, 'Resume').isDisabled());
  await button(at.page, 'Pause').click();
  await confirm(at.page, 'Pause', { way: 'both', for: '30m', reason: 'night <b>work</b>' });
  await at.page.getByText('night <b>work</b>').first().waitFor();
  const paused = await at.api('GET', '/queues/email');
  assert.equal(paused.paused_in.reason, 'night <b>work</b>');
  assert.ok(paused.paused_out.left_ms > 1_700_000);
  await button(at.page, 'Resume').click();
  await at.until('its end', async () => !(await at.api('GET', '/queues/email')).paused_in);
});

test('settings are set and taken back, and an empty queue is deleted', async (t) => {
  const at = await start(t);
  await at.cli('submit', 'email', 'a');
  await at.open('/queues/email');
  await button(at.page, 'Settings').click();
  const given = {
    running_max: '3',
    rate: '100/s',
    group_running_max: '2',
    group_rate: '5/m',
    strict: 'on',
    max_attempts: '7',
    backoff: 'exponential:1s..1m',
    timeout: '30s',
    ttl: '1d',
    keep: '10m',
    dead_keep: '7d',
    depth_max: '1000',
    bytes_max: '1000000',
  };
  await confirm(at.page, 'Set', given);
  await at.page.getByText('the settings of email are set').waitFor();
  const { settings } = await at.api('GET', '/queues/email');
  assert.equal(Object.keys(settings).length, Object.keys(given).length, JSON.stringify(settings));
  assert.deepEqual([settings.running_max, settings.strict, settings.keep_ms], [3, true, 600_000]);
  await button(at.page, 'Settings').click();
  await confirm(at.page, 'Set', { running_max: '', rate: '' });
  await at.until('the change', async () => !('running_max' in (await at.api('GET', '/queues/email')).settings));
  await button(at.page, 'Settings').click();
  at.expect(/400/);
  await confirm(at.page, 'Set', { timeout: 'soon' });
  await at.page.getByText(/is not a duration/).waitFor();
  await button(at.page, 'Delete').click();
  at.expect(/409/);
  await confirm(at.page, 'Delete');
  await at.page.locator('.notice.bad').last().waitFor();
  await at.api('POST', '/jobs/change/cancel', { filter: { queue: 'email' } });
  await at.api('POST', '/jobs/change/purge', { filter: { queue: 'email' } });
  await button(at.page, 'Delete').click();
  await confirm(at.page, 'Delete');
  await at.page.waitForURL('**/queues');
  await at.until('its end', async () => (await at.api('GET', '/queues')).queues.length === 0);
});

test('groups are told with their share, and settled', async (t) => {
  const at = await start(t);
  for (const group of ['acme', 'acme', 'globex']) await at.cli('submit', 'email', 'x', '--group', group);
  await at.open('/queues/email');
  const row = at.page.getByLabel('Groups').locator('tr', { hasText: 'acme' });
  await row.waitFor();
  await at.api('POST', '/poll', { queues: ['email'], wait: '5s' });
  await at.until('its share', async () => /100 %/.test(await row.textContent()));
  await at.page.getByRole('button', { name: 'Settings of group acme' }).click();
  await confirm(at.page, 'Set', { weight: '5', running_max: '4', rate: '10/m' });
  const settled = async () =>
    (await at.api('GET', '/queues/email/groups')).groups.find(({ group }) => group === 'acme');
  await at.until('its weight', async () => (await settled()).weight === 5);
  assert.deepEqual([(await settled()).running_max, (await settled()).rate], [4, '10/m']);
  await row.getByRole('link', { name: 'acme' }).click();
  await at.page.waitForURL('**/jobs?queue=email&group=acme');
});
