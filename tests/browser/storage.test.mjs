// The view of storage: its figures are those of the API, in words.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { start } from './harness.mjs';

const card = (at, name) =>
  at.page.locator('.card').filter({ has: at.page.getByRole('heading', { name, exact: true }) });

test('the figures of log, disk and memory stand there', async (t) => {
  const at = await start(t);
  await at.cli('submit', 'mail', 'a letter');
  await at.cli('snapshot');
  await at.open('/storage');
  const { wal } = await at.api('GET', '/stats');
  assert.match(await card(at, 'Log').innerText(), /16\.0 MiB\s+in 1 segment/);
  assert.match(
    await card(at, 'Syncs').innerText(),
    new RegExp(`${wal.syncs}\\s[^]*longest of the last minute: \\d+ m?s`),
  );
  assert.match(await card(at, 'Records').innerText(), new RegExp(`${wal.records}\\s[^]*LSN ${wal.durable_lsn}`));
  assert.match(await card(at, 'Written').innerText(), /B\s+since the start\s+0 B of it moved/);
  assert.match(await card(at, 'Disk').innerText(), /free of \d[^]*% in use/);
  assert.match(await card(at, 'Memory').innerText(), /\d MiB|\d KiB/);
});

test('each segment and each snapshot has its row', async (t) => {
  const at = await start(t);
  const { paths } = await at.api('GET', '/openapi.json');
  if (!paths['/storage']) return t.skip('this falcond does not tell its files');
  await at.cli('submit', 'mail', 'a letter');
  await at.cli('snapshot');
  await at.open('/storage');
  const { segments, snapshots } = await at.api('GET', '/storage');
  const table = at.page.getByRole('region', { name: 'Segments' });
  assert.equal(await table.locator('tbody tr').count(), segments.length);
  const active = table.getByRole('row').filter({ hasText: 'active' });
  const { live_bytes: live, used_bytes: used } = segments.find(({ state }) => state === 'active');
  const text = await active.innerText();
  assert.ok(text.includes(`${live} B`) && text.includes(`${Math.max(0, used - live)} B`), text);
  assert.equal(await active.locator('svg.shares rect').count(), 2);
  const row = at.page.getByRole('region', { name: 'Snapshots' }).locator('tbody tr');
  assert.equal(await row.count(), snapshots.length);
  assert.match(await row.first().innerText(), /\d+ B\s+(now|\d+ s ago)/);
});
