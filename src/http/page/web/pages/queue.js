// One queue: how much is in it, why it stands still if it does, its settings and limits, its groups with their share.
import { html, useState } from '../html.js';
import { part, read, withQuery, write } from '../api.js';
import { useLoad } from '../live.js';
import { Link, go } from '../route.js';
import { Act } from '../session.js';
import { count, counted, perCent, span } from '../words.js';
import { Badge } from '../parts/badge.js';
import { ask } from '../parts/dialog.js';
import { Loaded } from '../parts/loaded.js';
import { attempt } from '../parts/notice.js';
import { Table } from '../parts/table.js';

const EVERY_MS = 2_000;

// What may be set: name, what it says, an example, and how the value that is set is written.
const SETTINGS = [
  ['running_max', 'Jobs in flight at once', '10'],
  ['rate', 'Rate', '100/1s'],
  ['group_running_max', 'Jobs in flight at once, of each group', '2'],
  ['group_rate', 'Rate of each group', '5/1m'],
  ['strict', 'Retried jobs keep their place (strict order)', 'on'],
  ['max_attempts', 'Attempts', '5'],
  ['backoff', 'Pause before another attempt', 'exponential:1s..1m'],
  ['timeout', 'Time for an attempt', '30s'],
  ['ttl', 'Time to begin a job in, from its submit on', '1d'],
  ['keep', 'Time that ended jobs are kept', '10m'],
  ['dead_keep', 'Time that dead jobs are kept', '7d'],
  ['depth_max', 'Jobs that may wait', '100000'],
  ['bytes_max', 'Bytes of payloads that may wait', '1000000000'],
];

export function Queue({ queue }) {
  const path = `/api/v1/queues/${part(queue)}`;
  const load = async (signal) => {
    const [told, why] = await Promise.all([read(path, signal), read(`${path}/explain`, signal)]);
    return { told, reasons: why.reasons };
  };
  const loaded = useLoad(load, [path], { everyMs: EVERY_MS, concerns: (event) => event.queue === queue });
  return html`<h1>Queue ${queue}</h1>
    <${Loaded} of=${loaded}>${({ told, reasons }) => html`
      <${Actions} queue=${queue} path=${path} told=${told} reload=${loaded.reload} />
      <${Figures} queue=${queue} told=${told} />
      <${Why} reasons=${reasons} />
      <${Settings} told=${told} />
      <${Groups} queue=${queue} path=${path} />`}</${Loaded}>`;
}

function Actions({ queue, path, told, reload }) {
  const act = async (work, done) => {
    if (await attempt(work, done)) reload();
  };
  const pause = async () => {
    const given = await ask(pauseQuestion(queue));
    if (given) await act(() => write(`${path}/pause`, filled(given)), `${queue} is paused`);
  };
  const resume = () => act(() => write(`${path}/resume`), `${queue} goes on`);
  const settle = async () => {
    const given = await ask(settingsQuestion(queue, told.settings));
    if (given) await act(() => write(`${path}/settings`, settled(given), 'PATCH'), `the settings of ${queue} are set`);
  };
  const forget = async () => {
    const title = `Delete the queue ${queue}?`;
    const text = 'It must be empty. Its settings go with it; a job that is submitted later makes it again.';
    if (!(await ask({ title, text, verb: 'Delete', danger: true }))) return;
    if (await attempt(() => write(path, undefined, 'DELETE'), `${queue} is deleted`)) go('/queues');
  };
  const isPaused = told.paused_in || told.paused_out;
  return html`<div class="row">
    <${Pauses} told=${told} />
    <span class="grow"></span>
    <${Link} to=${withQuery('/jobs', { queue })}>Its jobs</${Link}>
    <${Act} onClick=${pause}>Pause</${Act}>
    <${Act} disabled=${!isPaused} onClick=${resume}>Resume</${Act}>
    <${Act} onClick=${settle}>Settings</${Act}>
    <${Act} class="danger" onClick=${forget}>Delete</${Act}>
  </div>`;
}

function Pauses({ told }) {
  const words = [
    [told.paused_out, 'hands out no jobs'],
    [told.paused_in, 'takes no jobs'],
  ].filter(([pause]) => pause);
  if (words.length === 0) return html`<${Badge} look="good" shape="●">open</${Badge}>`;
  return words.map(([{ left_ms: left, reason }, word]) => {
    const until = left === null ? 'until it is resumed' : `for another ${span(left)}`;
    return html`<${Badge} look="warn" shape="❚❚">${word} ${until}</${Badge}> <span>${reason}</span>`;
  });
}

function pauseQuestion(queue) {
  return {
    title: `Pause the queue ${queue}?`,
    verb: 'Pause',
    fields: [
      {
        name: 'way',
        label: 'What stops',
        value: 'out',
        options: [
          ['out', 'it hands out no jobs'],
          ['in', 'it takes no jobs'],
          ['both', 'both'],
        ],
      },
      { name: 'for', label: 'For how long', hint: 'such as 30m; empty until it is resumed' },
      { name: 'reason', label: 'Why', hint: 'shown to whoever asks why jobs wait', maxlength: 200 },
    ],
  };
}

// A setting as it is written in the dialog: those in milliseconds are told so.
function written(settings, name) {
  if (settings[name] !== undefined) return String(settings[name] === true ? 'on' : settings[name]);
  const ms = settings[`${name}_ms`];
  return ms === undefined ? '' : `${ms}ms`;
}

function settingsQuestion(queue, settings) {
  const fields = SETTINGS.map(([name, label, example]) => ({
    name,
    label,
    hint: `such as ${example}; empty as everywhere`,
    value: written(settings, name),
  }));
  return { title: `Settings of the queue ${queue}`, verb: 'Set', fields };
}

// What is empty is left out.
function filled(given) {
  return Object.fromEntries(Object.entries(given).filter(([, value]) => value !== ''));
}

// What is empty is as everywhere.
function settled(given) {
  return Object.fromEntries(Object.entries(given).map(([name, value]) => [name, value === '' ? null : value]));
}

const FIGURES = [
  ['Pending', 'pending', 'pending'],
  ['In flight', 'in_flight', 'in-flight'],
  ['Delayed', 'delayed', 'delayed'],
  ['Waiting', 'waiting', 'waiting'],
  ['Dead', 'dead', 'dead'],
];

function Figures({ queue, told }) {
  return html`<section class="cards" aria-label="Figures">
    ${FIGURES.map(
      ([title, name, state]) => html`<div class="card">
        <h2><${Link} to=${withQuery('/jobs', { queue, state })}>${title}</${Link}></h2>
        <div class="figure">${count(told[name])}</div>
      </div>`,
    )}
    <div class="card"><h2>Ended</h2>
      <div class="figure">${count(told.completed)}</div>
      <div class="of">completed</div>
    </div>
    <div class="card"><h2>Gone</h2>
      <div class="figure">${count(told.cancelled + told.expired)}</div>
      <div class="of">${count(told.cancelled)} cancelled, ${count(told.expired)} expired</div>
    </div>
  </section>`;
}

// Counts that stand above already.
const COUNTED = ['jobs-before', 'running', 'delayed', 'dead'];

function Why({ reasons: all }) {
  const reasons = all.filter(({ cause }) => !COUNTED.includes(cause));
  if (reasons.length === 0) return null;
  return html`<section class="card" aria-label="Why jobs wait">
    <h2>Why jobs wait</h2>
    <ul>${reasons.map(({ text, cause }) => html`<li key=${cause + text}>${text}</li>`)}</ul>
  </section>`;
}

function Settings({ told: { settings } }) {
  const set = SETTINGS.map(([name, label]) => [label, shown(settings, name)]).filter(([, value]) => value !== null);
  return html`<section class="card" aria-label="Settings">
    <h2>Settings</h2>
    ${set.length === 0 && html`<p class="empty">All as everywhere: nothing is set for this queue.</p>`}
    <dl class="facts">${set.map(([label, value]) => html`<dt>${label}</dt><dd>${value}</dd>`)}</dl>
  </section>`;
}

function shown(settings, name) {
  if (settings[name] === true) return 'on';
  if (typeof settings[name] === 'number') return count(settings[name]);
  if (settings[name] !== undefined) return String(settings[name]);
  const ms = settings[`${name}_ms`];
  return ms === undefined ? null : span(ms);
}

function Groups({ queue, path }) {
  const [from, setFrom] = useState(null);
  const load = (signal) => read(withQuery(`${path}/groups`, { from }), signal);
  const loaded = useLoad(load, [path, from], { everyMs: EVERY_MS, concerns: (event) => event.queue === queue });
  return html`<h2>Groups</h2>
    <${Loaded} of=${loaded}>${({ groups, next }) => html`
      <${Table} label="Groups" columns=${groupColumns(queue, path, groups, loaded.reload)} rows=${groups}
        id=${({ group }) => group} empty="No job of this queue is in a group." />
      <div class="row">
        ${from !== null && html`<button type="button" onClick=${() => setFrom(null)}>First groups</button>`}
        ${next !== null && html`<button type="button" onClick=${() => setFrom(next)}>More groups</button>`}
      </div>`}</${Loaded}>`;
}

function groupColumns(queue, path, groups, reload) {
  const all = groups.reduce((sum, row) => sum + row.in_flight, 0);
  const waits = ({ token_in_ms: ms }) => (ms ? `next job in ${span(ms)}` : '');
  const settle = async (row) => {
    const given = await ask(groupQuestion(row));
    const to = `${path}/groups/${part(row.group)}`;
    if (given && (await attempt(() => write(to, settled(given), 'PATCH'), `group ${row.group} is set`))) reload();
  };
  return [
    { title: 'Group', cell: ({ group }) => named(queue, group), sort: (row) => row.group },
    { title: 'Jobs', num: true, cell: (row) => count(row.jobs), sort: (row) => row.jobs },
    { title: 'In flight', num: true, cell: (row) => count(row.in_flight), sort: (row) => row.in_flight },
    { title: 'Share', num: true, cell: (row) => perCent(row.in_flight, all), sort: (row) => row.in_flight },
    { title: 'Weight', num: true, cell: (row) => count(row.weight ?? 1), minor: true },
    { title: 'At most', num: true, cell: (row) => count(row.running_max), minor: true },
    { title: 'Rate', cell: (row) => html`${row.rate ?? '–'} ${waits(row)}`, minor: true },
    {
      title: '',
      head: html`<span class="unseen">Change</span>`,
      cell: (row) =>
        row.group &&
        html`<${Act} aria-label="Settings of group ${row.group}" onClick=${() => settle(row)}>Settings</${Act}>`,
    },
  ];
}

function named(queue, group) {
  if (!group) return html`<span class="faint">(in none)</span>`;
  return html`<${Link} to=${withQuery('/jobs', { queue, group })}>${group}</${Link}>`;
}

function groupQuestion({ group, jobs, weight, running_max: most, rate }) {
  return {
    title: `Settings of group ${group}`,
    text: `${counted(jobs, 'job')}. What is empty is as for each group of the queue.`,
    verb: 'Set',
    fields: [
      { name: 'weight', label: 'Weight', hint: 'turns that it gets, 1 to 1000', value: weight },
      { name: 'running_max', label: 'Jobs in flight at once', value: most },
      { name: 'rate', label: 'Rate', hint: 'such as 5/1m', value: rate },
    ],
  };
}
