// What stands around what was loaded: that it is on its way, or why it is not there. What was loaded before stays.
import { html } from '../html.js';

export function Loaded({ of: { data, error, isLoading }, children }) {
  return html`${error && html`<p class="problem" role="alert">${error.message}</p>`}
  ${data === null ? isLoading && html`<p class="empty" aria-busy="true">Loading…</p>` : children(data)}`;
}
