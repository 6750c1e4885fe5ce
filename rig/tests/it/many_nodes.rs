//! Many machines at once: one token, one line, each of them online in the end.

use anyhow::{Context as _, Result, ensure};
use rig::{Net, Node, Release};

use crate::site::{Site, Typing as _};

const NODES: usize = 10;

#[test]
fn ten_nodes_enrol_at_once_with_one_token() -> Result<()> {
    let net = Net::new()?;
    let site = Site::start(&net)?;
    let token = site.token(&["--name", "row", "--max-uses", &NODES.to_string()])?;
    let nodes = at_once(|at| Node::boot(&net, Release::Bookworm, &format!("gpu-{at:02}")))?;

    at_once(|at| nodes[at].types_well(&token.one_line).map(drop))?;

    for node in &nodes {
        let known = site.node(node.name())?;
        ensure!(known["status"] == "online", "{}: {known:#}", node.name());
    }
    ensure!(site.json(&["tokens", "show", &token.id])?["used"] == NODES);
    ensure!(site.discovered("sd/prometheus/active")?.len() == NODES);
    // All of them once more: nothing is used, and nobody is there twice.
    at_once(|at| nodes[at].types_well(&token.one_line).map(drop))?;
    ensure!(site.json(&["tokens", "show", &token.id])?["used"] == NODES);
    ensure!(site.discovered("sd/prometheus/active")?.len() == NODES);
    Ok(())
}

/// Does something for each node, all at the same time.
fn at_once<T: Send>(work: impl Fn(usize) -> Result<T> + Sync) -> Result<Vec<T>> {
    std::thread::scope(|threads| {
        let running: Vec<_> = (0..NODES)
            .map(|at| {
                let work = &work;
                threads.spawn(move || work(at))
            })
            .collect();
        let ended = running
            .into_iter()
            .map(|one| one.join().ok().context("a thread died")?);
        ended.collect()
    })
}
