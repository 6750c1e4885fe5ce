//! How long the one line takes on a real node, beside the same work done by hand in the same run.
//!
//! By hand means: download agent and exporter from the same control plane, check them, unpack, write a unit, start it,
//! wait until it answers. What the one line takes beyond that is AAMI's own time: looking at the machine, remembering
//! every change, registering, being verified. Each round has a fresh node. Needs root.
#![allow(clippy::print_stdout, missing_docs)]

#[path = "../tests/it/site.rs"]
#[allow(dead_code)]
mod site;

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use rig::{Net, Node, Packed, Release};
use site::{Site, Typing as _};

const ROUNDS: u32 = 5;
/// What AAMI may take for itself.
const OWN: Duration = Duration::from_secs(3);

fn main() -> Result<()> {
    let net = Net::new()?;
    let site = Site::start(&net)?;
    let mut all = Vec::new();
    println!("the one line against the same work by hand, {ROUNDS} fresh nodes each");
    for round in 1..=ROUNDS {
        let release = Release::ALL[usize::try_from(round)? % 3];
        let by_hand = time(&net, release, &format!("hand-{round}"), &by_hand(&site)?)?;
        let token = site.token(&["--name", &format!("round {round}")])?;
        let one_line = time(&net, release, &format!("line-{round}"), &token.one_line)?;
        println!(
            "  {:<8}  by hand {:>6.0?}   one line {:>6.0?}   own {:>6.0?}",
            release.codename(),
            by_hand,
            one_line,
            one_line.saturating_sub(by_hand)
        );
        all.push((one_line, by_hand));
    }
    all.sort_by_key(|(one_line, by_hand)| one_line.saturating_sub(*by_hand));
    let (one_line, by_hand) = *all.get(all.len() / 2).context("no round")?;
    let own = one_line.saturating_sub(by_hand);
    println!(
        "median: {own:.0?} of our own, {:.2} times the work by hand",
        one_line.as_secs_f64() / by_hand.as_secs_f64()
    );
    println!(
        "{} (may take {OWN:.0?})",
        if own <= OWN { "holds" } else { "DOES NOT HOLD" }
    );
    let agent = std::fs::metadata(site.agent())?.len();
    println!("agent: {:.1} MB (may be 10)", agent as f64 / 1e6);
    Ok(())
}

fn time(net: &Net, release: Release, name: &str, line: &str) -> Result<Duration> {
    let node = Node::boot(net, release, name)?;
    let start = Instant::now();
    node.types_well(line)?;
    let took = start.elapsed();
    node.stop()?;
    Ok(took)
}

/// The same work as a careful person would script it.
fn by_hand(site: &Site) -> Result<String> {
    let packed = Packed::node_exporter()?;
    let (url, file) = (site.url(), packed.file_name());
    let stem = file.replace(".tar.gz", "");
    let arch = site::ARCH;
    Ok(format!(
        "set -e; cd /tmp; get() {{ curl -fsSk -o \"$2\" {url}/dist/{arch}/$1; }}
         get aami-agent agent; sha256sum agent > /dev/null
         get {file} archive; echo '{sum}  archive' | sha256sum -c --quiet
         mkdir -p /opt/by-hand && tar -xzf archive -C /opt/by-hand
         useradd --system --no-create-home exporter
         printf '[Service]\\nUser=exporter\\nExecStart=/opt/by-hand/{stem}/node_exporter\\n[Install]\\nWantedBy=multi-user.target\\n' \
            > /etc/systemd/system/by-hand.service
         systemctl daemon-reload; systemctl -q enable --now by-hand
         until curl -fs -o /dev/null http://127.0.0.1:9100/metrics; do sleep 0.05; done",
        sum = packed.sha256
    ))
}
