// The choice of a queue, or of all.
import { html } from '../html.js';
import { read } from '../api.js';
import { useLoad } from '../live.js';

export function QueueChoice({ value = '', choose, id = 'choice-of-queue' }) {
  const concerns = ({ type }) => type === 'change';
  const { data } = useLoad((signal) => read('/api/v1/queues', signal), [], { concerns });
  const names = new Set((data?.queues ?? []).map(({ queue }) => queue));
  if (value) names.add(value);
  return html`<div class="field">
    <label for=${id}>Queue</label>
    <select id=${id} value=${value} onChange=${(event) => choose(event.target.value)}>
      <option value="" selected=${!value}>all queues</option>
      ${[...names].sort().map(
        (name) => html`<option key=${name} value=${name} selected=${name === value}>${name}</option>`,
      )}
    </select>
  </div>`;
}
