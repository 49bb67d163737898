// One job: where it stands and why, what happened to it, its attempts, its bytes, and what can be done with it. Of one
// that is gone, what the log still tells.
import { html, useEffect, useMemo } from '../html.js';
import { part, read, withQuery, write } from '../api.js';
import { useLoad, useNow } from '../live.js';
import { Link } from '../route.js';
import { Act } from '../session.js';
import { age, count, counted, moment, NONE, size, span } from '../words.js';
import { State } from '../parts/badge.js';
import { Bytes } from '../parts/bytes.js';
import { changeJobs, fits, FITS, nameOf } from '../parts/change.js';
import { Copy } from '../parts/copy.js';
import { ask } from '../parts/dialog.js';
import { Loaded } from '../parts/loaded.js';
import { attempt, notice } from '../parts/notice.js';
import { Awaited, Story } from '../parts/story.js';
import { Table } from '../parts/table.js';

// Progress and leases change without an event.
const IN_FLIGHT_MS = 5_000;
const ENDINGS = {
  failed: 'failed',
  for_good: 'failed for good',
  lease: 'its lease ran out',
};

export function Job({ job }) {
  const log = useMemo(() => ({ events: [], missing: [], from: undefined }), [job]);
  const concerns = (event) => event.job === Number(job);
  const loaded = useLoad((signal) => load(job, log, signal), [job], { concerns });
  const facts = loaded.data?.facts;
  const runs = facts?.standing === 'in-flight';
  useEffect(() => {
    if (!runs) return undefined;
    const timer = setInterval(() => !document.hidden && loaded.reload(), IN_FLIGHT_MS);
    return () => clearInterval(timer);
  }, [runs, loaded.reload]);
  return html`<div class="row">
      <h1>Job ${job}</h1>
      ${facts && html`<${State} of=${facts.standing} />
        <span>in <${Link} to="/queues/${part(facts.queue)}">${facts.queue}</${Link}></span>`}
      <span class="grow"></span>
      ${facts && html`<${Changes} of=${facts} done=${loaded.reload} />`}
    </div>
    <${Loaded} of=${loaded}>${(data) =>
      data.facts ? html`<${Whole} ...${data} />` : html`<${Gone} job=${job} ...${data} />`}</${Loaded}>`;
}

// All of it in one go, so that the parts tell of one moment; of the log only what came since. Whether it is there is
// asked for first: `gone` is one that was, and its log may still tell of it.
async function load(job, log, signal) {
  const path = `/api/v1/jobs/${part(job)}`;
  const { standing } = await read(`${path}/wait?timeout=0s`, signal);
  if (standing === 'never-was') return { facts: null, standing, events: [], missing: [] };
  const isThere = standing !== 'gone';
  const [facts, reasons, story] = await Promise.all([
    isThere ? orNull(read(path, signal)) : null,
    isThere ? orNull(read(`${path}/explain`, signal)) : null,
    follow(path, log, signal),
  ]);
  const batch = facts?.batch && (await orNull(read(`/api/v1/batches/${part(facts.batch)}`, signal)));
  return { facts, reasons: reasons?.reasons ?? [], batch, standing, ...story };
}

// Null for what went while it was asked for.
async function orNull(asked) {
  try {
    return await asked;
  } catch (error) {
    if (error.status !== 404) throw error;
    return null;
  }
}

// The rest of the log, page after page.
async function follow(path, log, signal) {
  let from = log.from;
  do {
    const page = await orNull(read(withQuery(`${path}/log`, { from }), signal));
    signal.throwIfAborted();
    if (!page) break;
    log.missing = from === undefined || !log.events.length ? merged(log.missing, page.missing) : log.missing;
    log.events = [...log.events, ...page.events.filter(({ lsn }) => !log.events.some((event) => event.lsn === lsn))];
    from = page.next;
    log.from = from ?? (log.events.at(-1)?.lsn ?? 0) + 1;
  } while (from);
  return { events: log.events, missing: log.missing };
}

const merged = (known, more) => [...known, ...more.filter(({ first }) => !known.some((run) => run.first === first))];

// The buttons. One that does not fit is there all the same, so that none moves under the pointer.
function Changes({ of: { job, standing, cancelled, ...facts }, done }) {
  const start = async (verb) => {
    if (await changeJobs(verb, [job])) done();
  };
  const change = async () => {
    if (await update({ job, standing, ...facts })) done();
  };
  const unfit = (verb) => (fits(verb, standing) ? '' : `Only for jobs that are ${FITS[verb].join(', ')}`);
  const look = (verb) => (verb === 'requeue' ? '' : 'danger');
  return html`${['requeue', 'cancel', 'purge'].map(
      (verb) => html`<${Act} key=${verb} class=${look(verb)} disabled=${!fits(verb, standing)} title=${unfit(verb)}
        onClick=${() => start(verb)}>${nameOf(verb)}</${Act}>`,
    )}
    <${Act} disabled=${!fits('update', standing)} title=${unfit('update')} onClick=${change}>Change</${Act}>`;
}

const SPAN = { pattern: '([0-9]+(d|h|m|s|ms))+', placeholder: '10m' };

async function update({ job, standing, priority, max_attempts: most }) {
  const mayDelay = standing === 'pending' || standing === 'delayed';
  const given = await ask({
    title: `Change job ${job}`,
    text: standing === 'in-flight' && 'A worker has it: this attempt goes on as it was begun.',
    verb: 'Change',
    fields: [
      { name: 'priority', label: 'Priority', type: 'number', min: 0, max: 255, value: priority, required: true,
        hint: '0 is the most urgent, 255 the least. It then waits at the end of its line.' },
      { name: 'max_attempts', label: 'Most attempts', type: 'number', min: 1, max: 1000, value: most, required: true },
      ...(mayDelay ? [{ name: 'delay', label: 'Delay', ...SPAN,
        hint: 'From now on: 10s, 1h30m; 0s makes it due now.' },
      { name: 'ttl', label: 'Time to begin it in', ...SPAN, hint: 'From now on; then it expires. 0s for ever.' }] : []),
    ],
  });
  if (!given) return false;
  const changes = {};
  if (Number(given.priority) !== priority) changes.priority = Number(given.priority);
  if (Number(given.max_attempts) !== most) changes.max_attempts = Number(given.max_attempts);
  if (given.delay) changes.delay = given.delay;
  if (given.ttl) changes.ttl = given.ttl;
  if (!Object.keys(changes).length) {
    notice('Nothing was changed.');
    return false;
  }
  return attempt(async () => {
    const { jobs: [answer] } = await write('/api/v1/jobs/change/update', { jobs: [job], update: changes });
    if (!answer.done) throw new Error(`Job ${job} was not changed: ${answer.refused}. It may stand elsewhere now.`);
  }, `Job ${job} was changed.`);
}

function Gone({ job, standing, events, missing }) {
  const last = events.at(-1)?.event;
  const text = standing === 'never-was' ? `There never was a job ${job}.`
    : last === 'PURGE' ? 'It was purged: nothing of it is kept but what the log still tells.'
      : 'It has ended and is kept no more. What the log still tells of it stands here.';
  return html`<p class="problem" role="alert">${text}</p>
    ${events.length > 0 && html`<section class="card" aria-label="What happened">
      <h2>What happened</h2><${Story} events=${events} missing=${missing} />
    </section>`}
    ${standing !== 'never-was' && html`<${Command} line="falcon-cli job log ${job}" />`}`;
}

function Whole({ facts, reasons, batch, events, missing }) {
  const path = `/api/v1/jobs/${facts.job}`;
  const version = events.filter(({ event }) => event === 'REPLACE' || event === 'ENQUEUE').at(-1)?.lsn;
  const waits = !['completed', 'cancelled', 'expired', 'dead'].includes(facts.standing);
  return html`<div class="halves">
    <div>
      <${Facts} of=${facts} batch=${batch} />
      ${waits && html`<${Reasons} of=${reasons} standing=${facts.standing} />`}
      ${facts.error !== undefined && html`<section class="card" aria-label="Its last error"><h2>Its last error</h2>
        <pre tabindex="0" aria-label="Its last error">${facts.error}</pre></section>`}
      <${Attempts} of=${facts} events=${events} />
      <${Bytes} title="Payload" path="${path}/payload" name="job-${facts.job}-payload" version=${version} />
      ${facts.result_bytes > 0 &&
      html`<${Bytes} title="Result" path="${path}/result" name="job-${facts.job}-result" version=${facts.ended_at} />`}
      ${facts.headers && html`<section class="card" aria-label="Headers"><h2>Headers</h2><dl class="facts">
        ${Object.entries(facts.headers).map(
          ([name, value]) => html`<dt class="mono">${name}</dt><dd class="mono">${value}</dd>`,
        )}
      </dl></section>`}
      <${Command} line="falcon-cli job show ${facts.job}" />
    </div>
    <section class="card" aria-label="What happened">
      <h2>What happened</h2><${Story} events=${events} missing=${missing} />
    </section>
  </div>`;
}

function Facts({ of: facts, batch }) {
  const now = useNow();
  const at = (text) => html`<time datetime=${text} title=${moment(text)}>${age(text, now)}</time>`;
  const left = batch ? ` (${batch.state}, ${count(batch.left)} of ${counted(batch.members, 'job')} left)` : '';
  const rows = [
    ['Key', facts.key && html`<span class="mono">${facts.key}</span>`],
    ['Group', facts.group],
    ['Batch', facts.batch && `${facts.batch}${left}`],
    ['Priority', count(facts.priority)],
    ['Attempts', `${count(facts.attempts)} of ${count(facts.max_attempts)}`],
    ['Submitted', at(facts.submitted_at)],
    ['Due', facts.due_at && at(facts.due_at)],
    ['Waits for', facts.after && html`<${Awaited} of=${facts.after} />`],
    ['If one of those fails', facts.after && facts.if_failed],
    ['Delay after those', facts.delay_ms && span(facts.delay_ms)],
    ['Worker', facts.worker],
    ['Begun', facts.begun_at && at(facts.begun_at)],
    ['Lease ends', facts.remaining_ms !== undefined && `in ${span(facts.remaining_ms)}, unless it is extended`],
    ['Progress', facts.percent !== undefined && html`<${Progress} of=${facts} />`],
    ['To be cancelled', facts.cancelled && facts.standing === 'in-flight' && 'once its worker says so'],
    ['Ended', facts.ended_at && at(facts.ended_at)],
    ['Kept until', facts.kept_until && moment(facts.kept_until)],
    ['Expires', facts.expires_at && !facts.ended_at && at(facts.expires_at)],
    ['Time-out', facts.timeout_ms > 0 && span(facts.timeout_ms)],
    ['Backoff', facts.backoff],
    ['Lost', facts.text_lost],
  ];
  return html`<section class="card" aria-label="Facts"><dl class="facts">
    ${rows.filter(([, value]) => value).map(([name, value]) => html`<dt>${name}</dt><dd><bdi>${value}</bdi></dd>`)}
  </dl></section>`;
}

function Progress({ of: { percent, progress } }) {
  return html`<progress max="100" value=${percent} aria-label="Progress"></progress> ${percent} %${
    progress && html` – <bdi>${progress}</bdi>`}`;
}

// Why it does not run now, or who runs it. What stands between backticks is a command.
function Reasons({ of: reasons, standing }) {
  if (!reasons.length) return null;
  const title = standing === 'in-flight' ? 'What goes on' : 'Why it does not run now';
  const worded = (text) => text.split('`').map((piece, at) => (at % 2 ? html`<code>${piece}</code>` : piece));
  return html`<section class="card" aria-label=${title}><h2>${title}</h2>
    <ul class="reasons">${reasons.map(
      ({ cause, text }) => html`<li key=${cause} data-cause=${cause}>${worded(text)}</li>`,
    )}</ul>
  </section>`;
}

// Its attempts, as far as they are remembered, and the one that runs. A job that completed remembers none: its log
// does.
function Attempts({ of: facts, events }) {
  const told = typeof facts.history === 'string' ? [] : facts.history;
  const rows = told.length ? told : attemptsOf(events);
  const { begun_at: begun, worker, standing } = facts;
  const runs = standing === 'in-flight' ? [{ begun_at: begun, ended_at: null, worker, ending: 'runs' }] : [];
  const all = [...rows, ...runs].map((one, at) => ({ ...one, at: at + 1 }));
  if (!all.length) return null;
  const took = ({ begun_at: from, ended_at: to }) => (from && to ? span(Date.parse(to) - Date.parse(from)) : NONE);
  const columns = [
    { title: '#', num: true, cell: ({ at }) => at },
    { title: 'Outcome', cell: ({ ending }) => ENDINGS[ending] ?? ending },
    { title: 'Took', num: true, cell: took },
    { title: 'Begun', cell: ({ begun_at: at }) => moment(at) },
    { title: 'Worker', cell: ({ worker }) => html`<bdi class="long" title=${worker}>${worker || NONE}</bdi>` },
  ];
  return html`<h2>Attempts</h2><${Table} label="Attempts" columns=${columns} rows=${all} id=${({ at }) => at} />`;
}

const ENDS = { ACK: 'completed', RETRY: 'failed', TIMEOUT: 'lease', DEAD: 'failed' };

function attemptsOf(events) {
  const given = new Map(events.filter(({ event }) => event === 'DISPATCH').map((event) => [event.lease, event]));
  const ended = events.filter(({ event, lease }) => ENDS[event] && given.has(lease));
  return ended.map(({ event, lease, at, reason }) => {
    const { at: begun, worker } = given.get(lease);
    return { begun_at: begun, ended_at: at, worker, ending: reason === 'for_good' ? reason : ENDS[event] };
  });
}

function Command({ line }) {
  return html`<p class="faint">On the command line: <${Copy} text=${line} /></p>`;
}
