// All schedules: when each makes its next job and what became of its last one; and one of them with all that it says.
import { html, useEffect, useRef } from '../html.js';
import { part, read, withQuery, write } from '../api.js';
import { cronWords } from '../cron.js';
import { useLoad, useNow } from '../live.js';
import { Link, goWith } from '../route.js';
import { Act } from '../session.js';
import { NONE, age, moment, span } from '../words.js';
import { Badge } from '../parts/badge.js';
import { ask } from '../parts/dialog.js';
import { Loaded } from '../parts/loaded.js';
import { attempt } from '../parts/notice.js';
import { Table } from '../parts/table.js';

const EVERY_MS = 5_000;

const pathOf = (name) => `/api/v1/schedules/${part(name)}`;

// `schedule` is the one that is open, `behind` where the page of the list begins.
export function Schedules({ query: { schedule, behind } }) {
  const path = withQuery('/api/v1/schedules', { behind });
  const loaded = useLoad((signal) => read(path, signal), [path], { everyMs: EVERY_MS });
  const now = useNow();
  return html`<h1>Schedules</h1>
    ${schedule && html`<${One} key=${schedule} name=${schedule} now=${now} reload=${loaded.reload} />`}
    <${Loaded} of=${loaded}>${({ schedules, next }) =>
      html` <${Table}
          label="Schedules"
          columns=${columns(now, loaded.reload)}
          rows=${schedules}
          id=${(row) => row.schedule}
          marked=${(row) => row.schedule === schedule}
          empty="No schedule yet: falcon-cli schedule add makes one."
        />
        <div class="row">
          ${behind && html`<button type="button" onClick=${() => goWith({ behind: '' })}>First schedules</button>`}
          ${next && html`<button type="button" onClick=${() => goWith({ behind: next })}>More schedules</button>`}
        </div>`}</${Loaded}>`;
}

function columns(now, reload) {
  const name = ({ schedule, queue, paused }) => html`
    <div><${Link} to=${withQuery('/schedules', { schedule })} id="schedule-${schedule}">${schedule}</${Link}></div>
    <${Standing} paused=${paused} /> <${Link} to="/queues/${part(queue)}">${queue}</${Link}>`;
  return [
    { title: 'Schedule, queue', cell: name, sort: (row) => row.schedule },
    { title: 'When', cell: (row) => html`<${When} of=${row} />` },
    {
      title: 'Next',
      cell: (row) => html`<${Moment} at=${row.paused ? null : row.next_at} now=${now} />`,
      sort: (row) => row.next_at,
    },
    { title: 'Last', cell: ({ last }) => html`<${Last} run=${last} />`, sort: (row) => row.last?.at },
    {
      title: '',
      head: html`<span class="unseen">Change</span>`,
      cell: (row) => html`<${Actions} of=${row} reload=${reload} />`,
    },
  ];
}

function Standing({ paused }) {
  if (paused) return html`<${Badge} look="warn" shape="❚❚">paused</${Badge}>`;
  return html`<${Badge} look="good" shape="●">on</${Badge}>`;
}

function When({ of: { every_ms: every, cron, tz = 'UTC' } }) {
  if (!cron) return `every ${span(every)}`;
  const words = cronWords(cron);
  return html`${words && html`<div class="words">${words}</div>`}
    <div class="faint"><code>${cron}</code> ${tz}</div>`;
}

// Ages tell the seconds.
const short = (at) => moment(at).slice(0, 16);

function Moment({ at, now }) {
  if (!at) return NONE;
  return html`<div>${age(at, now)}</div>
    <div class="faint">${short(at)}</div>`;
}

// What became of a tick, in words that say what that means.
const OUTCOMES = {
  made: ['good', '✓'],
  missed: ['warn', '▲'],
  overlap: ['warn', '▲'],
};

function Outcome({ of: { outcome, job } }) {
  const [look, shape] = OUTCOMES[outcome] ?? ['warn', '▲'];
  return html`<${Badge} look=${look} shape=${shape}>${outcome}</${Badge}>
    ${job && html` <${Link} to="/jobs/${job}">job ${job}</${Link}>`}`;
}

function Last({ run }) {
  if (!run) return html`<span class="faint">never</span>`;
  return html`<div><${Outcome} of=${run} /></div>
    <div class="faint">${short(run.at)}</div>`;
}

function Actions({ of: { schedule, paused }, reload }) {
  const path = pathOf(schedule);
  const act = async (question, work, done) => {
    if ((await ask(question)) && (await attempt(work, done))) reload();
  };
  const run = () =>
    act(
      { title: `Run ${schedule} now?`, text: 'It makes a job at once, beside its ticks.', verb: 'Run now' },
      () => write(`${path}/run`),
      ({ job }) => `${schedule} has made job ${job}`,
    );
  const turn = () => {
    const verb = paused ? 'Resume' : 'Pause';
    const text = paused ? 'It makes jobs again, from its next tick on.' : 'It makes no jobs until it is resumed.';
    const question = { title: `${verb} the schedule ${schedule}?`, text, verb };
    return act(
      question,
      () => write(`${path}/${verb.toLowerCase()}`),
      paused ? `${schedule} goes on` : `${schedule} is paused`,
    );
  };
  const remove = () =>
    act(
      {
        title: `Remove the schedule ${schedule}?`,
        text: 'It makes no more jobs. Those that it made are left alone.',
        verb: 'Remove',
        danger: true,
      },
      () => removed(path, schedule),
      `${schedule} is removed`,
    );
  const word = paused ? 'Resume' : 'Pause';
  return html`<div class="buttons">
    <${Act} aria-label="Run ${schedule} now" onClick=${run}>Run</${Act}>
    <${Act} aria-label="${word} ${schedule}" onClick=${turn}>${word}</${Act}>
    <${Act} class="danger" aria-label="Remove ${schedule}" onClick=${remove}>Remove</${Act}>
  </div>`;
}

// One that is open would be asked for again, in vain.
async function removed(path, schedule) {
  await write(path, undefined, 'DELETE');
  if (new URLSearchParams(location.search).get('schedule') === schedule) goWith({ schedule: '' }, { replace: true });
}

// One schedule, with what it submits; the focus goes to it, and back to its name when it is closed.
function One({ name, now }) {
  const loaded = useLoad((signal) => read(pathOf(name), signal), [name], { everyMs: EVERY_MS });
  const heading = useRef(null);
  useEffect(() => heading.current.focus(), []);
  const close = () => {
    goWith({ schedule: '' });
    document.getElementById(`schedule-${name}`)?.focus();
  };
  return html`<section class="card" aria-labelledby="one">
    <div class="row">
      <h2 id="one" class="grow" tabindex="-1" ref=${heading}>${name}</h2>
      <button type="button" onClick=${close} aria-label="Close ${name}">Close</button>
    </div>
    <${Loaded} of=${loaded}>${(told) => html`
      <dl class="facts">
        ${factsOf(told).map(
          ([term, value]) =>
            html`<dt>${term}</dt>
              <dd>${value}</dd>`,
        )}
      </dl>
      <div class="beside">
        <div>
          <h3>Next</h3>
          ${told.paused ? html`<p class="empty">It is paused.</p>` : nextOf(told, now)}
        </div>
        <div>
          <h3>Last</h3>
          ${lastOf(told, now)}
        </div>
      </div>
      <h3>Payload</h3>
      <pre tabindex="0" aria-label="Payload">${told.payload ?? `in hexadecimal digits: ${told.payload_hex ?? ''}`}</pre>
    `}</${Loaded}>
  </section>`;
}

const MISSED = { once: 'one job for all missed ticks', skip: 'no job for missed ticks' };

function factsOf(told) {
  const headers = Object.entries(told.headers ?? {});
  const facts = [
    ['Queue', html`<${Link} to="/queues/${part(told.queue)}">${told.queue}</${Link}>`],
    ['Group', told.group],
    ['When', whenOf(told)],
    ['Jitter', told.jitter && `up to ${told.jitter}`],
    ['Put off', told.put_off],
    ['Missed', MISSED[told.missed] ?? `a job for each of the latest ${told.missed.split(':')[1]} missed ticks`],
    ['Overlap', told.overlap === 'skip' ? 'no job while its last one has not ended' : 'jobs may overlap'],
    ['Priority', String(told.priority)],
    ['Attempts', told.max_attempts && String(told.max_attempts)],
    ['Time for an attempt', told.timeout],
    ['Kept', told.keep],
    ['Time to begin in', told.ttl],
    ['Pause before another attempt', told.backoff],
    ['Headers', headers.length > 0 && headers.map(([name, value]) => html`<div><code>${name}=${value}</code></div>`)],
  ];
  return facts.filter(([, value]) => value);
}

function whenOf({ every, cron, tz = 'UTC' }) {
  if (!cron) return `every ${every}`;
  const words = cronWords(cron);
  return html`${words && `${words}: `}<code>${cron}</code>, by the clock of ${tz}`;
}

function nextOf({ next }, now) {
  if (next.length === 0) return html`<p class="empty">It is never due again.</p>`;
  const one = ({ at, shown }) =>
    html`<li key=${at}>${shown.replace('T', ' ')} <span class="faint">${age(at, now)}</span></li>`;
  return html`<ul>
    ${next.map(one)}
  </ul>`;
}

function lastOf({ last }, now) {
  if (last.length === 0) return html`<p class="empty">It has not run yet.</p>`;
  const one = (run) =>
    html`<li key=${run.at + run.tick_at}>
      <${Outcome} of=${run} />
      <div class="faint">${age(run.at, now)}, ${moment(run.at)}${run.asked ? ', asked for' : ''}</div>
    </li>`;
  return html`<ul>
    ${last.map(one)}
  </ul>`;
}
