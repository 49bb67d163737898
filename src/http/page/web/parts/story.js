// What happened to a job, oldest first: each event of its log with the moment, what it means, and the time that passed
// until the next one.
import { html } from '../html.js';
import { count, moment, size, span } from '../words.js';
import { Link } from '../route.js';

const REASONS = {
  attempts: 'its last attempt failed',
  for_good: 'it failed for good: further attempts are pointless',
  lease: 'the lease of its last attempt ran out',
  reported: 'its worker gave it back',
  'never-begun': 'its lease ended before its worker had begun it',
  begun: 'its worker gave it back, and may have begun it',
};

// What an event says, in words; whatever it holds stays text.
const SAYS = {
  ENQUEUE: (event) => [
    `submitted to queue ${event.queue}`,
    event.due_at && `, not to be handed out before ${moment(event.due_at)}`,
    event.before && [', to wait for ', awaited(event.before)],
  ],
  REPLACE: (event) => [`its payload was replaced; it has ${size(event.payload_bytes)} now`],
  DISPATCH: (event) => [
    `attempt ${count(event.attempt)} was handed to `, name(event.worker), ` for ${span(event.lease_ms)}`,
  ],
  ACK: (event) => [
    'completed',
    event.result_bytes > 0 && ` with a result of ${size(event.result_bytes)}`,
    event.text_lost && '; there was no room for its result',
  ],
  RETRY: (event) => [name(event.worker), `: the attempt failed; the next is due at ${moment(event.retry_at)}`],
  TIMEOUT: (event) => [
    'the lease of ', name(event.worker), ` ran out; the next attempt is due at ${moment(event.retry_at)}`,
  ],
  DEAD: (event) => [`dead: ${reason(event)}`, event.worker && [' (', name(event.worker), ')']],
  RELEASE: (event) => [
    `pending again, the attempt is not counted: ${reason(event)}`,
    event.due_at && `; due at ${moment(event.due_at)}`,
  ],
  CANCEL: (event) => [
    event.ends ? 'cancelled' : 'to be cancelled, once its worker says so',
    by(event),
    event.before && [', for what became of ', awaited(event.before)],
  ],
  REQUEUE: (event) => ['requeued with all its attempts', by(event)],
  PURGE: (event) => ['purged: nothing of it is kept', by(event)],
  EXPIRE: () => ['expired: it was not begun in time'],
  UPDATE: (event) => ['changed', by(event), ': ', changes(event).join(', ')],
  READY: () => ['what it waited for has ended'],
  ADMIT: () => ['its batch let it go'],
  TICK: (event) => [`made by schedule ${event.name}`, by(event)],
  MOVE: (event) => [`its ${event.part} was moved within the log`],
};

const LOOKS = {
  ACK: 'good',
  DEAD: 'bad',
  EXPIRE: 'bad',
  RETRY: 'warn',
  TIMEOUT: 'warn',
  RELEASE: 'warn',
  DISPATCH: 'busy',
};

const name = (text) => (text ? html`<bdi class="mono">${text}</bdi>` : 'its worker');
const reason = (event) => REASONS[event.reason] ?? event.reason;
const by = (event) => event.by && [' by ', name(event.by)];

function changes({ priority, max_attempts: most, due_at: due, expires_at: expires }) {
  const all = [];
  if (priority !== undefined) all.push(`priority ${priority}`);
  if (most !== undefined) all.push(`${count(most)} attempts`);
  if (due !== undefined) all.push(due ? `due at ${moment(due)}` : 'due at once');
  if (expires !== undefined) all.push(expires ? `expires at ${moment(expires)}` : 'never expires');
  return all;
}

export function Story({ events, missing }) {
  const lost = missing.map(({ first, last, next_at: at }) => ({ lsn: first, at, lost: last - first + 1 }));
  const all = [...events, ...lost].sort((a, b) => a.lsn - b.lsn);
  return html`<ol class="story">
    ${all.map((event, at) => html`<${Step} key=${event.lsn} of=${event} next=${all[at + 1]} />`)}
  </ol>`;
}

function Step({ of: event, next }) {
  if (event.lost) {
    return html`<li class="lost"><p class="faint">The log tells nothing more of a time before
      ${moment(event.at)}: ${count(event.lost)} of its records are gone.</p></li>`;
  }
  const passed = next && !next.lost ? Date.parse(next.at) - Date.parse(event.at) : null;
  return html`<li class=${LOOKS[event.event] ?? ''} data-event=${event.event}>
    <time datetime=${event.at}>${moment(event.at)}</time>${' '}
    <span class="mono faint">${event.event ?? `kind ${event.kind}`}</span>
    <p><${Said} of=${event} /></p>
    ${typeof event.error === 'string' &&
    html`<pre tabindex="0" aria-label="Error">${event.error || 'no text'}</pre>`}
    ${passed !== null && html`<p class="passed faint">${span(passed)} later</p>`}
  </li>`;
}

function Said({ of: event }) {
  if (event.event === null) return 'something that only a later version knows';
  const say = SAYS[event.event];
  return say ? html`${say(event)}` : 'it happened';
}

// As the log writes them: `12 batch 3 14`.
function awaited(text) {
  const all = text.match(/batch \d+|\d+/g) ?? [text];
  return html`<${Awaited} of=${all.map((one) => (/^\d+$/.test(one) ? Number(one) : one))} />`;
}

// What a job waits for, as links where there is a page.
export function Awaited({ of: after }) {
  const link = (one) => (typeof one === 'number' ? html`<${Link} to="/jobs/${one}">job ${one}</${Link}>` : one);
  return after.map((one, at) => [at ? ', ' : '', link(one)]);
}
