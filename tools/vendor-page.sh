#!/usr/bin/env bash
# Fetches the libraries of the page, at the versions named here, into src/http/page/web/vendor. They are committed, so
# that no build loads anything: run this to take up others, and look at the difference.
set -euo pipefail
cd "$(dirname "$0")/.."

vendor="$PWD/src/http/page/web/vendor"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
npm install --silent --no-save --ignore-scripts preact@11.2.0 htm@3.1.1 uplot@1.6.32

mkdir -p "$vendor"
from=node_modules
# Without a build there is no bundler that could find "preact" by its name; source maps are not served.
grep -v '^//# sourceMappingURL' $from/preact/dist/preact.mjs > "$vendor/preact.js"
grep -v '^//# sourceMappingURL' $from/preact/hooks/dist/hooks.mjs | sed 's|from"preact"|from"./preact.js"|' \
    > "$vendor/hooks.js"
cp $from/htm/dist/htm.mjs "$vendor/htm.js"
cp $from/uplot/dist/uPlot.min.css "$vendor/uPlot.css"
# The small build is a script, not a module.
{ cat $from/uplot/dist/uPlot.iife.min.js; echo 'export default uPlot;'; } > "$vendor/uPlot.js"
for name in preact htm uplot; do
    cp "$from/$name/LICENSE" "$vendor/LICENSE-$name"
done
