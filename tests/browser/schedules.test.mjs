// The view of schedules: what it tells of each, and what its buttons do.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { start } from './harness.mjs';
import { press } from './seed.mjs';

const REPORT = { queue: 'reports', cron: '30 6 * * 1-5', tz: 'Europe/Berlin', overlap: 'skip', payload: 'of the day' };

const rowOf = (at, name) => at.page.locator(`[data-row=${name}]`);

test('each schedule says when, in words', async (t) => {
  const at = await start(t);
  await at.open('/schedules');
  await at.page.getByText('No schedule yet').waitFor();
  const plans = {
    report: [REPORT, 'Monday to Friday at 06:30', '30 6 * * 1-5 Europe/Berlin'],
    often: [{ queue: 'q', cron: '*/5 * * * *' }, 'every 5 minutes'],
    monthly: [{ queue: 'q', cron: '0 4 1 * *' }, 'on day 1 of each month at 04:00'],
    twice: [{ queue: 'q', cron: '15 8,20 * * SAT,SUN' }, 'each Saturday and Sunday at 08:15 and 20:15'],
    span: [{ queue: 'q', every: '90s' }, 'every 1 min 30 s'],
    strange: [{ queue: 'q', cron: '0 0 * * 5#2' }, '0 0 * * 5#2'],
  };
  for (const [name, [plan]] of Object.entries(plans)) await at.api('PUT', `/schedules/${name}`, plan);
  await at.open('/schedules');
  for (const [name, [plan, ...words]] of Object.entries(plans)) {
    const text = await rowOf(at, name).innerText();
    for (const word of words) assert.ok(text.includes(word), `${name}: ${text}`);
    assert.match(text, /in \d+ (ms|s|min|h|d)/, name);
    assert.ok(text.includes('never') && text.includes(plan.queue), text);
  }
});

test('one is run now, paused, resumed and removed', async (t) => {
  const at = await start(t);
  await at.api('PUT', '/schedules/report', REPORT);
  await at.open('/schedules');
  await press(at, 'Run report now', 'Run now');
  await at.page.getByText('report has made job 1').waitFor();
  const [made] = await at.walLog(1);
  assert.equal(made.queue, 'reports');
  const link = rowOf(at, 'report').getByRole('link', { name: 'job 1', exact: true });
  assert.equal(await link.getAttribute('href'), '/jobs/1');
  const state = async () => (await at.api('GET', '/schedules/report')).paused;
  await press(at, 'Pause report', 'Pause');
  await rowOf(at, 'report').locator('.badge.warn', { hasText: 'paused' }).waitFor();
  assert.equal(await state(), true);
  await press(at, 'Resume report', 'Resume');
  await rowOf(at, 'report').locator('.badge.good', { hasText: /on$/ }).waitFor();
  assert.equal(await state(), false);
  await at.page.getByRole('link', { name: 'report', exact: true }).click();
  await at.page.getByRole('region', { name: 'report', exact: true }).getByText('asked for').waitFor();
  await press(at, 'Remove report', 'Remove');
  await at.page.getByText('No schedule yet').waitFor();
  assert.deepEqual((await at.api('GET', '/schedules')).schedules, []);
  assert.equal(new URL(at.page.url()).search, '');
});

test('what falcond refuses is said', async (t) => {
  const at = await start(t);
  at.expect(/409.*schedules\/report\/run/);
  await at.api('PUT', '/schedules/report', REPORT);
  await at.api('POST', '/schedules/report/run');
  await at.open('/schedules');
  await press(at, 'Run report now', 'Run now');
  await at.page.locator('.notice.bad').waitFor();
  assert.equal((await at.api('GET', '/schedules/report')).last.length, 1);
});

test('one is opened with all that it submits, and closed', async (t) => {
  const at = await start(t);
  const plan = { ...REPORT, group: 'acme', headers: { trace: 'abc' }, missed: 'all:3', max_attempts: 7 };
  await at.api('PUT', '/schedules/report', plan);
  await at.api('POST', '/schedules/report/run');
  await at.open('/schedules');
  await at.page.getByRole('link', { name: 'report', exact: true }).click();
  const card = at.page.getByRole('region', { name: 'report', exact: true });
  await card.getByText('of the day').waitFor();
  const text = await card.innerText();
  const words = [
    'acme',
    'trace=abc',
    'a job for each of the latest 3 missed ticks',
    '7',
    'job 1',
    'by the clock of Eur',
  ];
  for (const word of words) assert.ok(text.includes(word), `${word}: ${text}`);
  const { next } = await at.api('GET', '/schedules/report');
  assert.ok(text.includes(next[4].shown.replace('T', ' ')), text);
  assert.equal(new URL(at.page.url()).search, '?schedule=report');
  await at.page.reload();
  await card.getByText('of the day').waitFor();
  await at.page.getByRole('button', { name: 'Close report' }).click();
  await card.waitFor({ state: 'detached' });
  assert.equal(await at.page.evaluate(() => document.activeElement.textContent), 'report');
});
