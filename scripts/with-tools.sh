#!/usr/bin/env bash
# Runs a command with the tools the build needs in reach; what is missing is fetched into the cache.
#
#   with-tools.sh COMMAND...
#
# The etcd client is generated from .proto files, so its build runs protoc and reads its includes.
# Where the machine has both (or PROTOC names one), nothing is done.
set -euo pipefail

scripts=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
cache=${XDG_CACHE_HOME:-$HOME/.cache}/aami

has_protoc() {
    local protoc
    protoc=$(command -v protoc) || return 1
    [ -e /usr/include/google/protobuf/descriptor.proto ] ||
        [ -e "$(dirname "$(readlink -f "$protoc")")/../include/google/protobuf/descriptor.proto" ]
}

if [ -z "${PROTOC:-}" ] && ! has_protoc; then
    tools=$cache/tools/protoc
    if [ ! -e "$tools/.packages" ]; then
        echo "fetching protoc into $tools (nothing is installed)" >&2
        # Its two libraries carry their ABI in their names, which differ between releases.
        fetch() { "$scripts/apt-unpack.sh" "$tools" protobuf-compiler libprotobuf-dev "$@"; }
        fetch libprotoc32 libprotobuf32 2>/dev/null || fetch libprotoc32t64 libprotobuf32t64 2>/dev/null ||
            fetch libprotoc23 libprotobuf23
    fi
    # prost runs the file PROTOC names, so the library path has to be inside it.
    if [ ! -x "$tools/protoc" ]; then
        cat >"$tools/protoc.$$" <<'WRAPPER'
#!/bin/sh
here=$(dirname "$(readlink -f "$0")")
for lib in "$here"/usr/lib/*/libprotobuf.so.*; do break; done
LD_LIBRARY_PATH=$(dirname "$lib") exec "$here/usr/bin/protoc" "$@"
WRAPPER
        chmod 755 "$tools/protoc.$$"
        mv "$tools/protoc.$$" "$tools/protoc"
    fi
    export PROTOC=$tools/protoc PROTOC_INCLUDE=$tools/usr/include
fi

exec "$@"
