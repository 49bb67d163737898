# Sourced by frameworks.sh. What is missing is installed: servers from Debian's packages, libraries below $built.
# shellcheck shell=bash disable=SC2154
policy=/usr/sbin/policy-rc.d
policy_kept=

# A package starts its service when it is installed, unless this program forbids it.
forbid_services() {
    policy_kept=$work/policy-rc.d
    if [ -e "$policy" ]; then cp -p "$policy" "$policy_kept"; fi
    printf '#!/bin/sh\nexit 101\n' >"$policy"
    chmod 755 "$policy"
}

allow_services() {
    [ -n "$policy_kept" ] || return 0
    if [ -e "$policy_kept" ]; then mv -f "$policy_kept" "$policy"; else rm -f "$policy"; fi
    policy_kept=
}

# package NAME: nothing where it may not be done; who needs it is skipped then.
package() {
    [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null || return 0
    if [ -z "${updated:-}" ]; then
        apt-get update -q >&2 || true
        updated=1
    fi
    forbid_services
    DEBIAN_FRONTEND=noninteractive apt-get install -qy --no-install-recommends "$@" >&2 || true
    allow_services
}

# has SERVER: whether it can be started.
has() {
    case $1 in
        falcond) bin=$(tools/built.sh --release --bin falcond --example falcon-pool-bench) ;;
        redis) command -v redis-server >/dev/null ;;
        postgres) postgres_programs >/dev/null ;;
        rabbitmq) [ -x /usr/lib/rabbitmq/bin/rabbitmq-server ] && command -v epmd >/dev/null ;;
    esac
}

get_server() {
    has "$1" && return
    case $1 in
        redis) package redis-server ;;
        postgres) package postgresql ;;
        rabbitmq) package rabbitmq-server ;;
    esac
    has "$1"
}

# The drivers are copied to where the libraries are: that is where node looks for them.
get_node_libraries() {
    command -v npm >/dev/null || package nodejs npm
    command -v npm >/dev/null || return 1
    cp bench/frameworks/*.mjs "$built/"
    if cmp -s bench/frameworks/package-lock.json "$built/package-lock.json" && [ -e "$built/complete" ]; then
        return 0
    fi
    rm -f "$built/complete"
    cp bench/frameworks/package.json bench/frameworks/package-lock.json "$built/"
    (cd "$built" && npm ci --ignore-scripts --no-audit --no-fund) >&2 && touch "$built/complete"
}

get_python_libraries() {
    cp bench/frameworks/*.py "$built/"
    if cmp -s bench/frameworks/requirements.txt "$built/venv/complete"; then return 0; fi
    python3 -c 'import ensurepip' 2>/dev/null || package python3-venv
    python3 -m venv "$built/venv" >&2 || return 1
    "$built/venv/bin/pip" install -q -r bench/frameworks/requirements.txt >&2 || return 1
    cp bench/frameworks/requirements.txt "$built/venv/complete"
}
