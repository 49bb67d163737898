// The shell: the session, where one is, and the page for it.
import { html, render, useEffect, useRef, useState } from './html.js';
import { onLoggedOut } from './api.js';
import * as live from './live.js';
import { Link, match, useHere } from './route.js';
import * as session from './session.js';
import { Dialogs } from './parts/dialog.js';
import { Notices, notice } from './parts/notice.js';
import { Theme } from './parts/theme.js';
import { Dead } from './pages/dead.js';
import { Job } from './pages/job.js';
import { Jobs } from './pages/jobs.js';
import { Now } from './pages/now.js';
import { Queue } from './pages/queue.js';
import { Queues } from './pages/queues.js';
import { Schedules } from './pages/schedules.js';
import { Storage } from './pages/storage.js';
import { Workers } from './pages/workers.js';

const PAGES = [
  { path: '/', name: 'Now', show: Now },
  { path: '/queues', name: 'Queues', show: Queues },
  { path: '/queues/{queue}', name: 'Queue', show: Queue, below: '/queues' },
  { path: '/jobs', name: 'Jobs', show: Jobs },
  { path: '/jobs/{job}', name: 'Job', show: Job, below: '/jobs' },
  { path: '/dead', name: 'Dead', show: Dead },
  { path: '/workers', name: 'Workers', show: Workers },
  { path: '/schedules', name: 'Schedules', show: Schedules },
  { path: '/storage', name: 'Storage', show: Storage },
];

const STREAM_WORDS = {
  connecting: ['◌', 'connecting'],
  live: ['●', 'live'],
  lost: ['✕', 'no connection; trying again'],
  paused: ['◌', 'paused'],
};

function Shell() {
  const { path, query } = useHere();
  const main = useRef(null);
  const [page, values] = found(path);
  const title =
    values && Object.values(values).length ? `${page.name} ${Object.values(values)[0]}` : (page?.name ?? 'Not here');
  useEffect(() => {
    document.title = `${title} · FalconQueue`;
  }, [title]);
  // Whoever reads by ear, or goes by the keyboard, begins at the new page.
  const isFirst = useRef(true);
  useEffect(() => {
    if (!isFirst.current) main.current.focus();
    isFirst.current = false;
  }, [path]);
  return html`<a class="skip" href="#main">To the content</a>
    <${Side} at=${page?.below ?? page?.path} />
    <main id="main" ref=${main} tabindex="-1">
      ${page ? html`<${page.show} key=${path} ...${values} query=${query} />` : html`<${Nowhere} path=${path} />`}
    </main>`;
}

function Side({ at }) {
  const stream = live.useStreamState();
  const [shape, word] = STREAM_WORDS[stream];
  return html`<header class="side">
    <${Link} to="/" class="name"><img src="/page/icon.svg" alt="" width="24" height="24" /> FalconQueue</${Link}>
    <nav aria-label="Pages"><ul>
      ${PAGES.filter((page) => !page.below).map(
        ({ path, name }) =>
          html`<li><${Link} to=${path} aria-current=${path === at ? 'page' : null}>${name}</${Link}></li>`,
      )}
    </ul></nav>
    <div class="foot">
      <span class="stream ${stream}" role="status"><span aria-hidden="true">${shape}</span> ${word}</span>
      <${Theme} />
      <${Who} />
    </div>
  </header>`;
}

function Who() {
  const who = session.current();
  if (who.open) return null;
  const leave = async () => {
    try {
      await session.end();
      location.assign('/');
    } catch (error) {
      notice(error.message, 'bad');
    }
  };
  return html`<span class="who">${who.holder || 'admin'} (${who.role})</span>
    <button type="button" onClick=${leave}>Log out</button>`;
}

function Nowhere({ path }) {
  return html`<h1>Nothing here</h1><p>There is no page ${path}. <${Link} to="/">Now</${Link}> is where it begins.</p>`;
}

function found(path) {
  for (const page of PAGES) {
    const values = match(page.path, path);
    if (values) return [page, values];
  }
  return [null, null];
}

function App() {
  const [state, setState] = useState({ is: 'beginning' });
  const begin = async () => {
    try {
      const who = await session.begin();
      setState({ is: who ? 'in' : 'out' });
    } catch (error) {
      setState({ is: 'broken', error });
      setTimeout(begin, 2_000);
    }
  };
  useEffect(() => {
    onLoggedOut(() => setState({ is: 'out' }));
    begin();
  }, []);
  useEffect(() => {
    if (state.is === 'in') return live.start();
  }, [state.is]);
  if (state.is === 'beginning') return null;
  if (state.is === 'broken') {
    return html`<main class="login"><p class="problem" role="alert">${state.error.message}. Trying again…</p></main>`;
  }
  if (state.is === 'out') return html`<${session.Login} done=${begin} />`;
  return html`<${Shell} /><${Dialogs} /><${Notices} />`;
}

render(html`<${App} />`, document.getElementById('app'));
