#!/bin/sh
# AAMI @VERSION@: @PURPOSE@ Fetches the agent, verifies it, runs it; all else
# is in the agent (`aami-agent @VERB@ --help`). Nothing happens before the last line has been read.
set -u

verb=@VERB@
server=@SERVER@
token=@TOKEN@
ca=@CA@
sum_amd64=@SHA256_AMD64@
sum_arm64=@SHA256_ARM64@
url_amd64=@URL_AMD64@
url_arm64=@URL_ARM64@

@FETCH@
@REPORT@
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
