#!/usr/bin/env bash
# What `make test` and `make bench` need from the system to boot real nodes, and to build what runs on them.
#
#   prerequisites.sh [--machines]             names what is missing and how to get it; exit 1 if something is
#   prerequisites.sh [--machines] --install   installs it with apt-get (as root), and removes nothing for it
#
# --machines adds what whole virtual machines need, which `make test-full` alone starts.
#
# None of these starts a service. Everything else (engines, web server, root file systems) is unpacked
# into the cache and never installed.
set -euo pipefail

# program or file : the Debian package that brings it
needs=(
    "cc:gcc"
    "busybox:busybox"
    "curl:curl"
    "ip:iproute2"
    "mmdebstrap:mmdebstrap"
    "musl-gcc:musl-tools"
    "mkfs.ext4:e2fsprogs"
    "nft:nftables"
    "nsenter:util-linux"
    "systemd-nspawn:systemd-container"
    "wget:wget"
    "xz:xz-utils"
    "zstd:zstd"
    "/usr/share/keyrings/debian-archive-keyring.gpg:debian-archive-keyring"
    "/etc/ssl/certs/ca-certificates.crt:ca-certificates"
)

if [ "${1:-}" = --machines ]; then
    shift
    needs+=("qemu-img:qemu-utils" "qemu-system-x86_64:qemu-system-x86")
fi

# A user's PATH often lacks the folders that root's has.
PATH=$PATH:/usr/sbin:/sbin
missing=()
for need in "${needs[@]}"; do
    what=${need%%:*}
    case $what in
        /*) [ -e "$what" ] || missing+=("${need##*:}") ;;
        *) command -v "$what" >/dev/null || missing+=("${need##*:}") ;;
    esac
done
[ ${#missing[@]} -gt 0 ] || exit 0

if [ "${1:-}" != --install ]; then
    echo "Booting nodes needs packages that are not here. Install them with:" >&2
    echo "    sudo apt-get install --no-install-recommends ${missing[*]}" >&2
    exit 1
fi

command -v apt-get >/dev/null || { echo "prerequisites: no apt-get here to install: ${missing[*]}" >&2; exit 1; }
echo "installing: ${missing[*]}"
export DEBIAN_FRONTEND=noninteractive
install=(apt-get install --quiet --quiet --yes --no-remove --no-install-recommends "${missing[@]}")
"${install[@]}" >/dev/null 2>&1 || { apt-get update --quiet --quiet && "${install[@]}" >/dev/null; }
