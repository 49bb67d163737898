// Answers each payload in capitals: falcon-worker --queue shout --reuse --open 16 -- node shout.mjs
import { createInterface } from 'node:readline';

async function run(job) {
  // A payload that is not text comes as payload_base64.
  if (job.payload === undefined) throw Object.assign(new Error('the payload is not text'), { forGood: true });
  return job.payload.toUpperCase();
}

// Jobs run at the same time, and are answered in any order.
for await (const line of createInterface({ input: process.stdin })) {
  const job = JSON.parse(line);
  run(job).then(
    (result) => ({ job: job.job, ok: true, result }),
    (error) => ({ job: job.job, ok: false, error: error.message, for_good: error.forGood === true }),
  ).then((answer) => process.stdout.write(JSON.stringify(answer) + '\n'));
}
