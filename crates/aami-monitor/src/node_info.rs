//! `aami_node_info`: who is behind each scraped address, as a metric.
//!
//! The grouped shape of discovery tells Prometheus only what many nodes share. The rest is joined in a
//! query by `instance` and `job`:
//! `up * on (cluster, instance, job) group_left (node) aami_node_info`.

/// What precedes the samples in the text format.
pub const HEAD: &str = "# HELP aami_node_info Who is behind each scraped address; always 1.\n\
                        # TYPE aami_node_info gauge\n";

/// One sample line, newline included.
pub(crate) fn line(labels: &[(&str, &str)]) -> String {
    let mut line = String::with_capacity(160);
    line.push_str("aami_node_info{");
    for (at, (name, value)) in labels.iter().enumerate() {
        if at > 0 {
            line.push(',');
        }
        line.push_str(name);
        line.push_str("=\"");
        escape(value, &mut line);
        line.push('"');
    }
    line.push_str("} 1\n");
    line
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
