// Takes the pictures of the book, docs/src/images/: each view, wide and narrow, light and dark, of a shop that is busy.
//
//   node shots.mjs [DIRECTORY]
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { root, start } from './harness.mjs';
import { small } from './png.mjs';
import { lively } from './scene.mjs';

const VIEWS = {
  now: '/',
  queues: '/queues',
  queue: '/queues/email',
  jobs: '/jobs',
  job: '/jobs/1',
  dead: '/dead',
  workers: '/workers',
  schedules: '/schedules?schedule=daily-report',
  storage: '/storage',
};
const SIZES = [
  ['wide', 1280, 860],
  ['narrow', 390, 844],
];
const POINTS = 360;
const EVERY_MS = 10_000;

// What a falcond that has run for an hour would tell; the one of the pictures has only just begun.
function hour() {
  const wave = (at, size, slow) =>
    size * (1.6 + Math.sin(at / slow) + 0.15 * Math.sin(at / 3) + 0.05 * Math.sin(at * 2.3));
  const each = Array.from({ length: POINTS }, (_, at) => at);
  const sum = (rate) =>
    each
      .map(
        (
          (all) => (at) =>
            (all += rate(at))
        )(0),
      )
      .map(Math.round);
  const now = Date.now();
  return {
    every_ms: EVERY_MS,
    at: each.map((at) => new Date(now - (POINTS - 1 - at) * EVERY_MS).toISOString()),
    submitted: sum((at) => wave(at, 90, 40)),
    ended: sum((at) => wave(at - 6, 88, 40)),
    pending: each.map((at) => Math.round(wave(at, 40, 30))),
    in_flight: each.map((at) => Math.round(6 + wave(at, 1, 9))),
    delayed: each.map((at) => Math.round(5 + wave(at, 3, 60))),
    waiting: each.map(() => 0),
    dead: each.map((at) => Math.min(9, Math.floor(at / 35))),
  };
}

async function take(at, directory, scheme, [name, width, height]) {
  const page = await at.visit({ scheme, width, height });
  await page.route('**/api/v1/history', (route) => route.fulfill({ json: hour() }));
  for (const [view, path] of Object.entries(VIEWS)) {
    await at.open(path, page);
    await page.locator('.stream.live').waitFor();
    if (view === 'schedules') await page.locator('#one').blur();
    const picture = await page.screenshot({ animations: 'disabled' });
    await writeFile(join(directory, `${view}-${name}-${scheme}.png`), small(picture));
  }
  await page.close();
}

test('the pictures of the book', async (t) => {
  const directory = process.argv[2] ?? join(root, 'docs/src/images');
  await mkdir(directory, { recursive: true });
  const at = await start(t);
  await lively(at);
  for (const scheme of ['light', 'dark']) {
    for (const size of SIZES) await take(at, directory, scheme, size);
  }
});
