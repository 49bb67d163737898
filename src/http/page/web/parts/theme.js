// The choice of the scheme: the system's, light or dark; the browser remembers it.
import { html, useState } from '../html.js';

const CHOICES = [
  ['', 'System'],
  ['light', 'Light'],
  ['dark', 'Dark'],
];

export function Theme() {
  const [theme, setTheme] = useState(document.documentElement.dataset.theme ?? '');
  const choose = (event) => {
    const chosen = event.target.value;
    setTheme(chosen);
    if (chosen) document.documentElement.dataset.theme = chosen;
    else delete document.documentElement.dataset.theme;
    try {
      localStorage.setItem('theme', chosen);
    } catch {
      // It holds until the page is closed.
    }
    dispatchEvent(new Event('theme'));
  };
  return html`<label class="theme"><span class="unseen">Colours</span>
    <select onChange=${choose} value=${theme}>
      ${CHOICES.map(([value, word]) => html`<option value=${value} selected=${value === theme}>${word}</option>`)}
    </select>
  </label>`;
}
