// History as a chart by uPlot, in the colours of the page's scheme, with the same figures as a table below it.
import { html, useEffect, useRef } from '../html.js';
import uPlot from '../vendor/uPlot.js';

const HEIGHT_PX = 220;

// `at` in seconds since 1970; a series is {label, values, colour}, where the colour is one of style.css: a, b, c or d.
export function Chart({ label, at, series }) {
  const box = useRef(null);
  const plot = useRef(null);
  const kinds = series.map((one) => one.label + one.colour).join();
  useEffect(() => {
    const draw = () => {
      plot.current?.destroy();
      plot.current = new uPlot(options(box.current.parentElement, series), dataOf(at, series), box.current);
    };
    draw();
    const size = new ResizeObserver(() => plot.current.setSize({ width: box.current.clientWidth, height: HEIGHT_PX }));
    size.observe(box.current);
    const scheme = matchMedia('(prefers-color-scheme: dark)');
    scheme.addEventListener('change', draw);
    addEventListener('theme', draw);
    return () => {
      size.disconnect();
      scheme.removeEventListener('change', draw);
      removeEventListener('theme', draw);
      plot.current.destroy();
      plot.current = null;
    };
  }, [kinds]);
  useEffect(() => plot.current?.setData(dataOf(at, series)), [at]);
  return html`<figure class="chart">
    <figcaption>
      ${label} ${series.map((one) => html`<span class="key" data-colour=${one.colour}>${one.label}</span>`)}
    </figcaption>
    <div ref=${box} class="plot" aria-hidden="true"></div>
  </figure>`;
}

const dataOf = (at, series) => [at, ...series.map((one) => one.values)];

function options(figure, series) {
  // The style sheet knows the scheme: the colours are those that it gives to elements that are there.
  const colour = (what, kind = 'color') => getComputedStyle(figure.querySelector(what))[kind];
  const axis = {
    stroke: colour('.plot'),
    grid: { stroke: colour('.plot', 'borderBottomColor'), width: 1 },
    ticks: { show: false },
  };
  const line = (one) => ({
    label: one.label,
    stroke: colour(`[data-colour=${one.colour}]`),
    width: 2,
    points: { show: false },
  });
  return {
    width: figure.querySelector('.plot').clientWidth,
    height: HEIGHT_PX,
    legend: { show: false },
    cursor: { drag: { x: false, y: false } },
    axes: [
      { ...axis, values: (_, ticks) => ticks.map(clock) },
      { ...axis, size: 64, values: (_, ticks) => ticks.map((tick) => tick.toLocaleString('en')) },
    ],
    scales: { y: { range: (_, low, high) => [0, Math.max(high, 1) * 1.05] } },
    series: [{}, ...series.map(line)],
  };
}

// The time of day as the rest of the page has it.
function clock(seconds) {
  const date = new Date(seconds * 1000);
  return [date.getHours(), date.getMinutes()].map((part) => String(part).padStart(2, '0')).join(':');
}
