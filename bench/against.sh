#!/usr/bin/env bash
# Holds this tree against an older commit, in paired rounds on one machine:
#
#   bench/against.sh [REV] [ROUNDS] [SECONDS]          # baseline 9 3
#   INSTRUCTIONS=1 bench/against.sh [REV]              # counted by valgrind instead
#
# Builds REV in a directory of its own below target/, and gives each side its own falcond and falcon-bench, so that the
# protocol may have changed between them. Old and new take turns in going first. A line for each scenario: medians of both,
# the median of the pairs' ratios (new over old), the ratios, microseconds of processor a job.
set -euo pipefail
cd "$(dirname "$0")/.."
rev=${1:-baseline}
rounds=${2:-9}
seconds=${3:-3}
. bench/older.sh
for tree in "$other" .; do
    (cd "$tree" && cargo build --locked --release --bin falcond --example falcon-bench --target-dir target)
done
dir=$(mktemp -d)
falcond=
trap '[ -z "$falcond" ] || kill "$falcond"; wait; rm -rf "$dir"' EXIT

# load TREE OUT COMMAND… -- LOAD…: one daemon behind COMMAND, one load; the figures go to OUT.
load() {
    local tree=$1/target/release out=$2 before=() address=
    shift 2
    while [ "$1" != -- ]; do before+=("$1"); shift; done
    shift
    rm -rf "$dir/data" "$dir/said"
    taskset -c 0 "${before[@]}" "$tree/falcond" --data-dir "$dir/data" --listen 127.0.0.1:0 >"$dir/said" 2>"$dir/errors" &
    falcond=$!
    for _ in $(seq 200); do
        # The daemon may not have begun yet.
        address=$(sed -n 's/^listening on //p' "$dir/said" 2>/dev/null || true)
        [ -z "$address" ] || break
        sleep 0.1
    done
    taskset -c 1 "$tree/examples/falcon-bench" load --address "$address" --pid "$falcond" --seconds "$seconds" "$@" >"$out"
    kill "$falcond"
    wait "$falcond" || true
    falcond=
}

paired() {
    local name=$1 figure=$2 round order side tree
    shift 2
    rm -f "$dir"/old.* "$dir"/new.*
    for round in $(seq "$rounds"); do
        order="old new"
        [ $((round % 2)) = 1 ] || order="new old"
        for side in $order; do
            tree=.
            [ "$side" = new ] || tree=$other
            load "$tree" "$dir/$side.$round" -- "$@"
        done
    done
    python3 - "$name" "$figure" "$dir" "$rounds" <<'PY'
import json, statistics, sys
name, figure, place, rounds = sys.argv[1:]
rounds = range(1, int(rounds) + 1)
old, new = ([json.load(open(f"{place}/{side}.{n}")) for n in rounds] for side in ("old", "new"))
ratios = [b[figure] / a[figure] for a, b in zip(old, new)]
cost = [statistics.median(x["server_us_a_job"] for x in side) for side in (old, new)]
both = [statistics.median(x[figure] for x in side) for side in (old, new)]
print(f"{name:14} {both[0]:9.0f} {both[1]:9.0f} {statistics.median(ratios):6.3f}  "
      f"{' '.join(f'{r:.2f}' for r in ratios)}  us a job {cost[0]:.2f} {cost[1]:.2f}", flush=True)
PY
}

# Instructions of user space, start and end of the daemon included: the same for both sides.
counted() {
    local name=$1 side tree jobs sum per=()
    shift 2
    for side in old new; do
        tree=.
        [ "$side" = new ] || tree=$other
        load "$tree" "$dir/$side" valgrind --tool=callgrind --callgrind-out-file="$dir/calls" -- "$@"
        jobs=$(sed -n 's/.*"jobs_in_all": \([0-9]*\).*/\1/p' "$dir/$side")
        sum=$(sed -n 's/^\(summary\|totals\): \([0-9]*\).*/\2/p' "$dir/calls" | head -n 1)
        per+=($((sum / jobs)))
    done
    awk -v name="$name" -v old="${per[0]}" -v new="${per[1]}" \
        'BEGIN { printf "%-14s %9d %9d %6.3f instructions a job\n", name, old, new, new / old }'
}

each() {
    "$1" cycles-50 cycles_per_s
    "$1" submits-50 submits_per_s --producers 50 --workers 0
    "$1" pipelined-50 cycles_per_s --open 16
    "$1" batched-50 cycles_per_s --batch 16
}

if [ -n "${INSTRUCTIONS:-}" ]; then each counted; else each paired; fi
