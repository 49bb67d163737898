// Shows the page from the files of this checkout before a falcond that runs, so that an edit is there at a reload and
// without a build: `node dev.mjs [PORT [FALCOND]]`, by default 3300 (0: any that is free) and http://127.0.0.1:3253.
import { createServer, request } from 'node:http';
import { readFile } from 'node:fs/promises';
import { extname, join, normalize } from 'node:path';
import { fileURLToPath } from 'node:url';

const web = fileURLToPath(new URL('../../src/http/page/web/', import.meta.url));
const port = Number(process.argv[2] ?? 3300);
const falcond = new URL(process.argv[3] ?? 'http://127.0.0.1:3253');
const types = { '.html': 'text/html', '.js': 'text/javascript', '.css': 'text/css', '.svg': 'image/svg+xml' };
const policy =
  "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; form-action 'self'; " +
  "base-uri 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'";

async function file(path, response) {
  const name = path.startsWith('/page/') ? normalize(path.slice('/page/'.length)) : 'index.html';
  try {
    const bytes = await readFile(join(web, name.replace(/^(\.\.\/)+/, '')));
    response.writeHead(200, {
      'Content-Type': types[extname(name)],
      'Content-Security-Policy': policy,
      'Cache-Control': 'no-store',
    });
    response.end(bytes);
  } catch {
    response.writeHead(404).end();
  }
}

function pass(from, response) {
  const headers = { ...from.headers, host: falcond.host };
  // What comes from this page comes from falcond's own, as far as falcond can tell.
  if (headers.origin === `http://${from.headers.host}`) headers.origin = falcond.origin;
  const to = request(falcond, { method: from.method, path: from.url, headers }, (answer) => {
    response.writeHead(answer.statusCode, answer.headers);
    answer.pipe(response);
  });
  to.on('error', () => response.writeHead(502).end());
  response.on('close', () => to.destroy());
  from.pipe(to);
}

const server = createServer((from, response) => {
  const { pathname } = new URL(from.url, 'http://localhost');
  if (/^\/(api|session|metrics|healthz|readyz)(\/|$)/.test(pathname)) pass(from, response);
  else file(pathname, response);
});
server.listen(port, '127.0.0.1', () => console.log(`http://127.0.0.1:${server.address().port}`));
