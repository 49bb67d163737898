import { html } from '../html.js';

export function Now() {
  return html`<h1>Now</h1>`;
}
