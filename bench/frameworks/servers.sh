# Sourced by frameworks.sh. Each start_SERVER brings up a server of its own in the empty directory $dir, on a free port
# of 127.0.0.1, and sets `address`; `pids` has what is to be ended, in this order.
# shellcheck shell=bash disable=SC2034,SC2154
pids=()
address=

free_port() {
    python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'
}

# answers PORT: waits until somebody listens there, or the server is gone.
answers() {
    local _
    for _ in $(seq 600); do
        if (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null; then return 0; fi
        kill -0 "${pids[0]}" 2>/dev/null || return 1
        sleep 0.1
    done
    return 1
}

start_falcond() {
    local _
    "$bin/falcond" --data-dir "$dir/data" --listen 127.0.0.1:0 >"$dir/said" 2>"$dir/log" &
    pids=($!)
    for _ in $(seq 200); do
        address=$(sed -n 's/^listening on //p' "$dir/said")
        [ -z "$address" ] || return 0
        sleep 0.05
    done
    return 1
}

# The log is never rewritten and no snapshot is made while it is measured.
start_redis() {
    local port
    port=$(free_port)
    redis-server --port "$port" --bind 127.0.0.1 --dir "$dir" --save '' \
        --appendonly yes --appendfsync everysec --auto-aof-rewrite-percentage 0 >"$dir/log" 2>&1 &
    pids=($!)
    address=127.0.0.1:$port
    answers "$port"
}

# The programs are not in PATH where Debian has them.
postgres_programs() {
    local place
    for place in $(ls -rvd /usr/lib/postgresql/*/bin 2>/dev/null) "$(dirname "$(command -v initdb || echo /none/)")"; do
        if [ -x "$place/initdb" ]; then
            echo "$place"
            return 0
        fi
    done
    return 1
}

# PostgreSQL refuses to run as root.
as_postgres() {
    if [ "$(id -u)" = 0 ]; then runuser -u postgres -- "$@"; else "$@"; fi
}

start_postgres() {
    local port programs data=$dir/data
    port=$(free_port)
    programs=$(postgres_programs) || return 1
    chmod 755 "$dir"
    mkdir "$data"
    if [ "$(id -u)" = 0 ]; then chown postgres "$data"; fi
    as_postgres "$programs/initdb" -D "$data" -U postgres -A trust >"$dir/log" 2>&1 || return 1
    as_postgres "$programs/pg_ctl" -D "$data" -l "$data/log" -w -t 60 start >>"$dir/log" 2>&1 \
        -o "-p $port -c listen_addresses=127.0.0.1 -c unix_socket_directories=$data" || return 1
    pids=("$(head -n 1 "$data/postmaster.pid")")
    address=127.0.0.1:$port
}

# The port mapper is one of our own, too: it would be left behind otherwise.
start_rabbitmq() {
    local port names
    port=$(free_port)
    names=$(free_port)
    printf 'listeners.tcp.1 = 127.0.0.1:%s\n' "$port" >"$dir/rabbitmq.conf"
    printf '[].\n' >"$dir/plugins"
    epmd -port "$names" -address 127.0.0.1 >"$dir/epmd" 2>&1 &
    local mapper=$!
    pids=("$mapper")
    answers "$names" || return 1
    # The distribution listens on one address as well.
    env HOME="$dir" ERL_EPMD_PORT="$names" ERL_EPMD_ADDRESS=127.0.0.1 \
        RABBITMQ_NODENAME=bench@localhost RABBITMQ_NODE_PORT="$port" RABBITMQ_DIST_PORT="$(free_port)" \
        RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS='-kernel inet_dist_use_interface {127,0,0,1}' \
        RABBITMQ_CONFIG_FILE="$dir/rabbitmq.conf" RABBITMQ_CONF_ENV_FILE="$dir/none" \
        RABBITMQ_ENABLED_PLUGINS_FILE="$dir/plugins" RABBITMQ_PID_FILE="$dir/pid" \
        RABBITMQ_MNESIA_BASE="$dir/mnesia" RABBITMQ_LOG_BASE="$dir/log" \
        /usr/lib/rabbitmq/bin/rabbitmq-server >"$dir/said" 2>&1 &
    pids=($! "$mapper")
    address=127.0.0.1:$port
    answers "$port" || return 1
    # The node itself, which ends in order when it is told; the script that started it follows.
    pids=("$(cat "$dir/pid")" "${pids[@]}")
}

# Ends what was started here, and nothing else. PostgreSQL takes SIGINT for "at once, but in order".
stop_server() {
    local pid _ signal=TERM
    [ "$1" != postgres ] || signal=INT
    for pid in "${pids[@]}"; do
        kill -s "$signal" "$pid" 2>/dev/null || continue
        for _ in $(seq 300); do
            kill -0 "$pid" 2>/dev/null || continue 2
            sleep 0.1
        done
        kill -s KILL "$pid" 2>/dev/null || true
    done
    pids=()
}
