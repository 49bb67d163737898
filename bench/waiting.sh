#!/usr/bin/env bash
# What a job costs falcond at 50 producers and 50 workers while many others wait, in groups, without and with limits:
#
#   bench/waiting.sh [WAITING…]                  # 1000 1000000 10000000; ten minutes, 25 GB of disk, 5 GB of memory
#   SYNC=never GROUPS_OF="0 1000" ROUNDS=3 SECONDS_EACH=5 NICE=-10 bench/waiting.sh 1000000
#
# Each number of jobs and of groups has a falcond of its own, in which they are put first, and a snapshot is taken. One
# round goes through all of them, without and with limits that hold nobody up, so that a busy moment of the machine hits
# all. They are pinned to core 0, the load to core 1. A line for each run: processor time of the server for a job
# submitted and one acked, rates of both, how busy both cores were, how many jobs waited at its end; medians at the end.
set -euo pipefail
cd "$(dirname "$0")/.."
bin=$(tools/built.sh --release --bin falcond --bin falcon-cli --example falcon-bench)
[ $# -gt 0 ] || set -- 1000 1000000 10000000
rounds=${ROUNDS:-5} seconds=${SECONDS_EACH:-3}
limits=(--running-max 1000000 --group-running-max 1000 --group-rate 1000000/s --rate 1000000/s)
none=(--running-max default --group-running-max default --group-rate default --rate default)
dir=$(mktemp -d)
declare -A falcond address sent
trap 'for pid in "${falcond[@]}"; do kill "$pid"; done; wait; rm -rf "$dir"' EXIT

load() {
    taskset -c 1 nice -n "${NICE:-0}" "$bin/examples/falcon-bench" load \
        --address "${address[$place]}" --groups "$groups" "$@"
}

sent_in() { sed -n 's/.*"jobs_in_all": \([0-9]*\).*/\1/p' "$1"; }

begin() {
    mkdir "$dir/$place"
    taskset -c 0 nice -n "${NICE:-0}" "$bin/falcond" --data-dir "$dir/$place/data" \
        --listen 127.0.0.1:0 --sync "${SYNC:-always}" >"$dir/$place/said" 2>"$dir/$place/errors" &
    falcond[$place]=$!
    address[$place]=
    while [ -z "${address[$place]}" ]; do
        sleep 0.1
        address[$place]=$(sed -n 's/^listening on //p' "$dir/$place/said")
    done
    load --producers 4 --workers 0 --open 4 --batch 256 --warmup 0 --jobs "$waiting" >"$dir/filled"
    sent[$place]=$(sent_in "$dir/filled")
    "$bin/falcon-cli" --master "${address[$place]}" snapshot >"$dir/snapshot"
}

run() {
    local way=$1 cli=("$bin/falcon-cli" --master "${address[$place]}")
    shift
    "${cli[@]}" queue set q "$@" >"$dir/set"
    load --pid "${falcond[$place]}" --waiting "${sent[$place]}" --seconds "$seconds" >"$dir/run"
    sent[$place]=$(sent_in "$dir/run")
    "${cli[@]}" --output json stats >"$dir/stats"
    python3 - "$waiting" "$groups" "$way" "$dir" <<'PY'
import json, sys
waiting, groups, way, place = sys.argv[1:]
run, totals = json.load(open(f"{place}/run")), json.load(open(f"{place}/stats"))["totals"]
jobs = (run["submits_per_s"] + run["cycles_per_s"]) / 2
print(f"{waiting:>9} {groups:>8} {way:>6}: {run['server_core'] * 1e6 / jobs:6.2f} us a job  "
      f"{run['submits_per_s']:6.0f} submits/s {run['cycles_per_s']:6.0f} acks/s  "
      f"cores {run['server_core']:.2f} {run['generator_core']:.2f}  {totals['pending']} wait", flush=True)
PY
}

each() {
    for waiting in "${all_waiting[@]}"; do
        for groups in ${GROUPS_OF:-0 1000 1000000}; do
            place=$waiting-$groups
            "$@"
        done
    done
}

both() {
    run none "${none[@]}"
    run limits "${limits[@]}"
}

all_waiting=("$@")
each begin
for _ in $(seq "$rounds"); do each both; done | tee "$dir/lines"
echo "waiting, groups: us a job without and with limits, medians of $rounds"
python3 - "$dir/lines" <<'PY'
import statistics, sys
runs = {}
for line in open(sys.argv[1]):
    waiting, groups, way, us = line.replace(":", "").split()[:4]
    runs.setdefault((waiting, groups), {}).setdefault(way, []).append(float(us))
for (waiting, groups), ways in runs.items():
    print(f"{waiting:>9} {groups:>8}: {statistics.median(ways['none']):6.2f} {statistics.median(ways['limits']):6.2f}")
PY
