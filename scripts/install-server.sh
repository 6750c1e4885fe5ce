#!/bin/sh
# AAMI 0.1.0: installs the server from a release. Fetches the release, verifies its signature and every
# file, and runs `aami server install`; all else is there. Nothing happens before the last line has been read.
set -u

made_for=''
base=''
key=''
ca=''
sum_amd64=''
sum_arm64=''

failed() { :; } # a script that reports has its own

stop() { # exit code, symbol, sentence, hint, and what programs compare, as members of JSON
  failed "$@"
  printf 'error: %s [%s]\nhint: %s\n' "$3" "$2" "$4" >&2
  exit "$1"
}

fetch() { # URL, file: what broke off in the middle is continued
  tries=0
  while :; do
    fetch_once "$1" "$2"
    ended=$?
    case $ended in
      18 | 28 | 56 | 92) ;;
      33) rm -f "$2" ;;
      *) return "$ended" ;;
    esac
    tries=$((tries + 1))
    [ "$tries" -lt 4 ] || return "$ended"
  done
}

fetch_once() { # URL, file
  status=''
  if [ "${1#file://}" != "$1" ]; then
    [ -f "${1#file://}" ] || return 22
    cp "${1#file://}" "$2" || return 23
  elif command -v curl >/dev/null 2>&1; then
    begun=''
    [ ! -s "$2" ] || begun=yes
    set -- -fsSL --retry 3 --connect-timeout 15 --max-time 900 --max-filesize "$largest" -o "$2" "$1"
    [ -z "$begun" ] || set -- -C - "$@"
    [ -z "$ca_file" ] || set -- --cacert "$ca_file" "$@"
    [ -z "$pin" ] || set -- -k --pinnedpubkey "$pin" "$@"
    status=$(curl -w '%{http_code} %{http_connect}' "$@" </dev/null)
  elif command -v wget >/dev/null 2>&1; then
    [ -z "$pin" ] || stop 10 SERVER_NOT_TRUSTED 'wget cannot check a pin.' 'Install curl, or give the CA with --ca-file.'
    set -- -q -T 60 -O "$2" "$1"
    [ -z "$ca_file" ] || set -- "--ca-certificate=$ca_file" "$@"
    wget "$@" </dev/null
  else
    stop 1 TOOL_MISSING 'Neither curl nor wget is installed.' 'Install curl.'
  fi
}

answered() { # who: ends with what was answered in the place of a file, unless there simply is none
  case $status in
    407* | *' 407') stop 4 PROXY_AUTH 'The proxy asks for a password.' 'Put it into https_proxy (http://USER:PASSWORD@HOST:PORT).' ;;
    '' | 000* | 2* | 404* | 410*) ;;
    *) stop 1 DOWNLOAD_FAILED "$1 answers with the status ${status%% *}." 'Try again later; check the address and the proxy.' ;;
  esac
}

sha256() { # file
  if command -v sha256sum >/dev/null 2>&1; then sha256sum "$1" | cut -d' ' -f1
  elif command -v shasum >/dev/null 2>&1; then shasum -a 256 "$1" | cut -d' ' -f1
  elif command -v openssl >/dev/null 2>&1; then openssl dgst -sha256 -r "$1" | cut -d' ' -f1
  fi
}

room() { # a folder in which programs may be run
  for place in "${TMPDIR:-/tmp}" /var/tmp /root "$PWD"; do
    dir=$(mktemp -d "$place/aami.XXXXXX" 2>/dev/null) || continue
    printf '#!/bin/sh\nexit 7\n' 2>/dev/null >"$dir/try" && chmod 700 "$dir/try" && "$dir/try" 2>/dev/null
    if [ $? -eq 7 ]; then
      trap 'rm -rf "$dir"' EXIT
      trap 'exit 130' INT
      trap 'exit 143' TERM HUP
      return 0
    fi
    rm -rf "$dir"
  done
  stop 1 DISK_FULL 'No folder was found in which a program can be written and run.' 'Free some space, or set TMPDIR to a folder that is not mounted noexec.'
}
usage() {
  cat <<'HELP'
usage: install.sh [--version V] [--base-url URL] [--public-key KEY] [--ca-file FILE] [OPTION...]

  --version V       the release: a version, or latest       [the one this script was made for]
  --base-url URL    the web server or folder of the releases (https://, http:// or file://)
  --public-key KEY  who signs them, as minisign writes it    [the one in this script]
  --ca-file FILE    the CA of the web server's certificate, PEM

Every other option goes to `aami server install`; `aami server install --help` names them.
HELP
}

main() {
  umask 077
  wanted='' ca_file='' pin='' largest=1073741824
  base=${RELEASE_BASE_URL:-$base}
  count=$#
  while [ "$count" -gt 0 ]; do
    arg=$1 value=''
    shift
    count=$((count - 1))
    case $arg in
      --version=* | --base-url=* | --public-key=* | --ca-file=*) value=${arg#*=} arg=${arg%%=*} ;;
      --version | --base-url | --public-key | --ca-file)
        [ "$count" -gt 0 ] || stop 2 INVALID "$arg needs a value." 'See install.sh --help.'
        value=$1
        shift
        count=$((count - 1))
        ;;
    esac
    case $arg in
      --version) wanted=${value#v} ;;
      --base-url) base=$value ;;
      --public-key) key=$value ;;
      --ca-file) ca_file=$value ;;
      -h | --help) usage; exit 0 ;;
      *) set -- "$@" "$arg" ;;
    esac
  done
  base=${base%/}
  case $base in
    https://?* | http://?* | file:///?*) ;;
    '') stop 2 INVALID 'Where the releases are is not said.' 'Give it with --base-url https://HOST/PATH.' ;;
    *) stop 2 INVALID "$base is not an address of releases." 'Give --base-url https://HOST/PATH.' ;;
  esac
  case $(uname -m) in
    x86_64 | amd64) arch=amd64 pinned=$sum_amd64 ;;
    aarch64 | arm64) arch=arm64 pinned=$sum_arm64 ;;
    *) stop 5 ARCH_NOT_SUPPORTED "There is no AAMI for $(uname -m)." 'AAMI runs on amd64 and arm64.' ;;
  esac

  dir=''
  room
  if [ -n "$ca" ] && [ -z "$ca_file" ]; then
    ca_file=$dir/ca.pem
    printf '%s\n' "$ca" >"$ca_file" || stop 1 DISK_FULL 'The CA cannot be written.' "Free some space in $dir."
  fi
  [ -n "$wanted" ] || wanted=${made_for:-latest}
  if [ "$wanted" = latest ]; then
    fetch "$base/latest" "$dir/latest" || missing $? latest
    read -r wanted <"$dir/latest"
  fi
  case $wanted in
    '' | .* | -* | *[!0-9A-Za-z.+~-]*) stop 2 INVALID "$(printf %.40s "$wanted") is not a version." 'Give --version as the release is called, e.g. 0.1.0.' ;;
  esac

  release=$dir/release
  mkdir "$release" || stop 1 DISK_FULL 'The release cannot be written.' "Free some space in $dir."
  get SHA256SUMS
  get SHA256SUMS.minisig
  listed SHA256SUMS
  prove
  while read -r sum name; do
    case $name in
      *..*) ;;
      "$arch/aami") get_listed ;;
      */aami) ;;
      */aami-agent | components/*) get_listed ;;
    esac
  done <"$release/SHA256SUMS"
  [ -s "$release/$arch/aami" ] || no_program
  chmod 700 "$release/$arch/aami" || stop 1 DISK_FULL 'The program cannot be made ready.' "Look at $release."

  # A person who is there may be asked; a pipe is no person.
  if (: </dev/tty) 2>/dev/null; then
    "$release/$arch/aami" server install --release "$release" --public-key "$key" "$@" </dev/tty
  else
    "$release/$arch/aami" server install --release "$release" --public-key "$key" "$@" </dev/null
  fi
}

prove() { # the signature of the list of files, and that it is the version wanted
  [ -n "$key" ] || stop 10 VERIFIER_MISSING 'Who signs the releases is not said.' 'Give --public-key, or use the install.sh of the release itself.'
  if command -v minisign >/dev/null 2>&1; then
    said=$(minisign -Q -V -m "$release/SHA256SUMS" -P "$key" 2>/dev/null) ||
      stop 10 SIGNATURE_INVALID "The signature of SHA256SUMS in $base/$wanted does not hold." 'Do not install it. Fetch the release from the place that publishes it, and compare the public key.'
    [ "$said" = "aami $wanted" ] ||
      stop 10 RELEASE_MISMATCH "$base/$wanted is the release ${said#aami }, not $wanted." 'Check what the server has under that name.'
    return
  fi
  # The program that checks the signature is itself known by the checksum in this script.
  [ -n "$made_for" ] || stop 10 VERIFIER_MISSING 'The signature of the release cannot be checked here.' 'Install minisign, or use the install.sh of the release itself.'
  [ -n "$pinned" ] || no_program
  verifier=$release/$arch/aami
  [ "$wanted" = "$made_for" ] || verifier=$dir/verifier
  mkdir -p "$release/$arch"
  fetch "$base/$made_for/$arch/aami" "$verifier" || missing $? "$made_for/$arch/aami"
  same "$verifier" "$pinned" "$arch/aami of $made_for"
  chmod 700 "$verifier" || stop 1 DISK_FULL 'The program cannot be made ready.' "Look at $dir."
  "$verifier" release verify "$release" --public-key "$key" --version "$wanted" --partial </dev/null >/dev/null || exit $?
}

get() { # a file of the release
  case $1 in
    */*) mkdir -p "$release/${1%/*}" ;;
  esac
  fetch "$base/$wanted/$1" "$release/$1" || missing $? "$1"
}

get_listed() { # a file by the line `sum name` of the list
  [ -s "$release/$name" ] || get "$name"
  same "$release/$name" "$sum" "$name"
}

listed() { # a portal's page is no list; said before the signature is judged, since it is the better reason
  read -r sum name <"$release/$1"
  case $sum in
    *[!0-9a-f]* | '') stop 10 RELEASE_DAMAGED "$base/$wanted/$1 is not a list of checksums." 'Check whether a proxy or captive portal answers in the place of the server. Nothing was placed.' ;;
  esac
}

same() { # file, checksum, what it is called
  got=$(sha256 "$1")
  [ -n "$got" ] || stop 10 TOOL_MISSING 'The release cannot be verified: sha256sum, shasum and openssl are all missing.' 'Install coreutils.'
  [ "$got" = "$2" ] || stop 10 RELEASE_DAMAGED "$3 is not the file that was released: expected $2, got $got." 'Check whether a proxy or captive portal answers in the place of the server, then try again. Nothing was placed.'
}

no_program() {
  stop 5 ARCH_NOT_SUPPORTED "Release $wanted has no program for $arch." 'Check which architectures it was built for; another version may have it.'
}

missing() { # the downloader's exit code, what
  answered "$base"
  case $1 in
    23) stop 1 DISK_FULL "$2 cannot be written to $dir." 'Free some space, or set TMPDIR to a folder with more of it.' ;;
    51 | 60 | 77) stop 10 SERVER_NOT_TRUSTED "The certificate of $base cannot be trusted." 'Give its CA with --ca-file.' ;;
    22 | 8) case $2 in
      *.minisig) stop 10 SIGNATURE_MISSING "$base/$wanted has no signature: SHA256SUMS.minisig is missing." 'Fetch the release from the place that publishes it, with its signature.' ;;
      latest) stop 5 RELEASE_MISSING "$base/latest is missing." 'Say which release with --version.' ;;
      SHA256SUMS) stop 5 RELEASE_MISSING "There is no release $wanted at $base." 'Check --base-url and --version.' ;;
      *) stop 10 RELEASE_DAMAGED "$2 is missing at $base." 'Fetch the release again from the place that publishes it.' ;;
    esac ;;
    *) stop 1 DOWNLOAD_FAILED "$2 cannot be downloaded from $base (exit code $1)." 'Check the address, the proxy and the network, then run the same command again.' ;;
  esac
}

{ main "$@"; exit $?; }
