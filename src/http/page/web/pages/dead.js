import { html } from '../html.js';

export function Dead() {
  return html`<h1>Dead</h1>`;
}
