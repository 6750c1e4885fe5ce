//! A control plane that tells a service what happens, and what that service was told.

use std::collections::BTreeSet;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use rig::{Got, Host, Net, Node, Receiver, wait_until};
use serde_json::{Value, json};

use crate::site::{Site, Typing as _};

/// How long a node may be silent, in most stories.
pub(crate) const TIMEOUT: Duration = Duration::from_secs(4);
/// How long something is waited for that a timeout or two bring about.
pub(crate) const PATIENCE: Duration = Duration::from_secs(45);

/// A control plane, and the service it tells.
pub(crate) struct Stage<'net> {
    pub(crate) site: Site,
    pub(crate) people: Receiver<'net>,
}

impl<'net> Stage<'net> {
    /// Starts both, the service on a host called `people`; `flags` are more of `aami server`'s.
    pub(crate) fn start(net: &Net, people: &'net Host, flags: &[&str]) -> Result<Self> {
        Self::start_on(net, "control", people, flags)
    }

    /// The same, with the control plane on a host of another name.
    pub(crate) fn start_on(net: &Net, control: &str, people: &'net Host, flags: &[&str]) -> Result<Self> {
        let people = Receiver::start(Path::new(env!("CARGO_BIN_EXE_rig-receiver")), people)?;
        let url = people.url();
        let own = [
            "--noti-service-url",
            &url,
            "--delivery-retry-max",
            "1s",
            "--delivery-timeout",
            "2s",
        ];
        let site = Site::start_with(net, control, &[&own, flags].concat(), &[])?;
        wait_until(PATIENCE, "the service is known", || {
            let destinations = site.get("/api/v1/webhooks")?;
            let standing = &destinations["items"][0]["standing"];
            ensure!(!standing.is_null(), "{destinations}");
            Ok(())
        })?;
        Ok(Self { site, people })
    }

    /// The same, with nodes that count as gone after [`TIMEOUT`].
    pub(crate) fn impatient(net: &Net, people: &'net Host) -> Result<Self> {
        let timeout = format!("{}s", TIMEOUT.as_secs());
        Self::start(net, people, &["--heartbeat-timeout", &timeout])
    }

    /// Registers a node as a person does before anything is installed there.
    pub(crate) fn declare(&self, node: &Node) -> Result<String> {
        let body = json!({ "hostname": node.name(), "ip_address": node.address() });
        let made = self.site.post("/api/v1/nodes", &body)?;
        text(&made, "id")
    }

    /// Has the script made that installs a declared node, and puts it there; answers what the API did.
    pub(crate) fn hand_script(&self, node: &Node, id: &str) -> Result<Value> {
        let wanted = json!({ "expiresIn": 3600, "osType": "linux", "installMethod": "systemd" });
        let made = self.site.post(&format!("/api/v1/nodes/{id}/token"), &wanted)?;
        let script = text(&made, "installScript")?;
        node.write("/root/install.sh", script.as_bytes(), 0o700)?;
        Ok(made)
    }

    /// Makes a node one that is connected, by the one line; answers its id.
    pub(crate) fn enrol(&self, node: &Node) -> Result<String> {
        let token = self.site.token(&["--name", node.name()])?;
        node.types_well(&token.one_line)?;
        self.until_connected(node)?;
        text(&self.site.node(node.name())?, "id")
    }

    pub(crate) fn until_connected(&self, node: &Node) -> Result<()> {
        let seen = wait_until(PATIENCE, &format!("{} is connected", node.name()), || {
            let known = self.site.node(node.name())?;
            ensure!(
                known["status"] == "online" && known["connected"] == true,
                "{known}"
            );
            Ok(())
        });
        seen.with_context(|| node.journal("aami-agent").unwrap_or_default())
    }

    pub(crate) fn until_status(&self, node: &Node, status: &str) -> Result<()> {
        wait_until(PATIENCE, &format!("{} is {status}", node.name()), || {
            let known = self.site.node(node.name())?;
            ensure!(known["status"] == status, "{known}");
            Ok(())
        })
    }

    /// Every event there is, in order.
    pub(crate) fn events(&self) -> Result<Vec<Value>> {
        let (mut all, mut after) = (Vec::new(), 0);
        loop {
            let page = self
                .site
                .get(&format!("/api/v1/events?after={after}&limit=500"))?;
            let events = page["events"].as_array().context("no events")?;
            all.extend(events.iter().cloned());
            if events.len() < 500 {
                return Ok(all);
            }
            after = page["last_seq"].as_u64().context("no last_seq")?;
        }
    }

    /// The types of what happened to a node, in order.
    pub(crate) fn history(&self, id: &str) -> Result<Vec<String>> {
        let subject = format!("node:{id}");
        let events = self.events()?.into_iter();
        events
            .filter(|event| event["subject"] == subject.as_str())
            .map(|event| text(&event, "type"))
            .collect()
    }

    /// What the service was told about the status of a node, each event once, in the order they came first.
    pub(crate) fn told(&self, id: &str) -> Result<Vec<Got>> {
        self.told_at("/events", id)
    }

    /// The same of another destination there.
    pub(crate) fn told_at(&self, path: &str, id: &str) -> Result<Vec<Got>> {
        let mut seen = BTreeSet::new();
        let got = self.people.got()?.into_iter();
        Ok(got
            .filter(|got| got.path == path && got.body["data"]["nodeId"] == id)
            .filter(|got| STATUS.contains(&kind(got)))
            .filter(|got| seen.insert(got.header("webhook-id").to_owned()))
            .collect())
    }

    /// Waits until the service was told of exactly these.
    pub(crate) fn until_told(&self, id: &str, kinds: &[&str]) -> Result<Vec<Got>> {
        wait_until(PATIENCE, &format!("{kinds:?} are told"), || {
            let told = self.told(id)?;
            let found: Vec<&str> = told.iter().map(kind).collect();
            ensure!(found == kinds, "{found:?}");
            Ok(told)
        })
        .with_context(|| self.site.log())
    }
}

/// The types that tell of a node's status.
const STATUS: [&str; 8] = [
    "node.registered",
    "node.installation_started",
    "node.connected",
    "node.installation_failed",
    "node.disconnected",
    "node.maintenance_mode",
    "node.resumed",
    "node.decommissioned",
];

/// What a request tells.
pub(crate) fn kind(got: &Got) -> &str {
    got.body["type"].as_str().unwrap_or_default()
}

/// Fails unless a request has exactly these members.
pub(crate) fn ensure_is(got: &Got, kind: &str, data: &Value) -> Result<()> {
    let mut body = got.body.clone();
    let timestamp = body["timestamp"].take();
    let written = timestamp.as_str().unwrap_or_default();
    ensure!(
        written.len() == "2025-12-11T12:00:00.000Z".len() && written.ends_with('Z'),
        "{timestamp} is no time"
    );
    let expected = json!({ "type": kind, "timestamp": null, "data": data });
    ensure!(body == expected, "told {body:#}\nnot {expected:#}");
    Ok(())
}

pub(crate) fn text(value: &Value, member: &str) -> Result<String> {
    let text = value[member].as_str().map(str::to_owned);
    text.with_context(|| format!("no {member:?} in {value}"))
}
