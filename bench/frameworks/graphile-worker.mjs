// Graphile Worker on PostgreSQL as packaged: each commit is synced before it is answered.
import { setTimeout as sleep } from 'node:timers/promises';
import { Logger, makeWorkerUtils, run as startWorker } from 'graphile-worker';
import pg from 'pg';
import { countdown, drive, host, port, versionOf } from './drive.mjs';

const CONCURRENCY = 64;
const LOCAL_QUEUE = 500;
// Without batching each job is a commit of its own, which costs three quarters of the rate.
const BATCH_DELAY = 0;
const PEEK_EVERY_MS = 2;
const common = { connectionString: `postgres://postgres@${host}:${port}/postgres`, logger: new Logger(() => () => {}) };
process.env.NO_LOG_SUCCESS = '1'; // A line for each job would be the bulk of the work.

async function query(text) {
  const client = new pg.Client(common);
  await client.connect();
  const { rows } = await client.query(text);
  await client.end();
  return Object.values(rows[0] ?? {})[0];
}

async function producer() {
  const utils = await makeWorkerUtils(common);
  return {
    submit: text => utils.addJob('bench', { text }),
    submitMany: texts => utils.addJobs(texts.map(text => ({ identifier: 'bench', payload: { text } }))),
    close: () => utils.release(),
  };
}

// Completions are written behind the back of the task, and nothing tells when that is done: the table is looked at.
async function emptied(client) {
  for (;;) {
    const { rows } = await client.query('select 1 from graphile_worker._private_jobs limit 1');
    if (rows.length === 0) return;
    await sleep(PEEK_EVERY_MS);
  }
}

async function worker(jobs, handle) {
  const { tick, over } = countdown(jobs);
  const preset = {
    worker: {
      concurrentJobs: CONCURRENCY,
      localQueue: { size: LOCAL_QUEUE },
      completeJobBatchDelay: BATCH_DELAY,
      failJobBatchDelay: BATCH_DELAY,
    },
  };
  const bench = async ({ text }) => {
    handle(text);
    tick();
  };
  const client = new pg.Client(common);
  await client.connect();
  let runner;
  const run = async () => {
    runner = await startWorker({ ...common, preset, noHandleSignals: true, taskList: { bench } });
    await over;
    await emptied(client);
  };
  const close = async () => {
    await runner.stop();
    await client.end();
  };
  return { run, close };
}

await drive({
  framework: 'graphile-worker',
  settings: `synchronous_commit on, addJobs of 1000, two at a time, concurrency ${CONCURRENCY}, `
    + `localQueue ${LOCAL_QUEUE}, completeJobBatchDelay ${BATCH_DELAY}`,
  producer,
  worker,
  version: async () => {
    const server = (await query('show server_version')).split(' ')[0];
    return `graphile-worker ${versionOf('graphile-worker')}, PostgreSQL ${server}`;
  },
  prepare: async () => {
    const utils = await makeWorkerUtils(common);
    await utils.migrate();
    await utils.release();
    await query('truncate graphile_worker._private_jobs');
  },
  // Statistics as a database has them that is in use for a while.
  filled: () => query('vacuum analyze'),
  left: async () => Number(await query('select count(*) from graphile_worker._private_jobs')),
});
