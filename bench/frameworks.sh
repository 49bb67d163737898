#!/usr/bin/env bash
# Compares FalconQueue with job systems as programs use them, each with its own client library:
#
#   bench/frameworks.sh [--quick] [--only falconqueue,bullmq] [--rounds N] [--out FILE]
#
# Three rounds, or one with --quick and a tenth of the jobs. Each result is a line of JSON in the file
# (target/frameworks/DATE.jsonl unless told otherwise); a table of medians is printed at the end. What is missing is
# installed, what cannot be is named and left out; what fails is named, and makes the exit status 1. What is measured,
# and how, is in bench/frameworks/README.md.
set -euo pipefail
caller=$PWD
cd "$(dirname "$0")/.."
built=$PWD/target/frameworks
PATH=$PATH:/usr/sbin:/sbin

usage() {
    sed -n '2,/^set/s/^# \{0,1\}//p' bench/frameworks.sh >&2
    exit 2
}

all=(falconqueue rabbitmq-quorum bullmq graphile-worker celery)
quick=
only=
rounds=
out=
while [ $# -gt 0 ]; do
    case $1 in
        --quick) quick=1 ;;
        --only) only=${2?}; shift ;;
        --rounds) rounds=${2?}; shift ;;
        --out) out=${2?}; shift ;;
        *) usage ;;
    esac
    shift
done
[ -n "$rounds" ] || rounds=$([ -n "$quick" ] && echo 1 || echo 3)
mkdir -p "$built"
# A path is the caller's, not the repository's.
case $out in
    '') out=$built/$(date +%F-%H%M%S).jsonl ;;
    /*) ;;
    *) out=$caller/$out ;;
esac

work=$(mktemp -d)
chmod 755 "$work" # PostgreSQL runs as another user.
dir=$work
server=
running=
failed=0
. bench/frameworks/servers.sh
. bench/frameworks/install.sh

clean_up() {
    # A scenario ends its processes itself when it is told to end.
    if [ -n "$running" ]; then
        kill "$running" 2>/dev/null || true
        wait "$running" 2>/dev/null || true
    fi
    stop_server "$server"
    allow_services
    rm -rf "$work"
}
trap clean_up EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

# prepare FRAMEWORK: sets its server and its driver; false when it cannot be measured.
prepare() {
    driver=(node "$built/$1.mjs")
    case $1 in
        falconqueue) server=falcond driver=("${bin:-}/examples/falcon-pool-bench") ;;
        rabbitmq-quorum) server=rabbitmq ;;
        bullmq) server=redis ;;
        graphile-worker) server=postgres ;;
        celery) server=redis driver=("$built/venv/bin/python" "$built/celery_driver.py") ;;
        *) usage ;;
    esac
}

# install FRAMEWORK: says why when it cannot be measured.
install() {
    prepare "$1"
    if ! get_server "$server"; then
        echo "$1 is left out: there is no $server" >&2
        return 1
    fi
    case $1 in
        falconqueue) prepare "$1" ;;
        celery) get_python_libraries ;;
        *) get_node_libraries ;;
    esac && return
    echo "$1 is left out: ${driver[0]} or its libraries are missing" >&2
    return 1
}

# jobs FRAMEWORK SCENARIO: as many as take some seconds; deliveries are 200 a second for ten seconds.
jobs() {
    local count=200000
    case $1 in
        falconqueue) count=1000000 ;;
        bullmq|graphile-worker) count=100000 ;;
        celery) count=20000 ;;
    esac
    [ "$2" != delivery ] || count=2000
    [ -z "$quick" ] || count=$((count / 10))
    echo "$count"
}

measure() {
    echo "$1 $2" >&2
    SERVER=$address timeout -k 10 600 "${driver[@]}" "$2" "$(jobs "$1" "$2")" >"$dir/result" 2>"$dir/errors" &
    running=$!
    if wait "$running"; then
        tee -a "$out" <"$dir/result"
    else
        failed=1
        echo "$1 $2 failed:" >&2
        tail -n 20 "$dir/errors" >&2
    fi
    running=
}

# Each system has its server to itself, in an empty directory, and the machine as well.
round_of() {
    local scenario
    prepare "$1"
    dir=$(mktemp -d "$work/XXXXXX")
    if "start_$server"; then
        for scenario in prefilled at-once delivery; do
            measure "$1" "$scenario"
        done
    else
        failed=1
        echo "$1: $server did not start:" >&2
        find "$dir" -maxdepth 2 -name 'log*' -type f -exec tail -n 20 {} + >&2
    fi
    stop_server "$server"
    rm -rf "$dir"
}

chosen=()
IFS=, read -r -a wanted <<<"${only:-$(IFS=,; echo "${all[*]}")}"
for framework in "${wanted[@]}"; do
    if install "$framework"; then chosen+=("$framework"); fi
done
: >"$out"
for _ in $(seq "$rounds"); do
    for framework in "${chosen[@]}"; do round_of "$framework"; done
done
python3 bench/frameworks/table.py "$out"
echo "the figures are in $out" >&2
[ "$failed" = 0 ]
