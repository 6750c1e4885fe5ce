//! A page of the guide while somebody follows it.

use std::collections::VecDeque;

use anyhow::{Context as _, Result, ensure};
use rig::guide::commands;

use crate::site::root;

/// The lines of a page's code blocks that nobody has typed yet.
pub(crate) struct Page {
    name: String,
    left: VecDeque<String>,
}

impl Page {
    /// Opens one, without the lines that are not typed: each by a part of it, and why not.
    ///
    /// Fails where one of these is in no line.
    pub(crate) fn open(name: &str, untyped: &[(&str, &str)]) -> Result<Self> {
        let mut left: VecDeque<String> = commands(root(), &format!("docs/guide/{name}.md"), None)?.into();
        for (part, why) in untyped {
            let before = left.len();
            left.retain(|line| !line.contains(part));
            ensure!(
                left.len() < before,
                "{name} has no {part:?} any more, which is not typed because {why}"
            );
        }
        Ok(Self {
            name: name.to_owned(),
            left,
        })
    }

    /// What is typed next, which has to have this in it.
    pub(crate) fn next(&mut self, part: &str) -> Result<String> {
        let line = self
            .left
            .pop_front()
            .with_context(|| format!("{} ends before {part:?}", self.name))?;
        ensure!(
            line.contains(part),
            "{}: what comes next is not {part:?} but {line}",
            self.name
        );
        Ok(line)
    }

    /// Fails where there is more that nobody typed.
    pub(crate) fn ends(self) -> Result<()> {
        ensure!(
            self.left.is_empty(),
            "{}: nobody typed {:#?}",
            self.name,
            self.left
        );
        Ok(())
    }
}

#[test]
fn a_line_that_nobody_types_or_lists_is_told() {
    assert!(Page::open("BULK", &[("no such line", "it is not there")]).is_err());
    let mut page = Page::open("TOKENS", &[("tokens list", "it only looks")]).unwrap();
    assert!(page.next("tokens revoke").is_err(), "it is not the next");
    assert!(page.next("tokens show rack-a1").is_ok());
    assert!(page.ends().is_err(), "edit and revoke are left");
}
