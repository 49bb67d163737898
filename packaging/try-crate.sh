#!/usr/bin/env bash
# Installs the programs from the packaged crate, as whoever takes it from a registry does, and runs the five lines of its
# README.md with them. Takes as long as a release build, the first time with all that the crate depends on.
#
#   packaging/try-crate.sh                  # packages first, what is not committed too
#   packaging/try-crate.sh FILE.crate       # one that is there
set -euo pipefail
root=$(realpath "$(dirname "$0")/..")
fail() { printf 'try-crate: %s\n' "$*" >&2; exit 1; }
step() { printf '\n== %s\n' "$*"; }

target=${CARGO_TARGET_DIR:-$root/target}
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
mkdir "$dir/unpacked" "$dir/installed" "$dir/work"

crate=${1:-}
if [ -z "$crate" ]; then
    step "packaging"
    cargo package --locked --no-verify --allow-dirty --manifest-path "$root/Cargo.toml" --target-dir "$dir/packaged"
    crate=$(echo "$dir"/packaged/package/falconqueue-*.crate)
fi
ls -l "$crate"
tar --extract --gzip --file "$crate" --directory "$dir/unpacked" --strip-components 1

step "installing"
CARGO_TARGET_DIR=$target cargo install --locked --path "$dir/unpacked" --root "$dir/installed" --no-track
installed=$(cd "$dir/installed/bin" && echo *)
[ "$installed" = "falcon-cli falcon-worker falcond" ] || fail "what is installed is: $installed"

step "the five lines"
lines=$(awk '/^```/ { inside = $0 == "```sh" ; next } inside' "$dir/unpacked/README.md")
grep -q '^falcond ' <<<"$lines" || fail "README.md has no lines that start a master"
printf '%s\n' "$lines"
# At the end both are told to stop, as README.md says, and have to end well.
cat >"$dir/lines" <<END
$lines
kill %1 %2
wait %1 && wait %2
END
export FALCON_MASTER=unix:$dir/falcond.sock
told=$(cd "$dir/work" && FALCOND_LISTEN=$FALCON_MASTER PATH=$dir/installed/bin:$PATH timeout 60 bash -e "$dir/lines") ||
    { tail -n 5 "$dir/work/falcond.log" >&2; fail "they do not work: $told"; }
printf '%s\n' "$told"
grep -q 'completed *7' <<<"$told" || fail "the job's result is not told"
for event in ENQUEUE DISPATCH ACK; do
    grep -q " $event " <<<"$told" || fail "the log does not tell of $event"
done

step "once around"
unset FALCON_MASTER
"$root/packaging/try-binaries.sh" "$dir/installed/bin"
