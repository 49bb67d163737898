// All workers that are connected: where each runs, what it runs and since when; quiet, resume and stop.
import { html } from '../html.js';
import { part, read, write } from '../api.js';
import { useLoad } from '../live.js';
import { Link } from '../route.js';
import { Act } from '../session.js';
import { count, counted, span } from '../words.js';
import { Badge } from '../parts/badge.js';
import { ask } from '../parts/dialog.js';
import { Loaded } from '../parts/loaded.js';
import { attempt } from '../parts/notice.js';
import { Table } from '../parts/table.js';

const EVERY_MS = 2_000;
const JOBS_SHOWN_MAX = 5;

// The API takes this for the name of every worker.
const ALL = 'all';

const STATES = {
  polling: ['good', '●'],
  busy: ['busy', '▶'],
  quiet: ['warn', '❚❚'],
};

const ORDERS = {
  quiet: {
    verb: 'Quiet',
    text: 'No new job is taken. What runs goes on; what is only held goes back to its queue, uncounted.',
    done: 'told to be quiet',
  },
  resume: { verb: 'Resume', text: 'Jobs are taken again.', done: 'told to resume' },
  stop: {
    verb: 'Stop',
    text:
      'No new job is taken, what runs may end within the limit of the worker, the rest goes back to its queue, and ' +
      'the worker ends. It has to be started where it runs.',
    done: 'told to stop',
    danger: true,
  },
};

export function Workers() {
  const loaded = useLoad((signal) => read('/api/v1/workers', signal), [], { everyMs: EVERY_MS });
  return html`<h1>Workers</h1>
    <${Loaded} of=${loaded}>${({ workers, left_out: leftOut }) => html`
      <${All} workers=${workers} leftOut=${leftOut} reload=${loaded.reload} />
      <${Table}
        label="Workers"
        columns=${columns(workers, loaded.reload)}
        rows=${workers}
        id=${idOf}
        empty="No worker is connected: falcon-worker --queue QUEUE -- COMMAND starts one."
      />
      ${leftOut > 0 && html`<p class="faint">and ${counted(leftOut, 'more worker')}, for which there was no room.</p>`}
    `}</${Loaded}>`;
}

const idOf = ({ name, instance }) => `${name} ${instance}`;

function All({ workers, leftOut, reload }) {
  if (workers.length === 0) return null;
  const words = Object.keys(STATES)
    .map((state) => [workers.filter((worker) => worker.state === state).length, state])
    .filter(([number]) => number > 0)
    .map(([number, state]) => `${count(number)} ${state}`);
  const each = workers.length + leftOut;
  return html`<div class="row">
    <span>${counted(each, 'worker')}: ${words.join(', ')}</span>
    <span class="grow"></span>
    ${Object.keys(ORDERS).map(
      (order) => html`<${Order} order=${order} name=${ALL} whom="all workers" number=${each} reload=${reload} />`,
    )}
  </div>`;
}

function columns(workers, reload) {
  return [
    { title: 'Worker', cell: (worker) => html`<${Named} of=${worker} />`, sort: by('name') },
    { title: 'State', cell: ({ state }) => html`<${Standing} state=${state} />`, sort: by('state') },
    { title: 'Runs', cell: (worker) => html`<${Runs} of=${worker} />`, sort: by('begun') },
    { title: 'Takes jobs of', cell: ({ queues }) => html`<${Takes} queues=${queues} />` },
    { title: 'At once', num: true, cell: (worker) => count(worker.concurrency), sort: by('concurrency') },
    { title: 'Host, process', cell: (worker) => html`<${Where} of=${worker} />`, sort: by('host'), minor: true },
    { title: 'Silent for', num: true, cell: (worker) => span(worker.silent_ms), sort: by('silent_ms'), minor: true },
    {
      title: '',
      head: html`<span class="unseen">Change</span>`,
      cell: (worker) => html`<${Orders} of=${worker} workers=${workers} reload=${reload} />`,
    },
  ];
}

const by = (name) => (worker) => worker[name];

function Named({ of: { name, software } }) {
  return html`<span class="clip" title=${name}>${name}</span><span class="clip faint">${software}</span>`;
}

function Where({ of: { host, pid } }) {
  return html`<span class="clip" title=${host}>${host}</span><span class="faint">${pid}</span>`;
}

function Standing({ state }) {
  const [look, shape] = STATES[state] ?? ['', '•'];
  return html`<${Badge} look=${look} shape=${shape}>${state}</${Badge}>`;
}

// Jobs that it may have begun, each since when, and how many it only holds.
function Runs({ of: { jobs, begun, held } }) {
  const running = jobs.filter(({ stage }) => stage === 'begun').slice(0, JOBS_SHOWN_MAX);
  const more = begun - running.length;
  if (begun + held === 0) return html`<span class="faint">nothing</span>`;
  return html`${running.map(
    ({ job, had_ms: had }) => html`<div key=${job}><${Link} to="/jobs/${job}">${job}</${Link}> for ${span(had)}</div>`,
  )}
  ${more > 0 && html`<div class="faint">and ${count(more)} more</div>`}
  ${held > 0 && html`<div class="faint">${count(held)} held</div>`}`;
}

function Takes({ queues }) {
  if (queues.length === 0) return html`<span class="faint">none yet</span>`;
  return queues.map((queue) => html`<div key=${queue}><${Link} to="/queues/${part(queue)}">${queue}</${Link}></div>`);
}

function Orders({ of: { name, quiet }, workers, reload }) {
  const number = name === ALL ? workers.length : workers.filter((worker) => worker.name === name).length;
  const whom = number === 1 ? `the worker ${name}` : `the ${count(number)} workers that are called ${name}`;
  const rest = { name, number, whom, reload };
  return html`<div class="buttons">
    ${
      quiet
        ? html`<${Order} key="resume" order="resume" ...${rest} />`
        : html`<${Order} key="quiet" order="quiet" ...${rest} />`
    }
    <${Order} key="stop" order="stop" ...${rest} />
  </div>`;
}

// A button that asks back, and then tells the workers of a name.
function Order({ order, name, whom, number, reload }) {
  const { verb, text, done, danger } = ORDERS[order];
  const act = async () => {
    if (!(await ask({ title: `${verb} ${whom}?`, text, verb, danger }))) return;
    const tell = () => write(`/api/v1/workers/${part(name)}/${order}`);
    const said = ({ workers }) => `${counted(workers, 'worker')} ${workers === 1 ? 'was' : 'were'} ${done}`;
    if (await attempt(tell, said)) reload();
  };
  const label = number === 1 && name !== ALL ? `${verb} ${name}` : `${verb} ${whom}`;
  return html`<${Act} class=${danger ? 'danger' : ''} aria-label=${label} onClick=${act}>
    ${name === ALL && whom === 'all workers' ? `${verb} all` : verb}
  </${Act}>`;
}
