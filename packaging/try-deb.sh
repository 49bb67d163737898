#!/usr/bin/env bash
# Takes the Debian package through its life in a Debian of its own: installed, started as its unit would, upgraded with a
# job waiting, removed, purged. Wants root, cargo-deb and debootstrap; takes some minutes, most of them for the build.
#
#   packaging/try-deb.sh              # builds the package first
#   packaging/try-deb.sh FILE.deb FILE-2.deb   # an older and a newer one that are there
#
# DEBIAN_SUITE and DEBIAN_MIRROR say what debootstrap takes, DEBIAN_ROOT a directory that it made before, to be copied.
#
# The Debian is a directory below TMPDIR, without systemd running in it. All that is started has namespaces of its own
# for processes, mounts and the network, and ends with them; the directory is removed.
set -euo pipefail
self=$(realpath "$0")
cd "$(dirname "$0")/.."
fail() { printf 'try-deb: %s\n' "$*" >&2; exit 1; }
step() { printf '\n== %s\n' "$*"; }

outside() {
    [ "$(id -u)" -eq 0 ] || fail "debootstrap and chroot want root"
    command -v debootstrap >/dev/null || fail "debootstrap is missing: apt-get install debootstrap"
    local dir
    dir=$(mktemp -d)
    # shellcheck disable=SC2064
    trap "rm -rf --one-file-system '$dir'" EXIT
    if [ $# -eq 2 ]; then
        cp "$1" "$dir/1.deb"
        cp "$2" "$dir/2.deb"
    else
        step "building"
        cargo run --locked --quiet --example pages -- packaging/pages
        cargo deb --locked --deb-revision 1 --output "$dir/1.deb"
        cargo deb --locked --deb-revision 2 --no-build --output "$dir/2.deb"
    fi
    step "a Debian"
    if [ -n "${DEBIAN_ROOT:-}" ]; then
        cp -a "$DEBIAN_ROOT" "$dir/root"
    else
        # shellcheck disable=SC2086
        timeout 600 debootstrap --variant=minbase --include=systemd "${DEBIAN_SUITE:-bookworm}" "$dir/root" \
            ${DEBIAN_MIRROR:-} >"$dir/debootstrap.log" ||
            { tail -n 5 "$dir/debootstrap.log" >&2; fail "debootstrap failed"; }
    fi
    mv "$dir/1.deb" "$dir/2.deb" "$dir/root/tmp/"
    timeout 300 unshare --mount --pid --net --fork --kill-child "$self" --inside "$dir/root"
    step "all as it should be"
}

# Files and directories, but for those of dpkg, of the users' accounts and of what runs.
files() {
    (cd "$root" && find . -xdev \( -path ./proc -o -path ./tmp -o -path ./var/lib/dpkg -o -path ./var/cache \
        -o -path ./var/log \) -prune -o -print | grep -v -E '^\./etc/(\.pwd\.lock|(passwd|group|shadow|gshadow)-?)$' |
        sort)
}

run() { chroot "$root" "$@"; }
has() { [ -e "$root$1" ] || fail "$1 is not there"; }
has_not() { [ ! -e "$root$1" ] || fail "$1 is still there"; }

# Runs what a unit starts, as its user, with this environment.
start() {
    local unit=$1 user=$2 line
    shift 2
    line=$(sed -n 's/^ExecStart=//p' "$root/usr/lib/systemd/system/$unit")
    # Else what the one before it said would be taken for its own word.
    : >"$root/tmp/$user.out"
    chroot "$root" setpriv --reuid "$user" --regid "$user" --init-groups --no-new-privs --bounding-set=-all \
        env "$@" sh -c "umask 077; exec $line" >"$root/tmp/$user.out" 2>"$root/tmp/$user.log" &
    started=$!
}

start_master() {
    start falcond.service falcond
    master=$started
    for _ in $(seq 200); do
        grep -q '^listening on ' "$root/tmp/falcond.out" && return
        kill -0 "$master" 2>/dev/null || break
        sleep 0.05
    done
    cat "$root/tmp/falcond.log" >&2
    fail "the master did not start"
}

stop() {
    kill "$1"
    wait "$1" || fail "it ended with $?"
}

cli() {
    timeout 30 chroot "$root" setpriv --reuid falcon-worker --regid falcon-worker --init-groups \
        env FALCON_MASTER=unix:/run/falcond/falcond.sock falcon-cli "$@"
}

# Runs a worker as its unit would until this job is done.
work() {
    start falcon-worker@.service falcon-worker FALCON_MASTER=unix:/run/falcond/falcond.sock \
        WORKER_OPTIONS='--queue mail' WORKER_COMMAND='/usr/bin/wc -c'
    cli wait "$1" || fail "job $1 was not done"
    stop "$started"
}

inside() {
    root=$1
    mount -t proc proc "$root/proc"
    ip link set lo up
    files >"$root/tmp/before"

    step "installing"
    run dpkg -i /tmp/1.deb
    run getent passwd falcond falcon-worker
    run id falcon-worker
    run stat -c '%A %U:%G %n' /var/lib/falcond /run/falcond /etc/falcon /etc/falcon/falcond.toml
    run falcond --config /etc/falcon/falcond.toml --check-config
    run dpkg-query -W -f '${Conffiles}\n' falconqueue
    for program in falcond falcon-worker falcon-cli; do
        has "/usr/share/bash-completion/completions/$program"
        has "/usr/share/zsh/vendor-completions/_$program"
        has "/usr/share/fish/vendor_completions.d/$program.fish"
    done
    pages=$(run dpkg -L falconqueue | grep -c '/man1/.*\.1\.gz$')
    [ "$pages" -ge 60 ] || fail "there are $pages man pages"

    step "a job is submitted and run, another one is left waiting"
    start_master
    stat -c '%A %U:%G %n' "$root/run/falcond/falcond.sock"
    done_job=$(cli submit mail 'a payload' --keep 1h --output quiet)
    work "$done_job"
    waiting_job=$(cli submit mail 'it waits' --keep 1h --output quiet)
    stop "$master"

    step "upgrading, with a setting that was changed by hand"
    echo '# by hand' >>"$root/etc/falcon/falcond.toml"
    run dpkg -i /tmp/2.deb
    grep -q '^# by hand$' "$root/etc/falcon/falcond.toml" || fail "the configuration was written over"
    start_master
    cli job list
    work "$waiting_job"
    stop "$master"

    step "removing"
    run dpkg -r falconqueue
    has /etc/falcon/falcond.toml
    has /var/lib/falcond
    [ -n "$(ls "$root/var/lib/falcond")" ] || fail "the jobs are gone"
    has_not /usr/bin/falcond
    has_not /run/falcond
    files >"$root/tmp/removed"
    echo "left:"
    comm -13 "$root/tmp/before" "$root/tmp/removed"

    step "installing again finds the jobs"
    run dpkg -i /tmp/2.deb >/dev/null
    start_master
    cli wait "$waiting_job" || fail "job $waiting_job is not known"
    stop "$master"

    step "purging"
    run dpkg -P falconqueue
    has_not /var/lib/falcond
    has_not /run/falcond
    has_not /etc/falcon
    files >"$root/tmp/purged"
    echo "left:"
    comm -13 "$root/tmp/before" "$root/tmp/purged"
    [ -z "$(comm -13 "$root/tmp/before" "$root/tmp/purged")" ] || fail "something is left"
}

if [ "${1:-}" = --inside ]; then
    inside "$2"
else
    outside "$@"
fi
