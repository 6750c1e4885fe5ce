//! `alerts:` and `alertmanager:`.

use std::collections::BTreeMap;

use aami_model::finding::Severity;
use aami_model::label::Labels;

use crate::duration::PromDuration;
use crate::section::section;

section! {
    /// Which alerts there are.
    pub struct Alerts {
        /// Presets and packs, by their names (`aami alerts list-presets`).
        presets: Vec<String>, default "[]", List::of(Text::preset()).up_to(100);
        /// Rules of your own.
        custom: Vec<CustomRule>, default "[]", List::of(Section::<CustomRule>::KIND).up_to(1_000);
    }
}

section! {
    /// A rule of your own.
    pub struct CustomRule {
        /// The alert's name; no two rules share one.
        name: String, required, Text::alert();
        /// What Prometheus evaluates (PromQL); the alert fires for each series it returns.
        expr: String, required, Text::expression();
        /// How long it must hold before the alert fires.
        r#for: PromDuration, default "0s", Prom::between("0s", "365d");
        /// How grave it is: `info`, `warning` or `critical`.
        severity: Severity, default "warning", Choice::<Severity>::KIND;
        /// One sentence for people; `{{ $labels.node }}` and `{{ $value }}` are filled in.
        summary: Option<String>, optional, Text::line();
        /// More words for people, with the same placeholders.
        description: Option<String>, optional, Text::lines();
        /// A page that says what to do.
        runbook_url: Option<String>, optional, Url::http();
        /// Labels of the alert.
        labels: Labels, default "{}", LabelMap;
        /// Other annotations of the alert.
        annotations: BTreeMap<String, String>, default "{}", TextMap;
    }
}

section! {
    /// The Alertmanager that routes alerts.
    pub struct Alertmanager {
        /// The TCP port it listens on.
        port: u16, default "9093", Port;
    }
}
