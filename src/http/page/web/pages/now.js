// How it goes now: what comes and what leaves, what waits, and what is wrong, in words.
import { html, useEffect, useMemo, useState } from '../html.js';
import { part, read } from '../api.js';
import { useLoad } from '../live.js';
import { Link } from '../route.js';
import { NONE, count, counted, perCent, rate, size, span } from '../words.js';
import { Chart } from '../parts/chart.js';
import { Loaded } from '../parts/loaded.js';
import { Spark } from '../parts/spark.js';
import { Table } from '../parts/table.js';

const RATES_MS = 2_000;
const HISTORY_MS = 10_000;
const SPARK_POINTS = 60;
const BUSIEST_MAX = 8;

// What is called wrong: a job that is ready for so long, a disk with so little room, a sync that takes so long.
const OLD_MS = 300_000;
const DISK_FREE_LEAST = 0.1;
const SYNC_MS_MOST = 1_000;

export function Now() {
  const loaded = useLoad((signal) => read('/api/v1/stats', signal), [], { everyMs: RATES_MS });
  return html`<h1>Now</h1>
    <${Loaded} of=${loaded}>${(stats) => html`<${Wrong} stats=${stats} /><${Figures} stats=${stats} />
      <${History} /><${Busiest} stats=${stats} />`}</${Loaded}>`;
}

function queuesOf(stats) {
  return Object.entries(stats.queues).map(([queue, figures]) => ({ queue, ...figures }));
}

// What somebody would have to do something about, the worst first.
export function wrongOf(stats) {
  return [...wrongOfMaster(stats), ...queuesOf(stats).flatMap(wrongOfQueue)].sort((a, b) => b.weight - a.weight);
}

function wrongOfMaster(stats) {
  const found = [];
  const say = (weight, text, to) => found.push({ weight, text, to, look: 'bad', id: text.split(':')[0] });
  const { disk_bytes: disk, disk_free_bytes: free, sync_longest_ms: sync } = stats;
  if (disk > 0 && free < disk * DISK_FREE_LEAST) {
    say(1e15, `disk: ${size(free)} free, ${perCent(free, disk)} of it; a full one refuses jobs`, '/storage');
  }
  if (sync > SYNC_MS_MOST)
    say(1e14, `disk: a sync took ${span(sync)} in the last minute; every answer waits for one`, '/storage');
  if (stats.draining) say(1e13, 'the master is draining: it takes no more jobs');
  return found;
}

function wrongOfQueue(row) {
  const { queue, pending, dead, workers } = row;
  const to = `/queues/${part(queue)}`;
  const found = [];
  const say = (weight, look, text) =>
    found.push({ weight, look, text: `queue ${queue}: ${text}`, to, id: `${queue} ${look}` });
  const since = row.unpolled_ms === undefined ? 'since the master started' : `for ${span(row.unpolled_ms)}`;
  if (pending && row.paused_out) say(pending, 'warn', `${count(pending)} ready, and it is paused`);
  else if (pending && !workers) say(pending + 1e6, 'bad', `${count(pending)} ready, no worker ${since}`);
  else if (row.oldest_ready_ms > OLD_MS) {
    say(
      pending,
      'bad',
      `${count(pending)} ready, the oldest for ${span(row.oldest_ready_ms)}; ${counted(workers, 'worker')}`,
    );
  }
  if (row.paused_in) say(1, 'warn', 'it takes no jobs');
  if (dead) {
    const text = `queue ${queue}: ${counted(dead, 'dead job')}`;
    found.push({
      weight: dead,
      look: 'warn',
      text,
      to: `/dead?${new URLSearchParams({ queue })}`,
      id: `${queue} dead`,
    });
  }
  return found;
}

const WRONG_MAX = 12;

function Wrong({ stats }) {
  const all = wrongOf(stats);
  const more = all.length - WRONG_MAX;
  return html`<section class="card" aria-label="What is wrong">
    <h2>What is wrong</h2>
    ${all.length === 0 && html`<p class="empty">Nothing: each queue with jobs has a worker, and none is dead.</p>`}
    <ul class="wrong">
      ${all.slice(0, WRONG_MAX).map(
        ({ id, look, text, to }) => html`<li key=${id} class=${look}>
          <span aria-hidden="true">▲</span> ${to ? html`<${Link} to=${to}>${text}</${Link}>` : text}
        </li>`,
      )}
    </ul>
    ${more > 0 && html`<p class="faint">and ${count(more)} more</p>`}
  </section>`;
}

// The last points of a figure, for as long as this page is open.
function useTrail(value) {
  const [trail, setTrail] = useState([]);
  useEffect(() => setTrail((before) => [...before, value].slice(-SPARK_POINTS)), [value]);
  return trail;
}

function Figures({ stats }) {
  const queues = queuesOf(stats);
  const sum = (name) => queues.reduce((all, row) => all + (row[name] ?? 0), 0);
  const [came, left] = [sum('submitted_last_minute'), sum('ended_last_minute')];
  const oldest = Math.max(-1, ...queues.map((row) => row.oldest_ready_ms ?? -1));
  const { totals } = stats;
  return html`<section class="cards" aria-label="Figures">
    <${Figure} title="In" text=${rate(came)} of="jobs submitted" value=${came} />
    <${Figure} title="Out" text=${rate(left)} of="jobs ended" value=${left} />
    <${Figure} title="Pending" text=${count(totals.pending)} of="ready for a worker" value=${totals.pending}
      to="/jobs?state=pending" />
    <${Figure} title="Oldest" text=${oldest < 0 ? NONE : span(oldest)} of="that is ready"
      value=${Math.max(oldest, 0)} />
    <${Figure} title="In flight" text=${count(totals.in_flight)} of="with ${counted(stats.workers, 'worker')}"
      value=${totals.in_flight} to="/jobs?state=in-flight" />
    <${Figure} title="Delayed" text=${count(totals.delayed)} of="${count(stats.retrying)} of them retrying"
      value=${totals.delayed} to="/jobs?state=delayed" />
    <${Figure} title="Dead" text=${count(totals.dead)} of="to be looked at" value=${totals.dead} to="/dead" />
  </section>`;
}

function Figure({ title, text, of, value, to }) {
  const trail = useTrail(value);
  const name = to ? html`<${Link} to=${to}>${title}</${Link}>` : title;
  return html`<div class="card">
    <h2>${name}</h2>
    <div class="figure">${text}</div>
    <div class="of">${of}</div>
    <${Spark} values=${trail} label="${title} since this page was opened" />
  </div>`;
}

// The last hour, as falcond remembers it.
function History() {
  const loaded = useLoad((signal) => read('/api/v1/history', signal), [], {
    everyMs: HISTORY_MS,
    concerns: () => false,
  });
  return html`<section class="card" aria-label="The last hour">
    <${Loaded} of=${loaded}>${(told) => html`<${Hour} told=${told} />`}</${Loaded}>
  </section>`;
}

function Hour({ told }) {
  const at = useMemo(() => told.at.map((moment) => Date.parse(moment) / 1000), [told]);
  const flows = useMemo(() => [perSecond(told, 'submitted'), perSecond(told, 'ended')], [told]);
  if (at.length < 2) return html`<p class="empty">The history begins with the master, a point each 10 s.</p>`;
  const rates = [
    { label: 'in, jobs/s', colour: 'a', values: flows[0] },
    { label: 'out, jobs/s', colour: 'b', values: flows[1] },
  ];
  const states = [
    { label: 'pending', colour: 'a', values: told.pending },
    { label: 'in flight', colour: 'b', values: told.in_flight },
    { label: 'dead', colour: 'c', values: told.dead },
    { label: 'delayed', colour: 'd', values: told.delayed },
  ];
  return html`<${Chart} label="Rates, the last hour" at=${at} series=${rates} />
    <${Chart} label="Jobs, the last hour" at=${at} series=${states} />
    <details><summary>The same as a table, a row a minute</summary>
      <${Table} label="The last hour" columns=${HOUR_COLUMNS} rows=${minutes(told, flows)} id=${(row) => row.at} />
    </details>`;
}

const HOUR_COLUMNS = [
  { title: 'At', cell: (row) => new Date(row.at).toLocaleTimeString('en-GB') },
  ...[
    ['In/s', 'in'],
    ['Out/s', 'out'],
    ['Pending', 'pending'],
    ['In flight', 'in_flight'],
    ['Dead', 'dead'],
    ['Delayed', 'delayed'],
  ].map(([title, name]) => ({ title, num: true, cell: (row) => count(row[name]) })),
];

function minutes(told, [came, left]) {
  const each = Math.max(1, Math.round(60_000 / told.every_ms));
  const rows = told.at.map((at, index) => ({
    at,
    in: came[index],
    out: left[index],
    ...Object.fromEntries(['pending', 'in_flight', 'dead', 'delayed'].map((name) => [name, told[name][index]])),
  }));
  return rows.reverse().filter((_, index) => index % each === 0);
}

// Jobs a second between a point and the one before it, from a count that only grows.
function perSecond(told, name) {
  const counts = told[name];
  return counts.map((now, at) => {
    if (at === 0) return null;
    const spanS = (Date.parse(told.at[at]) - Date.parse(told.at[at - 1])) / 1000;
    return spanS > 0 && now >= counts[at - 1] ? (now - counts[at - 1]) / spanS : null;
  });
}

const BUSIEST_COLUMNS = [
  { title: 'Queue', cell: ({ queue }) => html`<${Link} to="/queues/${part(queue)}">${queue}</${Link}>` },
  { title: 'In', num: true, cell: (row) => rate(row.submitted_last_minute) },
  { title: 'Out', num: true, cell: (row) => rate(row.ended_last_minute) },
  { title: 'Pending', num: true, cell: (row) => count(row.pending) },
  { title: 'Oldest', num: true, cell: (row) => span(row.oldest_ready_ms) },
];

function Busiest({ stats }) {
  const moves = (row) => row.submitted_last_minute + row.ended_last_minute;
  const rows = queuesOf(stats)
    .sort((a, b) => moves(b) - moves(a))
    .slice(0, BUSIEST_MAX);
  return html`<h2>Busiest queues</h2>
    <${Table} label="Busiest queues" columns=${BUSIEST_COLUMNS} rows=${rows} id=${({ queue }) => queue}
      empty="No queue yet: the first job makes one." />`;
}
