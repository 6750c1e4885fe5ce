//! A picture of a node's file system, to compare before with after.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};

use super::{Ended, Node};
use crate::rootfs::Sums;

/// What changes on any running system, whoever does nothing.
const RESTLESS: &[&str] = &[
    "/run/log",
    "/run/systemd",
    "/run/udev",
    "/run/dbus",
    "/run/host",
    "/run/lock",
    "/run/user",
    "/run/utmp",
    "/tmp/systemd-private-",
    "/var/cache/ldconfig",
    "/var/lib/systemd",
    "/var/log/btmp",
    "/var/log/faillog",
    "/var/log/journal",
    "/var/log/lastlog",
    "/var/log/wtmp",
    "/var/tmp/systemd-private-",
];

/// Copies that the account tools leave beside the files they change: of the same content as one of ours would
/// be, and not ours to remove.
const ACCOUNT_BACKUPS: &[&str] = &[
    "/etc/passwd-",
    "/etc/group-",
    "/etc/shadow-",
    "/etc/gshadow-",
    "/etc/subuid-",
    "/etc/subgid-",
];

/// Every path with its type, mode, owner and content.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Picture {
    entries: BTreeMap<String, String>,
}

impl Node {
    /// Takes a picture of the whole file system with `/run` and `/tmp`, without what changes by itself.
    pub fn picture(&self) -> Result<Picture> {
        let shared = self.root.sums()?;
        take(
            |script| self.sh_within(Duration::from_secs(120), script, b""),
            Some(&shared),
        )
    }
}

/// As [`Node::picture`], wherever `sh` runs a script. What a node did not change of the root file system it shares with
/// others is not read again: its overlay gives every file that it changes, or that is changed in any fact, the time of
/// that change, which nobody can set.
pub(crate) fn take(mut sh: impl FnMut(&str) -> Result<Ended>, shared: Option<&Sums>) -> Result<Picture> {
    let mut in_one_piece = |script: &str| {
        let ended = sh(script)?;
        // A file that goes away while we look makes find and sha256sum end with 1; what is missing then shows.
        ensure!(
            !ended.stdout.is_empty(),
            "{script}: said nothing but {}",
            ended.stderr.trim_end()
        );
        Ok(ended.stdout)
    };
    // NUL ends a record, since a path may hold anything else.
    let list = in_one_piece(
        "find / /run /tmp -xdev \\( -type s -o -type p \\) -prune -o -printf '%p\\t%y %m %U:%G %l\\0'",
    )?;
    let own = shared.map_or_else(String::new, |shared| format!("-newerct @{}", shared.youngest));
    let sums = in_one_piece(&format!(
        "find / /run /tmp -xdev -type f {own} -not -path '/run/systemd/*' -print0 | xargs -0 sha256sum -z"
    ))?;
    Picture::read(&list, &sums, shared)
}

impl Picture {
    fn read(list: &str, sums: &str, shared: Option<&Sums>) -> Result<Self> {
        let mut entries = BTreeMap::new();
        for record in list.split_terminator('\0') {
            let (path, facts) = record
                .split_once('\t')
                .with_context(|| format!("unreadable: {record:?}"))?;
            if keeps_still(path) {
                entries.insert(path.to_owned(), facts.trim_end().to_owned());
            }
        }
        let mut own = BTreeMap::new();
        for record in sums.split_terminator('\0') {
            let (sum, path) = record
                .split_once("  ")
                .with_context(|| format!("unreadable: {record:?}"))?;
            own.insert(path, sum);
        }
        for (path, facts) in entries.iter_mut().filter(|(_, facts)| facts.starts_with("f ")) {
            let shared = || shared?.of.get(path).map(String::as_str);
            if let Some(sum) = own.get(path.as_str()).copied().or_else(shared) {
                facts.push_str(" sha256:");
                facts.push_str(sum);
            }
        }
        Ok(Self { entries })
    }

    /// How many paths it holds.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether it holds none.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// What differs in a later picture, one line a path; empty when nothing does.
    pub fn changes_in(&self, later: &Self) -> Vec<String> {
        let mut changes = Vec::new();
        for (path, before) in &self.entries {
            match later.entries.get(path) {
                None => changes.push(format!("gone: {path} ({before})")),
                Some(after) if after != before => {
                    changes.push(format!("changed: {path}: {before} -> {after}"))
                }
                Some(_) => {}
            }
        }
        for (path, after) in &later.entries {
            if !self.entries.contains_key(path) {
                changes.push(format!("appeared: {path} ({after})"));
            }
        }
        changes
    }
}

fn keeps_still(path: &str) -> bool {
    !RESTLESS.iter().any(|restless| path.starts_with(restless)) && !ACCOUNT_BACKUPS.contains(&path)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn picture(list: &str, sums: &str) -> Picture {
        Picture::read(list, sums, None).expect("it reads")
    }

    #[test]
    fn two_pictures_differ_where_something_came_went_or_changed() {
        let before = picture(
            "/a\tf 644 0:0 \0/b\tf 644 0:0 \0/c\td 755 0:0 \0",
            "11  /a\x0022  /b\0",
        );
        let after = picture(
            "/a\tf 644 0:0 \0/b\tf 600 0:0 \0/d\tl 777 0:0 /a\0",
            "12  /a\x0022  /b\0",
        );
        assert_eq!(
            before.changes_in(&after),
            [
                "changed: /a: f 644 0:0 sha256:11 -> f 644 0:0 sha256:12",
                "changed: /b: f 644 0:0 sha256:22 -> f 600 0:0 sha256:22",
                "gone: /c (d 755 0:0)",
                "appeared: /d (l 777 0:0 /a)",
            ]
        );
        assert!(before.changes_in(&before).is_empty());
    }

    #[test]
    fn what_a_node_did_not_change_has_the_sum_of_the_files_it_shares() {
        let shared = Sums {
            youngest: 0,
            of: [("/a", "11"), ("/b", "22"), ("/d", "44")]
                .map(|(path, sum)| (path.to_owned(), sum.to_owned()))
                .into(),
        };
        // It wrote to one of two, and put a folder in the place of a third.
        let list = "/a\tf 644 0:0 \0/b\tf 644 0:0 \0/d\td 755 0:0 \0";
        let picture = Picture::read(list, "23  /b\0", Some(&shared)).expect("it reads");
        let facts: Vec<&str> = picture.entries.values().map(String::as_str).collect();
        assert_eq!(facts, ["f 644 0:0 sha256:11", "f 644 0:0 sha256:23", "d 755 0:0"]);
    }

    #[test]
    fn what_changes_by_itself_is_left_out() {
        let picture = picture("/var/log/journal/x\tf 640 0:0 \0/etc/passwd-\tf 644 0:0 \0", "");
        assert!(picture.is_empty());
    }
}
