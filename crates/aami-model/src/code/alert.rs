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
}
