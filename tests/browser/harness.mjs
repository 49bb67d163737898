// What a test of the page stands on: a falcond of its own in a directory of its own, and a browser that looks at it.
//
//   const at = await start(t, { tokens: ['ops:admin:a-secret'], args: [] });
//   await at.cli('submit', 'mail', 'hello');
//   await at.open('/queues');
//
// Whatever it starts is ended by its id when the test is over, passed or failed. A test fails at its end if the page
// has written an error to the console, has thrown, or has done what its policy forbids; what a test brings about
// itself it names beforehand: `at.expect(/401/)`.
//
// FALCON_BIN_DIR: where falcond, falcon-worker and falcon-cli are; without it they are built. CHROMIUM: the browser.
// FALCON_PAGE=files: the page of this checkout's files (dev.mjs) instead of the one that falcond was built with.
import assert from 'node:assert/strict';
import { execFile, execFileSync, spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after } from 'node:test';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { chromium } from 'playwright-core';

const SOON_MS = 15_000;
const LOOK_MS = 25;
const FLAGS = ['--no-sandbox', '--disable-background-networking', '--disable-component-update', '--disable-sync'];
const SEGMENT_BYTES = '16777216';

export const root = fileURLToPath(new URL('../..', import.meta.url));
const binaries = process.env.FALCON_BIN_DIR || built();

// {
//   page, base,           the page as the first of `tokens` (or `as`) sees it, and the address that it is at
//   open(path),           goes there and waits until something is shown
//   api(method, path, body), JSON of a path below /api/v1, as an admin
//   cli(...args),         what falcon-cli wrote to stdout
//   worker(queue, ...command), a falcon-worker that runs; the queue, or {queue, args}
//   walLog(job),          the events of a job
//   visit(looks),         one more page in a fresh context: {as, width, height, scheme, motion, scripts}
//   until(what, check),   waits until `check` gives something true, and gives that
//   expect(pattern),      errors of the console that the test brings about
//   stop(), startAgain(), falcond ends, and comes back where it was
// }
export async function start(t, { tokens = [], args = [], ...looks } = {}) {
  const master = new Master(tokens, args);
  t.after(() => master.end());
  await master.begin();
  master.page = await master.visit(looks);
  return master;
}

// Waits for a condition, looking again and again until it is late.
export async function until(what, check, withinMs = SOON_MS) {
  const deadline = performance.now() + withinMs;
  for (;;) {
    const found = await check();
    if (found) return found;
    if (performance.now() > deadline) throw new Error(`waited ${withinMs} ms in vain for ${what}`);
    await new Promise((done) => setTimeout(done, LOOK_MS));
  }
}

class Master {
  started = [];
  contexts = [];
  wrong = [];
  expected = [];
  until = until;

  constructor(tokens, args) {
    this.tokens = tokens.map((line) => line.split(':'));
    this.args = args;
  }

  async begin() {
    this.dir = await mkdtemp(join(tmpdir(), 'falcon-page-'));
    this.master = `unix:${join(this.dir, 'sock')}`;
    this.tokenArgs = [];
    if (this.tokens.length) {
      const admin = this.tokens.find(([, role]) => role === 'admin');
      this.bearer = admin[2];
      await writeFile(join(this.dir, 'tokens'), this.tokens.map((parts) => `${parts.join(':')}\n`).join(''));
      await writeFile(join(this.dir, 'token'), `${this.bearer}\n`);
      this.tokenArgs = ['--token-file', join(this.dir, 'token')];
    }
    await this.startAgain();
    this.base = this.falcond;
    if (process.env.FALCON_PAGE === 'files') await this.showFiles();
    // What the page asks for, and this falcond does not have yet.
    const { paths } = await this.api('GET', '/openapi.json');
    for (const path of ['/history', '/storage']) {
      if (!paths[path]) this.expect(new RegExp(`404.*/api/v1${path}`));
    }
  }

  // falcond on the same directory, and at the same address if it had one.
  startAgain = async () => {
    const args = ['--data-dir', join(this.dir, 'data'), '--listen', this.master, '--log', 'info'];
    args.push('--http', this.falcond ? new URL(this.falcond).host : '127.0.0.1:0');
    if (!this.args.includes('--segment-bytes')) args.push('--segment-bytes', SEGMENT_BYTES);
    if (this.tokens.length) args.push('--token-file', join(this.dir, 'tokens'));
    this.daemon = this.run('falcond', [...args, ...this.args]);
    const line = /answering HTTP on (\S+)/;
    const [, host] = await this.said(this.daemon, (text) => line.exec(text));
    this.falcond = `http://${host}`;
    await until('falcond to be ready', async () => (await fetch(`${this.falcond}/readyz`)).ok);
  };

  stop = () => ended(this.daemon);

  async showFiles() {
    const script = join(root, 'tests/browser/dev.mjs');
    const server = this.keep(spawn(process.execPath, [script, '0', this.falcond]));
    [this.base] = await this.said(server, (text) => /http:\S+/.exec(text));
  }

  run(program, args) {
    return this.keep(spawn(join(binaries, program), args));
  }

  keep(child) {
    child.text = '';
    for (const pipe of [child.stdout, child.stderr]) pipe.on('data', (bytes) => (child.text += bytes));
    child.stdin.end();
    child.over = new Promise((done) => child.once('exit', done).once('error', done));
    running.add(child);
    child.over.then(() => running.delete(child));
    this.started.push(child);
    return child;
  }

  // What `find` finds in what a process has written, once it does.
  said(child, find) {
    return until(`a line of ${child.spawnfile}`, () => {
      const isOver = child.exitCode !== null || child.signalCode !== null;
      assert.ok(!isOver, `${child.spawnfile} has ended: ${child.text}`);
      return find(child.text);
    });
  }

  visit = async ({ as, width = 1280, height = 800, scheme = 'light', motion = 'reduce', scripts = [] } = {}) => {
    const viewport = { width, height };
    const context = await (await browser()).newContext({ viewport, colorScheme: scheme, reducedMotion: motion });
    this.contexts.push(context);
    context.setDefaultTimeout(SOON_MS);
    await context.exposeBinding('tellViolation', (_, said) => this.wrong.push(`policy: ${said}`));
    await context.addInitScript(() =>
      addEventListener('securitypolicyviolation', (event) =>
        globalThis.tellViolation(`${event.violatedDirective} ${event.blockedURI} at ${event.sourceFile}`),
      ),
    );
    for (const script of scripts) await context.addInitScript(script);
    const page = await context.newPage();
    this.watch(page);
    await page.goto(this.base);
    if (this.tokens.length && as !== null) await this.logIn(page, as);
    return page;
  };

  watch(page) {
    page.on('pageerror', (error) => this.wrong.push(`thrown: ${error.stack}`));
    page.on('dialog', (dialog) => {
      this.wrong.push(`a dialog of the browser: ${dialog.message()}`);
      dialog.dismiss();
    });
    page.on('console', (message) => {
      if (message.type() === 'error') this.wrong.push(`console: ${message.text()} (${message.location().url})`);
    });
  }

  logIn = async (page, as = this.tokens[0][0]) => {
    const [, , token] = this.tokens.find(([name]) => name === as);
    await page.getByLabel('Token').fill(token);
    await page.getByRole('button', { name: 'Log in' }).click();
    await page.getByRole('navigation').waitFor();
  };

  open = async (path, page = this.page) => {
    await page.goto(this.base + path);
    await page.locator('main h1').waitFor();
    await until(`${path} to be loaded`, async () => (await page.locator('[aria-busy]').count()) === 0);
  };

  api = async (method, path, body) => {
    const headers = this.bearer ? { Authorization: `Bearer ${this.bearer}` } : {};
    if (body !== undefined) headers['Content-Type'] = 'application/json';
    const url = `${this.falcond}/api/v1${path}`;
    const answer = await fetch(url, { method, headers, body: body === undefined ? undefined : JSON.stringify(body) });
    const text = await answer.text();
    assert.ok(answer.ok, `${method} ${path}: ${answer.status} ${text}`);
    return text ? JSON.parse(text) : null;
  };

  cli = async (...args) => {
    const all = ['--master', this.master, ...this.tokenArgs, ...args];
    const { stdout } = await promisify(execFile)(join(binaries, 'falcon-cli'), all, { timeout: SOON_MS });
    return stdout;
  };

  worker = async (queue, ...command) => {
    const { queue: name, args = [] } = typeof queue === 'string' ? { queue } : queue;
    const given = ['--queue', name, '--shutdown-limit', '100ms', ...args];
    const all = ['--master', this.master, ...this.tokenArgs, ...given, '--', ...command];
    const worker = this.run('falcon-worker', all);
    const isThere = async () => (await this.api('GET', '/workers')).workers.some(({ pid }) => pid === worker.pid);
    await until('the worker to be there', isThere);
    return worker;
  };

  walLog = async (job) => {
    const events = [];
    for (let from = null; ;) {
      const page = await this.api('GET', `/jobs/${job}/log${from === null ? '' : `?from=${from}`}`);
      events.push(...page.events);
      if (page.next === null) return events;
      from = page.next;
    }
  };

  expect = (pattern) => this.expected.push(pattern);

  async end() {
    for (const context of this.contexts) await context.close();
    for (const child of this.started.reverse()) await ended(child);
    await rm(this.dir, { recursive: true, force: true });
    const unexpected = this.wrong.filter((said) => !this.expected.some((pattern) => pattern.test(said)));
    assert.deepEqual(unexpected, [], 'the page went wrong');
  }
}

// Asks it to end, and ends it if it does not.
export async function ended(child) {
  child.kill('SIGTERM');
  const late = setTimeout(() => child.kill('SIGKILL'), SOON_MS);
  await child.over;
  clearTimeout(late);
}

const running = new Set();
process.on('exit', () => running.forEach((child) => child.kill('SIGKILL')));
for (const signal of ['SIGINT', 'SIGTERM']) process.on(signal, () => process.exit(1));

let launched = null;
after(async () => (await launched)?.close());

// One for all tests of a file, with a profile that is made for it.
function browser() {
  launched ??= chromium.launch({ executablePath: chromiumPath(), headless: true, args: FLAGS });
  return launched;
}

function chromiumPath() {
  const known = [process.env.CHROMIUM, '/usr/bin/chromium', '/usr/bin/chromium-browser', '/usr/bin/google-chrome'];
  const found = known.find((path) => path && existsSync(path));
  assert.ok(found, 'no browser: install the package chromium, or name one by CHROMIUM=/path/to/it');
  return found;
}

function built() {
  const args = ['--bin', 'falcond', '--bin', 'falcon-worker', '--bin', 'falcon-cli'];
  return execFileSync(join(root, 'tools/built.sh'), args, { encoding: 'utf8' }).trim();
}
