#!/usr/bin/env bash
# Counts the bytes that falcond copies in user space for a job, with valgrind's dhat:
#
#   bench/copies.sh [SECONDS] [PAYLOAD_BYTES…]
#
# 2+2 connections; payloads of 64 KiB and 1 MiB where none are given. Copied is what goes through memcpy and memmove, from
# the daemon's start to its end: payloads, and all else (frames, records, index). The kernel's own copies do not count.
set -euo pipefail
cd "$(dirname "$0")/.."
. bench/start.sh
seconds=${1:-10}
shift || true
[ $# -gt 0 ] || set -- 65536 1048576
need valgrind
said=$(mktemp)

for payload in "$@"; do
    start_falcond valgrind --tool=dhat --mode=copy --dhat-out-file=/dev/null --log-file="$said"
    "$bin/examples/falcon-bench" load --address "$address" --producers 2 --workers 2 \
        --payload-bytes "$payload" --seconds "$seconds" >"$dir/figures"
    stop_falcond
    copied=$(sed -n 's/.*Total: *\([0-9,]*\) bytes.*/\1/p' "$said" | tr -d ,)
    [ -n "$copied" ] || { echo "$name: valgrind counted nothing; $said says why" >&2; exit 70; }
    jobs=$(jobs_in_all "$dir/figures")
    awk -v copied="$copied" -v jobs="$jobs" -v payload="$payload" \
        'BEGIN { printf "payload of %d bytes: %.0f bytes copied, %d jobs: %.0f a job, %.3f of the payload\n", payload, copied, jobs, copied / jobs, copied / jobs / payload }'
    rm -rf "$dir"
done
