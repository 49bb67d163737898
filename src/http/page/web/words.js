// Numbers, spans and moments as people read them, the same everywhere on the page.

const counts = new Intl.NumberFormat('en', { maximumFractionDigits: 0 });
const UNITS = [
  ['d', 86_400_000],
  ['h', 3_600_000],
  ['min', 60_000],
  ['s', 1_000],
];

export const NONE = '–';

export function count(number) {
  return number === undefined || number === null ? NONE : counts.format(number);
}

// "1 job", "2 jobs".
export function counted(number, one, many = `${one}s`) {
  return `${count(number)} ${number === 1 ? one : many}`;
}

// Jobs a second, from those of a minute.
export function rate(lastMinute) {
  if (lastMinute === undefined || lastMinute === null) return NONE;
  const second = lastMinute / 60;
  if (second === 0) return '0/s';
  return second < 10 ? `${second.toFixed(second < 1 ? 2 : 1)}/s` : `${count(second)}/s`;
}

// A span by its two largest units: "2 h 5 min".
export function span(ms) {
  if (ms === undefined || ms === null) return NONE;
  if (ms < 1_000) return `${Math.max(0, Math.round(ms))} ms`;
  const at = UNITS.findIndex(([, unit]) => ms >= unit);
  const [name, unit] = UNITS[at];
  const whole = Math.floor(ms / unit);
  const next = UNITS[at + 1];
  const rest = next ? Math.floor((ms - whole * unit) / next[1]) : 0;
  return rest > 0 ? `${whole} ${name} ${rest} ${next[0]}` : `${whole} ${name}`;
}

// How long ago, or how far ahead, a moment is; `now` in milliseconds since 1970.
export function age(moment, now) {
  if (!moment) return NONE;
  const ms = now - Date.parse(moment);
  if (Math.abs(ms) < 1_000) return 'now';
  return ms > 0 ? `${span(ms)} ago` : `in ${span(-ms)}`;
}

// A moment by the clock of whoever looks, to the millisecond.
export function moment(text) {
  if (!text) return NONE;
  const date = new Date(text);
  const two = (number) => String(number).padStart(2, '0');
  const day = `${date.getFullYear()}-${two(date.getMonth() + 1)}-${two(date.getDate())}`;
  const time = `${two(date.getHours())}:${two(date.getMinutes())}:${two(date.getSeconds())}`;
  return `${day} ${time}.${String(date.getMilliseconds()).padStart(3, '0')}`;
}

export function size(bytes) {
  if (bytes === undefined || bytes === null) return NONE;
  const names = ['B', 'KiB', 'MiB', 'GiB', 'TiB'];
  let at = 0;
  let number = bytes;
  while (number >= 1024 && at < names.length - 1) {
    number /= 1024;
    at += 1;
  }
  return `${at === 0 || number >= 100 ? Math.round(number) : number.toFixed(1)} ${names[at]}`;
}

export function perCent(part, whole) {
  return whole > 0 ? `${Math.round((100 * part) / whole)} %` : NONE;
}

// The states of a job, each with a shape, so that none is told by its colour alone.
export const STATES = {
  pending: '●',
  delayed: '◷',
  waiting: '◌',
  'in-flight': '▶',
  completed: '✓',
  dead: '✕',
  cancelled: '⊘',
  expired: '⌛\ufe0e',
};
