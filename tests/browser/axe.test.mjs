// Every view, in both schemes and wide and narrow: nothing that keeps somebody from using it, as far as axe can tell;
// and the page itself never scrolls sideways.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { test } from 'node:test';
import { start } from './harness.mjs';
import { PAGES, lively } from './scene.mjs';

const AXE = { content: readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8') };
const WIDTHS = [320, 390, 768, 1280, 1920];

async function findings(page) {
  const { violations } = await page.evaluate(() => globalThis.axe.run(document));
  return violations.map(({ id, help, nodes }) => ({
    id,
    help,
    at: nodes.map(({ html, target }) => `${target}: ${html}`),
  }));
}

test('axe finds nothing on any view', async (t) => {
  const at = await start(t);
  await lively(at);
  at.expect(/404.*nowhere/);
  for (const scheme of ['light', 'dark']) {
    for (const width of [1280, 390]) {
      const page = await at.visit({ scheme, width, scripts: [AXE] });
      for (const path of [...PAGES, '/schedules?schedule=daily-report', '/nowhere']) {
        await at.open(path, page);
        assert.deepEqual(await findings(page), [], `${path}, ${scheme}, ${width} wide`);
      }
    }
  }
});

test('axe finds nothing in a dialog, in what is said, and where somebody logs in', async (t) => {
  const at = await start(t, { tokens: ['ops:admin:a-secret'], scripts: [AXE] });
  await at.worker('mail', 'cat');
  await at.open('/workers');
  await at.page.getByRole('button', { name: 'Quiet all' }).click();
  assert.deepEqual(await findings(at.page), []);
  await at.page.getByRole('dialog').getByRole('button', { name: 'Quiet' }).click();
  await at.page.locator('.notice').waitFor();
  assert.deepEqual(await findings(at.page), []);
  const login = await at.visit({ as: null, scripts: [AXE] });
  await login.getByLabel('Token').waitFor();
  assert.deepEqual(await findings(login), []);
});

test('no view scrolls sideways', async (t) => {
  const at = await start(t);
  await lively(at);
  for (const width of WIDTHS) {
    await at.page.setViewportSize({ width, height: 800 });
    for (const path of [...PAGES, '/schedules?schedule=daily-report']) {
      await at.open(path);
      const wide = await at.page.evaluate(() => document.scrollingElement.scrollWidth - innerWidth);
      assert.ok(wide <= 0, `${path} is ${wide} pixels wider than ${width}`);
    }
  }
});
