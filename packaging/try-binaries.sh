#!/usr/bin/env bash
# Runs the three programs in a directory once around: a master starts and answers over HTTP, a job is submitted, worked
# and waited for, another one outlives the master's stop and is worked when it is back, and all end by SIGTERM. Needs bash
# and nothing else.
#
#   packaging/try-binaries.sh DIRECTORY
set -euo pipefail
bin=$(realpath "${1:?the directory of falcond, falcon-worker and falcon-cli}")
fail() { printf 'try-binaries: %s\n' "$*" >&2; exit 1; }

dir=$(mktemp -d)
pids=()
end() {
    for pid in "${pids[@]}"; do
        kill -9 "$pid" 2>/dev/null || true
    done
    rm -rf "$dir"
}
trap end EXIT
export FALCON_MASTER=unix:$dir/falcond.sock

start_master() {
    "$bin/falcond" --data-dir "$dir/data" --listen "$FALCON_MASTER" --http 127.0.0.1:0 \
        >"$dir/ready" 2>"$dir/falcond.log" &
    master=$!
    pids+=("$master")
    for _ in $(seq 200); do
        grep -q '^listening on ' "$dir/ready" && return
        kill -0 "$master" 2>/dev/null || break
        sleep 0.05
    done
    cat "$dir/falcond.log" >&2
    fail "the master did not start"
}

start_worker() {
    "$bin/falcon-worker" --queue "$1" -- tr a-z A-Z 2>"$dir/worker.log" &
    worker=$!
    pids+=("$worker")
}

# What the master answers over HTTP at a path, with its status line.
asked() {
    local port http
    port=$(sed -n 's/.* answering HTTP on 127\.0\.0\.1://p' "$dir/falcond.log")
    exec {http}<>"/dev/tcp/127.0.0.1/$port"
    printf 'GET %s HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n' "$1" >&"$http"
    timeout 10 cat <&"$http"
    exec {http}>&-
}

answers_over_http() {
    local path
    for path in /healthz /readyz; do
        asked "$path" >"$dir/http"
        grep -q '^HTTP/1.1 200 ' "$dir/http" || { cat "$dir/http" >&2; fail "$path is not answered"; }
    done
    asked /metrics >"$dir/http"
    grep -q '^falconqueue_' "$dir/http" || { cat "$dir/http" >&2; fail "there are no metrics"; }
}

stop() {
    kill "$1"
    wait "$1" || fail "$2 ended with $?"
}

for program in falcond falcon-worker falcon-cli; do
    "$bin/$program" --version
done
start_master
waiting=$("$bin/falcon-cli" submit later 'it waits' --keep 1h --output quiet)
answers_over_http
start_worker now
result=$(timeout 30 "$bin/falcon-cli" submit now 'done at once' --wait --output quiet)
[ "$result" = 'DONE AT ONCE' ] || fail "the result was ${result@Q}"
stop "$worker" "the worker"
stop "$master" "the master"

start_master
"$bin/falcon-cli" job show "$waiting" --output json | grep -q '"later"' || fail "job $waiting is lost"
answers_over_http
start_worker later
result=$(timeout 30 "$bin/falcon-cli" wait "$waiting" --output quiet) || fail "job $waiting was not done"
[ "$result" = 'IT WAITS' ] || fail "the result was ${result@Q}"
stop "$worker" "the worker"
env -u FALCON_MASTER "$bin/falcon-cli" wal verify "$dir/data" >"$dir/verified" || { cat "$dir/verified" >&2; fail "the log is not well"; }
acks=$(env -u FALCON_MASTER "$bin/falcon-cli" wal dump "$dir/data" --event ack | grep -c ACK)
[ "$acks" -eq 2 ] || fail "the log holds $acks acks of 2"
stop "$master" "the master"
pids=()
echo "start, HTTP, submit, work, wait, stop, restart: as it should be"
