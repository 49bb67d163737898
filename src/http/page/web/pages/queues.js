// All queues: how much waits in each, how fast it moves, and who works on it.
import { html } from '../html.js';
import { part, read } from '../api.js';
import { useLoad } from '../live.js';
import { Link } from '../route.js';
import { count, rate, span } from '../words.js';
import { Badge } from '../parts/badge.js';
import { Loaded } from '../parts/loaded.js';
import { Table } from '../parts/table.js';

const RATES_MS = 5_000;

const COLUMNS = [
  { title: 'Queue', cell: ({ queue }) => html`<${Link} to="/queues/${part(queue)}">${queue}</${Link}>`, sort: ({ queue }) => queue },
  figure('Pending', 'pending'),
  figure('Delayed', 'delayed', true),
  figure('In flight', 'in_flight'),
  figure('Dead', 'dead', false, '/dead'),
  { title: 'Oldest', num: true, cell: (row) => span(row.oldest_ready_ms), sort: (row) => row.oldest_ready_ms, minor: true },
  { title: 'In', num: true, cell: (row) => rate(row.submitted_last_minute), sort: (row) => row.submitted_last_minute },
  { title: 'Out', num: true, cell: (row) => rate(row.ended_last_minute), sort: (row) => row.ended_last_minute },
  { title: 'Workers', num: true, cell: (row) => count(row.workers), sort: (row) => row.workers },
  { title: 'State', cell: (row) => html`<${Standing} of=${row} />` },
];

export function Queues() {
  const loaded = useLoad((signal) => read('/api/v1/queues', signal), [], { everyMs: RATES_MS });
  return html`<h1>Queues</h1>
    <${Loaded} of=${loaded}>${({ queues }) => html`<${Table}
      label="Queues"
      columns=${COLUMNS}
      rows=${queues}
      id=${({ queue }) => queue}
      empty="No queue yet: the first job makes one."
    />`}</${Loaded}>`;
}

// A number of jobs, which leads to them.
function figure(title, name, minor = false, to = '/jobs') {
  const state = name.replace('_', '-');
  const cell = (row) => {
    if (!row[name]) return count(row[name]);
    const query = new URLSearchParams(to === '/jobs' ? { queue: row.queue, state } : { queue: row.queue });
    return html`<${Link} to="${to}?${query}">${count(row[name])}</${Link}>`;
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
