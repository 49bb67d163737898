// Shares of a whole as a bar; what they are stands beside it in words.
import { html } from '../html.js';

const WIDTH = 100;
const HEIGHT = 6;

// A part is {look, size, text}, the look one of parts.css: live or dead. What no part takes is free.
export function Shares({ whole, parts }) {
  const width = (size) => (whole > 0 ? (WIDTH * Math.min(size, whole)) / whole : 0);
  let at = 0;
  const boxes = parts.map(({ look, size }) => {
    const box = html`<rect class=${look} x=${at.toFixed(2)} y="0" width=${width(size).toFixed(2)} height=${HEIGHT} />`;
    at += width(size);
    return box;
  });
  const said = parts.filter(({ text }) => text);
  return html`<svg class="shares" viewBox="0 0 ${WIDTH} ${HEIGHT}" preserveAspectRatio="none" aria-hidden="true">
      ${boxes}
    </svg>
    ${said.map(({ text }) => html`<div>${text}</div>`)}`;
}
