// BullMQ on Redis with an append-only file that is synced once a second: a confirmed job may be lost with the machine.
import { Queue, Worker } from 'bullmq';
import { Redis } from 'ioredis';
import { countdown, drive, host, port, versionOf } from './drive.mjs';

const QUEUE = 'bench';
const CONCURRENCY = 64;
const connection = { host, port: Number(port), maxRetriesPerRequest: null };

async function once(ask) {
  const queue = new Queue(QUEUE, { connection });
  const answer = await ask(queue);
  await queue.close();
  return answer;
}

async function producer() {
  const queue = new Queue(QUEUE, { connection, defaultJobOptions: { removeOnComplete: true } });
  await queue.waitUntilReady();
  return {
    submit: text => queue.add('job', { text }),
    submitMany: texts => queue.addBulk(texts.map(text => ({ name: 'job', data: { text } }))),
    close: () => queue.close(),
  };
}

async function worker(jobs, handle) {
  const { tick, over } = countdown(jobs);
  const options = { connection, concurrency: CONCURRENCY, autorun: false, removeOnComplete: { count: 0 } };
  const pool = new Worker(QUEUE, async job => handle(job.data.text), options);
  pool.on('completed', tick); // Comes after the answer of Redis.
  await pool.waitUntilReady();
  const run = () => {
    pool.run();
    return over;
  };
  return { run, close: () => pool.close() };
}

await drive({
  framework: 'bullmq',
  settings: `appendfsync everysec, addBulk of 1000, two at a time, concurrency ${CONCURRENCY}, removeOnComplete`,
  producer,
  worker,
  version: async () => {
    const redis = new Redis(connection);
    const told = /redis_version:(\S+)/.exec(await redis.info('server'));
    redis.disconnect();
    return `BullMQ ${versionOf('bullmq')}, Redis ${told[1]}`;
  },
  prepare: () => once(queue => queue.obliterate({ force: true })),
  left: () => once(async queue => {
    const counts = await queue.getJobCounts();
    return Object.values(counts).reduce((sum, count) => sum + count, 0);
  }),
});
