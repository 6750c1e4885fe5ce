//! Files stay small: one noun or one verb each. A `main.rs` only starts things.

use super::Breach;
use crate::house::{File, House};

const SOFT: usize = 400;
const HARD: usize = 800;
const HARD_TESTS: usize = 1200;
const MAIN: usize = 50;

pub(super) fn check(house: &House) -> Vec<Breach> {
    house
        .files
        .iter()
        .filter(|file| counts(file))
        .filter_map(too_long)
        .collect()
}

fn counts(file: &File) -> bool {
    [".rs", ".ts", ".svelte", ".sh"]
        .iter()
        .any(|ending| file.path.ends_with(ending))
}

fn too_long(file: &File) -> Option<Breach> {
    let lines = file.text.lines().count();
    if file.path.ends_with("src/main.rs") && lines >= MAIN {
        return Some(Breach::new(
            &file.path,
            format!("{lines} lines; a main.rs stays under {MAIN}"),
        ));
    }
    let hard = if file.is_test() { HARD_TESTS } else { HARD };
    if lines > hard {
        return Some(Breach::new(
            &file.path,
            format!("{lines} lines; split it by noun, {hard} is the end"),
        ));
    }
    let soft = if file.is_test() { HARD } else { SOFT };
    (lines > soft).then(|| Breach::warning(&file.path, format!("{lines} lines, {soft} is the aim")))
}

#[cfg(test)]
mod tests {
    use super::super::model_house::file;
    use super::*;

    fn verdict(path: &str, lines: usize) -> Option<bool> {
        too_long(&file(path, &"x\n".repeat(lines))).map(|breach| breach.only_a_warning)
    }

    #[test]
    fn a_long_file_is_warned_about_and_a_giant_is_a_breach() {
        assert_eq!(verdict("crates/aami-model/src/node.rs", 400), None);
        assert_eq!(verdict("crates/aami-model/src/node.rs", 401), Some(true));
        assert_eq!(verdict("crates/aami-model/src/node.rs", 801), Some(false));
    }

    #[test]
    fn tests_may_be_longer() {
        assert_eq!(verdict("crates/aami-model/tests/it/story.rs", 800), None);
        assert_eq!(verdict("crates/aami-model/tests/it/story.rs", 1200), Some(true));
        assert_eq!(verdict("crates/aami-model/tests/it/story.rs", 1201), Some(false));
    }

    #[test]
    fn a_main_only_starts_things() {
        assert_eq!(verdict("crates/aami/src/main.rs", 49), None);
        assert_eq!(verdict("crates/aami/src/main.rs", 50), Some(false));
        assert_eq!(verdict("crates/aami/tests/it/main.rs", 60), None);
    }

    #[test]
    fn what_is_not_code_is_not_counted() {
        let house = super::super::model_house::with_files(&[("docs/guide/long.md", &"x\n".repeat(5000))]);
        assert!(check(&house).is_empty());
    }
}
