//! The quick start, typed word for word: a server from a release, a node, and both as they were before.

use std::path::PathBuf;

use anyhow::{Context as _, Result, ensure};
use rig::engines::{Nginx, Site as Folder};
use rig::{Net, Node, Release, cache, wait_until};

use super::shelf::Shelf;
use crate::site::{Typing as _, is_as_before, root};

/// What the page has people type, with the web server of this story.
fn page() -> Result<Vec<String>> {
    let text = std::fs::read_to_string(root().join("docs/guide/QUICKSTART.md"))?;
    let lines = text.lines().filter_map(|line| line.strip_prefix("    "));
    Ok(lines
        .map(|line| line.replace("https://releases.example.com", "http://web"))
        .collect())
}

/// What `make components` leaves.
fn components() -> Result<PathBuf> {
    let cache = std::env::var_os("XDG_CACHE_HOME").map(PathBuf::from);
    let cache = cache.or_else(|| Some(PathBuf::from(std::env::var_os("HOME")?).join(".cache")));
    let folder = cache.context("no cache folder")?.join("aami/components");
    ensure!(
        folder.join("components.toml").exists(),
        "no components in {}; `make components` fetches them",
        folder.display()
    );
    Ok(folder)
}

#[test]
fn the_quick_start_is_followed_word_for_word() -> Result<()> {
    let net = Net::new()?;
    let host = net.host("web")?;
    let shelf = Shelf::fill_with(&host, components()?)?;
    let _web = Nginx::start(&host, &Folder::of(&shelf.folder))?;
    let server = Node::boot(&net, Release::Bookworm, "server")?;
    let node = Node::boot(&net, Release::Bookworm, "gpu-01")?;
    // Debian's Alertmanager looks for these where its package has them; the publisher's carries them inside.
    let templates = "usr/share/prometheus/alertmanager";
    let package = cache::packages(None, &["prometheus-alertmanager"])?;
    for name in ["default.tmpl", "email.tmpl"] {
        let from = package.join(templates).join(name);
        if from.exists() {
            server.write(&format!("/{templates}/{name}"), &std::fs::read(from)?, 0o644)?;
        }
    }
    let before = (server.picture()?, node.picture()?);

    let mut enrolled = false;
    let mut typed = 0;
    for line in page()? {
        typed += 1;
        if line.contains("tokens create") {
            // At a terminal it prints the line; here it is asked for it.
            let made = server
                .types_well(&format!("{line} -o json --show-secret"))?
                .stdout;
            let made: serde_json::Value = serde_json::from_str(&made)?;
            let one_line = made["one_line"].as_str().context("no line")?;
            node.types_well(one_line)?;
            enrolled = true;
        } else if line.contains("aami-agent") {
            is_scraped(&server)?;
            node.types_well(&line)?;
        } else {
            server.types_well(&line)?;
        }
    }

    ensure!(enrolled && typed > 7, "only {typed} lines were typed");
    is_as_before(&node, &before.1, "the quick start")?;
    is_as_before(&server, &before.0, "the quick start")
}

/// Prometheus has the node, as the page says.
fn is_scraped(server: &Node) -> Result<()> {
    let limit = std::time::Duration::from_secs(45);
    wait_until(limit, "Prometheus has scraped the node", || {
        let answer = server
            .sh("curl -fsS 'http://127.0.0.1:9090/api/v1/query?query=up%7Bnode=%22gpu-01%22%7D'")?
            .ok()?;
        ensure!(
            answer.contains("\"cluster\":") && answer.contains(",\"1\"]"),
            "{answer}"
        );
        Ok(())
    })
}
