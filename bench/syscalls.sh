#!/usr/bin/env bash
# Counts the system calls of falcond for a cycle at 50+50, with strace:
#
#   bench/syscalls.sh [SECONDS]
#
# Prints what `strace -c` says of the daemon from just before the load to just after it, and the calls of one cycle.
set -euo pipefail
cd "$(dirname "$0")/.."
. bench/start.sh
seconds=${1:-5}
need strace
start_falcond

strace -qq -f -c -o "$dir/calls" -p "$falcond" &
strace=$!
sleep 1
taskset -c 1 "$bin/examples/falcon-bench" load --address "$address" --seconds "$seconds" >"$dir/figures"
kill -TERM "$strace"
wait "$strace" || true

cat "$dir/calls"
calls=$(awk '$NF == "total" { print $4 }' "$dir/calls")
cycles=$(jobs_in_all "$dir/figures")
awk -v calls="$calls" -v cycles="$cycles" 'BEGIN { printf "%d calls, %d cycles: %.2f a cycle\n", calls, cycles, calls / cycles }'
