// A master that has something to show: a shop with several queues, customers as groups, jobs that fail in different
// ways, workers that run, and schedules.

export const PAGES = [
  '/',
  '/queues',
  '/queues/email',
  '/jobs',
  '/jobs/1',
  '/dead',
  '/workers',
  '/schedules',
  '/storage',
];

const ERRORS = [
  'SMTP 550: mailbox unavailable',
  'connect ECONNREFUSED 10.0.4.17:25',
  'template order-shipped: no value for {{tracking}}',
];
const CUSTOMERS = ['acme', 'globex', 'initech', 'umbrella'];

// Runs as long as its payload says, or fails with what that says; a payload is a text as JSON has it.
const CASES = 'case "$what" in sleep) sleep $rest;; fail) echo "$rest" >&2; exit 65;; esac';
const RUNNER = `tr -d '"' | { read what rest; ${CASES}; }`;

export async function lively(at) {
  await at.api('POST', '/jobs', [...dead(), ...mails(), ...pictures(), ...others()]);
  await at.cli('queue', 'set', 'thumbnails', '--running-max', '8', '--rate', '50/s');
  await at.api('POST', '/queues/invoices/pause', { reason: 'the bank is down until noon' });
  await schedules(at);
  await workers(at);
  await at.until('the failing jobs to be dead', async () => (await totals(at)).dead === dead().length);
  await at.until('jobs to run', async () => (await totals(at)).in_flight >= 4);
  await at.cli('snapshot');
}

async function totals(at) {
  return (await at.api('GET', '/stats')).totals;
}

function dead() {
  return Array.from({ length: 9 }, (_, at) => ({
    queue: 'email',
    key: `order-${4100 + at}`,
    group: CUSTOMERS[at % 4],
    max_attempts: 1,
    payload: `fail ${ERRORS[at % 3 === 2 && at > 4 ? 0 : at % 3]}`,
  }));
}

function mails() {
  const of = (at) => ({ queue: 'email', key: `order-${4200 + at}`, group: CUSTOMERS[at % 4], payload: 'sleep 600' });
  return Array.from({ length: 22 }, (_, at) => of(at));
}

function pictures() {
  return Array.from({ length: 40 }, (_, at) => ({
    queue: 'thumbnails',
    payload: at < 30 ? 'done' : 'sleep 600',
    keep_ms: 3_600_000,
    headers: { 'content-type': 'image/png' },
  }));
}

function others() {
  return [
    ...Array.from({ length: 14 }, (_, at) => ({
      queue: 'invoices',
      group: CUSTOMERS[at % 3],
      payload: { invoice: at },
    })),
    ...Array.from({ length: 5 }, (_, at) => ({ queue: 'webhooks', delay_ms: 600_000 + at * 60_000, payload: { at } })),
    { queue: 'search-index', priority: 10, payload: { reindex: 'products' } },
  ];
}

async function schedules(at) {
  const plans = {
    'daily-report': { queue: 'reports', cron: '30 6 * * 1-5', tz: 'Europe/Berlin', overlap: 'skip', payload: 'daily' },
    'rates-of-exchange': { queue: 'sync', every: '15m', jitter: '30s', payload: 'sync rates' },
    'monthly-statement': { queue: 'invoices', cron: '0 4 1 * *', tz: 'America/New_York', payload: 'statements' },
    'purge-carts': { queue: 'housekeeping', cron: '*/20 * * * *', group: 'acme', payload: 'carts older than 30d' },
  };
  for (const [name, plan] of Object.entries(plans)) await at.api('PUT', `/schedules/${name}`, plan);
  await at.api('POST', '/schedules/rates-of-exchange/run');
  await at.api('POST', '/schedules/purge-carts/run');
  await at.api('POST', '/schedules/monthly-statement/pause');
}

async function workers(at) {
  const named = (name, queue, many) => ({
    queue,
    args: ['--name', name, '--concurrency', String(many), '--quiet-jobs'],
  });
  const run = (...worker) => at.worker(named(...worker), 'sh', '-c', RUNNER);
  await run('mailer-1', 'email', 3);
  await run('mailer-2', 'email', 2);
  await run('resizer', 'thumbnails', 4);
  await run('sync', 'sync', 1);
  await at.api('POST', '/workers/mailer-2/quiet');
}
