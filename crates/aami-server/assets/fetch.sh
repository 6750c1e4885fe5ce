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
