#!/usr/bin/env bash
# Tries the page in a browser: all tests, or those of the files that are named, as in `run.sh workers.test.mjs`.
# FALCON_BIN_DIR names the programs' directory; without it they are built. CHROMIUM names the browser.
set -euo pipefail
cd "$(dirname "$0")"

need() { command -v "$1" >/dev/null || { echo "run.sh: $1 is missing: install the package $2" >&2; exit 1; }; }
need node nodejs
need npm npm
if [ -z "${CHROMIUM:-}" ]; then
    for name in chromium chromium-browser google-chrome; do
        CHROMIUM=$(command -v "$name") && break
    done
fi
if [ ! -x "${CHROMIUM:-}" ]; then
    echo "run.sh: no browser: install the package chromium, or name one by CHROMIUM=/path/to/it" >&2
    exit 1
fi
export CHROMIUM

npm ci --no-audit --no-fund
if [ -z "${FALCON_BIN_DIR:-}" ]; then
    FALCON_BIN_DIR=$(../../tools/built.sh --bin falcond --bin falcon-worker --bin falcon-cli)
fi
export FALCON_BIN_DIR

[ "$#" -gt 0 ] || set -- ./*.test.mjs
exec node --test --test-concurrency=2 "$@"
