#!/usr/bin/env bash
# Builds what is released, for one target: an archive with the programs, and one with their debug lines, from which
# panics and profiles of the programs can be told by file and line.
#
#   packaging/release.sh                               # x86_64-unknown-linux-musl: static, for any Linux
#   packaging/release.sh x86_64-unknown-linux-gnu      # for a glibc like this host's
#
# Names and bytes depend on the sources, the compiler and the target alone: no path of this host, no date but the
# commit's. The archives lie in dist/ of cargo's target directory; the last line says where.
set -euo pipefail
cd "$(dirname "$0")/.."
target=${1:-x86_64-unknown-linux-musl}
fail() { printf 'release: %s\n' "$*" >&2; exit 1; }

# A program without debug lines, which names the file that has them; static, if its target says so.
shipped_well() {
    local program=$1 kind interpreter
    kind=$(readelf --file-header --program-headers --section-headers --wide "$program")
    ! grep -E '\.(debug_info|symtab)\b' <<<"$kind" || fail "$program is not stripped"
    grep -q '\.gnu_debuglink' <<<"$kind" || fail "$program does not name its debug lines"
    interpreter=$(grep -F 'Requesting program interpreter' <<<"$kind" || true)
    case $target in
        *-musl) [ -z "$interpreter" ] || fail "$program is not static: $interpreter" ;;
        *) [ -n "$interpreter" ] || fail "$program has no interpreter" ;;
    esac
}

rustup target list --installed | grep -qx "$target" || rustup target add "$target"
SOURCE_DATE_EPOCH=${SOURCE_DATE_EPOCH:-$(git log -1 --format=%ct)}
export SOURCE_DATE_EPOCH
cargo_home=${CARGO_HOME:-$HOME/.cargo}
sources="--remap-path-prefix=$PWD=/falconqueue --remap-path-prefix=$cargo_home=/cargo"
export RUSTFLAGS="${RUSTFLAGS:-} $sources"

bin=$(tools/built.sh --release --bins --target "$target")
version=$("$bin/falcond" --version | cut -d ' ' -f 2)
name=falconqueue-$version-$target
# The directory of the target is two above that of its programs.
dist=$(realpath "$bin/../..")/dist
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mkdir -p "$dist" "$work/$name/bin" "$work/$name-debug"

for program in falcond falcon-worker falcon-cli; do
    cp "$bin/$program" "$work/$name/bin/$program"
    debug=$work/$name-debug/$program.debug
    objcopy --only-keep-debug --compress-debug-sections=zlib "$bin/$program" "$debug"
    strip "$work/$name/bin/$program"
    (cd "$work/$name-debug" && objcopy --add-gnu-debuglink="$program.debug" "$work/$name/bin/$program")
    ! strings "$work/$name/bin/$program" | grep -F -e "$PWD/" -e "$cargo_home/" || fail "$program names paths of this host"
    shipped_well "$work/$name/bin/$program"
    readelf --section-headers --wide "$debug" | grep -q '\.debug_line' || fail "$debug has no debug lines"
done
cp README.md CHANGELOG.md LICENSE LICENSE-MIT LICENSE-APACHE protocol.md "$work/$name/"
mkdir "$work/$name/packaging"
cp -r packaging/systemd packaging/falcond.toml packaging/worker.env packaging/README.md "$work/$name/packaging/"
# Made on this host, for whatever target; what is built for it has nothing of the release's flags.
RUSTFLAGS='' cargo run --locked --quiet --example pages -- "$work/$name"

pack() {
    tar --create --directory "$work" --sort=name --owner=0 --group=0 --numeric-owner --mode=u=rwX,go=rX \
        --mtime="@$SOURCE_DATE_EPOCH" --format=ustar "$1" | gzip --best --no-name >"$dist/$1.tar.gz"
}
pack "$name"
pack "$name-debug"
# What is tried is what was packed, with nothing around it.
mkdir "$work/unpacked"
tar --extract --gzip --file "$dist/$name.tar.gz" --directory "$work/unpacked"
packaging/try-binaries.sh "$work/unpacked/$name/bin"
cd "$dist"
sha256sum "$name.tar.gz" "$name-debug.tar.gz" | tee "$name.sha256"
ls -l "$work/$name/bin" "$name"*.tar.gz
echo "$dist"
