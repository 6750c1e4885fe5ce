//! The words of a message, in the template language of Alertmanager.
//! <https://prometheus.io/docs/alerting/latest/notifications/>

use aami_model::finding::Severity;

/// What it is about, in one line: the subject of a mail, the title in Slack.
pub(super) const TITLE: &str = "\
[{{ .Status | toUpper }}{{ if eq .Status \"firing\" }}:{{ .Alerts.Firing | len }}{{ end }}] \
{{ .CommonLabels.alertname }}{{ with .CommonLabels.node }} on {{ . }}{{ end }}\
{{ with .CommonLabels.cluster }} ({{ . }}){{ end }}";

/// What Slack shows below it: the first ten alerts, each with its gravity, what it says, and how to go on.
pub(super) const TEXT: &str = "\
{{ range $i, $alert := .Alerts }}{{ if lt $i 10 }}\
*{{ if eq $alert.Status \"firing\" }}{{ $alert.Labels.severity }}{{ else }}resolved{{ end }}*\
{{ with $alert.Labels.node }} {{ . }}{{ end }}{{ with $alert.Labels.gpu }} GPU {{ . }}{{ end }}: \
{{ $alert.Annotations.summary }}
{{ with $alert.Annotations.description }}{{ . }}
{{ end }}{{ end }}{{ end }}{{ if gt (len .Alerts) 10 }}and {{ len (slice .Alerts 10) }} more{{ end }}";

/// The colour of Slack's bar.
pub(super) const fn colour(severity: Severity) -> &'static str {
    match severity {
        Severity::Critical => "{{ if eq .Status \"firing\" }}danger{{ else }}good{{ end }}",
        Severity::Warning => "{{ if eq .Status \"firing\" }}warning{{ else }}good{{ end }}",
        Severity::Info => "#439FE0",
    }
}
