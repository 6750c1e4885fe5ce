//! Rooms say what they are for, and are named by what they hold.

use super::Breach;
use crate::house::{File, House};

/// Names that say nothing about what is inside.
const EMPTY_NAMES: &[&str] = &[
    "util",
    "utils",
    "common",
    "helper",
    "helpers",
    "core",
    "base",
    "misc",
    "manager",
    "handler",
    "handlers",
    "processor",
    "engine",
    "v2",
];

pub(super) fn check(house: &House) -> Vec<Breach> {
    let mut breaches = Vec::new();
    for file in house.files.iter().filter(|file| file.is_rust()) {
        if opens_a_room(house, file) && !says_what_it_is_for(file) {
            breaches.push(Breach::new(
                &file.path,
                "opens a room without `//!` lines that say what it is for and what it must not do",
            ));
        }
        if file.name() == "mod.rs" && !file.is_test() {
            breaches.push(Breach::new(
                &file.path,
                "name it after its folder, beside the folder",
            ));
        }
        if let Some(part) = empty_name(file) {
            breaches.push(Breach::new(
                &file.path,
                format!("{part:?} says nothing about what is inside"),
            ));
        }
        if is_second_test_binary(house, file) {
            breaches.push(Breach::new(
                &file.path,
                "integration tests are one binary per package, tests/it/main.rs; make this a module of it",
            ));
        }
    }
    breaches
}

/// A crate root, or a module that has a folder.
fn opens_a_room(house: &House, file: &File) -> bool {
    if matches!(file.name(), "lib.rs" | "main.rs") {
        return true;
    }
    let Some(stem) = file.path.strip_suffix(".rs") else {
        return false;
    };
    let inside = format!("{stem}/");
    house
        .files
        .iter()
        .any(|other| other.is_rust() && other.path.starts_with(&inside))
}

fn says_what_it_is_for(file: &File) -> bool {
    let first = file.text.lines().find(|line| !line.trim().is_empty());
    first
        .and_then(|line| line.strip_prefix("//!"))
        .is_some_and(|rest| rest.trim().len() > 20)
}

/// The part of a file's or folder's name below the package's `src` that says nothing.
fn empty_name(file: &File) -> Option<&str> {
    let below = file.path.rsplit_once("/src/")?.1;
    let stem = below.strip_suffix(".rs").unwrap_or(below);
    stem.split(['/', '_', '-'])
        .find(|part| EMPTY_NAMES.contains(part))
}

fn is_second_test_binary(house: &House, file: &File) -> bool {
    let Some(package) = house.package_of(file) else {
        return false;
    };
    let below = file
        .path
        .strip_prefix(package.folder.as_str())
        .and_then(|rest| rest.strip_prefix("/tests/"));
    below.is_some_and(|below| !below.contains('/') || (below.ends_with("/main.rs") && below != "it/main.rs"))
}

#[cfg(test)]
mod tests {
    use super::super::model_house::with_files;
    use super::*;

    const DOC: &str = "//! What this room is for, in a sentence.\n";

    fn broken(files: &[(&str, &str)]) -> Vec<String> {
        check(&with_files(files))
            .into_iter()
            .map(|breach| breach.place)
            .collect()
    }

    #[test]
    fn a_room_that_says_what_it_is_for_is_kept() {
        let kept = [
            ("crates/aami-model/src/lib.rs", DOC),
            ("crates/aami-model/src/code.rs", DOC),
            ("crates/aami-model/src/code/api.rs", "pub struct Plain;\n"),
            ("crates/aami-model/tests/it/main.rs", DOC),
            ("crates/aami-model/tests/it/story.rs", ""),
        ];
        assert_eq!(broken(&kept), [""; 0]);
    }

    #[test]
    fn a_silent_room_is_a_breach() {
        assert_eq!(
            broken(&[("crates/aami-model/src/lib.rs", "pub mod node;\n")]),
            ["crates/aami-model/src/lib.rs"]
        );
        assert_eq!(
            broken(&[("crates/aami-model/src/lib.rs", "//! (todo)\n")]),
            ["crates/aami-model/src/lib.rs"]
        );
        let folder_module = [
            ("crates/aami/src/cli.rs", "mod up;\n"),
            ("crates/aami/src/cli/up.rs", ""),
        ];
        assert_eq!(broken(&folder_module), ["crates/aami/src/cli.rs"]);
    }

    #[test]
    fn names_that_say_nothing_are_breaches() {
        for name in ["utils", "node_manager", "core/clock", "state-v2"] {
            let path = format!("crates/aami-model/src/{name}.rs");
            assert_eq!(broken(&[(path.as_str(), DOC)]), [path.as_str()]);
        }
        assert_eq!(broken(&[("crates/aami-model/src/engines.rs", DOC)]), [""; 0]);
    }

    #[test]
    fn a_mod_rs_is_a_breach() {
        assert_eq!(
            broken(&[("crates/aami-model/src/code/mod.rs", DOC)]),
            ["crates/aami-model/src/code/mod.rs"]
        );
    }

    #[test]
    fn a_second_test_binary_is_a_breach() {
        for path in ["crates/aami/tests/cli.rs", "crates/aami/tests/cli/main.rs"] {
            assert_eq!(broken(&[(path, DOC)]), [path]);
        }
    }
}
