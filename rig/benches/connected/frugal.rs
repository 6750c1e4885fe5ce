//! What the agent takes of a node that has nothing to say: memory, and processor time over a while.

use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use rig::{Net, Node, Release};

use crate::row;
use crate::stage::Stage;

/// After its start it has looked at everything once.
const SETTLE: Duration = Duration::from_secs(60);
const WHILE: Duration = Duration::from_secs(300);
const MEMORY_KB: u64 = 15 * 1000;
/// Of one core.
const SHARE: f64 = 0.001;

pub(crate) fn measure(net: &Net) -> Result<()> {
    let host = net.host("frugal-people")?;
    let stage = Stage::start_on(net, "frugal-control", &host, &[])?;
    let node = Node::boot(net, Release::Bookworm, "frugal")?;
    stage.enrol(&node)?;
    // This is what is measured: nothing happens for a while.
    sleep(SETTLE);
    let (before, begun) = (used(&node)?, Instant::now());
    sleep(WHILE);
    let (after, took) = (used(&node)?, begun.elapsed());
    let share = (after.processor - before.processor).as_secs_f64() / took.as_secs_f64();
    let peak = after.peak;
    row(
        "the agent's resident memory",
        &format!("{:.1} MB, {:.1} MB at most", mb(after.resident), mb(peak)),
        "under 15 MB",
        peak < MEMORY_KB,
    );
    row(
        "processor time of the agent while nothing happens",
        &format!("{:.3} % of one core over {} s", share * 100.0, took.as_secs()),
        "under 0.1 %",
        share < SHARE,
    );
    Ok(())
}

fn mb(kilobytes: u64) -> f64 {
    Duration::from_millis(kilobytes).as_secs_f64() * 1.024
}

/// What the agent has used so far, its children included.
struct Used {
    /// In kibibytes.
    resident: u64,
    peak: u64,
    processor: Duration,
}

fn used(node: &Node) -> Result<Used> {
    // Of proc_pid_stat(5): utime, stime, and both of the children it waited for, behind the program's name.
    let script = "pid=$(systemctl show --value --property=MainPID aami-agent); \
        awk '/^VmRSS|^VmHWM/ {print $2}' /proc/$pid/status; \
        awk '{sub(/.*\\) /, \"\"); print $12 + $13 + $14 + $15}' /proc/$pid/stat; getconf CLK_TCK";
    let said = node.sh(script)?.ok()?;
    let mut numbers = said.split_whitespace().map(str::parse::<u64>);
    let mut next = || {
        numbers
            .next()
            .context("too few numbers")?
            .with_context(|| said.clone())
    };
    let (peak, resident, spent, ticks) = (next()?, next()?, next()?, next()?);
    Ok(Used {
        resident,
        peak,
        processor: Duration::from_millis(spent * 1000 / ticks),
    })
}
