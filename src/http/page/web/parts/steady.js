// A page of jobs that does not jump: what is shown stays where it is, with its states as they are now, and what came
// meanwhile is counted until somebody asks for it.
import { useMemo, useState } from '../html.js';
import { call, read, withQuery } from '../api.js';
import { useLoad } from '../live.js';
import { usePaced } from './pace.js';

const PAGE = 50;
// An answer is of as many jobs as falcond looks at in one go: those that are sought may be far back.
const LOOKS_MS = 5_000;
// falcond reads the errors of as many jobs at once as an answer may have.
const BY_ERROR = 1_000;
// Progress is told without an event.
const EVERY_MS = 5_000;

// Gives {rows, news, next, data, error, isLoading, reload, bringIn}: `news` are those that are not shown yet, `next`
// is where the page after this one begins. A row that the filter means no more has `isPast`.
export function useSteadyJobs(filter, from) {
  const key = JSON.stringify([filter, from]);
  const [, redraw] = useState(0);
  const held = useMemo(() => ({ rows: [], next: null, fresh: null }), [key]);
  const look = async (signal) => {
    const fresh = await page(filter, from, signal);
    const rows = held.rows.length ? await followed(held.rows, fresh, filter, signal) : fresh.jobs;
    signal.throwIfAborted();
    if (!held.rows.length) held.next = fresh.next;
    Object.assign(held, { rows, fresh });
    return held;
  };
  const [load, hurry] = usePaced(look, key);
  const concerns = ({ queue }) => !filter.queue || !queue || queue === filter.queue;
  const loaded = useLoad(load, [key], { concerns, everyMs: EVERY_MS });
  const isHere = loaded.data === held;
  const bringIn = () => {
    Object.assign(held, { rows: held.fresh.jobs, next: held.fresh.next });
    redraw((turn) => turn + 1);
  };
  const reload = () => {
    hurry();
    loaded.reload();
  };
  const news = held.fresh ? held.fresh.jobs.filter(({ job }) => !held.rows.some((row) => row.job === job)) : [];
  return { ...loaded, ...held, data: isHere ? held : null, isLoading: !loaded.error, news, bringIn, reload };
}

// A page, looked for as far back as some seconds reach; `next` is then where to go on looking.
async function page(filter, from, signal) {
  const until = performance.now() + LOOKS_MS;
  const limit = filter.error || filter.error_kind ? BY_ERROR : PAGE;
  const jobs = [];
  let next = from;
  do {
    const more = await read(withQuery('/api/v1/jobs', { ...filter, from: next, limit }), signal);
    jobs.push(...more.jobs);
    next = more.next;
  } while (next !== null && jobs.length < PAGE && performance.now() < until);
  return { jobs: jobs.slice(0, PAGE), next: jobs[PAGE]?.job ?? next };
}

// The rows as they are now. Those that a fresh page does not tell of were pushed off it, or the filter means them no
// more: where these stand is asked for by itself.
async function followed(rows, fresh, filter, signal) {
  const now = new Map(fresh.jobs.map((row) => [row.job, row]));
  if (rows.some(({ job }) => !now.has(job))) {
    for (const row of (await page(filter, rows[0].job, signal)).jobs) now.set(row.job, row);
  }
  const past = rows.filter(({ job }) => !now.has(job)).map(({ job }) => job);
  const standings = await standingsOf(past, signal);
  return rows.map((row) => now.get(row.job) ?? asPast(row, standings.get(row.job)));
}

function asPast(row, standing) {
  const { worker, percent, progress, begun_at: _, ...rest } = row;
  return { ...rest, standing: standing ?? row.standing, isPast: true };
}

async function standingsOf(jobs, signal) {
  if (!jobs.length) return new Map();
  const body = { jobs, timeout: '0s' };
  const { jobs: ends } = await call('POST', '/api/v1/jobs/wait', { body, signal });
  return new Map(ends.map(({ job, standing }) => [job, standing]));
}
