// A cron expression in words, where it is a plain one; null where the expression itself says it best.

const DAYS = ['Sunday', 'Monday', 'Tuesday', 'Wednesday', 'Thursday', 'Friday', 'Saturday', 'Sunday'];
const NAMES = ['SUN', 'MON', 'TUE', 'WED', 'THU', 'FRI', 'SAT'];
const SHORT = {
  '@hourly': 'every hour',
  '@daily': 'each day at 00:00',
  '@midnight': 'each day at 00:00',
  '@weekly': 'each Sunday at 00:00',
  '@monthly': 'on day 1 of each month at 00:00',
  '@yearly': 'on January 1 at 00:00',
  '@annually': 'on January 1 at 00:00',
};

export function cronWords(expression) {
  const text = expression.trim();
  if (SHORT[text.toLowerCase()]) return SHORT[text.toLowerCase()];
  const parts = text.split(/\s+/);
  if (parts.length !== 5) return null;
  const [minute, hour, day, month, weekday] = parts;
  if (month !== '*') return null;
  const time = timeWords(minute, hour);
  const days = dayWords(day, weekday);
  if (!time || days === null) return null;
  return time.isOften ? [time.words, days].filter(Boolean).join(', ') : `${days || 'each day'} at ${time.words}`;
}

function timeWords(minute, hour) {
  const each = /^\*\/(\d+)$/.exec(minute);
  if (hour === '*' && minute === '*') return { words: 'every minute', isOften: true };
  if (hour === '*' && each) return { words: `every ${each[1]} minutes`, isOften: true };
  const isMinute = /^\d{1,2}$/.test(minute);
  const two = minute.padStart(2, '0');
  if (hour === '*' && isMinute) return { words: `each hour at :${two}`, isOften: true };
  if (!isMinute || !/^\d{1,2}(,\d{1,2})*$/.test(hour)) return null;
  const times = hour.split(',').map((one) => `${one.padStart(2, '0')}:${two}`);
  return { words: listed(times), isOften: false };
}

// '' for each day.
function dayWords(day, weekday) {
  if (day === '*' && weekday === '*') return '';
  if (weekday === '*') return /^\d{1,2}$/.test(day) ? `on day ${day} of each month` : null;
  if (day !== '*') return null;
  const range = /^(\w+)-(\w+)$/.exec(weekday);
  const names = (range ? range.slice(1) : weekday.split(',')).map(dayName);
  if (names.includes(undefined)) return null;
  return range ? `${names[0]} to ${names[1]}` : `each ${listed(names)}`;
}

function dayName(text) {
  const at = NAMES.indexOf(text.toUpperCase());
  if (at >= 0) return DAYS[at];
  return /^[0-7]$/.test(text) ? DAYS[Number(text)] : undefined;
}

function listed(words) {
  return words.length < 2 ? words.join('') : `${words.slice(0, -1).join(', ')} and ${words.at(-1)}`;
}
