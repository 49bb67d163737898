import { html } from '../html.js';

export function Job() {
  return html`<h1>Job</h1>`;
}
