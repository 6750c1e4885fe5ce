#!/usr/bin/env bash
# Puts Prometheus, Alertmanager and node_exporter into the download cache for `aami up`.
#
#   fetch-components.sh [DIR]        (default: ${XDG_CACHE_HOME:-~/.cache}/aami/components)
#
# They are Debian's builds, taken from Debian's packages without installing them (no root, nothing
# started) and packed the way their publishers pack theirs:
#
#   DIR/prometheus-2.42.0.linux-amd64.tar.gz      one folder of the same name, the programs inside
#   DIR/components.toml                           a catalogue of just these: version, file, SHA-256
#
# The same packages give the same bytes. When DIR is complete, this prints where it is and ends.
set -euo pipefail

scripts=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
dir=${1:-${XDG_CACHE_HOME:-$HOME/.cache}/aami/components}

case $(uname -m) in
    x86_64) arch=amd64 ;;
    aarch64) arch=arm64 ;;
    *) echo "fetch-components: no component is built for $(uname -m)" >&2; exit 1 ;;
esac

# A change of this recipe makes the cache stale; a newer package alone does not.
recipe=$(cat "$0" "$scripts/apt-unpack.sh" | sha256sum | cut -c1-16)
if [ "$(cat "$dir/.recipe" 2>/dev/null)" = "$recipe" ]; then
    echo "components: $dir (cached)"
    exit 0
fi

echo "components: fetching Debian's prometheus, alertmanager and node_exporter into $dir" >&2
mkdir -p "$(dirname "$dir")"
work=$(mktemp -d "$dir.XXXXXX")
trap 'rm -rf "$work"' EXIT
"$scripts/apt-unpack.sh" "$work/root" prometheus prometheus-alertmanager prometheus-node-exporter
out=$work/out
mkdir "$out"

# pack NAME PACKAGE KIND PORT PROGRAM=SOURCE...: writes NAME-VERSION.linux-ARCH.tar.gz and its entry.
pack() {
    local name=$1 package=$2 kind=$3 port=$4 version stem file sha main program source programs=
    shift 4
    # 2.42.0+ds-5+deb12u1 is Debian's packaging of 2.42.0.
    version=$(awk -v p="$package" '$1 == p { sub(/[-+~].*/, "", $2); print $2 }' "$work/root/.packages")
    stem=$name-$version.linux-$arch
    file=$stem.tar.gz
    mkdir -p "$work/tree/$stem"
    for program in "$@"; do
        source=$work/root/${program#*=}
        cp -p "$source" "$work/tree/$stem/${program%%=*}"
        programs+="${programs:+, }${program%%=*} = \"$stem/${program%%=*}\""
    done
    cp -p "$work/root/usr/share/doc/$package/copyright" "$work/tree/$stem/LICENSE"
    main=$work/tree/$stem/${1%%=*}
    # Everything that could differ between two runs is pinned, so the checksum names the content.
    tar --create --directory "$work/tree" --sort=name --owner=0 --group=0 --numeric-owner \
        --mode=u+rwX,go+rX,go-w --mtime="@$(stat -c %Y "$main")" "$stem" | gzip -n -6 >"$out/$file"
    sha=$(sha256sum "$out/$file" | cut -d' ' -f1)
    cat >>"$out/components.toml" <<ENTRY

[[component]]
name = "$name"
version = "$version"
kind = "$kind"
license = "Apache-2.0"
ports = [$port]
archive = "tar.gz"

[component.build.$arch]
file = "$file"
sha256 = "$sha"
programs = { $programs }
ENTRY
}

cat >"$out/components.toml" <<'HEAD'
# Written by scripts/fetch-components.sh: what lies beside this file, ahead of the built-in catalogue.
format = 1
HEAD
pack node_exporter prometheus-node-exporter exporter 9100 node_exporter=usr/bin/prometheus-node-exporter
pack prometheus prometheus server 9090 prometheus=usr/bin/prometheus promtool=usr/bin/promtool
pack alertmanager prometheus-alertmanager server 9093 alertmanager=usr/bin/prometheus-alertmanager amtool=usr/bin/amtool
echo "$recipe" >"$out/.recipe"
chmod 755 "$out"

# A folder cannot be replaced in one step; the stale one is moved aside first. Two runs at once both
# bring the same content, so losing that race is no loss.
if [ -e "$dir" ]; then
    mv -T "$dir" "$work/stale" 2>/dev/null || true
fi
mv -T "$out" "$dir" 2>/dev/null || [ "$(cat "$dir/.recipe" 2>/dev/null)" = "$recipe" ]
echo "components: $dir"
