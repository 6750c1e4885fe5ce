//! The mark files of ours carry, so that they are known for ours when the receipt is lost.
//!
//! It is the first line of the file (the second after `#!`), a comment that names plan and cluster
//! and tells a person what will happen to an edit. Users carry it in their comment field. Nothing
//! depends on extended attributes: archives, copies and some filesystems lose them.

use crate::tracking::PlanId;

/// How comments are written in a file, or that it can have none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Mark {
    /// The format has no comments, or the file is not text; it carries no mark.
    #[default]
    None,
    /// `# ...`: shell, YAML, TOML, systemd units.
    Hash,
    /// `// ...`
    Slashes,
    /// `; ...`
    Semicolon,
}

/// The marks of one plan in one cluster.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Signature {
    plan: String,
    cluster: String,
}

impl Signature {
    pub(crate) fn of(plan: &PlanId) -> Self {
        Self {
            plan: plan.plan.clone(),
            cluster: plan.cluster.clone(),
        }
    }

    fn text(&self) -> String {
        format!("Written by AAMI (plan {}, cluster {}).", self.plan, self.cluster)
    }

    /// The comment field of users of ours; `:` and line ends may not stand there (`passwd(5)`).
    pub(crate) fn comment(&self) -> String {
        format!("AAMI plan={} cluster={}", self.plan, self.cluster)
    }

    /// `bytes` with the mark in them.
    pub(crate) fn put(&self, mark: Mark, bytes: &[u8]) -> Vec<u8> {
        let Some(prefix) = prefix(mark) else {
            return bytes.to_vec();
        };
        let line = format!(
            "{prefix} {} An edit is kept beside it as .aami-kept when AAMI writes it again.\n",
            self.text()
        );
        let at = if bytes.starts_with(b"#!") {
            bytes
                .iter()
                .position(|byte| *byte == b'\n')
                .map_or(bytes.len(), |end| end + 1)
        } else {
            0
        };
        let (head, rest) = bytes.split_at(at);
        let mut marked = head.to_vec();
        if at > 0 && !head.ends_with(b"\n") {
            marked.push(b'\n');
        }
        marked.extend_from_slice(line.as_bytes());
        marked.extend_from_slice(rest);
        marked
    }

    /// Whether `head`, the beginning of a file, carries this plan's mark.
    pub(crate) fn is_on(&self, head: &[u8]) -> bool {
        let text = self.text();
        let lines = head.split(|byte| *byte == b'\n').take(2);
        lines.enumerate().any(|(n, line)| {
            (n == 0 || head.starts_with(b"#!"))
                && [Mark::Hash, Mark::Slashes, Mark::Semicolon]
                    .into_iter()
                    .filter_map(prefix)
                    .any(|prefix| {
                        line.strip_prefix(prefix.as_bytes())
                            .and_then(|line| line.strip_prefix(b" "))
                            .is_some_and(|line| line.starts_with(text.as_bytes()))
                    })
        })
    }
}

const fn prefix(mark: Mark) -> Option<&'static str> {
    match mark {
        Mark::None => None,
        Mark::Hash => Some("#"),
        Mark::Slashes => Some("//"),
        Mark::Semicolon => Some(";"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn signature(plan: &str) -> Signature {
        Signature {
            plan: plan.into(),
            cluster: "default".into(),
        }
    }

    #[test]
    fn a_marked_file_is_known_by_its_own_plan_only() {
        let marked = signature("node").put(Mark::Hash, b"[Unit]\n");
        assert!(marked.ends_with(b"\n[Unit]\n"));
        assert!(signature("node").is_on(&marked));
        assert!(!signature("stack").is_on(&marked));
        assert!(!signature("node").is_on(b"[Unit]\n# Written by AAMI (plan node, cluster default).\n"));
    }

    #[test]
    fn a_script_keeps_its_first_line() {
        let marked = signature("node").put(Mark::Hash, b"#!/bin/sh\nexit 0\n");
        assert!(marked.starts_with(b"#!/bin/sh\n# Written by AAMI"));
        assert!(signature("node").is_on(&marked));
        assert!(signature("node").is_on(&signature("node").put(Mark::Hash, b"#!/bin/sh")));
    }
}
