#!/usr/bin/env bash
# What a crowd costs those who work: 10,000 idle clients, 1,000 slow senders (a byte a second) and 1,000 calls a second
# by strangers, beside 50 producers and 50 workers. Rounds in pairs, without and with the crowd, on one master.
# usage: bench/crowd.sh [ROUNDS] [SECONDS]
set -euo pipefail
cd "$(dirname "$0")/.."
rounds=${1:-9} seconds=${2:-5}
bin=$(tools/built.sh --quiet --release --bin falcond --example falcon-bench)
dir=$(mktemp -d)
ulimit -n 20000
"$bin/falcond" --data-dir "$dir/data" --listen 127.0.0.1:0 >"$dir/out" 2>"$dir/err" &
master=$!
crowd=
# shellcheck disable=SC2329  # the trap calls it
leave() { [ -z "$crowd" ] || kill "$crowd" 2>/dev/null || true; kill "$master" 2>/dev/null || true; wait; rm -rf "$dir"; }
trap leave EXIT
until [ -s "$dir/out" ]; do sleep 0.05; done
address=$(sed -n 's/^listening on //p' "$dir/out")
load() {
    "$bin/examples/falcon-bench" load --address "$address" --seconds "$seconds" | python3 -c '
import json, sys
figures = json.load(sys.stdin)
print(*(round(figures[key]) for key in ("cycles_per_s", "submit_p99_us", "delivery_p99_us")))'
}
own() { awk '/RssAnon/ { print $2 }' "/proc/$master/status"; }
echo "KiB of own memory; cycles a second, p99 of a submit and of a delivery in microseconds; KiB afterwards"
for _ in $(seq "$rounds"); do
    echo "without $(own) $(load)"
    mkfifo "$dir/in"
    python3 bench/crowd.py "$address" 10000 1000 1000 <"$dir/in" >"$dir/crowd" &
    crowd=$!
    exec 3>"$dir/in"
    until grep -q ready "$dir/crowd"; do kill -0 "$crowd"; sleep 0.1; done
    echo "with    $(own) $(load) $(own)"
    exec 3>&-
    wait "$crowd"
    crowd=
    rm "$dir/in"
done
