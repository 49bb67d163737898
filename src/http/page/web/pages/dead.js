// Dead jobs by what they died of: how many, since when, one of them to look at, and all of a kind to be requeued or
// purged at once.
import { html, useMemo, useState } from '../html.js';
import { read, withQuery } from '../api.js';
import { useLoad, useNow } from '../live.js';
import { goWith, Link } from '../route.js';
import { age, count, counted, moment, NONE } from '../words.js';
import { Act } from '../session.js';
import { changeAll, nameOf } from '../parts/change.js';
import { Loaded } from '../parts/loaded.js';
import { usePaced } from '../parts/pace.js';
import { QueueChoice } from '../parts/queuechoice.js';

// What makes the dead more or fewer.
const CHANGES = new Set(['DEAD', 'REQUEUE', 'PURGE', 'CANCEL']);
const EVERY_MS = 10_000;

export function Dead({ query }) {
  const { queue = '' } = query;
  const order = useMemo(() => [], [queue]);
  // What is found already, while the rest is still counted.
  const [soFar, setSoFar] = useState(null);
  const look = async (signal) => {
    const take = ({ total, errors }) => ({ queue, total, errors: steady(errors, order) });
    const found = await byError(queue, (part) => setSoFar(take(part)), signal);
    setSoFar(null);
    return take(found);
  };
  const [load, hurry] = usePaced(look, queue);
  const isOfQueue = (name) => !queue || !name || name === queue;
  const concerns = ({ type, event, queue: of }) => type === 'job' && CHANGES.has(event) && isOfQueue(of);
  const loaded = useLoad(load, [queue], { concerns, everyMs: EVERY_MS });
  const done = () => {
    hurry();
    loaded.reload();
  };
  // What belongs to the queue that was chosen before is not shown under the name of this one.
  const isCounting = loaded.data?.queue !== queue;
  const shown = isCounting ? soFar : loaded.data;
  const data = shown?.queue === queue ? shown : null;
  return html`<h1>Dead</h1>
    <div class="filters"><${QueueChoice} value=${queue} choose=${(name) => goWith({ queue: name })} /></div>
    <${Loaded} of=${{ ...loaded, data, isLoading: !loaded.error }}>${({ errors, total }) => html`
      ${isCounting && html`<p role="status">Still counting…</p>`}
      ${total > 0 && html`<${Kinds} errors=${errors} total=${total} queue=${queue} done=${done} />`}
      ${!total && !isCounting &&
      html`<p class="empty">${queue ? `No job of queue ${queue} is dead.` : 'No job is dead.'}</p>`}
    `}</${Loaded}>`;
}

// All pages together: one kind of error may be on several.
async function byError(queue, tell, signal) {
  const kinds = new Map();
  let [total, from] = [0, null];
  do {
    const path = withQuery('/api/v1/jobs/count', { by: 'error', state: 'dead', queue, from });
    const page = await read(path, signal);
    total += page.count;
    for (const kind of page.errors) kinds.set(kind.error_kind, together(kinds.get(kind.error_kind), kind));
    from = page.next;
    if (from !== null) tell({ total, errors: [...kinds.values()] });
  } while (from !== null);
  return { total, errors: [...kinds.values()] };
}

function together(known, more) {
  if (!known) return more;
  const moments = (name) => [known[name], more[name]].filter(Boolean).sort();
  const count = known.count + more.count;
  return { ...known, count, first_at: moments('first_at')[0], last_at: moments('last_at').at(-1) };
}

// Most jobs first, but what is shown already stays where it is: a button must not move under the pointer.
function steady(errors, order) {
  const place = new Map(order.map((kind, at) => [kind, at]));
  const at = ({ error_kind: kind }) => place.get(kind) ?? Infinity;
  const sorted = errors.sort((a, b) => (at(a) === at(b) ? b.count - a.count : at(a) - at(b)));
  order.splice(0, order.length, ...sorted.map(({ error_kind: kind }) => kind));
  return sorted;
}

function Kinds({ errors, total, queue, done }) {
  const told = errors.reduce((sum, kind) => sum + kind.count, 0);
  return html`<p>${counted(total, 'job')} ${total === 1 ? 'is' : 'are'} dead, of
      ${' '}${counted(errors.length, 'kind')} of errors. Errors that differ in their numbers alone are of one kind.</p>
    ${total > told && html`<p class="faint">Of ${counted(total - told, 'job')} the kind is not told:
      <${Link} to=${withQuery('/jobs', { state: 'dead', queue })}>look at all that are dead</${Link}>.</p>`}
    <ul class="kinds">${errors.map(
      (kind) => html`<${Kind} key=${kind.error_kind} of=${kind} queue=${queue} done=${done} />`,
    )}</ul>`;
}

function Kind({ of, queue, done }) {
  const now = useNow();
  const [busy, setBusy] = useState(null);
  const filter = { state: 'dead', error_kind: of.error_kind, ...(queue && { queue }) };
  const start = async (verb) => {
    setBusy(`${nameOf(verb)}…`);
    const progress = (many) => setBusy(`${nameOf(verb)}: ${count(many)} so far…`);
    const where = queue ? `queue ${queue}` : 'all queues';
    const which = `Dead jobs of ${where} whose error is like “${brief(of.error)}”.`;
    const isDone = await changeAll(verb, filter, { which, progress });
    setBusy(null);
    if (isDone) done();
  };
  const at = (text) => (text ? html`<time datetime=${text} title=${moment(text)}>${age(text, now)}</time>` : NONE);
  return html`<li class="card" data-kind=${of.error_kind}>
    <div class="row">
      <span class="figure grow"><${Link} to=${withQuery('/jobs', filter)}>${counted(of.count, 'job')}</${Link}></span>
      ${busy ? html`<span role="status" class="faint">${busy}</span>` : html`
        <${Act} onClick=${() => start('requeue')}>Requeue these</${Act}>
        <${Act} class="danger" onClick=${() => start('purge')}>Purge these</${Act}>`}
    </div>
    <pre tabindex="0" aria-label="One of the errors">${of.error || 'no text'}</pre>
    <p class="faint facts">First seen: ${at(of.first_at)} · last seen: ${at(of.last_at)} · one of them:
      ${' '}<${Link} class="whole" to="/jobs/${of.job}">job ${of.job}</${Link}></p>
  </li>`;
}

function brief(text) {
  const line = text.split('\n')[0];
  return line.length > 120 ? `${line.slice(0, 120)}…` : line;
}
