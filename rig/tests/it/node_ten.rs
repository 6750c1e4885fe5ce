//! A rack at once.

use anyhow::{Context as _, Result, ensure};
use rig::{Net, Node, Release};

use crate::site::{Said, Site, Typing as _};

#[test]
fn ten_nodes_enrol_at_once_with_one_token() -> Result<()> {
    let net = Net::new()?;
    let site = Site::start(&net)?;
    let token = site.token(&["--name", "rack", "--max-uses", "10"])?;
    let nodes: Vec<Node> = all_at_once((0..10).collect(), |number| {
        Node::boot(&net, Release::ALL[number % 3], &format!("node{number}"))
    })?;

    let said: Vec<Said> = all_at_once(nodes.iter().collect(), |node: &Node| {
        node.types_well(&token.one_line)
    })?;

    ensure!(said.len() == 10);
    for node in &nodes {
        let known = site.node(node.name())?;
        ensure!(known["status"] == "online", "{known:#}");
    }
    let uses = site.json(&["tokens", "show", &token.id])?;
    ensure!(uses["used"] == 10 && uses["remaining"] == 0, "{uses:#}");
    ensure!(site.discovered("sd/prometheus")?.len() == 10);
    Ok(())
}

/// Does the same with each of these, all at the same time.
pub(crate) fn all_at_once<T: Send, R: Send>(
    these: Vec<T>,
    what: impl Fn(T) -> Result<R> + Sync,
) -> Result<Vec<R>> {
    std::thread::scope(|scope| {
        let begun: Vec<_> = these
            .into_iter()
            .map(|one| {
                let what = &what;
                scope.spawn(move || what(one))
            })
            .collect();
        begun
            .into_iter()
            .map(|thread| thread.join().ok().context("a thread panicked")?)
            .collect()
    })
}
