// The frame of the drivers in JavaScript. `DRIVER SCENARIO JOBS` starts a process that works and one that submits,
// and prints what came of it as one line of JSON. A driver gives an object of this kind:
//
//   framework, settings       what is said of it
//   version()                 of the library and of the server
//   prepare()                 an empty queue
//   producer()                { submitMany(payloads), submit(payload), close() }: each resolves when it is confirmed
//   worker(jobs, handle)      { run(), close() }: run() resolves when the server has the last of so many acks
//   left()                    how many jobs the server still has
import { fork } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';

const CHUNK = 1000;
const PAYLOAD = 256;
const MICROS_BETWEEN = 5000;
const UNTIL_IT_WORKS_MS = 1000;

export const [host, port] = (process.env.SERVER ?? '').split(':');
const [scenario, jobs] = [process.argv[2], Number(process.argv[3])];

// Microseconds of CLOCK_MONOTONIC, which is one for all processes of a machine.
const now = () => Number(process.hrtime.bigint()) / 1000;

// A job tells its number and when it was made, so that whoever runs it can tell how long it was on its way.
const payload = number => `${number} ${Math.round(now())} `.padEnd(PAYLOAD, '.');

export const versionOf = library => (
  JSON.parse(readFileSync(new URL(`node_modules/${library}/package.json`, import.meta.url))).version
);

export function countdown(from) {
  let tick;
  const over = new Promise(resolve => { tick = () => { if (--from === 0) resolve(); }; });
  return { tick, over };
}

async function work(adapter) {
  const runs = new Uint8Array(jobs);
  const waits = [];
  const worker = await adapter.worker(jobs, text => {
    const begun = now();
    const [number, sent] = text.split(' ', 2);
    runs[number] += 1;
    waits.push(begun - sent);
  });
  await ready();
  const began = now();
  await worker.run();
  const ended = now();
  await sleep(300); // A job that comes twice would come now.
  await worker.close();
  waits.sort((a, b) => a - b);
  const percentile = p => Math.round(waits[Math.min(waits.length - 1, Math.floor(waits.length * p))]);
  const once = waits.length === jobs && runs.every(count => count === 1);
  await tell({ began, ended, once, ran: waits.length, p50: percentile(0.5), p99: percentile(0.99) });
}

// Two chunks are under way at a time, so that neither side waits for the other.
async function bulk(producer) {
  let next = 0;
  const lane = async () => {
    while (next < jobs) {
      const first = next;
      next = Math.min(jobs, first + CHUNK);
      await producer.submitMany(Array.from({ length: next - first }, (_, i) => payload(first + i)));
    }
  };
  await Promise.all([lane(), lane()]);
}

async function paced(producer) {
  const start = now();
  for (let number = 0; number < jobs; number += 1) {
    const early = start + number * MICROS_BETWEEN - now();
    if (early > 0) await sleep(early / 1000);
    await producer.submit(payload(number));
  }
}

async function produce(adapter) {
  const producer = await adapter.producer();
  await ready();
  const began = now();
  await (scenario === 'delivery' ? paced(producer) : bulk(producer));
  await producer.close();
  await tell({ began });
}

const tell = message => new Promise(resolve => { process.send(message, resolve); });

// Says so, and waits for the word to go.
async function ready() {
  const go = new Promise(resolve => { process.once('message', resolve); });
  await tell('ready');
  await go;
}

// What a process prints goes to stderr: stdout is for the one line.
async function start(role) {
  const env = { ...process.env, ROLE: role };
  const child = fork(process.argv[1], [scenario, jobs], { env, stdio: ['ignore', 2, 2, 'ipc'] });
  const message = () => new Promise((resolve, reject) => {
    child.once('message', resolve);
    child.once('exit', code => reject(new Error(`the ${role} ended with ${code}`)));
  });
  await message();
  return () => { child.send('go'); return message(); };
}

async function coordinate(adapter) {
  await adapter.prepare();
  let made;
  let done;
  if (scenario === 'prefilled') {
    await (await start('producer'))();
    await adapter.filled?.();
    done = await (await start('worker'))();
  } else {
    const [run, submit] = await Promise.all([start('worker'), start('producer')]);
    const working = run();
    await sleep(UNTIL_IT_WORKS_MS);
    [done, made] = await Promise.all([working, submit()]);
  }
  const left = await adapter.left();
  if (!done.once || left !== 0) {
    throw new Error(`${done.ran} runs of ${jobs} jobs, each once: ${done.once}, left: ${left}`);
  }
  const seconds = (done.ended - (made ?? done).began) / 1e6;
  const figures = scenario === 'delivery' ? { p50_us: done.p50, p99_us: done.p99 }
    : { jobs_per_second: Math.round(jobs / seconds) };
  const { framework, settings } = adapter;
  const version = await adapter.version();
  const line = { framework, version, settings, scenario, jobs, seconds: Number(seconds.toFixed(3)), ...figures };
  console.log(JSON.stringify(line));
}

export async function drive(adapter) {
  process.once('disconnect', () => process.exit(1)); // No process outlives the one that started it.
  try {
    await ({ worker: work, producer: produce }[process.env.ROLE] ?? coordinate)(adapter);
    process.exit(0);
  } catch (error) {
    console.error(error);
    process.exit(1);
  }
}
