//! Chores of the house, run as `cargo xtask NAME`: the house rules (`tidy`) and the files that are
//! generated from the code (`explain`, `openapi`, `scripts`), and the release folder (`dist`).
//!
//! Nothing here is shipped, and nothing that is shipped depends on it.
#![allow(clippy::print_stdout, clippy::print_stderr)]

mod dist;
mod explain;
mod house;
mod openapi;
mod scripts;
mod tidy;

use std::process::ExitCode;

const USAGE: &str = "usage: cargo xtask <chore>

  tidy               check the house rules
  explain [--check]  write docs/explain/ from the registry of codes, or say where it differs
  openapi            write openapi/aami-v1.json from the control plane's table of routes
  scripts [--check]  write the scripts that anybody gets to scripts/, or say where they differ
  dist --key FILE    write a release folder and sign it
    [--arch amd64,arm64] [--out DIR] [--base-url URL] [--components DIR] [--binaries DIR]
  dist --new-key FILE  make a key pair to sign with: FILE, for its owner alone, and FILE.pub
";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let root = house::root();
    let outcome = match words.as_slice() {
        ["tidy"] => tidy::run(&root),
        ["explain"] => explain::write(&root),
        ["explain", "--check"] => explain::check(&root),
        ["openapi"] => openapi::write(&root),
        ["scripts"] => scripts::write(&root),
        ["scripts", "--check"] => scripts::check(&root),
        ["dist", words @ ..] => dist::run(&root, words),
        _ => {
            eprint!("{USAGE}");
            return ExitCode::from(2);
        }
    };
    match outcome {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("xtask: {error:#}");
            ExitCode::FAILURE
        }
    }
}
