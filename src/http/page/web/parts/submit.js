// "Submit a job": a dialog that stays open, with what was typed, until falcond has taken the job.
import { html, useEffect, useRef, useState } from '../html.js';
import { part, withQuery, write } from '../api.js';
import { go } from '../route.js';
import { Act } from '../session.js';
import { Field } from './dialog.js';
import { notice } from './notice.js';

const NAME = '[A-Za-z0-9][A-Za-z0-9._\\-]{0,63}';
const SPAN = '([0-9]+(d|h|m|s|ms))+';

const SETTINGS = [
  { name: 'key', label: 'Key', maxlength: 128, hint: 'Of those that run, one job holds it. May be empty.' },
  {
    name: 'priority',
    label: 'Priority',
    type: 'number',
    min: 0,
    max: 255,
    placeholder: '128',
    hint: '0 is the most urgent, 255 the least.',
  },
  { name: 'delay', label: 'Delay', pattern: SPAN, placeholder: '10s', hint: 'Not handed out before: 10s, 1h30m.' },
  { name: 'group', label: 'Group', maxlength: 64, hint: 'A name inside its queue. May be empty.' },
];

export function SubmitJob({ queue = '', done = () => {} }) {
  const dialog = useRef(null);
  const [isOpen, setIsOpen] = useState(false);
  useEffect(() => {
    if (isOpen) dialog.current.showModal();
  }, [isOpen]);
  const close = () => dialog.current.close();
  return html`<${Act} role="submit" class="main" onClick=${() => setIsOpen(true)}>Submit a job</${Act}>
    <dialog ref=${dialog} aria-labelledby="submit-title" onClose=${() => setIsOpen(false)}>
      ${isOpen && html`<h2 id="submit-title">Submit a job</h2><${Form} queue=${queue} close=${close} done=${done} />`}
    </dialog>`;
}

function Form({ queue, close, done }) {
  const [problem, setProblem] = useState(null);
  const [isAsking, setIsAsking] = useState(false);
  const submit = async (event) => {
    event.preventDefault();
    const { payload, queue: to, ...settings } = Object.fromEntries(new FormData(event.target));
    setIsAsking(true);
    try {
      const path = withQuery(`/api/v1/queues/${part(to)}/jobs`, settings);
      tell(await write(path, new Blob([payload])));
      close();
      done();
    } catch (error) {
      setProblem(error.message);
    }
    setIsAsking(false);
  };
  return html`<form onSubmit=${submit}>
    <${Field} name="queue" label="Queue" value=${queue} pattern=${NAME} maxlength="64" required />
    <div class="field">
      <label for="field-payload">Payload</label>
      <textarea id="field-payload" name="payload" rows="5" class="mono" spellcheck=${false}></textarea>
      <small>This text as it is, up to 1 MiB.</small>
    </div>
    <div class="pairs">${SETTINGS.map((field) => html`<${Field} ...${field} />`)}</div>
    ${problem && html`<p class="problem" role="alert">${problem}</p>`}
    <div class="row end">
      <button type="button" onClick=${close}>Leave it</button>
      <button type="submit" class="main" disabled=${isAsking}>Submit</button>
    </div>
  </form>`;
}

function tell({ job, duplicate }) {
  notice(duplicate ? `Job ${job} holds this key already: no other job was made.` : `Job ${job} was submitted.`);
  if (duplicate) go(`/jobs/${job}`);
}
