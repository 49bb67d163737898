import { html } from '../html.js';

export function Storage() {
  return html`<h1>Storage</h1>`;
}
