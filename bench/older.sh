# Sourced by what holds this tree against an older commit: unpacks `$rev` into a directory of its own, `$other`.
# shellcheck shell=bash disable=SC2154 # `rev` is set by who sources this.
other=target/against/$(git rev-parse --verify "$rev^{commit}")
if [ ! -e "$other" ]; then
    mkdir -p "$other"
    git archive "$rev" | tar -x -C "$other"
fi
