#!/usr/bin/env bash
# Runs the three programs in a directory once around: a master starts, a job is submitted, worked and waited for, another
# one outlives the master's stop, and all end by SIGTERM.
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
    "$bin/falcond" --data-dir "$dir/data" --listen "$FALCON_MASTER" >"$dir/ready" 2>>"$dir/falcond.log" &
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

stop() {
    kill "$1"
    wait "$1" || fail "$2 ended with $?"
}

for program in falcond falcon-worker falcon-cli; do
    "$bin/$program" --version
done
start_master
waiting=$("$bin/falcon-cli" submit later 'it waits' --output quiet)
"$bin/falcon-worker" --queue now -- tr a-z A-Z 2>"$dir/worker.log" &
worker=$!
pids+=("$worker")
result=$(timeout 30 "$bin/falcon-cli" submit now 'done at once' --wait --output quiet)
[ "$result" = 'DONE AT ONCE' ] || fail "the result was ${result@Q}"
stop "$worker" "the worker"
stop "$master" "the master"

start_master
"$bin/falcon-cli" job show "$waiting" --output json | grep -q '"later"' || fail "job $waiting is lost"
env -u FALCON_MASTER "$bin/falcon-cli" wal verify "$dir/data" >"$dir/verified" || { cat "$dir/verified" >&2; fail "the log is not well"; }
stop "$master" "the master"
pids=()
echo "start, submit, work, wait, stop: as it should be"
