// Asks back before something changes. The browser's own dialog element holds the focus and ends with Escape.
import { html, useEffect, useRef, useState } from '../html.js';

let show = null;

// Asks, and gives the values of the fields by name, or null if it was left. What is asked is {title, text, verb,
// danger, fields}; a field is {name, label, hint, value, type, options, required, pattern}. Without fields the values
// are {}.
export function ask(what) {
  return new Promise((answer) => show({ ...what, answer }));
}

// Stands once in the page; what is asked appears in it.
export function Dialogs() {
  const [asked, setAsked] = useState(null);
  const dialog = useRef(null);
  show = setAsked;
  useEffect(() => {
    if (asked && !dialog.current.open) dialog.current.showModal();
  }, [asked]);
  const end = (values) => {
    asked?.answer(values);
    setAsked(null);
    dialog.current.close();
  };
  const submit = (event) => {
    event.preventDefault();
    end(valuesOf(event.target));
  };
  return html`<dialog ref=${dialog} onClose=${() => asked && end(null)} aria-labelledby="asked">
    ${
      asked &&
      html`<form method="dialog" onSubmit=${submit}>
      <h2 id="asked">${asked.title}</h2>
      ${asked.text && html`<p>${asked.text}</p>`}
      ${(asked.fields ?? []).map((field) => html`<${Field} key=${field.name} ...${field} />`)}
      <div class="row end">
        <button type="button" onClick=${() => end(null)}>Leave as it is</button>
        <button type="submit" class=${asked.danger ? 'danger' : 'main'} autofocus=${!asked.fields}>
          ${asked.verb}
        </button>
      </div>
    </form>`
    }
  </dialog>`;
}

// A labelled field; with options a choice.
export function Field({ label, hint, ...field }) {
  const id = `field-${field.name}`;
  const rest = hint ? { id, 'aria-describedby': `${id}-hint` } : { id };
  return html`<div class="field">
    <label for=${id}>${label}</label>
    <${Input} ...${field} ...${rest} />
    ${hint && html`<small id="${id}-hint">${hint}</small>`}
  </div>`;
}

function Input({ value, type = 'text', options, ...rest }) {
  if (type === 'checkbox') return html`<input type="checkbox" checked=${value} ...${rest} />`;
  if (!options) return html`<input type=${type} value=${value ?? ''} autocomplete="off" ...${rest} />`;
  return html`<select ...${rest}>
    ${options.map(([key, word]) => html`<option value=${key} selected=${key === value}>${word}</option>`)}
  </select>`;
}

function valuesOf(form) {
  const values = Object.fromEntries(new FormData(form));
  for (const box of form.querySelectorAll('input[type=checkbox]')) values[box.name] = box.checked;
  return values;
}
