// All queues: how much waits in each, how fast it moves, and who works on it.
import { html } from '../html.js';
import { part, read, withQuery, write } from '../api.js';
import { useLoad } from '../live.js';
import { Link, goWith } from '../route.js';
import { Act } from '../session.js';
import { count, rate, span } from '../words.js';
import { Badge } from '../parts/badge.js';
import { ask } from '../parts/dialog.js';
import { Loaded } from '../parts/loaded.js';
import { attempt } from '../parts/notice.js';
import { Table } from '../parts/table.js';

const RATES_MS = 5_000;
const SHOWN_MAX = 500;

export function Queues({ query: { name = '' } }) {
  const loaded = useLoad((signal) => read('/api/v1/queues', signal), [], { everyMs: RATES_MS });
  const look = (event) => goWith({ name: event.target.value }, { replace: true });
  return html`<h1>Queues</h1>
    <div class="filters"><div class="field">
      <label for="name">Name contains</label>
      <input id="name" type="search" value=${name} onInput=${look} />
    </div></div>
    <${Loaded} of=${loaded}>${({ queues }) => html`
      <${List} queues=${queues} name=${name} reload=${loaded.reload} />`}</${Loaded}>`;
}

function List({ queues, name, reload }) {
  const found = queues.filter(({ queue }) => queue.includes(name));
  const more = found.length - SHOWN_MAX;
  const empty = queues.length
    ? `None of ${count(queues.length)} queues has "${name}" in its name.`
    : 'No queue yet: the first job makes one.';
  return html`<${Table} label="Queues" columns=${columns(reload)} rows=${found.slice(0, SHOWN_MAX)}
      id=${({ queue }) => queue} empty=${empty} />
    ${more > 0 && html`<p class="faint">and ${count(more)} more: say a part of the name to find them.</p>`}`;
}

function columns(reload) {
  return [
    {
      title: 'Queue',
      cell: ({ queue }) => html`<${Link} to="/queues/${part(queue)}">${queue}</${Link}>`,
      sort: ({ queue }) => queue,
    },
    { title: 'State', cell: (row) => html`<${Standing} of=${row} />` },
    jobs('Pending', 'pending'),
    jobs('Delayed', 'delayed', true),
    jobs('In flight', 'in_flight'),
    jobs('Dead', 'dead'),
    {
      title: 'Oldest',
      num: true,
      cell: (row) => span(row.oldest_ready_ms),
      sort: (row) => row.oldest_ready_ms,
      minor: true,
    },
    {
      title: 'In',
      num: true,
      cell: (row) => rate(row.submitted_last_minute),
      sort: (row) => row.submitted_last_minute,
    },
    { title: 'Out', num: true, cell: (row) => rate(row.ended_last_minute), sort: (row) => row.ended_last_minute },
    { title: 'Workers', num: true, cell: (row) => count(row.workers), sort: (row) => row.workers },
    {
      title: '',
      head: html`<span class="unseen">Change</span>`,
      cell: (row) => html`<${Switch} of=${row} reload=${reload} />`,
    },
  ];
}

// A number of jobs, which leads to them.
function jobs(title, name, minor = false) {
  const cell = (row) => {
    const to =
      name === 'dead'
        ? withQuery('/dead', { queue: row.queue })
        : withQuery('/jobs', { queue: row.queue, state: name.replace('_', '-') });
    return row[name] ? html`<${Link} to=${to}>${count(row[name])}</${Link}>` : count(row[name]);
  };
  return { title, num: true, minor, cell, sort: (row) => row[name] };
}

function Standing({ of: { pending, workers, paused_in: pausedIn, paused_out: pausedOut } }) {
  if (pausedIn && pausedOut) return html`<${Badge} look="warn" shape="❚❚">paused</${Badge}>`;
  if (pausedOut) return html`<${Badge} look="warn" shape="❚❚">hands out none</${Badge}>`;
  if (pausedIn) return html`<${Badge} look="warn" shape="❚❚">takes none</${Badge}>`;
  if (pending && !workers) return html`<${Badge} look="bad" shape="▲">no worker</${Badge}>`;
  return html`<${Badge} look="good" shape="●">open</${Badge}>`;
}

function Switch({ of: { queue, paused_in: pausedIn, paused_out: pausedOut }, reload }) {
  const isPaused = pausedIn || pausedOut;
  const verb = isPaused ? 'Resume' : 'Pause';
  const turn = async () => {
    const text = isPaused
      ? 'It takes and hands out jobs again.'
      : 'It hands out no jobs until it is resumed; it takes them.';
    if (!(await ask({ title: `${verb} the queue ${queue}?`, text, verb }))) return;
    const path = `/api/v1/queues/${part(queue)}/${verb.toLowerCase()}`;
    if (await attempt(() => write(path), isPaused ? `${queue} goes on` : `${queue} is paused`)) reload();
  };
  return html`<${Act} onClick=${turn} aria-label="${verb} ${queue}">${verb}</${Act}>`;
}
