// The page of the dead: what they died of, and that all of a kind are requeued or purged, and no other.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { start, until } from './harness.mjs';
import { dead, happened, HOSTILE, open, press, said, story, submit } from './seed.mjs';

const kinds = ({ page }) => page.locator('.kinds > li');
const kind = ({ page }, text) => page.locator('.kinds > li', { hasText: text });

// Presses a button of one kind of errors.
async function pressOf(at, text, name, confirm) {
  await kind(at, text).getByRole('button', { name }).click();
  const dialog = at.page.getByRole('dialog');
  const title = await dialog.getByRole('heading').textContent();
  await dialog.getByRole('button', { name: confirm, exact: true }).click();
  return title;
}

test('errors that differ in their numbers are one kind, most jobs first, as text', async (t) => {
  const at = await start(t);
  await dead(at, 'web', `${HOSTILE} after 1 s`);
  await dead(at, 'web', 'mailbox 1 full', 2);
  const [job] = await dead(at, 'mail', 'mailbox 2 full');
  await open(at, '/dead', 'Dead');
  await until('two kinds', async () => (await kinds(at).count()) === 2);
  assert.match(await kinds(at).first().textContent(), /3 jobs.*mailbox/s);
  assert.equal(await kinds(at).nth(1).locator('pre').textContent(), `${HOSTILE} after 1 s`);
  await at.page.getByText('4 jobs are dead, of 2 kinds of errors').waitFor();
  await kind(at, 'mailbox').getByRole('link', { name: '3 jobs' }).click();
  await at.page.getByRole('heading', { level: 1, name: 'Jobs' }).waitFor();
  await until('three rows', async () => (await at.page.locator('tbody tr').count()) === 3);
  await open(at, '/dead?queue=mail', 'Dead');
  await kind(at, 'mailbox').getByRole('link', { name: `job ${job}` }).click();
  await at.page.getByRole('heading', { name: `Job ${job}` }).waitFor();
});

test('all of a kind are requeued, and no other', async (t) => {
  const at = await start(t);
  const meant = await dead(at, 'web', 'mailbox full', 3);
  const [other] = await dead(at, 'web', 'broken pipe');
  await open(at, '/dead', 'Dead');
  assert.equal(await pressOf(at, 'mailbox', 'Requeue these', 'Leave as it is'), 'Requeue 3 jobs?');
  assert.ok(!(await story(at, meant[0])).includes('REQUEUE'));
  await pressOf(at, 'mailbox', 'Requeue these', 'Requeue');
  await said(at, '3 jobs requeued.');
  for (const job of meant) await happened(at, job, 'REQUEUE');
  assert.ok(!(await story(at, other)).includes('REQUEUE'));
  await until('one kind is left', async () => (await kinds(at).count()) === 1);
});

test('all of a kind in a queue are purged, and no other', async (t) => {
  const at = await start(t);
  const meant = await dead(at, 'web', 'mailbox full', 2);
  const [other] = await dead(at, 'mail', 'mailbox full');
  await open(at, '/dead', 'Dead');
  await at.page.getByLabel('Queue').selectOption('web');
  await at.page.getByText('2 jobs are dead').waitFor();
  assert.equal(new URL(at.page.url()).search, '?queue=web');
  assert.equal(await pressOf(at, 'mailbox', 'Purge these', 'Purge'), 'Purge 2 jobs?');
  for (const job of meant) await happened(at, job, 'PURGE');
  assert.ok(!(await story(at, other)).includes('PURGE'));
  await at.page.getByText('No job of queue web is dead.').waitFor();
  await at.page.getByLabel('Queue').selectOption('');
  await at.page.getByText('1 job is dead').waitFor();
});

test('it says so when none is dead, and tells of the first as it dies', async (t) => {
  const at = await start(t);
  await submit(at, [{ queue: 'web', delay_ms: 60_000 }]);
  await open(at, '/dead', 'Dead');
  await at.page.getByText('No job is dead.').waitFor();
  await dead(at, 'mail', 'mailbox full');
  await kind(at, 'mailbox').waitFor();
});

test('kinds stay where they are while they are looked at', async (t) => {
  const at = await start(t);
  await dead(at, 'web', 'mailbox full', 2);
  await dead(at, 'web', 'broken pipe');
  await open(at, '/dead', 'Dead');
  await kind(at, 'mailbox').waitFor();
  await dead(at, 'web', 'broken pipe', 5);
  await kind(at, 'broken pipe').getByText('6 jobs').waitFor();
  assert.match(await kinds(at).first().textContent(), /mailbox/);
});

test('a count of several pages is one, with the first and the last moment of each kind', async (t) => {
  const at = await start(t);
  const kindOf = (count, first, last) => ({
    count,
    error_kind: '00000000000000ab',
    job: 7,
    error: 'mailbox full',
    first_at: `2026-01-0${first}T00:00:00.000Z`,
    last_at: `2026-01-0${last}T00:00:00.000Z`,
  });
  const pages = {
    first: { count: 3, errors: [kindOf(3, 2, 3)], next: 5 },
    5: { count: 4, errors: [kindOf(4, 1, 2)], next: null },
  };
  await at.page.route('**/api/v1/jobs/count?*', (route) => {
    const from = new URL(route.request().url()).searchParams.get('from') ?? 'first';
    return route.fulfill({ json: pages[from] });
  });
  await open(at, '/dead', 'Dead');
  await kind(at, 'mailbox').getByText('7 jobs').waitFor();
  const moments = await kind(at, 'mailbox').locator('time').evaluateAll((times) => times.map((time) => time.dateTime));
  assert.deepEqual(moments, ['2026-01-01T00:00:00.000Z', '2026-01-03T00:00:00.000Z']);
});
