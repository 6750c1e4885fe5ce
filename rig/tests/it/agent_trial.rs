//! An update in short: with an updater that its site made impatient, which shows in seconds what takes minutes on a
//! node of its own accord. All ways in which one goes wrong are in [`agent_update`](crate::agent_update).

use anyhow::{Result, ensure};
use rig::Net;

use crate::agent_update::releases::Flaw;
use crate::agent_update::{enrol, fails, runs, stage, update};
use crate::site::{Typing as _, is_as_before};

/// A new agent has eight seconds to be acknowledged, and three to run on.
const IMPATIENT: &str = "[Service]\nExecStart=\n\
    ExecStart=/usr/local/bin/aami-agent update --cluster default --trial 8 --steady 3\n";
const DROP_IN: &str = "/etc/systemd/system/aami-agent-update.service.d";

#[test]
fn an_agent_that_is_not_ours_or_never_connects_goes_and_older_ones_go_with_the_second_good_one() -> Result<()>
{
    let net = Net::new()?;
    let (site, shelf, node) = stage(&net)?;
    let before = node.picture()?;
    enrol(&site, &node)?;
    let own = env!("CARGO_PKG_VERSION");
    node.write(&format!("{DROP_IN}/10-site.conf"), IMPATIENT.as_bytes(), 0o644)?;
    node.types_well("systemctl daemon-reload")?;

    // What somebody else has signed changes nothing.
    shelf.place("0.9.1", Flaw::SignedByAnother)?;
    fails(&site, &node, "0.9.1", "SIGNATURE_INVALID")?;
    runs(&site, &node, own)?;

    // What never connects is tried, and taken back.
    shelf.place("0.9.9", Flaw::NeverConnects)?;
    let why = fails(&site, &node, "0.9.9", "UPDATE_ROLLED_BACK")?;
    ensure!(
        why.contains("was not acknowledged") && why.contains("8 s"),
        "{why}"
    );
    runs(&site, &node, own)?;

    // A good one takes the place, and the one before stays as the way back; with the next it goes.
    let kept = |versions: &[&str]| -> Result<()> {
        let found = node.types_well("cd /opt/aami && ls -d aami-agent-*")?.stdout;
        let found: Vec<&str> = found
            .lines()
            .filter_map(|line| line.strip_prefix("aami-agent-"))
            .collect();
        ensure!(
            found == versions,
            "{found:?}, not {versions:?}\n{}",
            node.journal("aami-agent-update")?
        );
        Ok(())
    };
    for (version, left) in [("0.9.7", [own, "0.9.7"]), ("0.9.8", ["0.9.7", "0.9.8"])] {
        shelf.place(version, Flaw::None)?;
        let (exit, said) = update(&site, version)?;
        ensure!(exit == 0, "{said}\n{}", node.journal("aami-agent-update")?);
        runs(&site, &node, version)?;
        kept(&left)?;
    }
    node.types_well("aami-agent status")?;

    // And all of it goes with the node.
    node.types_well(&format!("rm -r {DROP_IN} && systemctl daemon-reload"))?;
    node.types_well("aami-agent uninstall")?;
    is_as_before(&node, &before, "an uninstall")
}
