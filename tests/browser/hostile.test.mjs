// Texts that come from anywhere, each of them full of markup and script, on every view: they are shown as they are,
// nothing of them runs, and the view still works.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { start } from './harness.mjs';

// Would be seen by its mark if any of it ran; the last one turns around what is written behind it.
const RUN = "globalThis.ran = true, alert('ran')";
const TEXTS = [
  `<script>${RUN}</script>`,
  `"><img src=x onerror="${RUN}">`,
  `'><svg/onload=${RUN}>`,
  `</td></table></main><iframe srcdoc="<script>${RUN}</script>">`,
  `javascript:${RUN}`,
  `\${${RUN}}{{constructor.constructor('${RUN}')()}}`,
  `<a href="javascript:${RUN}">x</a><style>*{display:none}</style>`,
  '\u202etxt.exe <b>&lt;&amp;&#60;%3Cb%3E\\u003c',
];
const [SCRIPT, IMAGE] = TEXTS;
const short = (text, bytes = 64) => text.slice(0, bytes);

async function seed(at) {
  const jobs = TEXTS.map((text, nth) => ({
    queue: 'mail',
    key: `${text} ${nth}`.slice(0, 120),
    group: short(text),
    payload: { text },
    headers: { text },
    max_attempts: 1,
    keep_ms: 3_600_000,
  }));
  await at.api('POST', '/jobs', [...jobs, { queue: 'held', payload: SCRIPT, key: IMAGE }]);
  const { jobs: taken } = await at.api('POST', '/poll', { queues: ['mail'], worker: short(SCRIPT), max: jobs.length });
  const [done, told, ...rest] = taken;
  await at.api('POST', '/ack', { items: [{ job: done.job, lease: done.lease, result: IMAGE }] });
  await at.api('POST', '/progress', { job: told.job, lease: told.lease, percent: 40, text: short(IMAGE) });
  const items = rest.map(({ job, lease }, nth) => ({ job, lease, error: TEXTS[nth], for_good: true }));
  await at.api('POST', '/fail', { items });
  await at.api('POST', '/queues/held/pause', { reason: SCRIPT });
  await at.worker({ queue: 'held', args: ['--name', short(IMAGE)] }, 'cat');
  const plan = { queue: 'mail', every: '1h', group: short(IMAGE), payload: SCRIPT, headers: { text: IMAGE } };
  await at.api('PUT', '/schedules/plan', plan);
  return { done: done.job, told: told.job, dead: rest[0].job };
}

// Views with what is in them as it was written.
function views({ done, told, dead }) {
  const asked = (path, name) => TEXTS.map((text) => [`${path}?${new URLSearchParams({ [name]: text })}`]);
  return [
    ['/'],
    ['/queues'],
    ['/queues/mail', short(SCRIPT)],
    ['/queues/held', SCRIPT],
    ['/jobs', IMAGE],
    [`/jobs/${done}`, `${SCRIPT} 0`],
    [`/jobs/${told}`, short(IMAGE)],
    [`/jobs/${dead}`, SCRIPT],
    ['/dead', SCRIPT],
    ['/workers', short(IMAGE)],
    ['/schedules?schedule=plan', SCRIPT],
    ['/storage'],
    ...asked('/queues', 'name'),
    ...asked('/jobs', 'key_prefix'),
    ...asked('/jobs', 'error'),
    ...asked('/jobs', 'queue'),
    ...asked('/dead', 'queue'),
    ...asked('/schedules', 'schedule'),
    ...TEXTS.map((text) => [`/queues/${encodeURIComponent(text)}`]),
    ...TEXTS.map((text) => [`/jobs/${encodeURIComponent(text)}`]),
    ...TEXTS.map((text) => [`/${encodeURIComponent(text)}`]),
  ];
}

async function isWhole(page, path) {
  const seen = await page.evaluate(() => ({
    ran: globalThis.ran === true,
    strangers: document.querySelectorAll('script:not([src^="/page/"]), iframe, main img, main svg[onload], style')
      .length,
    links: [...document.querySelectorAll('a')].map((link) => link.protocol).filter((it) => !/^https?:$/.test(it)),
    isThere: document.querySelector('nav')?.checkVisibility() && document.querySelector('main h1')?.checkVisibility(),
  }));
  assert.deepEqual(seen, { ran: false, strangers: 0, links: [], isThere: true }, path);
}

test('no text from outside runs or breaks a view', async (t) => {
  const at = await start(t);
  // falcond refuses what is no name of a queue, a job or a schedule, and the page says so.
  at.expect(/console: .* (400|404) /);
  for (const [path, text] of views(await seed(at))) {
    await at.open(path);
    if (text) await at.page.locator('main', { hasText: text }).waitFor();
    await isWhole(at.page, path);
  }
});

test('what is asked back and what is said are texts too', async (t) => {
  const at = await start(t);
  await seed(at);
  const name = short(IMAGE);
  await at.open('/workers');
  await at.page.getByRole('button', { name: `Quiet ${name}`, exact: true }).click();
  const dialog = at.page.getByRole('dialog');
  await dialog.getByText(`Quiet the worker ${name}?`).waitFor();
  await isWhole(at.page, 'the dialog');
  await dialog.getByRole('button', { name: 'Quiet', exact: true }).click();
  await at.page.getByText('1 worker was told to be quiet').waitFor();
  const isQuiet = async () => (await at.api('GET', `/workers/${encodeURIComponent(name)}`)).workers[0].quiet;
  await at.until('that worker to be quiet', isQuiet);
  await isWhole(at.page, 'what is said');
});

test('what falcond says is never a document that runs', async (t) => {
  const at = await start(t);
  at.expect(/console: .* 404 /);
  const { done, dead } = await seed(at);
  for (const path of [`/jobs/${dead}`, `/jobs/${dead}/log`, '/workers', `/keys/${encodeURIComponent(IMAGE)}`]) {
    await at.page.goto(`${at.falcond}/api/v1${path}`);
    assert.equal(await at.page.evaluate(() => globalThis.ran === true), false, path);
    assert.equal(await at.page.locator('img, svg, iframe').count(), 0, path);
  }
  for (const path of [`/jobs/${dead}/payload`, `/jobs/${done}/result`]) {
    const saved = at.page.waitForEvent('download');
    await at.page.goto(`${at.falcond}/api/v1${path}`).catch((error) => assert.match(error.message, /Download/));
    await (await saved).cancel();
  }
});
