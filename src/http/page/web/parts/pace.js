// What is dear to find, such as a few errors among millions of jobs, is looked for again only after a pause that grows
// with what it took: somebody who looks must not keep falcond busy.
import { useMemo } from '../html.js';

const CHEAP_MS = 500;
const PAUSE_PER_LOOK = 5;

// Gives a load for `useLoad`, which tells the last outcome again while it pauses, and what ends the pause.
export function usePaced(look, key) {
  const past = useMemo(() => ({ ms: 0, at: 0, outcome: null }), [key]);
  const load = async (signal) => {
    const begun = performance.now();
    const pauses = past.ms > CHEAP_MS && begun - past.at < past.ms * PAUSE_PER_LOOK;
    if (pauses && past.outcome) return past.outcome;
    const outcome = look(signal);
    // What went wrong has cost as much.
    await outcome.catch(() => {});
    signal.throwIfAborted();
    const at = performance.now();
    Object.assign(past, { ms: at - begun, at, outcome });
    return outcome;
  };
  const hurry = () => {
    past.ms = 0;
  };
  return [load, hurry];
}
