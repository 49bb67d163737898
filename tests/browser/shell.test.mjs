// The shell around the views: its scheme, its stream, its session, and what is said where something is wrong.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { start } from './harness.mjs';

const TOKENS = ['ops:admin:a-secret', 'shop:submit:s-secret', 'guest:read:r-secret'];

const ground = (page) => page.evaluate(() => getComputedStyle(document.documentElement).backgroundColor);
const stream = (page, word) => page.locator('.stream', { hasText: word }).waitFor();

// What a browser does when its tab is hidden or shown, which a browser without a window never does.
function hide(page, isHidden) {
  return page.evaluate((hidden) => {
    Object.defineProperty(document, 'hidden', { value: hidden, configurable: true });
    document.dispatchEvent(new Event('visibilitychange'));
  }, isHidden);
}

// Notes the scheme when the document was read, and the colours of each frame since the first one.
const NOTES = () => {
  globalThis.grounds = [];
  const look = () => {
    const { documentElement: root } = document;
    if (root && document.styleSheets.length) grounds.push(getComputedStyle(root).backgroundColor);
    if (grounds.length < 20) requestAnimationFrame(look);
  };
  requestAnimationFrame(look);
  addEventListener('DOMContentLoaded', () => (globalThis.schemeAtFirst = document.documentElement.dataset.theme));
};

test('a scheme that was chosen is there before anything is painted', async (t) => {
  const at = await start(t, { scheme: 'light', scripts: [NOTES] });
  await at.open('/queues');
  const light = await ground(at.page);
  await at.page.getByLabel('Colours').selectOption('dark');
  const dark = await ground(at.page);
  assert.notEqual(dark, light);
  await at.page.reload();
  await at.page.waitForFunction(() => globalThis.grounds.length >= 20);
  assert.equal(await at.page.evaluate(() => globalThis.schemeAtFirst), 'dark');
  assert.deepEqual(await at.page.evaluate(() => [...new Set(globalThis.grounds)]), [dark]);
  await at.page.getByLabel('Colours').selectOption('');
  assert.equal(await ground(at.page), light, 'the scheme of the system');
  await at.page.emulateMedia({ colorScheme: 'dark' });
  assert.equal(await ground(at.page), dark, 'which may change');
});

test('the stream ends while the page is hidden, and what happened meanwhile is there afterwards', async (t) => {
  const at = await start(t);
  const streams = [];
  at.page.on('request', (request) => request.url().endsWith('/api/v1/events') && streams.push(request));
  await at.open('/queues');
  await stream(at.page, 'live');
  await hide(at.page, true);
  await stream(at.page, 'paused');
  await at.until('the stream to be closed', () => streams.every((request) => request.failure()));
  const before = streams.length;
  const asked = [];
  at.page.on('request', (request) => asked.push(request.url()));
  await at.cli('submit', 'mail', 'a letter');
  assert.deepEqual(asked, [], 'a hidden page asks for nothing');
  await hide(at.page, false);
  await stream(at.page, 'live');
  await at.page.getByRole('link', { name: 'mail', exact: true }).waitFor();
  assert.equal(streams.length, before + 1);
});

test('what happens is there within moments', async (t) => {
  const at = await start(t);
  await at.open('/schedules');
  await stream(at.page, 'live');
  await at.api('PUT', '/schedules/report', { queue: 'reports', every: '1h' });
  await at.page.getByRole('link', { name: 'report', exact: true }).waitFor({ timeout: 4_000 });
});

test('a connection that is lost is said, and comes back with falcond', async (t) => {
  const at = await start(t);
  at.expect(/Failed to load resource: (net::|the server responded with a status of 50)/);
  at.expect(/ERR_(CONNECTION|INCOMPLETE|EMPTY)/);
  await at.open('/queues');
  await stream(at.page, 'live');
  await at.stop();
  await stream(at.page, 'no connection; trying again');
  await at.startAgain();
  await at.cli('submit', 'mail', 'a letter');
  await stream(at.page, 'live');
  await at.page.getByRole('link', { name: 'mail', exact: true }).waitFor();
  await at.page.locator('.problem').waitFor({ state: 'detached' });
});

test('a path that leads nowhere says so', async (t) => {
  const at = await start(t);
  at.expect(/404.*no\/such|404.*queues\/never-was/);
  await at.open('/no/such%3Cb%3E');
  await at.page.getByText('Nothing here').waitFor();
  await at.page.getByRole('link', { name: 'Now', exact: true }).last().click();
  await at.page.locator('h1', { hasText: 'Now' }).waitFor();
  await at.open('/queues/never-was');
  await at.page.getByRole('alert').waitFor();
  await at.page.goBack();
  await at.page.locator('h1', { hasText: 'Now' }).waitFor();
});

test('a session begins with a token and ends with a button', async (t) => {
  const at = await start(t, { tokens: TOKENS, as: null });
  at.expect(/401/);
  await at.page.getByLabel('Token').fill('of somebody else');
  await at.page.getByRole('button', { name: 'Log in' }).click();
  await at.page.getByRole('alert').waitFor();
  await at.logIn(at.page);
  await at.page.getByText('ops (admin)').waitFor();
  const cookies = await at.page.context().cookies();
  assert.equal(cookies.length, 1);
  assert.ok(cookies[0].httpOnly && cookies[0].sameSite === 'Strict' && !cookies[0].value.includes('a-secret'));
  assert.equal(await at.page.evaluate(() => document.cookie), '', 'no script reads it');
  await at.open('/workers');
  await at.page.getByRole('button', { name: 'Log out' }).click();
  await at.page.getByLabel('Token').waitFor();
  assert.deepEqual(await at.page.context().cookies(), []);
  await at.page.goto(`${at.base}/queues`);
  await at.page.getByLabel('Token').waitFor();
});

test('what a role may not is not pressed, and says which role it needs', async (t) => {
  const at = await start(t, { tokens: TOKENS, as: 'guest' });
  await at.cli('submit', 'mail', 'a letter');
  await at.api('PUT', '/schedules/report', { queue: 'reports', every: '1h' });
  for (const [path, name] of [
    ['/queues', 'Pause mail'],
    ['/schedules', 'Remove report'],
    ['/queues/mail', 'Settings'],
  ]) {
    await at.open(path);
    const button = at.page.getByRole('button', { name, exact: true });
    assert.ok(await button.isDisabled(), name);
    assert.equal(await button.getAttribute('title'), 'this needs the role admin');
  }
});

test('a session that has ended asks for the token again', async (t) => {
  const at = await start(t, { tokens: TOKENS });
  at.expect(/401|Failed to load resource: (net::|the server responded with a status of 50)|ERR_/);
  await at.open('/workers');
  await at.stop();
  await at.startAgain();
  await at.page.getByLabel('Token').waitFor();
  await at.logIn(at.page);
  await at.page.locator('h1', { hasText: 'Workers' }).waitFor();
});

test('nothing moves for whoever wants no motion', async (t) => {
  const at = await start(t, { motion: 'reduce' });
  await at.cli('submit', 'mail', 'a letter');
  const animations = async (page) => {
    await at.open('/queues', page);
    await page.getByRole('button', { name: /^(Pause|Resume) mail$/ }).click();
    await page.getByRole('dialog').getByRole('button').last().click();
    await page.locator('.notice').waitFor();
    return page.evaluate(() => getComputedStyle(document.querySelector('.notice')).animationName);
  };
  assert.equal(await animations(at.page), 'none');
  assert.equal(await animations(await at.visit({ motion: 'no-preference' })), 'come');
});
