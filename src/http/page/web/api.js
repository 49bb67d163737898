// Calls of the API. What goes wrong is an ApiError whose message is a sentence for people.

export class ApiError extends Error {
  constructor(status, code, detail) {
    super(detail);
    this.status = status;
    this.code = code;
  }
}

// Told when a session is over; the shell then asks for the token.
let loggedOut = () => {};
export function onLoggedOut(tell) {
  loggedOut = tell;
}

const DEADLINE_MS = 20_000;

// A body is sent as JSON, but a Blob as it is.
export async function call(method, path, { body, signal } = {}) {
  const response = await ask(method, path, body, signal);
  if (!response.ok) throw await problem(response);
  if (response.status === 204) return null;
  try {
    return await response.json();
  } catch (error) {
    throw asApiError(error);
  }
}

export const read = (path, signal) => call('GET', path, { signal });
export const write = (path, body = {}, method = 'POST') => call(method, path, { body });

// The bytes of a payload or a result, and whether there are more than were asked for.
export async function bytes(path, most, signal) {
  const response = await ask('GET', path, undefined, signal);
  if (!response.ok) throw await problem(response);
  const all = new Uint8Array(await response.arrayBuffer());
  return { bytes: all.subarray(0, most), size: all.length };
}

// A path with its query; what is empty is left out.
export function withQuery(path, query) {
  const given = Object.entries(query).filter(([, value]) => value !== undefined && value !== null && value !== '');
  const text = new URLSearchParams(given).toString();
  return text ? `${path}?${text}` : path;
}

// One part of a path, whatever is in it.
export const part = encodeURIComponent;

async function ask(method, path, body, signal) {
  const deadline = AbortSignal.timeout(DEADLINE_MS);
  const init = { method, signal: signal ? AbortSignal.any([signal, deadline]) : deadline, headers: {} };
  if (body instanceof Blob) {
    init.body = body;
  } else if (body !== undefined) {
    init.headers['Content-Type'] = 'application/json';
    init.body = JSON.stringify(body);
  }
  try {
    return await fetch(path, init);
  } catch (error) {
    if (signal?.aborted) throw error;
    throw asApiError(error);
  }
}

function asApiError(error) {
  const late = error.name === 'TimeoutError';
  return new ApiError(0, 'NoAnswer', late ? 'falcond has not answered in time' : 'falcond cannot be reached');
}

async function problem(response) {
  let said = {};
  try {
    said = await response.json();
  } catch {
    // What stands between this page and falcond has answered: the status is all there is.
  }
  const { detail = `the answer was HTTP ${response.status}`, title } = said;
  const error = new ApiError(response.status, title, detail);
  if (response.status === 401 && !response.url.endsWith('/session')) loggedOut();
  return error;
}
