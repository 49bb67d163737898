// A line to copy, such as a command, with the button that does.
import { html, useRef } from '../html.js';
import { notice } from './notice.js';

export function Copy({ text, label }) {
  const line = useRef(null);
  const copy = async () => {
    if (await isCopied(text, line.current)) notice('Copied.');
    else notice('This browser does not let the page copy: the line is selected.', 'bad');
  };
  return html`<span class="copy"><code ref=${line}>${text}</code>
    <button type="button" aria-label=${label ?? `Copy ${text}`} onClick=${copy}>Copy</button></span>`;
}

// Without TLS browsers give the clipboard to pages of this host alone; elsewhere the old way may work.
async function isCopied(text, line) {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    getSelection().selectAllChildren(line);
    return document.execCommand('copy');
  }
}
