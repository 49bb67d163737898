// Who looks, and what they may do.
import { html, useState } from './html.js';
import { read, write } from './api.js';

// Roles as the master has them: an admin may all, and everybody may look.
const ALLOWS = {
  admin: ['read', 'submit', 'work', 'admin'],
  submit: ['read', 'submit'],
  work: ['read', 'work'],
  read: ['read'],
};

let session = null;

// {holder, role, open}: `open` where the master wants no token. Null where it wants one.
export async function begin() {
  const told = await read('/session');
  session = told.role ? told : null;
  return session;
}

export function current() {
  return session;
}

export function may(role) {
  return (ALLOWS[session?.role] ?? []).includes(role);
}

export async function end() {
  await write('/session', undefined, 'DELETE');
  session = null;
}

// A button that changes something; without the role for it, it says which is missing.
export function Act({ role = 'admin', disabled, title, children, ...rest }) {
  const missing = may(role) ? null : `this needs the role ${role}`;
  return html`<button type="button" disabled=${disabled || missing} title=${missing ?? title} ...${rest}>
    ${children}
  </button>`;
}

export function Login({ done }) {
  const [problem, setProblem] = useState(null);
  const [isAsking, setIsAsking] = useState(false);
  const submit = async (event) => {
    event.preventDefault();
    const token = new FormData(event.target).get('token');
    setIsAsking(true);
    try {
      await write('/session', { token });
      await done();
    } catch (error) {
      setProblem(error.message);
      setIsAsking(false);
    }
  };
  return html`<main class="login">
    <form onSubmit=${submit}>
      <h1>FalconQueue</h1>
      <div class="field">
        <label for="token">Token</label>
        <input id="token" name="token" type="password" autocomplete="current-password" required autofocus />
        <small>One of falcond's token file. This browser keeps it as a session, until falcond is started again.</small>
      </div>
      ${problem && html`<p class="problem" role="alert">${problem}</p>`}
      <button class="main" disabled=${isAsking}>Log in</button>
    </form>
  </main>`;
}
