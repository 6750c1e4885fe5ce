//! How fast a log is explained, beside `grep` that only looks for the driver's words in the same file.
//!
//! `cargo bench -p aami-xid --bench log`. The log is like a busy node's: one line in ten thousand is the driver's. It
//! lies in memory (`/dev/shm`), so that no disk is measured.

#![allow(clippy::print_stdout, reason = "a bench reports on the terminal")]
#![allow(clippy::unwrap_used, reason = "a bench that cannot go on has failed")]

use std::fs::File;
use std::io::Write as _;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use aami_xid::log::{Summary, read};

/// How large the log is.
const SIZE: usize = 512 << 20;
/// How often each way is measured; the medians are compared.
const ROUNDS: usize = 5;
/// Bytes a second on one core.
const WANTED: f64 = 1e9;

fn main() {
    let folder = tempfile::tempdir_in("/dev/shm").unwrap();
    let path = folder.path().join("log");
    let lines = write(&mut File::create(&path).unwrap());
    let (mut ours, mut grep) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        let begun = Instant::now();
        let mut summary = Summary::default();
        let extent = read(File::open(&path).unwrap(), |line| summary.add(line)).unwrap();
        ours.push(begun.elapsed());
        assert_eq!(extent.lines, lines);
        assert_eq!(summary.seen().len(), 2);

        let begun = Instant::now();
        let status = Command::new("grep")
            .args(["-cF", "-e", "NVRM: ", "-e", "nvidia-nvswitch"])
            .arg(&path)
            .env("LC_ALL", "C")
            .stdout(Stdio::null())
            .status()
            .unwrap();
        assert!(status.success());
        grep.push(begun.elapsed());
    }
    let (ours, grep) = (rate(ours), rate(grep));
    println!("| what | measured | wanted | |\n|---|---|---|---|");
    println!(
        "| a log explained, on one core | {:.2} GB/s | at least 1 GB/s | {} |",
        ours / 1e9,
        if ours >= WANTED { "holds" } else { "DOES NOT HOLD" }
    );
    println!(
        "| grep, which only counts the driver's lines | {:.2} GB/s, ratio {:.2} | | |",
        grep / 1e9,
        ours / grep
    );
}

/// Writes the log; answers how many lines it has.
fn write(file: &mut File) -> u64 {
    let usual =
        "[  812.004411] audit: type=1400 audit(1700000000.123:45): apparmor=\"ALLOWED\" operation=\"open\"\n";
    let driver = "[  812.004411] NVRM: Xid (PCI:0000:18:00): 13, pid=41201, name=python3, Graphics SM Warp Exception\n\
                  [  813.004411] nvidia-nvswitch3: SXid (PCI:0000:05:00.0): 12028, Non-fatal, Link 32 egress error (First)\n";
    let block = usual.repeat(20_000) + driver;
    let blocks = SIZE / block.len();
    for _ in 0..blocks {
        file.write_all(block.as_bytes()).unwrap();
    }
    u64::try_from(blocks * block.lines().count()).unwrap()
}

fn rate(mut all: Vec<Duration>) -> f64 {
    all.sort();
    #[expect(clippy::cast_precision_loss, reason = "half a gigabyte")]
    let size = SIZE as f64;
    size / all[all.len() / 2].as_secs_f64()
}
