// What the log takes on disk, and what of it lives: segments, snapshots, syncs, the disk, and memory.
import { html } from '../html.js';
import { read } from '../api.js';
import { useLoad, useNow } from '../live.js';
import { NONE, age, count, counted, moment, perCent, size, span } from '../words.js';
import { Badge } from '../parts/badge.js';
import { Loaded } from '../parts/loaded.js';
import { Shares } from '../parts/shares.js';
import { Table } from '../parts/table.js';

const EVERY_MS = 5_000;

export function Storage() {
  const load = async (signal) => {
    const [stats, told] = await Promise.all([read('/api/v1/stats', signal), files(signal)]);
    return { stats, told };
  };
  // Each job is an event, and none of them is worth another look at the disk.
  const loaded = useLoad(load, [], { everyMs: EVERY_MS, concerns: () => false });
  return html`<h1>Storage</h1>
    <${Loaded} of=${loaded}>${({ stats, told }) =>
      html` <${Figures} stats=${stats} />
        ${told && html`<${Segments} of=${told} />`}
        ${told && html`<${Snapshots} of=${told.snapshots} taken=${stats.snapshots} />`}`}</${Loaded}>`;
}

// A falcond that does not tell its files shows no tables of them.
async function files(signal) {
  try {
    return await read('/api/v1/storage', signal);
  } catch (error) {
    if (error.status !== 404) throw error;
    return null;
  }
}

function Figures({ stats }) {
  const { wal, uptime_ms: uptime } = stats;
  const dead = Math.max(0, wal.bytes - wal.live_bytes);
  const { disk_bytes: disk, disk_free_bytes: free } = stats;
  return html`<section class="cards wide" aria-label="Figures">
    <${Figure} title="Log" text=${size(wal.bytes)} of="in ${counted(wal.segments, 'segment')}">
      <${Shares} whole=${wal.bytes} parts=${[
        { look: 'live', size: wal.live_bytes, text: `${size(wal.live_bytes)} that jobs need` },
        { look: 'dead', size: dead, text: `${size(dead)} dead or free` },
      ]} />
    </${Figure}>
    <${Figure} title="Disk" text=${size(free)} of="free of ${size(disk)}">
      ${
        disk > 0 &&
        html`<${Shares}
          whole=${disk}
          parts=${[{ look: 'dead', size: disk - free, text: `${perCent(disk - free, disk)} in use` }]}
        />`
      }
    </${Figure}>
    <${Figure} title="Syncs" text=${count(wal.syncs)} of="since the start, ${span(uptime)} ago">
      <div>the longest of the last minute: ${span(stats.sync_longest_ms)}</div>
      <div class="of">${stats.syncs_first ? 'Each answer waits for one.' : 'Answers do not wait for them.'}</div>
    </${Figure}>
    <${Figure} title="Written" text=${size(wal.written_bytes)} of="since the start">
      <div>${size(wal.moved_bytes)} of it moved by cleaning, ${perCent(wal.moved_bytes, wal.written_bytes)}</div>
    </${Figure}>
    <${Figure} title="Records" text=${count(wal.records)} of="in the log">
      <div>durable up to LSN ${count(wal.durable_lsn)}</div>
    </${Figure}>
    <${Figure} title="Memory" text=${size(stats.memory_bytes)} of="of its own">
      <div>${size(stats.mapped_bytes)} of segments are mapped, and given back when others need them</div>
    </${Figure}>
  </section>`;
}

function Figure({ title, text, of, children }) {
  return html`<div class="card">
    <h2>${title}</h2>
    <div class="figure">${text}</div>
    <div class="of">${of}</div>
    ${children}
  </div>`;
}

const STATES = {
  active: ['busy', '▶'],
  full: ['', '■'],
  spare: ['', '□'],
};

// A spare has nothing in it yet: it is there so that the next segment costs no time.
const SEGMENT_COLUMNS = [
  { title: 'First LSN', num: true, cell: (row) => count(row.first_lsn), sort: (row) => row.first_lsn },
  { title: 'State', cell: ({ state }) => html`<${Standing} state=${state} />`, sort: (row) => row.state },
  { title: 'Bytes', num: true, cell: (row) => size(row.bytes), sort: (row) => row.bytes, minor: true },
  { title: 'Live', num: true, cell: (row) => size(row.live_bytes), sort: (row) => row.live_bytes },
  { title: 'Dead', num: true, cell: (row) => size(deadOf(row)), sort: deadOf },
  { title: 'Lives', num: true, cell: (row) => perCent(row.live_bytes, row.used_bytes), minor: true },
  { title: 'Live, dead, free', cell: (row) => html`<${Shares} whole=${row.bytes} parts=${sharesOf(row)} />` },
];

// Moved, a record may be longer than where it stood: live bytes are those that moving them takes.
function deadOf({ used_bytes: used, live_bytes: live }) {
  return Math.max(0, used - live);
}

function sharesOf(row) {
  return [
    { look: 'live', size: row.live_bytes },
    { look: 'dead', size: deadOf(row) },
  ];
}

function Standing({ state }) {
  const [look, shape] = STATES[state] ?? ['', '•'];
  return html`<${Badge} look=${look} shape=${shape}>${state}</${Badge}>`;
}

function Segments({ of: { segments, left_out: leftOut } }) {
  const id = (row) => row.first_lsn ?? `spare ${segments.indexOf(row)}`;
  return html`<h2>Segments</h2>
    <p class="legend faint">
      <span class="swatch live"></span> live: what jobs need <span class="swatch dead"></span> dead: until the segment
      is cleaned <span class="swatch free"></span> free
    </p>
    <${Table} label="Segments" columns=${SEGMENT_COLUMNS} rows=${segments} id=${id} empty="The log has no segment." />
    ${leftOut > 0 && html`<p class="faint">and ${counted(leftOut, 'older segment')}.</p>`}`;
}

function Snapshots({ of: snapshots, taken }) {
  const now = useNow();
  const columns = [
    { title: 'Up to LSN', num: true, cell: (row) => count(row.lsn) },
    { title: 'Bytes', num: true, cell: (row) => size(row.bytes) },
    { title: 'Age', num: true, cell: (row) => age(row.made_at, now) },
    { title: 'Made', cell: (row) => (row.made_at ? moment(row.made_at) : NONE), minor: true },
  ];
  const made = taken === 1 ? 'One was' : `${count(taken)} were`;
  const words = `A start reads the newest one, and then only the log behind it. ${made} made since the last start.`;
  return html`<h2>Snapshots</h2>
    <p class="faint">${words}</p>
    <${Table}
      label="Snapshots"
      columns=${columns}
      rows=${[...snapshots].reverse()}
      id=${(row) => row.lsn}
      empty="None yet: a start reads the whole log."
    />`;
}
