#!/usr/bin/env bash
# Builds what these arguments of `cargo build` name, and prints the directory of the binaries: wherever the user's
# settings let cargo put them. Examples are in examples/ there.
#
#   bin=$(tools/built.sh --release --bin falcond --example falcon-bench)
set -euo pipefail
cd "$(dirname "$0")/.."
cargo build --locked "$@" --message-format json-render-diagnostics |
    sed -n 's/.*"executable":"\([^"]*\)".*/\1/p' | sed 's,/examples/[^/]*$,/x,; s,/[^/]*$,,' | head -n 1
