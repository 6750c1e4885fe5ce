//! Who a node is: clones, machines installed anew, and names taken from others.

use std::time::Duration;

use anyhow::{Result, ensure};
use rig::{Booting, Net, Node, Release, wait_until};

use crate::site::{Site, Typing as _};

#[test]
fn machines_cloned_with_their_machine_id_are_two_nodes() -> Result<()> {
    let net = Net::new()?;
    let site = Site::start(&net)?;
    let token = site.token(&["--name", "rack", "--max-uses", "2"])?;
    let id = "0123456789abcdef0123456789abcdef";

    for name in ["first", "second"] {
        let node = Booting::new(Release::Bookworm, name).machine_id(id).boot(&net)?;
        node.types_well(&token.one_line)?;
    }

    let (first, second) = (site.node("first")?, site.node("second")?);
    ensure!(first["id"] != second["id"] && first["status"] == "online");
    let events = site.json(&["events", "list"])?.to_string();
    ensure!(
        events.contains("DUPLICATE_MACHINE_ID") || events.contains("duplicate_machine_id"),
        "{events}"
    );
    Ok(())
}

#[test]
fn a_machine_installed_anew_needs_a_word_from_the_operator() -> Result<()> {
    let net = Net::new()?;
    let site = Site::start(&net)?;
    let token = site.token(&["--name", "rack", "--max-uses", "5"])?;
    let node = Node::boot(&net, Release::Bookworm, "node1")?;
    node.types_well(&token.one_line)?;
    let id = site.node("node1")?["id"].clone();

    // The same name from a system that has lost its key.
    node.kill();
    let anew = Booting::new(Release::Trixie, "node1-anew")
        .hostname("node1")
        .boot(&net)?;
    anew.types_in_vain(&token.one_line, 6, "ALREADY_ENROLLED")?;

    let allowed = site.aami(&["nodes", "allow-reenrol", "node1"])?;
    ensure!(allowed.code == 0, "{allowed:?}");
    anew.types_well(&token.one_line)?;

    let node = site.node("node1")?;
    ensure!(node["id"] == id && node["status"] == "online", "{node:#}");
    Ok(())
}

#[test]
fn a_name_that_another_node_bears_is_not_taken_from_it() -> Result<()> {
    let net = Net::new()?;
    let site = Site::start(&net)?;
    let token = site.token(&["--name", "rack", "--max-uses", "5"])?;
    let owner = Node::boot(&net, Release::Bookworm, "owner")?;
    owner.types_well(&token.one_line)?;
    let address = site.node("owner")?["ip_address"].clone();

    let thief = Booting::new(Release::Bookworm, "thief")
        .hostname("owner")
        .boot(&net)?;
    thief.types_in_vain(&token.one_line, 6, "ALREADY_ENROLLED")?;

    ensure!(
        site.node("owner")?["ip_address"] == address,
        "the name now leads elsewhere"
    );
    // The owner itself goes on.
    owner.types_well(&token.one_line)?;
    Ok(())
}

#[test]
fn a_node_that_was_retired_stays_out_until_it_is_restored() -> Result<()> {
    let net = Net::new()?;
    let site = Site::start(&net)?;
    let token = site.token(&["--name", "rack", "--max-uses", "5"])?;
    let node = Node::boot(&net, Release::Bookworm, "node1")?;
    node.types_well(&token.one_line)?;
    let done = site.aami(&["nodes", "retire", "node1"])?;
    ensure!(done.code == 0, "{done:?}");

    node.types_in_vain(&token.one_line, 6, "NODE_DECOMMISSIONED")?;

    let done = site.aami(&["nodes", "restore", "node1"])?;
    ensure!(done.code == 0, "{done:?}");
    let own = site.token(&["--name", "back", "--node", "node1"])?;
    node.types_well(&own.one_line)?;
    ensure!(site.node("node1")?["status"] == "online");
    // Its agent, which was refused and asks rarely since, is back at once.
    wait_until(Duration::from_secs(60), "its agent is connected", || {
        let known = site.node("node1")?;
        ensure!(known["connected"] == true, "{known}");
        Ok(())
    })
}
