#!/usr/bin/env bash
# What `falcon-worker --reuse` gives over a process for each job: jobs a second of handlers in Python, Node and shell, two
# processes each, and of `true` started for each job, in one run. Payloads of 100 bytes; ROUNDS rounds (3), medians.
set -euo pipefail
cd "$(dirname "$0")/.."
. bench/start.sh
need python3
need node
bin=$(tools/built.sh --release --bins)
rounds=${1:-3}
pin= start_falcond
export FALCON_MASTER=$address
lines=$dir/lines

# measure NAME JOBS WORKER…: the seconds from the worker's start until no job is left.
measure() {
    local name=$1 jobs=$2 begun worker
    shift 2
    python3 -c "print(('x' * 100 + '\n') * $jobs, end='')" >"$lines"
    "$bin/falcon-cli" --output quiet submit "$name" --lines "$lines" >"$dir/ids"
    begun=$(date +%s.%N)
    "$bin/falcon-worker" --queue "$name" --concurrency 2 "$@" 2>"$dir/worker" &
    worker=$!
    "$bin/falcon-cli" wait 2>"$dir/wait"
    echo "$name $jobs $begun $(date +%s.%N)" >>"$dir/figures"
    kill "$worker"
    wait "$worker"
}

for _ in $(seq "$rounds"); do
    measure python 60000 --reuse --open 32 -- python3 examples/handlers/shout.py
    measure node 60000 --reuse --open 32 -- node examples/handlers/shout.mjs
    measure shell 20000 --reuse --open 32 -- sh examples/handlers/count.sh
    measure process-each 4000 -- true
done
python3 - "$dir/figures" <<'PY'
import collections, statistics, sys

rates = collections.defaultdict(list)
for line in open(sys.argv[1]):
    name, jobs, begun, ended = line.split()
    rates[name].append(int(jobs) / (float(ended) - float(begun)))
each = statistics.median(rates["process-each"])
for name, all_rates in rates.items():
    median = statistics.median(all_rates)
    shown = " ".join(f"{rate:.0f}" for rate in all_rates)
    print(f"{name:14} {median:8.0f} jobs/s  {median / each:6.1f} x process-each  ({shown})")
PY
