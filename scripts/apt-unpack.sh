#!/usr/bin/env bash
# Unpacks Debian packages into a folder, without root and without changing the system.
#
#   apt-unpack.sh [--release CODENAME] DEST PACKAGE...
#
# The packages come from the archives this machine's own apt trusts, checked by apt's signed index;
# with --release from that release in the same archive, checked by the Debian archive's keys.
# Lists and archives live in a temporary folder, so a machine without any lists works too, and
# nothing is installed or started. DEST appears whole or not at all; if it is there, nothing is done.
# DEST/.packages names each package with its version.
set -euo pipefail

release=
if [ "${1:-}" = --release ]; then
    release=${2:-}
    shift 2
fi
[ $# -ge 2 ] || { echo "usage: apt-unpack.sh [--release CODENAME] DEST PACKAGE..." >&2; exit 2; }
dest=$1
shift
[ ! -e "$dest/.packages" ] || exit 0

for tool in apt-get dpkg-deb; do
    command -v "$tool" >/dev/null || {
        echo "apt-unpack: $tool is not here; this needs Debian or a relative of it, to fetch: $*" >&2
        exit 1
    }
done

mkdir -p "$(dirname "$dest")"
work=$(mktemp -d "$dest.XXXXXX")
trap 'rm -rf "$work"' EXIT
mkdir -p "$work"/{root,archives/partial,state/lists/partial}

# Read after the machine's own configuration, which may hold a proxy or credentials and stays in
# force; its hooks must not run here, since they may clean up the machine's real cache.
cat >"$work/apt.conf" <<CONF
#clear APT::Update::Post-Invoke;
#clear APT::Update::Post-Invoke-Success;
#clear DPkg::Post-Invoke;
Dir::Cache "$work";
Dir::Cache::pkgcache "";
Dir::Cache::srcpkgcache "";
APT::Sandbox::User "$(id -un)";
Acquire::Languages "none";
Acquire::Retries "3";
CONF
private=(-o "Dir::State=$work/state" -o "Dir::State::status=/dev/null")

download() {
    (cd "$work/archives" && apt-get -c "$work/apt.conf" "$@" -qq download "${packages[@]}") >"$work/log" 2>&1
}

if [ -n "$release" ]; then
    mirror=$("$(dirname "${BASH_SOURCE[0]}")/debian-mirror.sh")
    keyring=/usr/share/keyrings/debian-archive-keyring.gpg
    echo "deb [signed-by=$keyring] $mirror $release main" >"$work/sources.list"
    private+=(-o "Dir::Etc::SourceList=$work/sources.list" -o "Dir::Etc::SourceParts=-")
fi

packages=("$@")
if [ -n "$release" ] || ! download; then
    # No lists on this machine, or they name versions the archive no longer has.
    if ! apt-get -c "$work/apt.conf" "${private[@]}" -qq update >"$work/update.log" 2>&1; then
        # One archive of several that fails is no reason to stop: the download below decides.
        sed 's/^/apt-unpack: apt: /' "$work/update.log" >&2
    fi
    rm -f "$work"/archives/*.deb
    download "${private[@]}" || {
        sed 's/^/apt-unpack: apt: /' "$work/log" >&2
        echo "apt-unpack: could not download: ${packages[*]}" >&2
        exit 1
    }
fi

for deb in "$work"/archives/*.deb; do
    dpkg-deb -x "$deb" "$work/root"
    # shellcheck disable=SC2016  # the dollar is dpkg's
    dpkg-deb --show --showformat='${Package} ${Version}\n' "$deb" >>"$work/root/.packages"
done
chmod 755 "$work/root"

# Somebody else may have finished first; theirs is as good as ours.
mv -T "$work/root" "$dest" 2>/dev/null || [ -e "$dest/.packages" ]
