// The view of workers: what it tells of each, and what its buttons do.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { start } from './harness.mjs';
import { press } from './seed.mjs';

const named = (name, queue = 'mail') => ({ queue, args: ['--name', name] });

async function isQuiet(at, name) {
  const { workers } = await at.api('GET', `/workers/${name}`);
  return workers.map(({ quiet }) => quiet);
}

test('each worker stands there with what it runs', async (t) => {
  const at = await start(t);
  await at.open('/workers');
  await at.page.getByText('No worker is connected').waitFor();
  await at.cli('submit', 'mail', 'a letter');
  const worker = await at.worker(named('mailer'), 'sleep', '600');
  const row = at.page.getByRole('row').filter({ hasText: 'mailer' });
  await row.getByText('busy').waitFor();
  const text = await row.innerText();
  assert.match(text, new RegExp(`${worker.pid}`));
  assert.match(text, /falcon-worker \d/);
  await row.getByText(/for \d+ (ms|s)/).waitFor();
  assert.equal(await row.getByRole('link', { name: '1', exact: true }).getAttribute('href'), '/jobs/1');
  assert.equal(await row.getByRole('link', { name: 'mail', exact: true }).getAttribute('href'), '/queues/mail');
  await row.getByRole('cell', { name: '1', exact: true }).waitFor();
  await at.page.getByText('1 worker: 1 busy').waitFor();
});

test('one worker is quiet, and resumes, and stops', async (t) => {
  const at = await start(t);
  const worker = await at.worker(named('mailer'), 'cat');
  await at.worker(named('other'), 'cat');
  await at.open('/workers');
  await press(at, 'Quiet mailer', 'Quiet');
  await at.page.getByText('1 worker was told to be quiet').waitFor();
  await at.page.getByRole('row').filter({ hasText: 'mailer' }).locator('.badge.warn', { hasText: 'quiet' }).waitFor();
  assert.deepEqual(await isQuiet(at, 'mailer'), [true]);
  assert.deepEqual(await isQuiet(at, 'other'), [false]);
  await press(at, 'Resume mailer', 'Resume');
  await at.until('it to resume', async () => !(await isQuiet(at, 'mailer'))[0]);
  await press(at, 'Stop mailer', 'Stop');
  await worker.over;
  await at.page.getByRole('row').filter({ hasText: 'mailer' }).waitFor({ state: 'detached' });
  await at.page.getByRole('row').filter({ hasText: 'other' }).waitFor();
});

test('nothing happens to whoever is asked back and leaves', async (t) => {
  const at = await start(t);
  await at.worker(named('mailer'), 'cat');
  await at.open('/workers');
  await at.page.getByRole('button', { name: 'Stop all' }).click();
  await at.page.getByRole('dialog').getByText('Stop all workers?').waitFor();
  await at.page.getByRole('button', { name: 'Leave as it is' }).click();
  await at.page.getByRole('dialog').waitFor({ state: 'hidden' });
  assert.deepEqual(await isQuiet(at, 'mailer'), [false]);
});

test('all workers are quiet, and resume, and stop', async (t) => {
  const at = await start(t);
  const workers = [await at.worker(named('twin'), 'cat'), await at.worker(named('twin'), 'cat')];
  workers.push(await at.worker(named('third', 'other'), 'cat'));
  await at.open('/workers');
  await at.page.getByText('3 workers: 3 polling').waitFor();
  await press(at, 'Quiet all workers', 'Quiet');
  await at.page.getByText('3 workers were told to be quiet').waitFor();
  await at.page.getByText('3 workers: 3 quiet').waitFor();
  await press(at, 'Resume all workers', 'Resume');
  await at.page.getByText('3 workers: 3 polling').waitFor();
  await at.page.getByRole('button', { name: 'Quiet the 2 workers that are called twin' }).first().click();
  await at.page.getByRole('dialog').getByText('Quiet the 2 workers that are called twin?').waitFor();
  await at.page.getByRole('dialog').getByRole('button', { name: 'Quiet', exact: true }).click();
  await at.page.getByText('3 workers: 1 polling, 2 quiet').waitFor();
  await press(at, 'Stop all workers', 'Stop');
  for (const worker of workers) await worker.over;
  await at.page.getByText('No worker is connected').waitFor();
});

test('whoever may only look presses nothing', async (t) => {
  const at = await start(t, { tokens: ['ops:admin:a-secret', 'guest:read:r-secret'], as: 'guest' });
  await at.worker(named('mailer'), 'cat');
  await at.open('/workers');
  const stop = at.page.getByRole('button', { name: 'Stop mailer' });
  await stop.waitFor();
  assert.ok(await stop.isDisabled());
  assert.equal(await stop.getAttribute('title'), 'this needs the role admin');
});
