#!/usr/bin/env bash
# Builds the node's binary: one static file that runs on any Linux of its architecture.
#
#   build-agent.sh [amd64|arm64]...      (default: this machine's)
#
# Leaves target/dist/ARCH/aami-agent and aami-agent.sha256 (`sha256sum` format). Its target folder is
# its own, so that building it never disturbs the builds that people wait for.
set -euo pipefail

cd "$(dirname "${BASH_SOURCE[0]}")/.."

host() {
    case $(uname -m) in
        x86_64) echo amd64 ;;
        aarch64) echo arm64 ;;
        *) echo "build-agent: no agent is built for $(uname -m)" >&2; return 1 ;;
    esac
}
here=$(host)

build() {
    local arch=$1 cpu triple var cc out size
    case $arch in
        amd64) cpu=x86_64 ;;
        arm64) cpu=aarch64 ;;
        *) echo "build-agent: no agent is built for $arch (amd64 and arm64 are)" >&2; exit 2 ;;
    esac
    triple=$cpu-unknown-linux-musl
    var=${triple//-/_}

    # Rust brings its own musl and its own start files; only the standard library of the target is needed.
    if [ ! -d "$(rustc --print sysroot)/lib/rustlib/$triple/lib" ]; then
        if ! command -v rustup >/dev/null; then
            echo "build-agent: the Rust target $triple is not installed and rustup is not here to add it" >&2
            exit 1
        fi
        rustup target add "$triple"
    fi

    # The C in the cryptography library needs no libc, only a compiler for the CPU: where musl-gcc is
    # missing, the plain one does, as long as it emits no calls that only glibc answers.
    local -a env=()
    cc=CC_$var
    if [ -z "${!cc:-}" ]; then
        if [ "$arch" = "$here" ]; then
            command -v musl-gcc >/dev/null || env+=("$cc=cc" "CFLAGS_$var=-U_FORTIFY_SOURCE -fno-stack-protector")
        else
            command -v "$cpu-linux-gnu-gcc" >/dev/null || {
                echo "build-agent: the agent for $arch needs a C compiler for it: install gcc-$cpu-linux-gnu libc6-dev-$arch-cross" >&2
                exit 1
            }
            env+=("$cc=$cpu-linux-gnu-gcc" "CFLAGS_$var=-U_FORTIFY_SOURCE -fno-stack-protector"
                "CARGO_TARGET_${var^^}_LINKER=rust-lld")
        fi
    fi

    env "${env[@]}" cargo build ${CI:+--locked} --package aami-agent --profile dist --target "$triple" --target-dir target/agent

    out=target/dist/$arch
    mkdir -p "$out"
    if ! cmp -s "target/agent/$triple/dist/aami-agent" "$out/aami-agent"; then
        install -m 755 "target/agent/$triple/dist/aami-agent" "$out/aami-agent.new"
        mv "$out/aami-agent.new" "$out/aami-agent"
    fi
    (cd "$out" && sha256sum aami-agent >aami-agent.sha256)
    size=$(stat -c %s "$out/aami-agent")
    echo "agent: $out/aami-agent, $((size / 1024)) KiB"
    # Every node downloads it, some over thin lines.
    [ "$size" -lt $((10 * 1000 * 1000)) ] || { echo "build-agent: the agent has to stay under 10 MB" >&2; exit 1; }
    # A dynamic one would start here and nowhere else.
    if head -c 4096 "$out/aami-agent" | grep --quiet --text 'ld-.*\.so'; then
        echo "build-agent: the agent is not static" >&2
        exit 1
    fi
}

[ $# -gt 0 ] || set -- "$here"
for arch in "$@"; do
    build "$arch"
done
