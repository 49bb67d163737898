#!/usr/bin/env bash
# What starting a command for each job costs, against an older commit, in paired rounds on one machine:
#
#   bench/worker-true.sh [REV] [ROUNDS] [JOBS]          # baseline 7 3000
#
# Jobs a second of `falcon-worker --concurrency 4 -- true`, from the worker's start until no job is left. Builds REV in a
# directory of its own below target/; each side has its own falcond. Old and new take turns in going first. A line for each
# round, then medians of both and the median of the pairs' ratios (new over old).
set -euo pipefail
cd "$(dirname "$0")/.."
rev=${1:-baseline}
rounds=${2:-7}
jobs=${3:-3000}
. bench/older.sh
for tree in "$other" .; do
    (cd "$tree" && cargo build --locked --release --bins --target-dir target)
done
dir=$(mktemp -d)
falcond=
trap '[ -z "$falcond" ] || kill "$falcond"; wait; rm -rf "$dir"' EXIT
seq "$jobs" >"$dir/lines"

# measure TREE: jobs a second, in $rate.
measure() {
    local bin=$1/target/release address='' begun worker
    rm -rf "$dir/data"
    : >"$dir/said"
    "$bin/falcond" --data-dir "$dir/data" --listen 127.0.0.1:0 >"$dir/said" 2>"$dir/errors" &
    falcond=$!
    for _ in $(seq 200); do
        address=$(sed -n 's/^listening on //p' "$dir/said")
        [ -z "$address" ] || break
        sleep 0.1
    done
    export FALCON_MASTER=$address
    "$bin/falcon-cli" --output quiet submit q --lines "$dir/lines" >"$dir/ids"
    begun=$(date +%s.%N)
    "$bin/falcon-worker" --queue q --concurrency 4 -- true 2>"$dir/worker" &
    worker=$!
    "$bin/falcon-cli" wait 2>"$dir/wait"
    rate=$(awk -v jobs="$jobs" -v begun="$begun" -v ended="$(date +%s.%N)" 'BEGIN { printf "%.0f", jobs / (ended - begun) }')
    kill "$worker"
    wait "$worker"
    kill "$falcond"
    wait "$falcond"
    falcond=
}

for round in $(seq "$rounds"); do
    order="old new"
    [ $((round % 2)) = 1 ] || order="new old"
    for side in $order; do
        tree=.
        [ "$side" = new ] || tree=$other
        measure "$tree"
        declare "$side=$rate"
    done
    echo "$old $new" >>"$dir/figures"
    echo "round $round: old $old jobs/s, new $new jobs/s"
done
python3 - "$dir/figures" <<'PY'
import statistics, sys
pairs = [tuple(map(float, line.split())) for line in open(sys.argv[1])]
old, new = (statistics.median(side) for side in zip(*pairs))
ratio = statistics.median(new / old for old, new in pairs)
print(f"medians: old {old:.0f} jobs/s, new {new:.0f} jobs/s; median of the pairs' ratios {ratio:.3f}")
PY
