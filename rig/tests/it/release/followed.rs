//! The quick start, typed word for word: a server from a release, a node, and both as they were before. And what the
//! pages about installing say of releases, on one server after the other.

use std::path::PathBuf;

use anyhow::{Context as _, Result, ensure};
use rig::engines::{Nginx, Site as Folder};
use rig::guide::commands;
use rig::{Net, Node, Release, cache, wait_until};

use super::give_minisign;
use super::shelf::{Shelf, VERSION};
use crate::followed::page::Page;
use crate::site::{Said, Typing as _, is_as_before, root};

/// A line as it is typed here, with the web server of this story.
fn here(line: &str) -> String {
    line.replace("https://releases.example.com", "http://web")
        .replace("http://files.inside.example/aami", "http://web")
        .replace("0.1.0", VERSION)
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
    give_templates(&server)?;
    let before = (server.picture()?, node.picture()?);

    let mut enrolled = false;
    let mut typed = 0;
    for line in commands(root(), "docs/guide/QUICKSTART.md", None)? {
        let line = here(&line);
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

/// Debian's Alertmanager looks for these where its package has them; the publisher's carries them inside.
fn give_templates(server: &Node) -> Result<()> {
    let templates = "usr/share/prometheus/alertmanager";
    let package = cache::packages(None, &["prometheus-alertmanager"])?;
    for name in ["default.tmpl", "email.tmpl"] {
        let from = package.join(templates).join(name);
        if from.exists() {
            server.write(&format!("/{templates}/{name}"), &std::fs::read(from)?, 0o644)?;
        }
    }
    Ok(())
}

/// The pages that say how a server is installed from a release.
struct Pages {
    installation: Page,
    pipelines: Page,
    offline: Page,
}

impl Pages {
    fn open() -> Result<Self> {
        let elsewhere = "the story of this site's guides types it (followed)";
        let made = "the shelf of this story makes its release with it";
        Ok(Self {
            installation: Page::open(
                "INSTALLATION",
                &[
                    (
                        "dpkg --install",
                        "release::package does, on three releases of Debian",
                    ),
                    (
                        "sudo aami server install --domain",
                        "a package brings no components, and their publishers cannot be reached",
                    ),
                    ("cargo xtask dist", made),
                ],
            )?,
            pipelines: Page::open(
                "CI-CD",
                &[
                    ("sudo aami-agent", elsewhere),
                    ("sudo aami server status", elsewhere),
                    ("sudo aami tokens", elsewhere),
                    ("sudo aami nodes", elsewhere),
                ],
            )?,
            offline: Page::open(
                "OFFLINE",
                &[
                    ("aami bundle", elsewhere),
                    ("aami-offline", elsewhere),
                    ("make components", "make releases fetches them before"),
                    ("cargo xtask dist", made),
                ],
            )?,
        })
    }
}

#[test]
fn what_is_said_of_releases_is_followed_word_for_word() -> Result<()> {
    // Given a release on a web server, and a copy of it on a stick,
    let mut pages = Pages::open()?;
    let net = Net::new()?;
    let host = net.host("web")?;
    let shelf = Shelf::fill_with(&host, components()?)?;
    let _web = Nginx::start(&host, &Folder::of(&shelf.folder))?;
    let server = Node::boot(&net, Release::Bookworm, "server")?;
    give_templates(&server)?;
    give_minisign(&server)?;
    let before = server.picture()?;
    let stick = format!(
        "cd /mnt && curl -fsS http://web/install.sh -O && curl -fsS http://web/latest -O && mkdir {VERSION} && \
         cd {VERSION} && curl -fsS http://web/{VERSION}/SHA256SUMS -O && cut -d ' ' -f 3 SHA256SUMS | \
         while read -r file; do curl -fsS --create-dirs http://web/{VERSION}/$file -o $file || exit 1; done && \
         curl -fsS http://web/{VERSION}/SHA256SUMS.minisig -O && \
         curl -fsS http://web/{VERSION}/minisign.pub -o ../minisign.pub"
    );
    server.types_well(&stick)?;
    let types = |line: String| -> Result<Said> { server.types_well(&format!("cd /mnt && {}", here(&line))) };

    // when the plain line is typed, then all but Grafana is installed, and that is said;
    let plain = here(&pages.installation.next("install.sh | sudo bash")?);
    let said = server.types_in_vain(&plain, 7, "STACK_INCOMPLETE")?;
    ensure!(said.all().contains("grafana"), "{}", said.all());
    // without Grafana, and under its name, it is whole;
    types(pages.installation.next("--domain aami.example.com")?)?;
    let status = server.types_well("aami server status --json")?.stdout;
    let status: serde_json::Value = serde_json::from_str(&status)?;
    ensure!(status["healthy"] == true, "{status:#}");
    server.types_well(
        "curl -fsS --cacert /var/lib/aami/server/tls/ca.pem --resolve aami.example.com:8080:127.0.0.1 \
         https://aami.example.com:8080/health",
    )?;
    // by hand the release is judged as well.
    let judged = pages.installation.next("minisign -Vm SHA256SUMS -P RWQ…")?;
    let judged = judged.replace("RWQ…", &shelf.public_key()?);
    server.types_well(&format!("cd /mnt/{VERSION} && {judged}"))?;
    let said = types(pages.installation.next("aami release verify")?)?;
    ensure!(said.stdout.contains("signed and whole"), "{said:?}");
    pages.installation.ends()?;

    // Every other way to the same release finds nothing left to do: in a pipeline,
    let pid = "systemctl show --value --property MainPID aami-server aami-prometheus aami-alertmanager";
    let running = server.types_well(pid)?.stdout;
    let fails = pages.pipelines.next("set -o pipefail")?;
    let line = pages.pipelines.next("| sudo bash -s -- --version 0.1.0")?;
    server.write(
        "/root/job",
        format!("{fails}\n{}\n", here(&line)).as_bytes(),
        0o755,
    )?;
    let said = server.types_well("bash /root/job && rm /root/job")?;
    for told in said.stdout.lines() {
        serde_json::from_str::<serde_json::Value>(told).with_context(|| told.to_owned())?;
    }
    pages.pipelines.ends()?;
    // from a web server inside, from the stick, and judged before that.
    types(pages.offline.next("files.inside.example/aami/install.sh")?)?;
    types(pages.offline.next("/mnt/install.sh")?)?;
    types(pages.offline.next("aami release verify")?)?;
    pages.offline.ends()?;
    ensure!(
        server.types_well(pid)?.stdout == running,
        "something was started again"
    );

    server.types_well("aami server uninstall --purge-data --yes && rm -r /mnt/*")?;
    is_as_before(&server, &before, "following the pages")
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
