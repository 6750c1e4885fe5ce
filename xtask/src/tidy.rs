//! The house rules, as far as a program can hold them.
//!
//! Each rule is a function from the [`House`] to the places that break it; [`run`] prints them all. A rule
//! that a good change runs into is changed here, in the same commit, with the reason.

mod claims;
mod codes;
mod direction;
mod manifests;
mod rooms;
mod size;
mod supply;
mod voice;
mod words;

use std::fmt;
use std::path::Path;

use anyhow::Result;

use crate::house::House;

/// One place that breaks a rule.
#[derive(Debug, PartialEq, Eq)]
struct Breach {
    /// The file, with `:line` where one line is meant.
    place: String,
    /// What is wrong there and what to do, in one sentence.
    what: String,
    /// Whether the house may stay like this for now.
    only_a_warning: bool,
}

impl Breach {
    fn new(place: impl Into<String>, what: impl Into<String>) -> Self {
        Self {
            place: place.into(),
            what: what.into(),
            only_a_warning: false,
        }
    }

    fn warning(place: impl Into<String>, what: impl Into<String>) -> Self {
        Self {
            only_a_warning: true,
            ..Self::new(place, what)
        }
    }
}

impl fmt::Display for Breach {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let severity = if self.only_a_warning { "warning: " } else { "" };
        write!(f, "{severity}{}: {}", self.place, self.what)
    }
}

/// A rule: from the house to what breaks it.
type Rule = fn(&House) -> Vec<Breach>;

const RULES: &[(&str, Rule)] = &[
    ("dependencies point one way", direction::check),
    ("manifests inherit from the workspace", manifests::check),
    (
        "what others wrote may be used, and comes from one place",
        supply::check,
    ),
    ("files stay small", size::check),
    ("rooms say what they are for", rooms::check),
    ("only the binaries speak", voice::check),
    ("words", words::check),
    ("every code has its page", codes::check),
    ("every claim has its test", claims::check),
];

/// Checks every rule and prints what breaks it. True when nothing does, warnings aside.
pub(crate) fn run(root: &Path) -> Result<bool> {
    let house = House::read(root)?;
    let mut failed = 0;
    for (name, rule) in RULES {
        let (warnings, breaches): (Vec<_>, Vec<_>) =
            rule(&house).into_iter().partition(|breach| breach.only_a_warning);
        for warning in &warnings {
            println!("{warning}");
        }
        if breaches.is_empty() {
            continue;
        }
        println!("broken: {name}");
        for breach in &breaches {
            println!("  {breach}");
        }
        failed += breaches.len();
    }
    println!(
        "tidy: {} packages, {} files, {} rules, {}",
        house.packages.len(),
        house.files.len(),
        RULES.len(),
        if failed == 0 {
            "all kept".to_owned()
        } else {
            format!("{failed} breaches")
        }
    );
    Ok(failed == 0)
}

/// Small houses for the tests of the rules.
#[cfg(test)]
mod model_house {
    use crate::house::{Dependency, File, House, Package};

    pub(super) fn file(path: &str, text: &str) -> File {
        File {
            path: path.to_owned(),
            text: text.to_owned(),
        }
    }

    pub(super) fn with_files(files: &[(&str, &str)]) -> House {
        House {
            packages: vec![
                package("aami-model", "crates/aami-model", &[]),
                package("aami", "crates/aami", &[]),
            ],
            files: files.iter().map(|(path, text)| file(path, text)).collect(),
            ..House::default()
        }
    }

    pub(super) fn package(name: &str, folder: &str, depends_on: &[&str]) -> Package {
        let dependencies = depends_on.iter().map(|name| Dependency {
            name: (*name).to_owned(),
            ..Dependency::default()
        });
        Package {
            name: name.to_owned(),
            folder: folder.to_owned(),
            dependencies: dependencies.collect(),
        }
    }
}
