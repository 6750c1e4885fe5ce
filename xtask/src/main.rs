//! Chores of the house, run as `cargo xtask NAME`: the house rules (`tidy`) and the files that are
//! generated from the code (`explain`, `openapi`, `schema`, `scripts`, `picture`), and the release folder (`dist`).
//!
//! Nothing here is shipped, and nothing that is shipped depends on it.
#![allow(clippy::print_stdout, clippy::print_stderr)]

mod dist;
mod explain;
mod house;
mod openapi;
mod picture;
mod schema;
mod scripts;
mod tidy;

use std::process::ExitCode;

const USAGE: &str = include_str!("usage.txt");

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let root = house::root();
    let outcome = match words.as_slice() {
        ["tidy"] => tidy::run(&root),
        ["explain"] => explain::write(&root),
        ["explain", "--check"] => explain::check(&root),
        ["openapi"] => openapi::write(&root),
        ["schema"] => schema::write(&root),
        ["scripts"] => scripts::write(&root),
        ["scripts", "--check"] => scripts::check(&root),
        ["picture"] => picture::write(&root),
        ["picture", "--check"] => picture::check(&root),
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
