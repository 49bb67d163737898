import { html } from '../html.js';

export function Schedules() {
  return html`<h1>Schedules</h1>`;
}
