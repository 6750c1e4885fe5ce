#!/bin/sh
# Installs all-smi, for GPUs of every vendor on this node and registers it. All of it is in the agent:
# `aami-agent exporters install --help` names the options, which this script passes on.
set -eu
command -v aami-agent >/dev/null 2>&1 || {
    echo 'error: aami-agent is not on this machine' >&2
    echo 'hint: enrol it first, with the line that `aami tokens create` prints' >&2
    exit 5
}
exec aami-agent exporters install all_smi "$@"
