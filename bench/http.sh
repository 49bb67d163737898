#!/usr/bin/env bash
# What HTTP costs those who work: 50 producers and 50 workers at half of what they reach alone, in rounds of pairs on one
# master, without and with
#
#   bench/http.sh scrape [ROUNDS] [SECONDS]    # a scrape of /metrics each second, beside 9,999 queues with 1 M jobs,
#                                              # and a request that costs nothing in its place
#   bench/http.sh crowd [ROUNDS] [SECONDS]     # 500 event streams, and 10,000 wrong, half-open and slow requests, and the
#                                              # same crowd in front of another master that does nothing else
#   bench/http.sh idle [ROUNDS] [SECONDS]      # two masters at full load, one with an HTTP server that nobody asks
#
# The master is pinned to core 0, the load to core 1, and the crowd goes where there is room. A line for each run; the
# medians of the pairs at the end. QUEUES and JOBS make the first one smaller; with KEYED=yes its jobs have keys.
set -euo pipefail
cd "$(dirname "$0")/.."
what=${1:?scrape, crowd or idle} rounds=${2:-9} seconds=${3:-5}
bin=$(tools/built.sh --quiet --release --bin falcond --bin falcon-cli --example falcon-bench)
dir=$(mktemp -d)
ulimit -n 20000
pids=()
# shellcheck disable=SC2329  # the trap calls it
leave() { for pid in "${pids[@]}"; do kill "$pid" 2>/dev/null || true; done; wait; rm -rf "$dir"; }
trap leave EXIT

# begin NAME ARGS…: a master, whose address is then in $dir/NAME.at, that of HTTP in $dir/NAME.http
begin() {
    local name=$1
    shift
    taskset -c 0 nice -n "${NICE:-0}" "$bin/falcond" --data-dir "$dir/$name" --listen 127.0.0.1:0 --log info "$@" \
        >"$dir/$name.out" 2>"$dir/$name.err" &
    pids+=($!)
    echo $! >"$dir/$name.pid"
    until [ -s "$dir/$name.out" ]; do sleep 0.05; done
    sed -n 's/^listening on //p' "$dir/$name.out" >"$dir/$name.at"
    sed -n 's/.*answering HTTP on //p' "$dir/$name.err" >"$dir/$name.http"
}

# load NAME ARGS…: cycles a second, and the p99 of a submit and of a delivery in microseconds
load() {
    local name=$1
    shift
    taskset -c 1 nice -n "${NICE:-0}" "$bin/examples/falcon-bench" load --address "$(cat "$dir/$name.at")" \
        --pid "$(cat "$dir/$name.pid")" --seconds "$seconds" "$@" | python3 -c '
import json, sys
figures = json.load(sys.stdin)
print(*(round(figures[key]) for key in ("cycles_per_s", "submit_p99_us", "delivery_p99_us")), figures["server_core"])'
}

own_kib() { awk '/RssAnon/ { print $2 }' "/proc/$(cat "$dir/$1.pid")/status"; }

# ratios FILE [WAY [WAY]]: of the pairs of lines that begin with these words the medians of both, and of the ratios
ratios() {
    python3 - "$1" "${2:-without}" "${3:-with}" <<'PY'
import statistics, sys
path, *ways = sys.argv[1:]
rows = {way: [] for way in ways}
for line in open(path):
    way, *figures = line.split()
    rows.setdefault(way, []).append([float(figure) for figure in figures[:4]])
for at, name in enumerate(["cycles a second", "p99 of a submit, us", "p99 of a delivery, us", "cores of the master"]):
    pairs = [[row[at] for row in rows[way]] for way in ways]
    ratio = statistics.median(b / a for a, b in zip(*pairs))
    told = ", ".join(f"{statistics.median(row):.6g} {way}" for way, row in zip(ways, pairs))
    print(f"{name}: {told}, ratio {ratio:.3f}")
PY
}

# A line for half of what it reaches alone.
half_load() {
    half=$(load one | awk '{ print int($1 / 2) }')
    echo "half load: $half jobs a second" >&2
}

at_half() { echo "$1 $(load one --per-s "$half") $(own_kib one) KiB"; }

# The jobs, through HTTP, a thousand with each request.
fill() {
    python3 - "$(cat "$dir/one.http")" "${QUEUES:-9999}" "${JOBS:-1000000}" "${KEYED:-}" <<'PY'
import http.client, json, sys
address, queues, jobs, keyed = sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), sys.argv[4]
master = http.client.HTTPConnection(address, timeout=30)
for first in range(0, jobs, 1000):
    entries = [{"queue": f"q{job % queues:05d}", "payload": 1} for job in range(first, min(first + 1000, jobs))]
    for job, entry in enumerate(entries if keyed else [], first):
        entry["id"] = f"j{job}"
    master.request("POST", "/api/v1/jobs", json.dumps(entries), {"Content-Type": "application/json"})
    answer = master.getresponse()
    told = answer.read()
    if answer.status != 201:
        sys.exit(f"{answer.status}: {told[:300]}")
PY
}

# took PATH: seconds until an answer was there
took() { curl -s --max-time 30 -o "$dir/answer" -w '%{time_total}\n' "http://$(cat "$dir/one.http")$1"; }

# alone PATH: the same, with nothing else to do
alone() {
    for _ in $(seq 10); do took "$1"; done | sort -n |
        awk -v what="$1" '{ all[NR] = $1 } END { print what, "alone: median", all[int((NR + 1) / 2)], "s, longest", all[NR], "s" }'
    echo "$(wc -c <"$dir/answer") bytes"
}

# scraped WAY PATH: a run beside a request each second
scraped() {
    while sleep 1; do took "$2" >>"$dir/$1.times"; done &
    local helper=$!
    pids+=("$helper")
    at_half "$1"
    kill "$helper"
    wait "$helper" || true
    unset 'pids[-1]'
}

# crowded WAY NAME: a run beside a crowd in front of that master
crowded() {
    mkfifo "$dir/in"
    # In life it is on other machines.
    nice -n 19 python3 bench/http.py "$(cat "$dir/$2.http")" 500 10000 <"$dir/in" >"$dir/crowd" &
    local helper=$!
    pids+=("$helper")
    exec 3>"$dir/in"
    until grep -q ready "$dir/crowd"; do kill -0 "$helper"; sleep 0.1; done
    at_half "$1"
    exec 3>&-
    wait "$helper"
    tail -n 1 "$dir/crowd" >&2
    rm "$dir/in"
    unset 'pids[-1]'
}

case $what in
scrape)
    begin one --http 127.0.0.1:0
    fill
    alone /metrics
    # What a page asks for every other second.
    alone /api/v1/stats
    half_load
    for _ in $(seq "$rounds"); do
        at_half without
        scraped asked /healthz
        scraped with /metrics
    done | tee "$dir/lines"
    # What the asking itself takes of the two cores, what the scrape adds, and both.
    ratios "$dir/lines" without asked
    ratios "$dir/lines" asked with
    ratios "$dir/lines" without with
    sort -n "$dir/with.times" | awk '{ all[NR] = $1 } END { print "a scrape under load: median", all[int((NR + 1) / 2)], "s, longest", all[NR], "s, of", NR }'
    ;;
crowd)
    begin one --http 127.0.0.1:0
    begin other --http 127.0.0.1:0
    half_load
    for _ in $(seq "$rounds"); do
        at_half without
        crowded elsewhere other
        crowded with one
    done | tee "$dir/lines"
    # What the crowd itself takes of the two cores, what it adds that it is in front of this master, and both.
    ratios "$dir/lines" without elsewhere
    ratios "$dir/lines" elsewhere with
    ratios "$dir/lines" without with
    ;;
idle)
    begin without
    begin with --http 127.0.0.1:0
    for _ in $(seq "$rounds"); do
        for name in without with; do echo "$name $(load "$name")"; done
    done | tee "$dir/lines"
    ratios "$dir/lines"
    ;;
*)
    echo "$what: it is scrape, crowd or idle" >&2
    exit 2
    ;;
esac
