// Jobs are changed: those that are named, or all that a filter means. It is asked back with their number first, and
// said afterwards how many it were.
import { write } from '../api.js';
import { count, counted } from '../words.js';
import { ask } from './dialog.js';
import { notice } from './notice.js';

// Where jobs must stand for a verb, as falcond has it; but what still waits is cancelled here, not purged, so that it
// leaves a trace.
export const FITS = {
  requeue: ['dead'],
  cancel: ['pending', 'delayed', 'waiting', 'in-flight', 'dead'],
  purge: ['completed', 'dead', 'cancelled', 'expired'],
  update: ['pending', 'delayed', 'waiting', 'in-flight'],
};

const FORCE = {
  name: 'force',
  type: 'checkbox',
  label: 'Force',
  hint: 'One that runs ends at once, without waiting for its worker.',
};

const WORDS = {
  requeue: { name: 'Requeue', done: 'requeued', text: 'They get all their attempts again.' },
  cancel: {
    name: 'Cancel',
    done: 'cancelled',
    danger: true,
    text: 'They do not run any more. One that runs is stopped by its worker, and ends when that says so.',
    fields: [FORCE],
  },
  purge: {
    name: 'Purge',
    done: 'purged',
    danger: true,
    text: 'They are forgotten, with their payloads and results. This cannot be taken back.',
  },
};

const NAMED_MOST = 1_000;

export const nameOf = (verb) => WORDS[verb].name;

// Whether one that stands there can be changed so.
export const fits = (verb, standing) => FITS[verb].includes(standing);

// Those of a filter's states for which the verb is; null where there are none.
export function statesFor(verb, states) {
  const left = states.length ? FITS[verb].filter((state) => states.includes(state)) : FITS[verb];
  return left.length ? left : null;
}

function question(verb, many, which) {
  const { name, danger, text, fields } = WORDS[verb];
  const title = `${name} ${counted(many, 'job')}?`;
  return ask({ title, text: which ? `${which} ${text}` : text, verb: name, danger, fields });
}

// Changes jobs by their ids, once it is confirmed. Gives whether it was.
export async function changeJobs(verb, jobs, which) {
  const given = await question(verb, jobs.length, which);
  if (!given) return false;
  return told(verb, async () => {
    let done = 0;
    const refused = [];
    for (let at = 0; at < jobs.length; at += NAMED_MOST) {
      const body = { jobs: jobs.slice(at, at + NAMED_MOST), ...forced(given) };
      for (const one of (await write(`/api/v1/jobs/change/${verb}`, body)).jobs) {
        if (one.done) done += 1;
        else refused.push(one.refused);
      }
    }
    return { done, refused: refused.length, why: [...new Set(refused)].join(', ') };
  });
}

// Changes all that a filter means, once it is confirmed with their number; `progress` is told how many are done.
export async function changeAll(verb, filter, { which, progress = () => {} } = {}) {
  const path = `/api/v1/jobs/change/${verb}`;
  let many;
  try {
    many = (await write(path, { filter, dry_run: true })).count;
  } catch (error) {
    notice(error.message, 'bad');
    return false;
  }
  if (many === 0) {
    notice(`There is no job to ${verb}.`);
    return false;
  }
  const given = await question(verb, many, which);
  if (!given) return false;
  return told(verb, async () => {
    let [done, refused, cursor] = [0, 0, undefined];
    do {
      const page = await write(path, { filter, ...forced(given), ...(cursor && { cursor }) });
      done += page.done;
      refused += page.refused;
      cursor = page.cursor;
      progress(done);
    } while (cursor);
    return { done, refused };
  });
}

const forced = ({ force }) => (force ? { force } : {});

async function told(verb, work) {
  try {
    const { done, refused, why } = await work();
    const how = why ? ` (${why})` : '';
    const rest = refused ? `; ${count(refused)} refused${how}` : '';
    notice(`${counted(done, 'job')} ${WORDS[verb].done}${rest}.`, refused && !done ? 'bad' : 'good');
  } catch (error) {
    notice(`${error.message}. Some may be ${WORDS[verb].done} already.`, 'bad');
  }
  return true;
}
