#!/usr/bin/env bash
# Prints the URI of the Debian archive this machine's apt uses, so that other releases come from the same place.
#
# Reads one-line and deb822 sources. A mirror counts when it carries a Debian release's main suite.
set -euo pipefail

suites='bullseye|bookworm|trixie|forky|sid|oldoldstable|oldstable|stable|testing|unstable'
found=$(
    shopt -s nullglob
    for list in /etc/apt/sources.list /etc/apt/sources.list.d/*.list; do
        [ -r "$list" ] || continue
        # deb [options] URI suite components
        sed -n 's/^[[:space:]]*deb[[:space:]]\+\(\[[^]]*\][[:space:]]\+\)\?//p' "$list" |
            awk -v suites="^($suites)\$" '$2 ~ suites && $0 ~ / main/ { print $1 }'
    done
    for list in /etc/apt/sources.list.d/*.sources; do
        awk -v RS= -v suites="($suites)" '
            {
                uri = ""; fits = 0
                count = split($0, lines, "\n")
                for (i = 1; i <= count; i++) {
                    words = split(lines[i], word, /[ \t]+/)
                    if (tolower(word[1]) == "uris:") uri = word[2]
                    if (tolower(word[1]) == "suites:")
                        for (j = 2; j <= words; j++) if (word[j] ~ "^" suites "$") fits = 1
                }
                if (fits && uri != "") print uri
            }' "$list"
    done
)
mirror=${found%%$'\n'*}
[ -n "$mirror" ] || { echo "debian-mirror: this machine's apt sources name no Debian archive" >&2; exit 1; }
printf '%s\n' "$mirror"
