#!/bin/sh
# AAMI 0.1.0: takes AAMI off this node. Fetches the agent, verifies it, runs it; all else
# is in the agent (`aami-agent uninstall --help`). Nothing happens before the last line has been read.
set -u

verb=uninstall
server=''
token=''
ca=''
sum_amd64=''
sum_arm64=''
url_amd64=''
url_arm64=''

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
# Who this machine is, nobody knows as yet: a script made for one node reports at these places.
begin() { :; }
step() { :; }
finish() { :; }
hand_over() { return 1; }
plain_elsewhere() { # a name may begin like a loopback address and lead anywhere
  [ -n "$plain" ] || stop 10 SERVER_NOT_TRUSTED "Nobody can tell who answers at $server." 'Use https://, or say --plain-http if you trust the network.'
}

main() {
  umask 077
  pin='' ca_file='' token_file='' plain='' on_argv='' largest=104857600
  count=$#
  while [ "$count" -gt 0 ]; do
    arg=$1 value=''
    shift
    count=$((count - 1))
    case $arg in
      --token=* | --server=* | --ca-file=* | --pin=* | --token-file=*) value=${arg#*=} arg=${arg%%=*} ;;
      --token | --server | --ca-file | --pin | --token-file)
        [ "$count" -gt 0 ] || stop 2 INVALID "$arg needs a value." "See \`aami-agent $verb --help\`."
        value=$1
        shift
        count=$((count - 1))
        ;;
    esac
    case $arg in
      --token) token=$value on_argv=yes ;;
      --server) server=${value%/} ;;
      --ca-file) ca_file=$value ;;
      --pin) pin=$value ;;
      --token-file) token_file=$value ;;
      --plain-http) plain=yes ;;
      *) set -- "$@" "$arg" ;;
    esac
  done
  installed=''
  case $verb in
    uninstall) installed=$(command -v aami-agent) ;;
    preflight) [ -n "$server" ] || installed=$(command -v aami-agent || command -v aami) ;;
  esac
  [ -n "$server$installed" ] || stop 2 INVALID 'Which control plane is not said.' 'Give it with --server https://HOST:PORT.'
  case $server in
    https://* | '') ;;
    http://*@* | http://127.*[!0-9.:]*) plain_elsewhere ;;
    http://127.* | http://localhost | http://localhost:* | 'http://[::1]'*) ;;
    http://*) plain_elsewhere ;;
    *) stop 2 INVALID "$server is not an address of a control plane." 'Give --server https://HOST:PORT.' ;;
  esac
  [ -z "$on_argv" ] || echo 'warning: sudo logs command lines, and with them this token; --token-file does not show it.' >&2

  dir=''
  room
  if [ -n "$ca" ] && [ -z "$ca_file$pin" ]; then
    ca_file=$dir/ca.pem
    printf '%s\n' "$ca" >"$ca_file" || stop 1 DISK_FULL 'The CA cannot be written.' "Free some space in $dir."
  fi
  if [ -n "$token" ] && [ -z "$token_file" ]; then
    token_file=$dir/token
    printf '%s\n' "$token" >"$token_file" || stop 1 DISK_FULL 'The token cannot be written.' "Free some space in $dir."
  fi
  begin "$@"
  agent=$installed
  [ -n "$agent" ] || get_agent

  [ -z "$server" ] || set -- --server "$server" "$@"
  # Looking needs no token, and a node that leaves knows whom it trusts.
  [ "$verb" = preflight ] || [ -z "$token_file" ] || set -- "$@" --token-file "$token_file"
  [ "$verb" = uninstall ] || [ -z "$ca_file" ] || set -- "$@" --ca-file "$ca_file"
  if [ "$verb" = bootstrap ]; then
    [ -z "$pin" ] || set -- "$@" --pin "$pin"
    [ -z "$plain" ] || set -- "$@" --plain-http
    if hand_over; then set -- "$@" --run-file "$dir/run"; fi
  fi
  # Preflight may ask before it mends something, if a person is there.
  if [ "$verb" = preflight ] && (: </dev/tty) 2>/dev/null; then
    "$agent" "$verb" "$@" </dev/tty
  else
    "$agent" "$verb" "$@" </dev/null
  fi
  ended=$?
  finish "$ended"
  return "$ended"
}

get_agent() {
  case $(uname -m) in
    x86_64 | amd64) arch=amd64 sum=$sum_amd64 url=$url_amd64 ;;
    aarch64 | arm64) arch=arm64 sum=$sum_arm64 url=$url_arm64 ;;
    *) stop 5 AGENT_ARCH_MISSING "There is no agent for $(uname -m)." 'AAMI runs on amd64 and arm64.' ;;
  esac
  from=$server
  if [ -z "$sum" ]; then
    if [ -n "$ca" ] || [ -n "$url_amd64$url_arm64" ]; then
      stop 5 AGENT_ARCH_MISSING "This control plane has no agent for $arch." 'The guide says how to build it and where to place it.'
    fi
    fetch "$server/dist/$arch/aami-agent.sha256" "$dir/sum" || untrusted $?
    sum=$(cut -d' ' -f1 <"$dir/sum")
  fi
  step download
  trusted=$ca_file pinned=$pin
  case $url in
    '') url=$server/dist/$arch/aami-agent ;;
    "$server"/*) ;;
    # Another web server, which the system has to trust; what comes from it is known by its checksum.
    *) from=$url ca_file='' pin='' ;;
  esac
  fetch "$url" "$dir/aami-agent"
  ended=$?
  ca_file=$trusted pin=$pinned
  [ "$ended" -eq 0 ] || untrusted "$ended"
  step integrity
  got=$(sha256 "$dir/aami-agent")
  [ -n "$got" ] || stop 10 TOOL_MISSING 'The agent cannot be verified: sha256sum, shasum and openssl are all missing.' 'Install coreutils.'
  [ "$got" = "$sum" ] || stop 10 CHECKSUM_MISMATCH 'Downloaded binary checksum does not match' "Expected $sum, got $got: check whether a proxy or captive portal answers in the place of the server. Nothing was placed." "\"expected\":\"$sum\",\"actual\":\"$got\""
  chmod 700 "$dir/aami-agent" || stop 1 DISK_FULL 'The agent cannot be made ready.' "Look at $dir."
  agent=$dir/aami-agent
}

untrusted() { # the downloader's exit code
  answered "$from"
  case $1 in
    51 | 60 | 77 | 90) stop 10 SERVER_NOT_TRUSTED "The certificate of $from cannot be trusted." 'Use the line that `aami tokens create` prints, or give --ca-file or --pin.' ;;
    22 | 8) stop 5 AGENT_ARCH_MISSING "The agent for $arch cannot be had from $from." 'Check the address; the control plane serves the agents in its dist/ folder.' ;;
    5) stop 10 SERVER_NOT_TRUSTED "The connection to $from failed, or its certificate cannot be trusted." 'Use the line that `aami tokens create` prints, or give --ca-file.' ;;
    *) stop 1 DOWNLOAD_FAILED "The agent cannot be downloaded from $from (exit code $1)." 'Check the address, the proxy and the network.' ;;
  esac
}

{ main "$@"; exit $?; }
