// Jobs, newest first: which of them are shown stands in the address, and what is done to them is done to those that are
// selected, or to all that the filter means.
import { html, useEffect, useState } from '../html.js';
import { goWith, Link } from '../route.js';
import { useNow } from '../live.js';
import { age, count, counted, moment, NONE, STATES } from '../words.js';
import { withQuery } from '../api.js';
import { Act } from '../session.js';
import { State } from '../parts/badge.js';
import { changeAll, changeJobs, fits, nameOf, statesFor } from '../parts/change.js';
import { Loaded } from '../parts/loaded.js';
import { QueueChoice } from '../parts/queuechoice.js';
import { useSteadyJobs } from '../parts/steady.js';
import { SubmitJob } from '../parts/submit.js';
import { Table } from '../parts/table.js';

const SPAN = { pattern: '([0-9]+(d|h|m|s|ms))+', title: 'A span such as 30s, 10m, 1h30m, 2d' };
const TEXTS = [
  { name: 'group', label: 'Group' },
  { name: 'key_prefix', label: 'Key begins with' },
  { name: 'error', label: 'Error has in it' },
  { name: 'older_than', label: 'Older than', placeholder: '10m', ...SPAN },
  { name: 'newer_than', label: 'Newer than', placeholder: '1h', ...SPAN },
];
const KIND = { name: 'error_kind', label: 'Kind of error', pattern: '[0-9a-f]{16}', title: '16 hexadecimal digits' };
const NAMES = ['queue', 'state', 'error_kind', ...TEXTS.map(({ name }) => name)];
const NOT_THERE = 'No job is as the filter wants it.';
const NOT_YET = 'None so far, and not all were looked at: Older goes on.';
const VERBS = ['requeue', 'cancel', 'purge'];

export function Jobs({ query }) {
  const filter = Object.fromEntries(NAMES.filter((name) => query[name]).map((name) => [name, query[name]]));
  const loaded = useSteadyJobs(filter, query.from);
  const key = JSON.stringify([filter, query.from]);
  const [chosen, setChosen] = useState(new Set());
  useEffect(() => setChosen(new Set()), [key]);
  const selected = loaded.rows.filter(({ job }) => chosen.has(job));
  const news = loaded.news.length;
  return html`<div class="row">
      <h1 class="grow">Jobs</h1>
      <${SubmitJob} queue=${filter.queue} done=${loaded.reload} />
    </div>
    <${Filters} query=${query} />
    <div class="row">
      <${Changes} filter=${filter} selected=${selected} done=${() => { setChosen(new Set()); loaded.reload(); }} />
      <span class="grow"></span>
      ${news > 0 && html`<button type="button" class="news" onClick=${loaded.bringIn}>${count(news)} new</button>`}
    </div>
    <${Loaded} of=${loaded}>${() => html`<${List} loaded=${loaded} chosen=${chosen} choose=${setChosen} />
      <${Pages} filter=${filter} from=${query.from} next=${loaded.next} />`}</${Loaded}>`;
}

// What is typed is kept here until it is whole; the address has what holds.
function Filters({ query }) {
  const [draft, setDraft] = useState(query);
  const key = JSON.stringify(query);
  useEffect(() => setDraft(query), [key]);
  const change = (changes) => goWith({ from: '', ...changes });
  const take = (event) => {
    const { name, value } = event.target;
    if (event.target.reportValidity()) change({ [name]: value });
  };
  const fields = query.error_kind ? [...TEXTS, KIND] : TEXTS;
  const isAny = NAMES.some((name) => query[name]);
  return html`<form class="filters" aria-label="Filter" onSubmit=${(event) => event.preventDefault()}>
    <${QueueChoice} id="filter-queue" value=${query.queue} choose=${(queue) => change({ queue })} />
    ${fields.map(({ name, label, ...rest }) => html`<div class="field" key=${name}>
      <label for="filter-${name}">${label}</label>
      <input id="filter-${name}" name=${name} value=${draft[name] ?? ''} autocomplete="off" ...${rest}
        onInput=${(event) => setDraft({ ...draft, [name]: event.target.value })} onChange=${take} />
    </div>`)}
    <${States} chosen=${statesOf(query)} choose=${(state) => change({ state })} />
    ${isAny && html`<${Link} to="/jobs">Clear the filter</${Link}>`}
  </form>`;
}

function States({ chosen, choose }) {
  const turn = (state) => {
    const next = chosen.includes(state) ? chosen.filter((one) => one !== state) : [...chosen, state];
    choose(Object.keys(STATES).filter((one) => next.includes(one)).join(','));
  };
  return html`<fieldset class="states">
    <legend>State</legend>
    ${Object.keys(STATES).map((state) => html`<label key=${state}>
      <input type="checkbox" name="state" value=${state} checked=${chosen.includes(state)}
        onChange=${() => turn(state)} />
      <${State} of=${state} />
    </label>`)}
  </fieldset>`;
}

const statesOf = ({ state }) => (state ? state.split(',') : []);

// The buttons: for those that are selected, or else for all that the filter means.
function Changes({ filter, selected, done }) {
  const [busy, setBusy] = useState(null);
  const start = async (verb, work) => {
    setBusy(`${nameOf(verb)}…`);
    const isDone = await work((many) => setBusy(`${nameOf(verb)}: ${count(many)} so far…`));
    setBusy(null);
    if (isDone) done();
  };
  if (busy) return html`<span role="status" class="faint">${busy}</span>`;
  if (selected.length) {
    return html`<span>${counted(selected.length, 'job')} selected:</span>
      ${VERBS.map((verb) => {
        const meant = selected.filter(({ standing }) => fits(verb, standing)).map(({ job }) => job);
        const title = meant.length ? '' : `None of them can be changed so: ${verb} is for other states`;
        return html`<${Act} key=${verb} class=${look(verb)} disabled=${!meant.length} title=${title}
          onClick=${() => start(verb, () => changeJobs(verb, meant))}>${nameOf(verb)} ${count(meant.length)}</${Act}>`;
      })}`;
  }
  const which = saidOf(filter);
  return html`<span class="faint">All that the filter means:</span>
    ${VERBS.map((verb) => {
      const states = statesFor(verb, statesOf(filter));
      const meant = { ...filter, state: states ?? [] };
      const title = states ? `Those that are ${states.join(', ')}` : `${nameOf(verb)} is for other states`;
      return html`<${Act} key=${verb} class=${look(verb)} disabled=${!states} title=${title}
        onClick=${() => start(verb, (progress) => changeAll(verb, meant, { which: which(states), progress }))}
      >${nameOf(verb)} all…</${Act}>`;
    })}`;
}

const look = (verb) => (verb === 'requeue' ? '' : 'danger');

// A filter in words, to be read before it is confirmed.
function saidOf({ queue, group, key_prefix: key, error, error_kind: kind, older_than: older, newer_than: newer }) {
  return (states) => {
    const parts = [
      `Jobs that are ${states?.join(' or ')}, ${queue ? `of queue ${queue}` : 'of all queues'}`,
      group && `of group “${group}”`,
      key && `whose key begins with “${key}”`,
      error && `whose error has “${error}” in it`,
      kind && `whose error is of kind ${kind}`,
      older && `older than ${older}`,
      newer && `newer than ${newer}`,
    ];
    return `${parts.filter(Boolean).join(', ')}.`;
  };
}

function List({ loaded: { rows, next }, chosen, choose }) {
  const now = useNow();
  const turn = (job) => {
    const next = new Set(chosen);
    if (!next.delete(job)) next.add(job);
    choose(next);
  };
  const isAll = rows.length > 0 && rows.every(({ job }) => chosen.has(job));
  const turnAll = () => choose(isAll ? new Set() : new Set(rows.map(({ job }) => job)));
  const box = (label, checked, change) =>
    html`<input type="checkbox" aria-label=${label} checked=${checked} onChange=${change} />`;
  const columns = [
    {
      head: box('Select all that are shown', isAll, turnAll),
      cell: ({ job }) => box(`Select job ${job}`, chosen.has(job), () => turn(job)),
    },
    { title: 'Job', num: true, cell: ({ job }) => html`<${Link} to="/jobs/${job}">${job}</${Link}>` },
    { title: 'State', cell: (row) => html`<${Standing} of=${row} />` },
    { title: 'Queue', cell: ({ queue }) => queue },
    { title: 'Group', cell: ({ group }) => cut(group, 'brief'), minor: true },
    { title: 'Key', cell: ({ key }) => cut(key, 'brief') },
    {
      title: 'Age',
      cell: ({ submitted_at: at }) => html`<time datetime=${at} title=${moment(at)}>${age(at, now)}</time>`,
    },
    { title: 'Attempts', num: true, cell: (row) => `${count(row.attempts)}/${count(row.max_attempts)}` },
    { title: 'Error, or its worker', cell: (row) => html`<${Doing} of=${row} />` },
  ];
  return html`<${Table}
    label="Jobs"
    columns=${columns}
    rows=${rows}
    id=${({ job }) => job}
    marked=${({ job }) => chosen.has(job)}
    empty=${next === null ? NOT_THERE : NOT_YET}
  />`;
}

function Standing({ of: { standing, isPast } }) {
  if (!isPast) return html`<${State} of=${standing} />`;
  return html`<span class="past" title="The filter means it no more"><${State} of=${standing} /><span class="unseen">,
    which the filter means no more</span></span>`;
}

function Doing({ of: { standing, worker, percent, progress, error } }) {
  if (standing === 'in-flight' && worker) {
    return html`<span class="long" title=${progress ? `${worker}: ${progress}` : worker}>
      ${percent !== undefined &&
      html`<progress max="100" value=${percent} aria-label="Progress"></progress> ${percent} % `}
      <bdi>${worker}</bdi>${progress && html` <bdi class="faint">${progress}</bdi>`}
    </span>`;
  }
  return cut(error);
}

function cut(text, look = 'long') {
  return text ? html`<bdi class=${look} title=${text}>${text}</bdi>` : NONE;
}

function Pages({ filter, from, next }) {
  if (!from && next === null) return null;
  return html`<nav class="row" aria-label="Pages of jobs">
    ${from && html`<${Link} to=${withQuery('/jobs', filter)}>Newest</${Link}>`}
    ${next !== null && html`<${Link} to=${withQuery('/jobs', { ...filter, from: next })}>Older</${Link}>`}
  </nav>`;
}
