//! What `version` says beside the version: the commit a program was built from, and when that was made.
//!
//! Whoever makes a release says both, in `AAMI_COMMIT` and `AAMI_BUILT`. Else git is asked; without it, or outside of a
//! checkout, nothing is said. The time is the commit's own, or `SOURCE_DATE_EPOCH`: the same source gives the same bytes.
//! It runs again only when another commit is there; for programs of the dev profile when another branch is, since
//! compiling both anew after every commit costs who works on them a minute, and they rarely are exactly a commit.

use std::path::{Path, PathBuf};
use std::process::Command;

fn main() {
    // An archive of the source may lie in somebody else's repository, whose commits are not ours.
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let checkout = git(&["rev-parse", "--show-toplevel"]).map(PathBuf::from);
    let is_ours = checkout.is_some_and(|checkout| same(&checkout, &root));
    let git = |arguments: &[&str]| is_ours.then(|| git(arguments)).flatten();
    for name in ["AAMI_COMMIT", "AAMI_BUILT", "SOURCE_DATE_EPOCH"] {
        println!("cargo::rerun-if-env-changed={name}");
    }
    // What says which commit is there: the branch, and where the branch stands.
    let is_for_work = std::env::var("PROFILE").is_ok_and(|profile| profile == "debug");
    let branch = (!is_for_work).then(|| git(&["symbolic-ref", "--quiet", "HEAD"]));
    for name in [Some("HEAD".to_owned()), branch.flatten()].into_iter().flatten() {
        let Some(path) = git(&["rev-parse", "--git-path", &name]) else {
            continue;
        };
        // A branch without a file of its own gets one in its folder with the next commit. What is not there would have
        // this run each time.
        let there = Path::new(&path).ancestors().take(2).find(|path| path.exists());
        if let Some(path) = there {
            println!("cargo::rerun-if-changed={}", path.display());
        }
    }
    if let Some(commit) = given("AAMI_COMMIT").or_else(|| git(&["rev-parse", "--short=12", "HEAD"])) {
        println!("cargo::rustc-env=AAMI_COMMIT={commit}");
    }
    let built = given("AAMI_BUILT").or_else(|| {
        let seconds = given("SOURCE_DATE_EPOCH").or_else(|| git(&["log", "-1", "--format=%ct"]))?;
        Some(time(seconds.parse().ok()?))
    });
    if let Some(built) = built {
        println!("cargo::rustc-env=AAMI_BUILT={built}");
    }
}

fn same(one: &Path, other: &Path) -> bool {
    one.canonicalize()
        .is_ok_and(|one| other.canonicalize().is_ok_and(|other| one == other))
}

fn given(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|text| !text.is_empty())
}

/// The one line git answers with, where there is git and it answers.
fn git(arguments: &[&str]) -> Option<String> {
    let output = Command::new("git").args(arguments).output().ok()?;
    let line = String::from_utf8(output.stdout).ok()?.trim().to_owned();
    (output.status.success() && !line.is_empty()).then_some(line)
}

/// Seconds since 1970 as people and programs read them, in UTC: <https://howardhinnant.github.io/date_algorithms.html>.
fn time(seconds: u32) -> String {
    let (days, of_day) = (seconds / 86_400 + 719_468, seconds % 86_400);
    let (era, of_era) = (days / 146_097, days % 146_097);
    let year = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year + year / 4 - year / 100);
    let month = (5 * of_year + 2) / 153;
    let day = of_year - (153 * month + 2) / 5 + 1;
    let (year, month) = match month {
        0..=9 => (year + era * 400, month + 3),
        _ => (year + era * 400 + 1, month - 9),
    };
    let (hour, minute, second) = (of_day / 3600, of_day / 60 % 60, of_day % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z")
}
