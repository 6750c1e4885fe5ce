//! Alert rules: presets and an operator's own.

use super::codes;

codes! { Alerts;
    ALERT_PRESET_UNKNOWN = 1, NotFound, 404;
    "There is no alert preset of that name.";
    "`aami alerts list-presets` lists them.";
    "Presets and packs come with AAMI and are named in small letters with a dash, such as gpu-production. Rules of your \
     own stand in the configuration under `alerts.custom`."

    ALERT_RULE_INVALID = 2, Usage, 422;
    "An alert rule of your own cannot be used.";
    "Mend what is named; nothing was applied.";
    "One rule that Prometheus cannot load would make it refuse all of them, so every rule is judged before any is \
     written: its name, how long it must hold, its expression, labels and texts. A text shows labels and the value \
     ({{ $labels.node }}, {{ $value }}) and nothing else. docs/guide/alerts.md shows a rule of every kind."

    ALERT_RULES_NOT_LOADED = 3, Failed, 502;
    "Prometheus did not take the alert rules over.";
    "Look at Prometheus' own log, then apply them again; the rules and the configuration are as they were before.";
    "Rules are written, Prometheus is told to read them, and then asked whether it has each of them. It refused, or did \
     not do so in time, and everything was taken back. Another broken file in its configuration makes it refuse all."

    ALERTMANAGER_SILENT = 4, Failed, 502;
    "Alertmanager does not answer.";
    "See whether it runs and on which port; `alertmanager.port` in the configuration names the one that is asked.";
    "A test alert is given to Alertmanager on this machine, and its own counters say by which ways it was passed on."

    ALERT_NOT_PASSED_ON = 5, Pending, 504;
    "Alertmanager took an alert and told nobody in time.";
    "See whether notifications are enabled in the configuration, and wait longer with --within.";
    "Alertmanager gathers alerts of a group for a while before it sends the first message. Where no way of telling \
     anybody is configured it sends none at all."

    ALERT_RULES_ELSEWHERE = 6, Conflict, 409;
    "The folder of rules belongs to somebody else.";
    "Change the rules where the message says they are kept, or remove the note it names to give the folder up.";
    "A Prometheus has one folder of rules of ours, and a folder one owner: a configuration, or a control plane. The \
     note .aami-rules.json in it says which. Another's rules are never replaced by accident, such as by a configuration \
     that was named to try something. Files there that AAMI did not make are left alone whoever owns it."

    ALERT_RULES_NOT_PLACED = 7, Failed, 500;
    "The rules could not be put where Prometheus reads them.";
    "Look at the file or folder the message names: its owner, its mode, and whether the disk is full.";
    "Rules lie in a folder that Prometheus reads, and a note beside them says whose they are and what was there before \
     a change. Both are written whole or not at all, so what is there is the rules from before or the new ones. An \
     agent writes only below /etc/aami/rules, and its unit lets it do so only where that folder is there when it starts."

    ALERT_RULES_PENDING = 8, Pending, 504;
    "A Prometheus was not seen to load the rules in time.";
    "`aami prometheuses list` says how far each is, and who brings it its rules.";
    "The control plane keeps the rules and hands them on: to the Prometheus beside it itself, to others through the \
     agent of the node each runs on. It was not heard in time that one of them has loaded what is wanted now. The rules \
     stay wanted, and are brought there when whoever delivers them comes back."
}
