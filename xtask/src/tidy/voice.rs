//! Only the binaries speak: a library returns values and emits events.
//!
//! The lints say much of this too; a line here cannot be silenced with an `allow`.

use super::Breach;
use crate::house::{File, House};

/// Packages that may print, exit and read the environment.
const MAY_SPEAK: &[&str] = &["aami", "aami-agent", "xtask", "rig"];

const SPEECH: &[(&str, &str)] = &[
    ("println!(", "prints"),
    ("print!(", "prints"),
    ("dbg!(", "prints"),
    ("io::stdout()", "prints"),
    ("io::stderr()", "prints"),
    ("process::exit(", "exits"),
    ("process::abort(", "exits"),
    ("env::var(", "reads the environment"),
    ("env::var_os(", "reads the environment"),
    ("env::vars(", "reads the environment"),
    ("env::args(", "reads the command line"),
    ("env::current_dir(", "reads the environment"),
    ("env::temp_dir(", "reads the environment"),
];

pub(super) fn check(house: &House) -> Vec<Breach> {
    let mut breaches = Vec::new();
    for file in house
        .files
        .iter()
        .filter(|file| file.is_rust() && !file.is_test())
    {
        let silent = house
            .package_of(file)
            .is_some_and(|package| !MAY_SPEAK.contains(&package.name.as_str()));
        if silent && !file.path.ends_with("/build.rs") {
            breaches.extend(speaks(file));
        }
    }
    breaches
}

fn speaks(file: &File) -> Vec<Breach> {
    let mut breaches = Vec::new();
    for (number, line) in file.shipped_lines() {
        let code = line.trim_start();
        if code.starts_with("//") {
            continue;
        }
        if let Some((_, does)) = SPEECH.iter().find(|(call, _)| code.contains(call)) {
            breaches.push(Breach::new(
                format!("{}:{number}", file.path),
                format!("a library {does}; return a value or emit an event, and let the binary do it"),
            ));
        }
    }
    breaches
}

#[cfg(test)]
mod tests {
    use super::super::model_house::with_files;
    use super::*;

    fn broken(path: &str, text: &str) -> Vec<String> {
        check(&with_files(&[(path, text)]))
            .into_iter()
            .map(|breach| breach.place)
            .collect()
    }

    #[test]
    fn a_library_that_speaks_is_a_breach_at_its_line() {
        let calls = [
            "println!(\"x\");",
            "eprintln!(\"x\");",
            "std::process::exit(1);",
            "std::env::var(\"X\").ok();",
        ];
        for call in calls {
            let text = format!("//! Doc.\nfn speak() {{\n    {call}\n}}\n");
            assert_eq!(
                broken("crates/aami-model/src/node.rs", &text),
                ["crates/aami-model/src/node.rs:3"],
                "{call}"
            );
        }
    }

    #[test]
    fn a_binary_its_tests_and_comments_may() {
        let text = "fn main() {\n    println!(\"x\");\n}\n";
        assert_eq!(broken("crates/aami/src/cli.rs", text), [""; 0]);
        assert_eq!(broken("crates/aami-model/tests/it/main.rs", text), [""; 0]);
        assert_eq!(
            broken(
                "crates/aami-model/src/node.rs",
                "/// `println!(\"x\")`\nfn a() {}\n"
            ),
            [""; 0]
        );
        let unit_test = "fn a() {}\n\n#[cfg(test)]\nmod tests {\n    fn t() { println!(\"x\"); }\n}\n";
        assert_eq!(broken("crates/aami-model/src/node.rs", unit_test), [""; 0]);
    }
}
