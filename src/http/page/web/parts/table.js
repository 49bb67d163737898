// A table of rows that are known by an id: numbers to the right, a heading that sorts where that makes sense, and a
// region of its own that scrolls sideways, so that the page never does.
import { html, useMemo, useState } from '../html.js';

// A column: {title, cell(row), num, minor, sort(row), head}. `minor` ones leave a narrow screen.
export function Table({ label, columns, rows, id, empty, marked, children }) {
  const [order, setOrder] = useState(null);
  const shown = useMemo(() => sorted(rows, columns, order), [rows, columns, order]);
  if (rows.length === 0) return html`<p class="empty">${empty}</p>`;
  const turn = (at) => setOrder((now) => (now?.at !== at ? { at, down: true } : now.down ? { at, down: false } : null));
  return html`<div class="scroll" role="region" aria-label=${label} tabindex="0">
    <table>
      <caption class="unseen">${label}</caption>
      <thead><tr>
        ${columns.map((column, at) => html`<${Head} column=${column} order=${order} at=${at} turn=${turn} />`)}
      </tr></thead>
      <tbody>
        ${shown.map(
          (row) => html`<tr key=${id(row)} class=${marked?.(row) ? 'marked' : ''} data-row=${id(row)}>
            ${columns.map((column) => html`<td class=${look(column)}>${column.cell(row)}</td>`)}
          </tr>`,
        )}
        ${children}
      </tbody>
    </table>
  </div>`;
}

function Head({ column, order, at, turn }) {
  if (!column.sort) return html`<th scope="col" class=${look(column)}>${column.head ?? column.title}</th>`;
  const isOrder = order?.at === at;
  const said = !isOrder ? 'none' : order.down ? 'descending' : 'ascending';
  const arrow = !isOrder ? '' : order.down ? ' ▾' : ' ▴';
  return html`<th scope="col" class=${look(column)} aria-sort=${said}>
    <button type="button" class="bare" onClick=${() => turn(at)}>${column.title}${arrow}</button>
  </th>`;
}

function look({ num, minor }) {
  return `${num ? 'num' : ''} ${minor ? 'minor' : ''}`.trim();
}

function sorted(rows, columns, order) {
  if (!order) return rows;
  const value = columns[order.at].sort;
  const way = order.down ? -1 : 1;
  const below = (a, b) => (a < b ? -1 : a > b ? 1 : 0);
  return [...rows].sort((a, b) => way * below(value(a) ?? -1, value(b) ?? -1));
}
