// What was done, or why it was not: said in a corner, and to screen readers, without taking the focus.
import { html, useState } from '../html.js';

const STAYS_MS = 8_000;
const MOST = 4;

let show = null;
let last = 0;

export function notice(text, look = 'good') {
  last += 1;
  const one = { id: last, text, look };
  show((all) => [...all, one].slice(-MOST));
  if (look === 'good') setTimeout(() => leave(one.id), STAYS_MS);
}

// Does something, and says how it went; gives whether it was done.
export async function attempt(work, done) {
  try {
    const outcome = await work();
    const text = typeof done === 'function' ? done(outcome) : done;
    if (text) notice(text);
    return true;
  } catch (error) {
    notice(error.message, 'bad');
    return false;
  }
}

function leave(id) {
  show((all) => all.filter((one) => one.id !== id));
}

// Stands once in the page.
export function Notices() {
  const [all, setAll] = useState([]);
  show = setAll;
  return html`<div class="notices" role="status" aria-live="polite">
    ${all.map(
      ({ id, text, look }) => html`<div key=${id} class="notice ${look}">
        <span>${text}</span>
        <button type="button" class="bare" aria-label="Close" onClick=${() => leave(id)}>✕</button>
      </div>`,
    )}
  </div>`;
}
