// A line of how something went, beside its number; the number is what is read aloud.
import { html } from '../html.js';

const WIDTH = 96;
const HEIGHT = 24;

export function Spark({ values, label }) {
  if (values.length < 2) return null;
  const top = Math.max(...values, 1);
  const x = (at) => ((at * WIDTH) / (values.length - 1)).toFixed(1);
  const y = (value) => (HEIGHT - 1 - (value * (HEIGHT - 2)) / top).toFixed(1);
  const points = values.map((value, at) => `${x(at)},${y(value)}`).join(' ');
  const box = `0 0 ${WIDTH} ${HEIGHT}`;
  return html`<svg class="spark" viewBox=${box} role="img" aria-label=${label} preserveAspectRatio="none">
    <polyline points=${points} />
  </svg>`;
}
