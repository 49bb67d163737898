#!/usr/bin/env bash
# Compares FalconQueue with its peers in one run:
#
#   bench/compare.sh [--quick] SCENARIO… [--json FILE]
#
# `all` stands for all scenarios, in the order of their worth. Figures, pictures and tables go into
# bench/results/DATE-HOST/, those of --quick into target/bench/; --out DIR says otherwise. The other options are those of
# `falcon-bench compare --help`. What is measured, and how, is in bench/README.md.
set -euo pipefail
root=$(cd "$(dirname "$0")/.." && pwd)
caller=$PWD
cd "$root"

scenarios=(cycles-50 submits-50 cycles-1 latency-1 pipelined-50 batched-50 cycles-10 cycles-500 half-load drain long-drain
    steady-backlog payloads
    idle-10k backlog-10m under-snapshot restart memory slow-disk)

quick=
out=
arguments=()
while [ $# -gt 0 ]; do
    case "$1" in
        --quick) quick=1; arguments+=("$1") ;;
        --out) out=$2; shift ;;
        --json|--dir|--falcond)
            # Paths are the caller's, not the repository's.
            case "$2" in /*) path=$2 ;; *) path=$caller/$2 ;; esac
            arguments+=("$1" "$path"); shift ;;
        all) arguments+=("${scenarios[@]}") ;;
        *) arguments+=("$1") ;;
    esac
    shift
done
if [ ${#arguments[@]} -eq 0 ]; then
    sed -n '2,/^set/s/^# \{0,1\}//p' "bench/compare.sh" >&2
    exit 2
fi

# Installs the program of a Debian package where that may be done; a peer that is missing all the same is named by the run.
peer() {
    command -v "$1" >/dev/null && return
    [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null || return 0
    if [ -z "${updated:-}" ]; then
        apt-get update -q >&2 || true
        updated=1
    fi
    DEBIAN_FRONTEND=noninteractive apt-get install -qy --no-install-recommends "$2" >&2 || true
}
PATH=$PATH:/usr/sbin
peer redis-server redis-server
peer beanstalkd beanstalkd
peer nats-server nats-server
peer strace strace
peer taskset util-linux

bin=$(tools/built.sh --release --bin falcond --example falcon-bench)

if [ -z "$out" ]; then
    # The machine's kind, not its name.
    host=$(nproc)core-$(df --output=fstype "${TMPDIR:-/tmp}" | tail -n 1)
    out=bench/results/$(date +%F)-$host
    [ -z "$quick" ] || out=target/bench/$(date +%F)-$host
else
    case "$out" in /*) ;; *) out=$caller/$out ;; esac
fi

# Ten thousand connections on each side.
ulimit -n "$(ulimit -Hn)" || true
exec "$bin/examples/falcon-bench" compare --out "$out" "${arguments[@]}"
