//! `aami_node_info`: who is behind each scraped address, as a metric.
//!
//! The grouped shape of discovery tells Prometheus only what many nodes share. The rest is joined in a
//! query by `instance` and `job`:
//! `up * on (cluster, instance, job) group_left (node) aami_node_info`.

/// What precedes the samples in the text format.
pub const HEAD: &str = "# HELP aami_node_info Who is behind each scraped address; always 1.\n\
                        # TYPE aami_node_info gauge\n";

/// One sample line, newline included.
pub(crate) fn line(pairs: &[(&str, &str)]) -> String {
    format!("aami_node_info{{{}}} 1\n", labels(pairs))
}

/// What stands between the braces of a sample.
pub(crate) fn labels(pairs: &[(&str, &str)]) -> String {
    let mut text = String::with_capacity(160);
    for (at, (name, value)) in pairs.iter().enumerate() {
        if at > 0 {
            text.push(',');
        }
        text.push_str(name);
        text.push_str("=\"");
        escape(value, &mut text);
        text.push('"');
    }
    text
}

/// Label values of the text format escape these three and nothing else.
fn escape(value: &str, line: &mut String) {
    for c in value.chars() {
        match c {
            '\\' => line.push_str("\\\\"),
            '"' => line.push_str("\\\""),
            '\n' => line.push_str("\\n"),
            other => line.push(other),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hostile_value_stays_one_value() {
        let labels = [("node", "gpu01"), ("rack", "a\\b\"} 1\nevil 2")];
        assert_eq!(
            line(&labels),
            "aami_node_info{node=\"gpu01\",rack=\"a\\\\b\\\"} 1\\nevil 2\"} 1\n"
        );
    }
}
