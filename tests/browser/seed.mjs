// Jobs for the tests to look at, in each state and with texts that no page may take for markup.
import { until } from './harness.mjs';

export const HOSTILE = '<script>alert(1)</script>"><img src=x onerror=alert(1)>\u202eabc${1}';

// Submits jobs, and gives their ids.
export async function submit({ api }, jobs) {
  const { jobs: made } = await api('POST', '/jobs', jobs.map((job) => ({ payload: 'x', keep_ms: 86_400_000, ...job })));
  return made.map(({ job }) => job);
}

// Takes as many jobs of a queue as a worker would, and gives {job, lease} of each.
export async function take({ api }, queue, max = 1, worker = 'tester') {
  const { jobs } = await api('POST', '/poll', { queues: [queue], worker, max, wait: '5s', lease: '10m' });
  return jobs.map(({ job, lease }) => ({ job, lease }));
}

// Jobs that are dead of this error.
export async function dead(at, queue, error, many = 1, settings = {}) {
  const jobs = await submit(at, Array.from({ length: many }, () => ({ queue, ...settings })));
  const taken = await take(at, queue, many);
  await at.api('POST', '/fail', { items: taken.map((one) => ({ ...one, error, for_good: true })) });
  return jobs;
}

// A job that completed with this result.
export async function completed(at, queue, result = '', settings = {}) {
  const [job] = await submit(at, [{ queue, ...settings }]);
  const [one] = await take(at, queue);
  await at.api('POST', '/ack', { items: [{ ...one, result }] });
  return job;
}

// Goes to a path and waits until it is shown.
export async function open(at, path, heading) {
  await at.open(path);
  await at.page.getByRole('heading', { level: 1, name: heading, exact: true }).waitFor();
}

// The names of a job's events, as its log has them.
export const story = async ({ walLog }, job) => (await walLog(job)).map(({ event }) => event);

// Waits until an event stands in a job's log.
export const happened = (at, job, event) =>
  until(`${event} of job ${job}`, async () => (await story(at, job)).includes(event));

// Presses a button of the page, and one of the dialog that asks back.
export async function press({ page }, name, confirm, fill = async () => {}) {
  await page.getByRole('button', { name, exact: true }).click();
  const dialog = page.getByRole('dialog');
  await dialog.waitFor();
  const title = await dialog.getByRole('heading').textContent();
  await fill(dialog);
  await dialog.getByRole('button', { name: confirm, exact: true }).click();
  return title;
}

// Waits for what the page says in its corner.
export const said = ({ page }, text) => page.locator('.notice', { hasText: text }).first().waitFor();
