//! What the kernel says of another process.

use std::time::Duration;

/// Resident memory in bytes.
pub(crate) fn memory(pid: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() * 1024
}

/// The processor time it has used, in hundredths of a second (`man 5 proc`).
pub(crate) fn spent(pid: u32) -> u64 {
    ticks(&std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap())
}

/// The same, out of what a `stat` file says.
pub(crate) fn ticks(stat: &str) -> u64 {
    let (_, fields) = stat.rsplit_once(')').unwrap();
    let ticks = fields.split_whitespace().skip(11).take(2);
    ticks.map(|ticks| ticks.parse::<u64>().unwrap()).sum()
}

/// Waits until it rests, for at most a minute.
pub(crate) async fn settle(pid: u32) {
    let mut before = spent(pid);
    for _ in 0..120 {
        tokio::time::sleep(Duration::from_millis(500)).await;
        let now = spent(pid);
        if now - before <= 2 {
            return;
        }
        before = now;
    }
}
