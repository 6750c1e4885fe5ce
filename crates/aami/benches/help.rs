//! How long `aami --help` takes from its start to its end, beside `/bin/true`, in turn, in the same run.
//!
//! `cargo bench -p aami --bench help`. Nothing is measured but a process: what starting one costs on this machine at all
//! is what `/bin/true` takes.

#![allow(clippy::unwrap_used, clippy::print_stdout, missing_docs)]

#[path = "../../aami-server/benches/fleet/report.rs"]
#[allow(dead_code, reason = "shared with the control plane's benches")]
mod report;

use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use report::{median, millis, row};

/// How often each is started; the medians count.
const STARTS: usize = 50;
/// How long the help may take.
const WANTED: Duration = Duration::from_millis(10);

fn main() {
    let (mut help, mut bare) = (Vec::new(), Vec::new());
    // The first of each reads its program from the disk.
    for start in 0..=STARTS {
        let ours = took(Command::new(env!("CARGO_BIN_EXE_aami")).arg("--help"));
        let theirs = took(&mut Command::new("/bin/true"));
        if start > 0 {
            help.push(ours.as_secs_f64());
            bare.push(theirs.as_secs_f64());
        }
    }
    let help = Duration::from_secs_f64(median(help));
    let bare = Duration::from_secs_f64(median(bare));
    println!("| what | measured | wanted | |\n|---|---|---|---|");
    row(
        "`aami --help`, from its start to its end, beside `/bin/true`",
        &format!("{} beside {}", millis(help), millis(bare)),
        "under 10 ms",
        help < WANTED,
    );
}

/// A process from its start to its end.
fn took(command: &mut Command) -> Duration {
    let begun = Instant::now();
    let status = command
        .env_clear()
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .status()
        .unwrap();
    let took = begun.elapsed();
    assert!(status.success(), "{command:?}: {status}");
    took
}
