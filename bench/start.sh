# Sourced: what the counts of a running daemon begin and end with. `start_falcond COMMAND…` runs falcond behind COMMAND, if
# any, on core 0 in a temporary directory; it sets $bin (what was built), $dir, $falcond (its process) and $address.
# `stop_falcond` ends it and waits; so does an exit.
name=$(basename "$0")

need() {
    command -v "$1" >/dev/null || { echo "$name: $1 is missing; install it (Debian: apt-get install $1)" >&2; exit 69; }
}

start_falcond() {
    bin=$(tools/built.sh --release --bin falcond --example falcon-bench)
    dir=$(mktemp -d)
    ${pin-taskset -c 0} "$@" "$bin/falcond" --data-dir "$dir/data" --listen 127.0.0.1:0 >"$dir/out" &
    falcond=$!
    trap 'stop_falcond; rm -rf "$dir"' EXIT
    for _ in $(seq 200); do
        address=$(sed -n 's/^listening on //p' "$dir/out")
        [ -z "$address" ] || return 0
        sleep 0.1
    done
    echo "$name: falcond did not listen within 20 s; what it said stands above" >&2
    exit 69
}

stop_falcond() {
    [ -n "$falcond" ] || return 0
    kill "$falcond" 2>/dev/null || true
    wait || true
    falcond=
}

# The number of jobs in the figures of `falcon-bench load`.
jobs_in_all() {
    sed -n 's/.*"jobs_in_all": \([0-9]*\).*/\1/p' "$1"
}
