#!/usr/bin/env bash
# Builds one of the two programs as one static file that runs on any Linux of its architecture.
#
#   build-static.sh aami|aami-agent [amd64|arm64]...      (default: this machine's)
#
# Leaves target/dist/ARCH/PROGRAM and PROGRAM.sha256 (`sha256sum` format). Its target folder is its own, so that
# building it never disturbs the builds that people wait for. With AAMI_STATIC_PROFILE=trial it is built fast instead
# of small, for tests, and left in target/trial/ARCH.
set -euo pipefail

cd "$(dirname "${BASH_SOURCE[0]}")/.."

profile=${AAMI_STATIC_PROFILE:-dist}
program=${1:-}
case $program in
    aami | aami-agent) shift ;;
    *) echo "usage: build-static.sh aami|aami-agent [amd64|arm64]..." >&2; exit 2 ;;
esac

host() {
    case $(uname -m) in
        x86_64) echo amd64 ;;
        aarch64) echo arm64 ;;
        *) echo "build-static: no program is built for $(uname -m)" >&2; return 1 ;;
    esac
}
here=$(host)

# Flags that lead a foreign compiler to musl's headers instead of glibc's. They are Debian's, unpacked into the cache;
# the library itself comes with Rust.
foreign_libc() { # cpu, architecture
    [ "$program" = aami ] || return 0
    local headers=${XDG_CACHE_HOME:-$HOME/.cache}/aami/tools/musl-dev-$2
    mkdir -p target
    # apt looks for packages of another architecture only when it is told of it.
    echo "APT::Architectures { \"$here\"; \"$2\"; };" >"target/apt-$2.conf"
    APT_CONFIG=$PWD/target/apt-$2.conf scripts/apt-unpack.sh "$headers" "musl-dev:$2" >&2 || {
        echo "build-static: aami for $2 needs musl's headers for it: the package musl-dev:$2" >&2
        return 1
    }
    echo " -nostdinc -isystem $headers/usr/include/$1-linux-musl -isystem $("$1-linux-gnu-gcc" -print-file-name=include)"
}

build() {
    local arch=$1 cpu triple var cc out size
    case $arch in
        amd64) cpu=x86_64 ;;
        arm64) cpu=aarch64 ;;
        *) echo "build-static: no program is built for $arch (amd64 and arm64 are)" >&2; exit 2 ;;
    esac
    triple=$cpu-unknown-linux-musl
    var=${triple//-/_}

    # Rust brings its own musl and its own start files; only the standard library of the target is needed.
    if [ ! -d "$(rustc --print sysroot)/lib/rustlib/$triple/lib" ]; then
        if ! command -v rustup >/dev/null; then
            echo "build-static: the Rust target $triple is not installed and rustup is not here to add it" >&2
            exit 1
        fi
        rustup target add "$triple"
    fi

    local -a env=()
    cc=CC_$var
    if [ -z "${!cc:-}" ]; then
        case $program-$arch in
            # The C in the cryptography library needs no libc, only a compiler for the CPU: where musl-gcc is
            # missing, the plain one does, as long as it emits no calls that only glibc answers.
            "aami-agent-$here")
                command -v musl-gcc >/dev/null || env+=("$cc=cc" "CFLAGS_$var=-U_FORTIFY_SOURCE -fno-stack-protector")
                ;;
            # SQLite and the allocator do need one.
            "aami-$here")
                command -v musl-gcc >/dev/null || {
                    echo "build-static: aami for $arch needs musl-gcc: install musl-tools" >&2
                    exit 1
                }
                ;;
            *)
                command -v "$cpu-linux-gnu-gcc" >/dev/null || {
                    echo "build-static: $program for $arch needs a C compiler for it: install gcc-$cpu-linux-gnu libc6-dev-$arch-cross" >&2
                    exit 1
                }
                env+=("$cc=$cpu-linux-gnu-gcc" "CARGO_TARGET_${var^^}_LINKER=rust-lld"
                    "CFLAGS_$var=-U_FORTIFY_SOURCE -fno-stack-protector$(foreign_libc "$cpu" "$arch")")
                ;;
        esac
    fi

    # What is said by `version`. The commit's own time, so that the same source gives the same bytes.
    if [ -z "${AAMI_COMMIT:-}" ] && git rev-parse --quiet --verify HEAD >/dev/null 2>&1; then
        env+=("AAMI_COMMIT=$(git rev-parse --short=12 HEAD)"
            "AAMI_BUILT=$(TZ=UTC0 git log -1 --date=format-local:%Y-%m-%dT%H:%M:%SZ --format=%cd)")
    fi

    env "${env[@]}" cargo build ${CI:+--locked} --package "$program" --profile "$profile" --target "$triple" --target-dir target/agent

    out=target/$profile/$arch
    mkdir -p "$out"
    if ! cmp -s "target/agent/$triple/$profile/$program" "$out/$program"; then
        install -m 755 "target/agent/$triple/$profile/$program" "$out/$program.new"
        mv "$out/$program.new" "$out/$program"
    fi
    (cd "$out" && sha256sum "$program" >"$program.sha256")
    size=$(stat -c %s "$out/$program")
    echo "$program: $out/$program, $((size / 1024)) KiB"
    # Every node downloads the agent, some over thin lines.
    [ "$program" = aami ] || [ "$size" -lt $((10 * 1000 * 1000)) ] || {
        echo "build-static: the agent has to stay under 10 MB" >&2
        exit 1
    }
    # A dynamic one would start here and nowhere else.
    if head -c 4096 "$out/$program" | grep --quiet --text 'ld-.*\.so'; then
        echo "build-static: $program is not static" >&2
        exit 1
    fi
}

[ $# -gt 0 ] || set -- "$here"
for arch in "$@"; do
    build "$arch"
done
