#!/usr/bin/env bash
# What systemd itself says of the units: whether it understands each line, and how exposed the services are. The master
# has to stay at 2.0 or better. Nothing is installed: the units lie in a root of their own, with stand-ins for the
# programs that they start.
set -euo pipefail
cd "$(dirname "$0")"
command -v systemd-analyze >/dev/null || { echo "verify-units: systemd is missing" >&2; exit 1; }

root=$(mktemp -d)
trap 'rm -rf "$root"' EXIT
units=$root/usr/lib/systemd/system
mkdir -p "$units" "$root/usr/bin" "$root/bin"
cp systemd/falcond.service systemd/falcond.socket "$units"
cp systemd/falcon-worker@.service "$units/falcon-worker@mail.service"
for program in usr/bin/falcond usr/bin/falcon-worker bin/kill; do
    printf '#!/bin/sh\n' >"$root/$program"
    chmod 755 "$root/$program"
done
# What the units name and systemd has.
for unit in sysinit.target basic.target network.target multi-user.target sockets.target shutdown.target \
    system.slice -.slice; do
    for dir in /usr/lib/systemd/system /lib/systemd/system; do
        [ ! -e "$dir/$unit" ] || cp "$dir/$unit" "$units/"
    done
done

told=$(systemd-analyze verify --root="$root" --man=no \
    falcond.service falcond.socket falcon-worker@mail.service 2>&1) || { echo "$told" >&2; exit 1; }
[ -z "$told" ] || { echo "$told" >&2; exit 1; }
echo "systemd-analyze verify: clean"
for service in falcond.service:20 falcon-worker@.service:60; do
    systemd-analyze security --offline=true --no-pager --threshold="${service#*:}" "systemd/${service%:*}" | tail -n 1
done
systemd-sysusers --dry-run "$PWD/systemd/falconqueue.sysusers" >/dev/null 2>&1
echo "systemd-sysusers: understood"
