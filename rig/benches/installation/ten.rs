//! A rack at once: ten nodes, one token, one control plane.

use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use rig::{Net, Node, Release};

use crate::row;
use crate::site::{Site, Typing as _};

const NODES: usize = 10;

pub(crate) fn measure(net: &Net, site: &Site) -> Result<()> {
    let token = site.token(&["--name", "rack", "--max-uses", &NODES.to_string()])?;
    let mut nodes = Vec::new();
    for number in 0..NODES {
        nodes.push(Node::boot(
            net,
            Release::ALL[number % 3],
            &format!("rack-{number}"),
        )?);
    }
    let start = Instant::now();
    let took: Vec<Result<Duration>> = thread::scope(|scope| {
        let begun: Vec<_> = nodes
            .iter()
            .map(|node| {
                scope.spawn(|| {
                    node.types_well(&token.one_line)?;
                    let known = site.node(node.name())?;
                    ensure!(known["status"] == "online", "{known:#}");
                    Ok(start.elapsed())
                })
            })
            .collect();
        begun
            .into_iter()
            .map(|thread| thread.join().ok().context("a thread panicked")?)
            .collect()
    });
    for failure in took.iter().filter_map(|one| one.as_ref().err()) {
        println!("{failure:#}");
    }
    let online = took.iter().filter(|one| one.is_ok()).count();
    let last = took.iter().flatten().max().copied().unwrap_or_default();
    row(
        "10 nodes bootstrapped at once",
        &format!("{online} online, the last after {last:.1?}"),
        "all online",
        online == NODES,
    );
    nodes.into_iter().try_for_each(Node::stop)
}
