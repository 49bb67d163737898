#!/usr/bin/env bash
# The main job on real input: a master and two workers run every job of examples/jobs.json, then one job for each
# source file of the project, which counts the lines of its file. Exits non-zero if a count is off.
# Everything is in a temporary directory, and everything that was started is stopped at the end.
set -euo pipefail
cd "$(dirname "$0")/.."

say() { printf '\n== %s\n' "$*"; }
fail() { printf 'demo: %s\n' "$*" >&2; exit 1; }

say "building"
# With the examples cargo builds the same as for tests, and takes what those have built.
bin=$(tools/built.sh --bins --examples)
dir=$(mktemp -d)
pids=()
stop() {
    for pid in "${pids[@]}"; do
        kill "$pid" 2>/dev/null || true
    done
    for pid in "${pids[@]}"; do
        wait "$pid" 2>/dev/null || true
    done
    rm -rf "$dir"
}
trap stop EXIT

say "starting a master"
"$bin/falcond" --data-dir "$dir/data" --listen 127.0.0.1:0 >"$dir/ready" 2>"$dir/falcond.log" &
pids+=($!)
for _ in $(seq 200); do
    grep -q '^listening on ' "$dir/ready" && break
    kill -0 "${pids[0]}" 2>/dev/null || { cat "$dir/falcond.log" >&2; fail "the master did not start"; }
    sleep 0.05
done
FALCON_MASTER=$(sed -n 's/^listening on //p' "$dir/ready")
export FALCON_MASTER
[ -n "$FALCON_MASTER" ] || fail "the master did not say where it listens"
echo "listening on $FALCON_MASTER"

say "submitting examples/jobs.json and one job per source file"
"$bin/falcon-cli" submit examples --file examples/jobs.json --wait >"$dir/examples" &
examples_wait=$!
pids+=($examples_wait)
find src -name '*.rs' | sort >"$dir/files"
"$bin/falcon-cli" submit lines --lines "$dir/files" --output quiet >"$dir/ids"
examples=$(grep -c '"id"' examples/jobs.json)
files=$(wc -l <"$dir/files")
jobs=$((examples + files))
[ "$(wc -l <"$dir/ids")" -eq "$files" ] || fail "not every line became a job"
echo "$files source files"

say "two workers"
for number in 1 2; do
    "$bin/falcon-worker" --name "demo-$number" --queue lines --queue examples --concurrency 2 \
        -- xargs -0 tools/demo-job.sh 2>"$dir/worker-$number.log" &
    pids+=($!)
done
"$bin/falcon-cli" wait --timeout 2m
# One of them is delayed to later, and was not waited for by that.
wait "$examples_wait" || fail "not every example was completed"
cat "$dir/examples"
"$bin/falcon-cli" stats

say "what the log says"
"$bin/falcon-cli" wal dump "$dir/data" >"$dir/dump"
awk '{ count[$4]++ } END { for (event in count) print count[event], event }' "$dir/dump" | sort -k2
last=$(tail -n 1 "$dir/ids")
echo "result of job $last ($(tail -n 1 "$dir/files")): $(grep " ACK .* job=$last " "$dir/dump" | sed 's/.*result=//')"

count() { awk -v event="$1" '$4 == event { n++ } END { print n + 0 }' "$dir/dump"; }
for event in ENQUEUE DISPATCH ACK; do
    [ "$(count "$event")" -eq "$jobs" ] || fail "$(count "$event") $event for $jobs jobs"
done
lines_counted=$(grep ' ACK ' "$dir/dump" | sed -n 's/.*result=\([0-9]*\) lines.*/\1/p' | awk '{ n += $1 } END { print n + 0 }')
lines_there=$(xargs cat <"$dir/files" | wc -l)
[ "$lines_counted" -eq "$lines_there" ] || fail "the jobs counted $lines_counted lines, there are $lines_there"
say "all $jobs jobs were submitted, dispatched and acked once; $lines_counted lines counted"
