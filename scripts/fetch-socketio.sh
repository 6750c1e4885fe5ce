#!/usr/bin/env bash
# Puts the socket.io server that `make bench` measures against into the download cache.
#
#   fetch-socketio.sh [DIR]        (default: ${XDG_CACHE_HOME:-~/.cache}/aami/tools/socket.io)
#
# npm installs exactly what package-lock.json names, each package by its checksum, and runs nothing of it. Where Node
# or npm is missing, this says so and ends well: the bench then measures without that peer.
set -euo pipefail

scripts=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
source=$scripts/../crates/aami-server/benches/links/socketio
dir=${1:-${XDG_CACHE_HOME:-$HOME/.cache}/aami/tools/socket.io}

for tool in node npm; do
    if ! command -v "$tool" >/dev/null; then
        echo "socket.io: $tool is not installed; the bench measures without this peer"
        exit 0
    fi
done

recipe=$(cat "$0" "$source/package.json" "$source/package-lock.json" | sha256sum | cut -c1-16)
if [ "$(cat "$dir/.recipe" 2>/dev/null)" = "$recipe" ]; then
    echo "socket.io: $dir (cached)"
    exit 0
fi

mkdir -p "$(dirname "$dir")"
work=$(mktemp -d "$dir.XXXXXX")
trap 'rm -rf "$work"' EXIT
cp "$source/package.json" "$source/package-lock.json" "$work/"
npm ci --prefix "$work" --ignore-scripts --omit=dev --no-audit --no-fund --loglevel=error >&2
echo "$recipe" >"$work/.recipe"
rm -rf "$dir"
mv -T "$work" "$dir"
echo "socket.io: $dir"
