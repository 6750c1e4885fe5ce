//! How long the one line takes on a node.
//!
//! By hand means: download agent and exporter from the same control plane, check them, unpack, write a unit, start it,
//! wait until it answers. What the one line takes beyond that is AAMI's own time: looking at the machine, remembering
//! every change, registering, being verified.

use std::time::Duration;

use anyhow::{Context as _, Result};
use rig::{Net, Node, Packed, Release};

use crate::again::{Again, median};
use crate::site::{self, Site};
use crate::{Pair, timed};

const ROUNDS: usize = 5;
/// What AAMI may take for itself.
const OWN: Duration = Duration::from_secs(3);
/// Units of a node.
const UNITS: [&str; 1] = ["aami-node-exporter"];

pub(crate) fn measure(net: &Net, site: &Site) -> Result<()> {
    let by_hand = by_hand(site)?;
    let (mut all, mut again) = (Vec::new(), Vec::new());
    for round in 0..ROUNDS {
        let release = Release::ALL[round % 3];
        let node = Node::boot(net, release, &format!("hand-{round}"))?;
        let by_hand = timed(&node, &by_hand)?;
        node.stop()?;

        let token = site.token(&["--name", &format!("round {round}")])?;
        let node = Node::boot(net, release, &format!("line-{round}"))?;
        let ours = timed(&node, &token.one_line)?;
        again.push(Again::of(&node, "aami-agent bootstrap", &UNITS)?);
        node.stop()?;
        all.push(Pair { ours, by_hand });
    }
    Pair::median(all)?.row("bootstrap, beside downloads and unit start", OWN);
    median(again)
        .context("no round")?
        .row("second run of an installed node");
    Ok(())
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
