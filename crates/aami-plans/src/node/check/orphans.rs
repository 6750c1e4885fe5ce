//! What checks leave behind by leaving their process group: it becomes ours, and ends with the round.
//!
//! In its unit, a round's group of processes ends with it anyway; where cron or a person runs it, nothing else
//! would end what called `setsid`.

use std::fs;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, WaitOptions, getpid, kill_process, set_child_subreaper, waitpid};

/// How long their end is waited for. One that is stuck in a driver cannot die.
pub(super) const PATIENCE: Duration = Duration::from_secs(2);

/// From now on, what loses its parent becomes a child of this process (prctl(2), `PR_SET_CHILD_SUBREAPER`).
pub fn adopt() {
    // Kernels before 3.4 have no such thing; the round goes on without.
    let _ = set_child_subreaper(Some(getpid()));
}

/// Ends every child of this process and all they leave behind, whoever started them: it is for a program that did
/// nothing but run a round.
pub fn end() {
    let deadline = Instant::now() + PATIENCE;
    let mut pause = Duration::from_millis(1);
    loop {
        let children = children();
        if children.is_empty() || Instant::now() >= deadline {
            return;
        }
        for child in children {
            let _ = kill_process(child, Signal::KILL);
            let _ = waitpid(Some(child), WaitOptions::NOHANG);
        }
        std::thread::park_timeout(pause);
        pause = (pause * 2).min(Duration::from_millis(20));
    }
}

/// The children of this process, by any of its threads (proc(5), `/proc/pid/task/tid/children`).
fn children() -> Vec<Pid> {
    let tasks = fs::read_dir("/proc/self/task").into_iter().flatten().flatten();
    tasks
        .filter_map(|task| fs::read_to_string(task.path().join("children")).ok())
        .flat_map(|text| {
            let numbers = text.split_whitespace().filter_map(|word| word.parse().ok());
            numbers.filter_map(Pid::from_raw).collect::<Vec<_>>()
        })
        .collect()
}
