# Made for one node: how far it is goes to the control plane, in a run that the agent goes on with. What cannot be told
# stops nothing. Secrets travel in files that only root can read.
node=@NODE@
node_id=@NODE_ID@
version=@AGENT_VERSION@
docs=@DOCS@
run='' credential='' seq=0 untold='' current='' since=0 tells=''

begin() { # the agent's arguments
  for arg in "$@"; do
    case $arg in --dry-run | --status | --reset | -h | --help) return ;; esac
  done
  printf 'AAMI agent %s for %s (%s)\n  control plane: %s\n  guide: %s\n' "$version" "$node" "$node_id" "$server" "$docs"
  tells=yes
  open_run
  tell '"type":"run_started","plan":"node","steps":[{"id":"prerequisites","title":"Checking prerequisites"},{"id":"download","title":"Downloading the agent"},{"id":"integrity","title":"Verifying the download"}]'
  step prerequisites
  [ "$(uname -s)" = Linux ] || stop 1 OS_UNSUPPORTED "This is $(uname -s), not Linux." 'Monitor it without an agent; the guide says how.'
  [ "$(id -u)" = 0 ] || stop 4 NOT_ROOT 'Installing the agent needs root.' 'Run it again with sudo.'
  [ -d /run/systemd/system ] || stop 1 SYSTEMD_NOT_RUNNING 'systemd does not run here.' 'The agent is a systemd service; without one, enrol the node as the guide says.'
  name=$(short "$(uname -n)")
  [ "$name" = "$(short "$node")" ] || stop 4 TOKEN_FOR_ANOTHER_NODE "This script is for $node, and this machine calls itself $(uname -n)." 'Run it on the machine of that name, or make one for this machine: aami nodes token NODE.'
}

short() { # a host name without its domain
  printf '%s' "${1%%.*}" | tr 'A-Z' 'a-z'
}

step() { # name: the one before is done, this one begins; none: the agent goes on
  [ -n "$tells" ] || return 0
  if [ -n "$current" ]; then
    tell "\"type\":\"step_completed\",\"step\":\"$current\",\"outcome\":\"changed\",\"duration_ms\":$(spent)"
  fi
  current=$1 since=$(date +%s)
  if [ -n "$current" ]; then
    tell "\"type\":\"step_started\",\"step\":\"$current\",\"attempt\":1"
  fi
  send
}

failed() { # exit code, code, sentence, hint, and members of JSON
  [ -n "$tells" ] || return 0
  tells=''
  tell "\"type\":\"step_failed\",\"step\":\"${current:-agent}\",\"code\":\"$2\",\"message\":\"$(plain "$3")\",\"hint\":\"$(plain "$4")\",\"details\":{${5:-}},\"duration_ms\":$(spent)"
  tell '"type":"run_finished","status":"failed","duration_ms":0'
  send
}

finish() { # how the agent ended: it tells its own failures, unless it could not even begin
  case $1 in
    0 | 9 | 130 | 143) ;;
    *)
      seq=1000000 untold='' current=''
      failed "$1" STEP_FAILED "The agent ended with the status $1." 'Look at what it said on the node, then run the script again.'
      ;;
  esac
}

hand_over() { # writes the run for the agent to go on with
  step ''
  [ -n "$run" ] || return 1
  printf '%s\n%s\n' "$credential" "$seq" >"$dir/run"
}

spent() {
  took=$((($(date +%s) - since) * 1000))
  [ "$took" -ge 0 ] || took=0
  echo "$took"
}

plain() { # what may stand between quotes in JSON
  printf '%s' "$1" | tr -cd '\040-\176' | tr -d '"\\' | cut -c 1-400
}

tell() { # members of JSON: one thing that happened
  seq=$((seq + 1))
  untold="${untold:+$untold,}{\"seq\":$seq,\"at\":\"$(date -u +%Y-%m-%dT%H:%M:%SZ)\",$1}"
}

send() { # all that was not told as yet
  [ -n "$run" ] || return 0
  printf '{"events":[%s]}' "$untold" >"$dir/report"
  if post "$server/api/v1/runs/$run/events" "$credential"; then untold=''; fi
}

open_run() {
  echo '{}' >"$dir/report"
  if post "$server/api/v1/bootstrap-tokens/validate" "$token"; then
    credential=$(sed -n 's/.*"credential":"\(aamir_[0-9a-z_-]*\)".*/\1/p' "$dir/answer")
    run=${credential#aamir_}
    run=${run%%_*}
    return
  fi
  # One that this machine has used already is judged by the agent, which can prove that it was.
  case $(sed -n 's/.*"code":"\([A-Z_]*\)".*/\1/p' "$dir/answer" 2>/dev/null) in
    TOKEN_REVOKED) stop 4 TOKEN_REVOKED 'The token in this script was revoked: a newer script was made, or the token was taken back.' 'Make a new one: aami nodes token NODE.' ;;
    TOKEN_INVALID) stop 4 TOKEN_INVALID 'The control plane does not know the token in this script.' 'Make a new one: aami nodes token NODE.' ;;
    NODE_DECOMMISSIONED) stop 6 NODE_DECOMMISSIONED "The node $node has been retired." 'Restore it with: aami nodes restore NODE.' ;;
  esac
}

post() { # URL, secret: sends the file report, keeps what is answered
  rm -f "$dir/answer"
  if command -v curl >/dev/null 2>&1; then
    printf 'header = "Authorization: Bearer %s"\n' "$2" >"$dir/sender"
    set -- -sS -K "$dir/sender" -H 'Content-Type: application/json' --connect-timeout 5 --max-time 15 --data-binary "@$dir/report" -o "$dir/answer" -w '%{http_code}' "$1"
    [ -z "$ca_file" ] || set -- --cacert "$ca_file" "$@"
    [ -z "$pin" ] || set -- -k --pinnedpubkey "$pin" "$@"
    said=$(curl "$@" </dev/null 2>/dev/null)
    case $said in 2*) return 0 ;; esac
    return 1
  fi
  # It would show the secret to whoever any authority vouches for.
  [ -z "$pin" ] || return 1
  printf 'header = Authorization: Bearer %s\n' "$2" >"$dir/sender"
  set -- -q -t 1 -T 15 --header='Content-Type: application/json' --post-file="$dir/report" -O "$dir/answer" "$1"
  [ -z "$ca_file" ] || set -- "--ca-certificate=$ca_file" "$@"
  WGETRC=$dir/sender wget "$@" </dev/null 2>/dev/null
}

