//! Templates in texts: which of them are filled in. <https://prometheus.io/docs/prometheus/2.42/configuration/template_reference/>
//!
//! Prometheus' templates are a language that can ask Prometheus questions and loop. An operator's texts may show labels
//! and the value, and a mistake in one is told here rather than at a reload.

/// How a value may be written.
const WRITTEN: [&str; 5] = [
    "humanize",
    "humanize1024",
    "humanizeDuration",
    "humanizePercentage",
    "humanizeTimestamp",
];

/// Fails on a template that is not on the list.
pub(super) fn judge(text: &str) -> Result<(), String> {
    let mut rest = text;
    while let Some(begin) = rest.find("{{") {
        let after = &rest[begin + 2..];
        let end = after
            .find("}}")
            .ok_or("a {{ has no }}; a text shows {{ $labels.node }} or {{ $value }}")?;
        if !is_known(after[..end].trim()) {
            let shown: String = after[..end]
                .chars()
                .filter(|c| !c.is_control())
                .take(40)
                .collect();
            return Err(format!(
                "{{{{{shown}}}}} is not filled in; a text shows {{{{ $labels.NAME }}}} and {{{{ $value }}}}, the value \
                 also as {{{{ $value | humanize }}}}"
            ));
        }
        rest = &after[end + 2..];
    }
    Ok(())
}

fn is_known(inside: &str) -> bool {
    if let Some(label) = inside.strip_prefix("$labels.") {
        return label.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
            && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
    }
    match inside.split_once('|') {
        None => inside == "$value",
        Some((value, written)) => value.trim() == "$value" && WRITTEN.contains(&written.trim()),
    }
}
