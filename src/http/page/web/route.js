// Where in the page somebody is: the address alone says it, so that a view can be sent to a colleague.
import { html, useEffect, useState } from './html.js';
import { withQuery } from './api.js';

const followers = new Set();

export function here() {
  return { path: location.pathname, query: Object.fromEntries(new URLSearchParams(location.search)) };
}

// Goes to a path of this page; `replace` leaves no step to go back to.
export function go(path, { replace = false } = {}) {
  if (path === location.pathname + location.search) return;
  history[replace ? 'replaceState' : 'pushState'](null, '', path);
  tell();
  if (!replace) scrollTo(0, 0);
}

// The same view with other filters; what is empty leaves the address.
export function goWith(changes, options) {
  const { path, query } = here();
  go(withQuery(path, { ...query, ...changes }), options);
}

export function useHere() {
  const [now, setNow] = useState(here);
  useEffect(() => {
    const follow = () => setNow(here());
    followers.add(follow);
    return () => followers.delete(follow);
  }, []);
  return now;
}

// A link inside the page. A click with a key held, or the middle button, opens a tab as everywhere.
export function Link({ to, children, ...rest }) {
  const click = (event) => {
    if (event.defaultPrevented || event.button || event.metaKey || event.ctrlKey || event.shiftKey || event.altKey)
      return;
    event.preventDefault();
    go(to);
  };
  return html`<a href=${to} onClick=${click} ...${rest}>${children}</a>`;
}

// The values of `{name}` in a pattern, or null where the path is another one.
export function match(pattern, path) {
  const asked = pattern.split('/');
  const parts = path.split('/');
  if (asked.length !== parts.length) return null;
  const values = {};
  for (const [at, want] of asked.entries()) {
    if (want.startsWith('{')) values[want.slice(1, -1)] = decoded(parts[at]);
    else if (want !== parts[at]) return null;
  }
  return values;
}

function decoded(text) {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

function tell() {
  for (const follow of [...followers]) follow();
}

addEventListener('popstate', tell);
