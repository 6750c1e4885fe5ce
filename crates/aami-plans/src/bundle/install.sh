#!/bin/sh
# Makes this machine a server from the folder this script lies in, an unpacked offline bundle of AAMI @VERSION@.
#
#   sudo sh install.sh --bundle-key KEY [options of `aami server install`]
#
# It needs no network. It knows the program beside it by its checksum and starts it; that one judges all the rest by
# the signature. The script itself is only as trustworthy as the way it came: `aami bundle verify` judges it, too.
set -eu

fail() { # sentence, hint, exit code
    printf 'error: %s\n hint: %s\n' "$1" "$2" >&2
    exit "$3"
}

# All of it is read before anything runs: a script that was cut short does nothing.
main() {
    here=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd)
    case $(uname -m) in
        x86_64 | amd64) arch=amd64 sum='@SHA256_AMD64@' ;;
        aarch64 | arm64) arch=arm64 sum='@SHA256_ARM64@' ;;
        *) arch=$(uname -m) sum='' ;;
    esac
    [ -n "$sum" ] || fail "this bundle has nothing for $arch: it is for @ARCHITECTURES@" \
        "Make one with \`aami bundle create --arch $arch\`." 5
    program=$here/$arch/aami
    got=$(sha256sum <"$program") || fail "$program cannot be read" "Unpack all of the bundle." 10
    got=${got%% *}
    [ "$got" = "$sum" ] || fail "$program was changed: expected SHA-256 $sum, got $got" "Unpack the bundle again." 10
    exec "$program" server install --offline "$here" "$@"
}

main "$@"
