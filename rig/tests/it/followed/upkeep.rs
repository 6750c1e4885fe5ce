//! What is typed while a site runs: the server's line once more, enrolling with options, the agent, checks, exporters and
//! maintenance.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use rig::wait_until;

use super::has;
use super::page::Page;
use super::place::{Guided, Printed};

/// How long a batch of one node may take.
const SOON: Duration = Duration::from_secs(20);
/// Why a line of a configuration is not typed.
const WRITTEN: &str = "it stands in a file";

/// The pages of this room.
pub(super) struct Upkeep {
    enrolling: Page,
    agent: Page,
    checks: Page,
    exporters: Page,
    maintenance: Page,
    server: Page,
}

impl Upkeep {
    pub(super) fn open() -> Result<Self> {
        let enrolling = [
            ("tokens create", "it is TOKENS' own line"),
            ("curl -fsSLk", "it is BOOTSTRAP's own line"),
        ];
        let agent = [
            (
                "nodes add gpu-01",
                "it is NODE-REGISTRATION's line, for another node",
            ),
            (
                "nodes token gpu-01",
                "it is NODE-REGISTRATION's line, for another node",
            ),
        ];
        let mut checks = written("checks:,root:,- builtin:,- name:,sha256:,keys:,- id:,public_key:");
        checks.push(("{\"status\"", "it is what a check prints"));
        let mut server =
            written("[[component]],name =,version =,kind =,license =,archive =,file =,sha256 =,tree =");
        server.extend(written("[component.build,programs ="));
        server.extend([
            ("--remote-write", "tracking has the service it names"),
            ("--otlp", "tracking has the service it names"),
        ]);
        let exporters = [
            (
                "exporters install",
                "it needs an exporter nobody publishes; node_exporters does",
            ),
            ("exporters remove", "it needs the one before; node_exporters does"),
        ];
        let maintenance = [
            ("alertmanager_", WRITTEN),
            ("prometheus_", WRITTEN),
            (
                "batches cancel",
                "a batch of one node has ended by then; aami's own stories cancel one",
            ),
        ];
        Ok(Self {
            enrolling: Page::open("enrolling", &enrolling)?,
            agent: Page::open("agent", &agent)?,
            checks: Page::open("checks", &checks)?,
            exporters: Page::open("exporters", &exporters)?,
            maintenance: Page::open("maintenance", &maintenance)?,
            server: Page::open("server", &server)?,
        })
    }

    /// Types all of it.
    pub(super) fn goes_on(mut self, site: &Guided, token: &Printed) -> Result<()> {
        self.changes_nothing(site)?;
        self.enrols_with_options(site, token)?;
        self.looks_at_a_node(site)?;
        self.takes_one_out(site)?;
        self.takes_many_out(site)?;
        self.asks_what_would_happen(site)?;
        self.server.ends()?;
        self.enrolling.ends()?;
        self.agent.ends()?;
        self.checks.ends()?;
        self.exporters.ends()?;
        self.maintenance.ends()
    }

    /// The server's own line on a server that is as it asks for.
    fn changes_nothing(&mut self, site: &Guided) -> Result<()> {
        let pids = site.server.pids()?;
        let line = self.server.next("server install --domain aami.example.com")?;
        site.types(&site.server.node, &line)?;
        ensure!(site.server.pids()? == pids, "something was started again");
        Ok(())
    }

    /// A node that is one already gets labels and another port.
    fn enrols_with_options(&mut self, site: &Guided, token: &Printed) -> Result<()> {
        let fetches = token.one_line.split(" | ").next().unwrap_or_default();
        let line = self.enrolling.next("… | sudo sh -s --")?.replace('…', fetches);
        site.types(&site.declared, &line)?;
        let node = site.asks("aami nodes show gpu-07")?;
        ensure!(
            node["labels"]["rack"] == "A1" && node["labels"]["env"] == "production",
            "{node:#}"
        );
        has(&node["exporters"].to_string(), "9101")
    }

    /// On the node: the agent, its numbers, checks and exporters.
    fn looks_at_a_node(&mut self, site: &Guided) -> Result<()> {
        let node = &site.first;
        has(
            &site.types(node, &self.agent.next("systemctl status")?)?.stdout,
            "active (running)",
        )?;
        has(&site.types(node, &self.agent.next("journalctl")?)?.stdout, "aami")?;
        has(
            &site
                .types(node, &self.agent.next("127.0.0.1:9105/metrics")?)?
                .stdout,
            "aami_agent_connected 1",
        )?;
        has(
            &site.types(node, &self.checks.next("checks list")?)?.stdout,
            "mounts",
        )?;
        site.types(node, &self.checks.next("checks run --now")?)?;
        let listed = site.types(node, &self.exporters.next("exporters list")?)?;
        has(&listed.stdout, "node_exporter")
    }

    /// The next line of the page about maintenance, without its prompt; the group and label of the page's example are
    /// those that this site has.
    fn maintains(&mut self, part: &str) -> Result<String> {
        let line = self.maintenance.next(part)?;
        let line = line.strip_prefix("$ ").with_context(|| line.clone())?;
        Ok(here(line))
    }

    fn takes_one_out(&mut self, site: &Guided) -> Result<()> {
        let server = &site.server.node;
        let status = || {
            site.asks("aami nodes show gpu-01")
                .map(|node| node["status"].clone())
        };
        site.types(server, &self.maintains("nodes maintenance gpu-01")?)?;
        ensure!(status()? == "maintenance");
        has(
            &site.types(server, &self.maintains("nodes show gpu-01")?)?.stdout,
            "fans",
        )?;
        site.types(server, &self.maintains("nodes resume gpu-01")?)?;
        ensure!(status()? == "online", "{}", status()?);
        Ok(())
    }

    /// By group and label; then what became of it.
    fn takes_many_out(&mut self, site: &Guided) -> Result<()> {
        let server = &site.server.node;
        let until = |wanted: &str| {
            wait_until(SOON, &format!("gpu-02 is {wanted}"), || {
                let node = site.asks("aami nodes show gpu-02")?;
                ensure!(node["status"] == wanted, "{node:#}");
                Ok(())
            })
        };
        site.types(server, &self.maintains("nodes maintenance --group row-3")?)?;
        until("maintenance")?;
        site.types(server, &self.maintains("nodes resume --in-status maintenance")?)?;
        until("online")?;
        site.types(server, &self.maintains("nodes label --group row-3")?)?;
        ensure!(site.asks("aami nodes show gpu-02")?["labels"]["owner"] == "alice");
        let retires = self.maintains("nodes retire --selector")?;
        has(&site.types(server, &retires)?.stdout, "gpu-02")?;

        site.types(server, &self.maintains("batches list")?)?;
        let batches = site.asks("aami batches list")?;
        let newest = batches.as_array().and_then(|all| all.first());
        let id = newest.and_then(|batch| batch["id"].as_str());
        let id = id.with_context(|| format!("{batches:#}"))?.to_owned();
        for part in ["batches show ID", "batches follow ID"] {
            site.types(server, &self.maintains(part)?.replace("ID", &id))?;
        }
        Ok(())
    }

    /// What the page shows as answered is answered.
    fn asks_what_would_happen(&mut self, site: &Guided) -> Result<()> {
        let id = site.asks("aami nodes show gpu-01")?["id"]
            .as_str()
            .unwrap_or_default()
            .to_owned();
        // One that nobody is in.
        site.types(&site.server.node, "aami groups create row-3")?;
        for part in ["groups delete row-3 --dry-run", "nodes retire gpu-01 --dry-run"] {
            let line = self.maintenance.next(part)?;
            let line = line.trim_start_matches("$ ");
            let shown = self
                .maintenance
                .next("would be")?
                .replace("0698qk3v7d8e6m2c", &id);
            let said = site.types(&site.server.node, line)?.stdout;
            ensure!(said.trim() == shown, "shown is {shown}\nsaid is {said}");
        }
        Ok(())
    }
}

/// Lines that have one of these in them, between commas, are none to type.
fn written(parts: &str) -> Vec<(&str, &str)> {
    parts.split(',').map(|part| (part, WRITTEN)).collect()
}

/// With the group and the labels that the story's nodes have.
fn here(line: &str) -> String {
    line.replace("row-3", "racks")
        .replace("rack=A1", "row=7")
        .replace("pool=old", "owner=alice")
}
