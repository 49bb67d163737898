// RabbitMQ: a quorum queue of one member, whose log is synced before a publish is confirmed.
import amqp from 'amqplib';
import { countdown, drive, host, port, versionOf } from './drive.mjs';

const QUEUE = 'bench';
const PREFETCH = 500;
const connect = () => amqp.connect(`amqp://guest:guest@${host}:${port}`);

// For the coordinator, which asks now and then.
async function once(ask) {
  const connection = await connect();
  const answer = await ask(await connection.createChannel(), connection);
  await connection.close();
  return answer;
}

async function producer() {
  const connection = await connect();
  const channel = await connection.createConfirmChannel();
  const submit = text => new Promise((resolve, reject) => {
    const settled = error => (error ? reject(error) : resolve());
    channel.sendToQueue(QUEUE, Buffer.from(text), { persistent: true }, settled);
  });
  return { submit, submitMany: texts => Promise.all(texts.map(submit)), close: () => connection.close() };
}

async function worker(jobs, handle) {
  const connection = await connect();
  const channel = await connection.createChannel();
  const { tick, over } = countdown(jobs);
  await channel.prefetch(PREFETCH);
  const run = async () => {
    await channel.consume(QUEUE, message => {
      handle(message.content.toString());
      channel.ack(message);
      tick();
    });
    await over;
    // Acks have no answer. A purge of a quorum queue is a command in the queue's log, behind the acks of its channel:
    // when it is answered, they are in the log, too.
    await channel.purgeQueue(QUEUE);
  };
  // What was not acked goes back into the queue when this ends, and is counted as left.
  return { run, close: () => connection.close() };
}

await drive({
  framework: 'rabbitmq-quorum',
  settings: `quorum queue, persistent, at most 2000 unconfirmed publishes, prefetch ${PREFETCH}, an ack for each job`,
  producer,
  worker,
  version: () => once((_, { connection: { serverProperties } }) => (
    `amqplib ${versionOf('amqplib')}, RabbitMQ ${serverProperties.version}`
  )),
  prepare: () => once(async channel => {
    await channel.deleteQueue(QUEUE);
    await channel.assertQueue(QUEUE, { durable: true, arguments: { 'x-queue-type': 'quorum' } });
  }),
  left: () => once(async channel => (await channel.checkQueue(QUEUE)).messageCount),
});
