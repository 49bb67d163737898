// A state by its shape and its word.
import { html } from '../html.js';
import { STATES } from '../words.js';

export function State({ of }) {
  return html`<span class="badge ${of}"><span aria-hidden="true">${STATES[of] ?? '•'}</span> ${of}</span>`;
}

// Anything else that is so or so: `look` is good, busy, warn or bad.
export function Badge({ look, shape, children }) {
  return html`<span class="badge ${look}"><span aria-hidden="true">${shape}</span> ${children}</span>`;
}
