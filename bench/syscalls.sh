#!/usr/bin/env bash
# Counts the system calls of falcond for a cycle at 50+50, with strace:
#
#   bench/syscalls.sh [SECONDS]
#
# Prints what `strace -c` says of the daemon from just before the load to just after it, and the calls of one cycle.
set -euo pipefail
cd "$(dirname "$0")/.."
seconds=${1:-5}
command -v strace >/dev/null || { echo "syscalls.sh: strace is missing; install it (Debian: apt-get install strace)" >&2; exit 69; }
cargo build --locked --release --bin falcond --example falcon-bench

dir=$(mktemp -d)
taskset -c 0 target/release/falcond --data-dir "$dir/data" --listen 127.0.0.1:0 >"$dir/out" &
falcond=$!
trap 'kill "$falcond" 2>/dev/null || true; wait; rm -rf "$dir"' EXIT
for _ in $(seq 100); do
    address=$(sed -n 's/^listening on //p' "$dir/out")
    [ -z "$address" ] || break
    sleep 0.1
done
[ -n "$address" ] || { echo "syscalls.sh: falcond did not listen within 10 s; what it said stands above" >&2; exit 69; }

strace -qq -f -c -o "$dir/calls" -p "$falcond" &
strace=$!
sleep 1
taskset -c 1 target/release/examples/falcon-bench load --address "$address" --seconds "$seconds" >"$dir/figures"
kill -TERM "$strace"
wait "$strace" || true

cat "$dir/calls"
calls=$(awk '$NF == "total" { print $4 }' "$dir/calls")
cycles=$(sed -n 's/.*"jobs_in_all": \([0-9]*\).*/\1/p' "$dir/figures")
awk -v calls="$calls" -v cycles="$cycles" 'BEGIN { printf "%d calls, %d cycles: %.2f a cycle\n", calls, cycles, calls / cycles }'
