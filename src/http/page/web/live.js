// What changes, as it changes: one stream of server-sent events a page, closed while nobody looks.
//
// The stream only says that something happened. Whoever shows something asks the API again, at most once a second, so
// that a flood of events costs no more than a trickle.
import { useEffect, useMemo, useRef, useState } from './html.js';

const STREAM = '/api/v1/events';
const RELOAD_PAUSE_MS = 1_000;
const RECONNECT_MS = [500, 1_000, 2_000, 5_000];

const listeners = new Set();
let source = null;
let failures = 0;
let retry = null;
let state = 'connecting';

// Calls it with each event: {type: 'job' | 'change', job, queue, event}, {type: 'resync'}, {type: 'figures', figures},
// {type: 'state', state}. Returns what ends that.
export function listen(listener) {
  listeners.add(listener);
  return () => listeners.delete(listener);
}

// Keeps the stream open while the page is looked at. Returns what ends that.
export function start() {
  const follow = () => (document.hidden ? close() : open());
  const parts = [
    [document, 'visibilitychange', follow],
    [window, 'pagehide', close],
    [window, 'pageshow', follow],
  ];
  for (const [target, type, act] of parts) target.addEventListener(type, act);
  follow();
  return () => {
    for (const [target, type, act] of parts) target.removeEventListener(type, act);
    close();
  };
}

function tell(event) {
  for (const listener of [...listeners]) listener(event);
}

function turn(next) {
  if (state === next) return;
  state = next;
  tell({ type: 'state', state });
}

function open() {
  if (source) return;
  clearTimeout(retry);
  source = new EventSource(STREAM);
  source.addEventListener('open', () => {
    failures = 0;
    turn('live');
    // Whatever happened while nobody listened.
    tell({ type: 'resync' });
  });
  for (const type of ['job', 'change']) {
    source.addEventListener(type, ({ data }) => tell({ type, ...JSON.parse(data) }));
  }
  source.addEventListener('resync', () => tell({ type: 'resync' }));
  source.addEventListener('figures', ({ data }) => tell({ type: 'figures', figures: JSON.parse(data) }));
  source.addEventListener('error', again);
}

// The browser's own retry does not come back after an answer other than 200, such as that of a master that starts.
function again() {
  source?.close();
  source = null;
  turn('lost');
  const pause = RECONNECT_MS[Math.min(failures, RECONNECT_MS.length - 1)];
  failures += 1;
  clearTimeout(retry);
  retry = setTimeout(() => !document.hidden && open(), pause);
}

function close() {
  clearTimeout(retry);
  source?.close();
  source = null;
  turn('paused');
}

// 'connecting', 'live', 'lost' or 'paused'.
export function useStreamState() {
  const [now, setNow] = useState(state);
  useEffect(() => listen((event) => event.type === 'state' && setNow(event.state)), []);
  return now;
}

// What `load(signal)` gives: at once, and again when something that concerns it has happened, and every `everyMs` where
// that is given, for what changes without an event. What was loaded stays while it is loaded again, and after an error.
export function useLoad(load, inputs, { concerns = () => true, everyMs = 0 } = {}) {
  const [shown, setShown] = useState({ data: null, error: null, isLoading: true });
  const asked = useRef(concerns);
  asked.current = concerns;
  const loader = useMemo(() => new Loader(load, setShown), inputs);

  useEffect(() => {
    setShown((before) => ({ ...before, isLoading: true }));
    loader.begin();
    const unlisten = listen((event) => {
      const isNews = event.type === 'job' || event.type === 'change';
      if (event.type === 'resync' || (isNews && asked.current(event))) loader.soon();
    });
    const timer = everyMs ? setInterval(() => !document.hidden && loader.soon(), everyMs) : null;
    return () => {
      unlisten();
      clearInterval(timer);
      loader.end();
    };
  }, [loader]);
  return { ...shown, reload: loader.begin };
}

// What has to do with one thing that is loaded again and again.
class Loader {
  abort = null;
  timer = null;
  begunAt = -Infinity;
  isStale = false;

  constructor(load, setShown) {
    this.load = load;
    this.setShown = setShown;
  }

  begin = async () => {
    this.abort?.abort();
    const own = new AbortController();
    this.abort = own;
    this.begunAt = performance.now();
    this.isStale = false;
    try {
      const data = await this.load(own.signal);
      if (this.abort === own) this.setShown({ data, error: null, isLoading: false });
    } catch (error) {
      if (this.abort === own) this.setShown((before) => ({ ...before, error, isLoading: false }));
    }
    if (this.abort !== own) return;
    this.abort = null;
    if (this.isStale) this.soon();
  };

  // Not before the pause is over, and after what is under way, which may have looked too early.
  soon() {
    this.isStale = this.abort !== null;
    if (this.abort || this.timer) return;
    const wait = Math.max(0, this.begunAt + RELOAD_PAUSE_MS - performance.now());
    this.timer = setTimeout(() => {
      this.timer = null;
      // A page that is looked at again gets a resync.
      if (!document.hidden) this.begin();
    }, wait);
  }

  end() {
    clearTimeout(this.timer);
    this.timer = null;
    this.abort?.abort();
    this.abort = null;
  }
}

// The moment by the clock, once a second while the page is looked at: ages are told by it.
export function useNow() {
  const [now, setNow] = useState(Date.now());
  useEffect(() => {
    const timer = setInterval(() => !document.hidden && setNow(Date.now()), 1_000);
    return () => clearInterval(timer);
  }, []);
  return now;
}
