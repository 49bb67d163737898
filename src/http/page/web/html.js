// Everything that draws takes what it needs from here. Templates become elements and text nodes, never markup that is
// parsed: whatever a payload, a key or a name holds is shown as it is.
import { h, render, Fragment } from './vendor/preact.js';
import htm from './vendor/htm.js';

export const html = htm.bind(h);
export { render, Fragment };
export { useState, useEffect, useLayoutEffect, useMemo, useRef, useCallback } from './vendor/hooks.js';
