#!/usr/bin/env bash
# Runs one suite, says how long it took, and fails when it took longer than it may.
#
#   suite.sh NAME BUDGET_SECONDS COMMAND...
#
# A suite that hangs is ended at twice its budget. On a slow machine AAMI_BUDGET_PERCENT widens all budgets.
set -uo pipefail

[ $# -ge 3 ] || { echo "usage: suite.sh NAME BUDGET_SECONDS COMMAND..." >&2; exit 2; }
name=$1
budget=$(($2 * ${AAMI_BUDGET_PERCENT:-100} / 100))
shift 2

printf '\n== %s (budget %d s)\n' "$name" "$budget"
start=$SECONDS
# At a terminal the suite stays in the foreground, so that Ctrl-C reaches it; elsewhere it gets a process
# group of its own, so that ending it ends its children too.
foreground=()
[ ! -t 0 ] || foreground=(--foreground)
timeout "${foreground[@]}" --kill-after=30 $((budget * 2)) "$@"
code=$?
took=$((SECONDS - start))

if [ $code -eq 124 ] || [ $code -eq 137 ]; then
    printf '== %s: ended after %d s, twice its budget of %d s\n' "$name" "$took" "$budget"
elif [ $code -ne 0 ]; then
    printf '== %s: failed after %d s (exit %d)\n' "$name" "$took" "$code"
elif [ $took -gt $budget ]; then
    printf '== %s: passed, but took %d s of %d s\n' "$name" "$took" "$budget"
    code=1
else
    printf '== %s: passed in %d s of %d s\n' "$name" "$took" "$budget"
fi
exit $code
