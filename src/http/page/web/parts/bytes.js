// Bytes that nobody vouches for, a payload or a result: as text, as JSON or in hexadecimal, always as text nodes.
import { html, useMemo, useState } from '../html.js';
import { bytes } from '../api.js';
import { useLoad } from '../live.js';
import { size } from '../words.js';
import { Loaded } from './loaded.js';

const SHOWN_BYTES = 64 * 1024;
// All that a payload or a result may have: JSON is laid out from its whole.
const MOST_BYTES = 1024 * 1024;
const HEX_WIDTH = 16;

// `version` changes when the bytes do.
export function Bytes({ title, path, name, version }) {
  const load = (signal) => bytes(path, MOST_BYTES, signal);
  const loaded = useLoad(load, [path, version], { concerns: () => false });
  return html`<section class="card" aria-label=${title}>
    <${Loaded} of=${loaded}>
      ${(all) => html`<${Shown} title=${title} all=${all} path=${path} name=${name} />`}
    </${Loaded}>
  </section>`;
}

function Shown({ title, all, path, name }) {
  const ways = useMemo(() => waysOf(all.bytes), [all]);
  const [chosen, choose] = useState(null);
  const way = ways.some(({ word }) => word === chosen) ? chosen : ways[0].word;
  const shown = useMemo(() => ways.find(({ word }) => word === way).show(), [ways, way]);
  return html`<div class="row">
      <h2 class="grow">${title} <span class="faint">${size(all.size)}</span></h2>
      ${ways.map(({ word }) => html`<button key=${word} type="button" aria-pressed=${String(word === way)}
        onClick=${() => choose(word)}>${word}</button>`)}
      <a href=${path} download=${name}>Download</a>
    </div>
    ${all.size === 0 ? html`<p class="empty">It is empty.</p>`
      : html`<pre tabindex="0" class=${way} aria-label=${title}>${shown.text}</pre>`}
    ${shown.isCut && html`<p class="faint">The first 64 KiB are shown; the download has all.</p>`}`;
}

// How these can be shown, the best way first.
function waysOf(all) {
  const dumped = () => ({ text: dump(all.subarray(0, SHOWN_BYTES)), isCut: all.length > SHOWN_BYTES });
  const hex = { word: 'Hex', show: dumped };
  const text = asText(all);
  if (text === null) return [hex, { word: 'Text', show: () => cut(new TextDecoder().decode(all)) }];
  const plain = { word: 'Text', show: () => cut(text) };
  return isJson(text) ? [{ word: 'JSON', show: () => laidOut(text) }, plain, hex] : [plain, hex];
}

function cut(text) {
  return { text: text.slice(0, SHOWN_BYTES), isCut: text.length > SHOWN_BYTES };
}

// Null where it is no text: no UTF-8, or with control characters that no text has.
function asText(all) {
  try {
    const text = new TextDecoder('utf-8', { fatal: true }).decode(all);
    return /[\0-\x08\x0e-\x1a\x1c-\x1f]/.test(text) ? null : text;
  } catch {
    return null;
  }
}

function isJson(text) {
  try {
    JSON.parse(text);
    return true;
  } catch {
    return false;
  }
}

// JSON with line breaks. What stands in it stays to the letter: a number that a browser would round, a name that is
// there twice.
export function laidOut(json) {
  const tokens = json.matchAll(/"(?:[^"\\]|\\.)*"|[{}[\],:]|[^\s{}[\],:"]+/g);
  let [out, depth, before] = ['', 0, ''];
  const line = () => `\n${'  '.repeat(Math.min(depth, 100))}`;
  for (const [token] of tokens) {
    const isEnd = token === '}' || token === ']';
    if (isEnd) depth -= 1;
    const isFirst = before === '{' || before === '[';
    if (isEnd ? !isFirst : isFirst || before === ',') out += line();
    out += token === ':' ? ': ' : token;
    if (token === '{' || token === '[') depth += 1;
    before = token;
    if (out.length > SHOWN_BYTES) return cut(out);
  }
  return { text: out, isCut: false };
}

function dump(all) {
  const lines = [];
  for (let at = 0; at < all.length; at += HEX_WIDTH) {
    const row = [...all.subarray(at, at + HEX_WIDTH)];
    const hex = row.map((byte) => byte.toString(16).padStart(2, '0')).join(' ').padEnd(3 * HEX_WIDTH - 1);
    const text = row.map((byte) => (byte >= 0x20 && byte < 0x7f ? String.fromCharCode(byte) : '.')).join('');
    lines.push(`${at.toString(16).padStart(6, '0')}  ${hex}  ${text}`);
  }
  return lines.join('\n');
}
