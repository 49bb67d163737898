// The page by the keyboard alone: Tab, Enter, Escape.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { start } from './harness.mjs';

const TABS_MAX = 80;

const focused = (page) =>
  page.evaluate(() => {
    const { activeElement: it } = document;
    return it.getAttribute('aria-label') ?? (it === document.body ? '' : it.textContent.trim());
  });

// Goes on by Tab until what is named so has the focus, and can be seen to have it.
async function tabTo(page, name) {
  const passed = [];
  for (let tabs = 0; tabs < TABS_MAX; tabs += 1) {
    await page.keyboard.press('Tab');
    const now = await focused(page);
    if (now === name) return isSeen(page, name);
    passed.push(now);
  }
  assert.fail(`no Tab leads to ${name}, but to ${passed.join(' | ')}`);
}

async function isSeen(page, name) {
  const style = await page.evaluate(() => {
    const { outlineStyle, outlineWidth } = getComputedStyle(document.activeElement);
    const { top, left, width, height } = document.activeElement.getBoundingClientRect();
    return { outlineStyle, outlineWidth, isThere: top >= 0 && left >= 0 && width > 1 && height > 1 };
  });
  const isSeen = style.isThere && style.outlineStyle !== 'none' && parseFloat(style.outlineWidth) >= 2;
  assert.ok(isSeen, `${name} is not seen`);
}

test('the first Tab leads past the pages to the content', async (t) => {
  const at = await start(t);
  await at.open('/queues');
  await tabTo(at.page, 'To the content');
  await at.page.keyboard.press('Enter');
  assert.equal(await at.page.evaluate(() => document.activeElement.id), 'main');
  await at.page.keyboard.press('Tab');
  const isInside = await at.page.evaluate(() => document.activeElement.closest('main') !== null);
  assert.ok(isInside, 'the next Tab is in the content');
});

test('every page is reached, and the focus is at its content', async (t) => {
  const at = await start(t);
  await at.open('/');
  for (const name of ['Queues', 'Jobs', 'Dead', 'Workers', 'Schedules', 'Storage', 'Now']) {
    await tabTo(at.page, name);
    await at.page.keyboard.press('Enter');
    await at.page.locator('main h1', { hasText: name }).waitFor();
    assert.equal(await at.page.evaluate(() => document.activeElement.id), 'main', name);
    assert.equal(await at.page.title(), `${name} · FalconQueue`);
    await at.page.reload();
    await at.page.locator('main h1', { hasText: name }).waitFor();
  }
});

test('a dialog is opened, left by Escape, and carried out', async (t) => {
  const at = await start(t);
  await at.cli('submit', 'mail', 'a letter');
  await at.open('/queues');
  const dialog = at.page.getByRole('dialog');
  const isPaused = async () => Boolean((await at.api('GET', '/queues/mail')).paused_out);
  await tabTo(at.page, 'Pause mail');
  await at.page.keyboard.press('Enter');
  await dialog.waitFor();
  for (const _ of [1, 2, 3, 4]) {
    await at.page.keyboard.press('Tab');
    const isInside = await at.page.evaluate(() => document.activeElement.closest('dialog, body') !== null);
    const isBehind = await at.page.evaluate(() => document.activeElement.closest('main, .side') !== null);
    assert.ok(isInside && !isBehind, 'the focus stays in the dialog');
  }
  await at.page.keyboard.press('Escape');
  await dialog.waitFor({ state: 'hidden' });
  assert.equal(await focused(at.page), 'Pause mail', 'the focus is back where it was');
  assert.equal(await isPaused(), false);
  await at.page.keyboard.press('Enter');
  await dialog.waitFor();
  await at.page.keyboard.press('Enter');
  await dialog.waitFor({ state: 'hidden' });
  await at.until('the queue to be paused', isPaused);
  await at.page.getByText('mail is paused').waitFor();
});

test('a schedule is opened and closed', async (t) => {
  const at = await start(t);
  await at.api('PUT', '/schedules/report', { queue: 'reports', every: '1h', payload: 'of the day' });
  await at.open('/schedules');
  await tabTo(at.page, 'report');
  await at.page.keyboard.press('Enter');
  await at.page.getByText('of the day').waitFor();
  assert.equal(await focused(at.page), 'report', 'its heading');
  await tabTo(at.page, 'Close report');
  await at.page.keyboard.press('Enter');
  await at.page.getByText('of the day').waitFor({ state: 'detached' });
  assert.equal(await focused(at.page), 'report', 'its name in the table');
});

test('a token is given', async (t) => {
  const at = await start(t, { tokens: ['ops:admin:a-secret'], as: null });
  await at.page.getByLabel('Token').waitFor();
  await at.page.keyboard.type('a-secret');
  await at.page.keyboard.press('Enter');
  await at.page.getByRole('navigation').waitFor();
  await tabTo(at.page, 'Log out');
  await at.page.keyboard.press('Enter');
  await at.page.getByLabel('Token').waitFor();
});
