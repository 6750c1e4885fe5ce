//! A node that an operator declares, and the script that is made for it: what goes wrong is told, what goes well brings
//! the node online with its agent, and what is rotated away opens nothing.

use std::fs;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use rig::{Net, Node, Release, wait_until};
use serde_json::Value;

use crate::site::{Site, Typing as _, is_as_before};

/// From the end of the script to what the control plane sees of the agent.
const SOON: Duration = Duration::from_secs(30);
const UNIT: &str = "aami-agent.service";

/// A node that is declared, booted, and has its script lying at `/root/install.sh`.
struct Stage {
    site: Site,
    node: Node,
}

impl Stage {
    fn set(net: &Net) -> Result<Self> {
        let site = Site::start(net)?;
        let node = Node::boot(net, Release::Bookworm, "gpu-01")?;
        let address = node.address().to_string();
        site.json(&["nodes", "add", "gpu-01", "--ip", &address, "--labels", "rack=A1"])?;
        Ok(Self { site, node })
    }

    /// Has a script made by this command, and brings it to the node; answers the token in it.
    fn bring(&self, command: &str) -> Result<String> {
        let made = self.site.json(&["nodes", command, "gpu-01"])?;
        let file = made["scriptFile"].as_str().context("no file")?;
        let script = fs::read_to_string(file)?;
        ensure!(!made.to_string().contains("aami_"), "{made:#}");
        self.node.write("/root/install.sh", script.as_bytes(), 0o600)?;
        let token = script.lines().find_map(|line| line.strip_prefix("token="));
        Ok(token.context("no token")?.trim_matches('\'').to_owned())
    }

    fn status(&self) -> Result<Value> {
        Ok(self.site.node("gpu-01")?["status"].clone())
    }

    /// The node's events, those that others tell of its lifecycle.
    fn told(&self) -> Result<Vec<Value>> {
        let told = self.site.json(&["nodes", "history", "gpu-01"])?;
        Ok(told.as_array().context("no list")?.clone())
    }

    fn kinds(&self) -> Result<Vec<String>> {
        let kind = |event: &Value| event["type"].as_str().unwrap_or_default().to_owned();
        Ok(self.told()?.iter().map(kind).collect())
    }

    fn is_connected(&self) -> Result<()> {
        wait_until(SOON, "the agent is connected", || {
            let node = self.site.node("gpu-01")?;
            ensure!(
                node["status"] == "online" && node["connected"] == true,
                "{node:#}"
            );
            Ok(())
        })
    }
}

#[test]
fn a_declared_node_is_brought_online_by_its_script_and_what_failed_before_is_told() -> Result<()> {
    // Given a node that is pending, its script, and an agent that is damaged on the way
    let net = Net::new()?;
    let stage = Stage::set(&net)?;
    let (site, node) = (&stage.site, &stage.node);
    ensure!(stage.status()? == "pending");
    let token = stage.bring("token")?;
    let before = node.picture()?;
    let agent = fs::read(site.agent())?;
    let mut damaged = agent.clone();
    damaged[agent.len() / 2] ^= 1;
    fs::write(site.agent(), &damaged)?;

    // when the script is run, then it places nothing, and the control plane knows what came in the agent's place;
    node.types_in_vain("sh /root/install.sh", 10, "CHECKSUM_MISMATCH")?;
    is_as_before(node, &before, "a refusal")?;
    ensure!(stage.status()? == "error");
    let told = stage.told()?;
    let error = &told.last().context("nothing was told")?["data"]["error"];
    let sum = |bytes: &[u8]| {
        use sha2::Digest as _;
        let digest = sha2::Sha256::digest(bytes);
        digest
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect::<String>()
    };
    ensure!(
        error["code"] == "CHECKSUM_MISMATCH"
            && error["details"]["expected"] == sum(&agent)
            && error["details"]["actual"] == sum(&damaged),
        "{error:#}"
    );

    // when the agent is whole again, then the same script brings the node online, with its agent,
    fs::write(site.agent(), &agent)?;
    let said = node.types_well("sh /root/install.sh")?.all();
    stage.is_connected()?;
    ensure!(site.node("gpu-01")?["labels"]["rack"] == "A1");
    ensure!(
        stage.kinds()?
            == [
                "node.registered",
                "node.installation_started",
                "node.installation_failed",
                "node.installation_started",
                "node.connected",
            ],
        "{:?}",
        stage.kinds()?
    );
    // in one run from the script's first step to the agent's last.
    let runs = site.json(&["runs", "list", "--node", "gpu-01"])?;
    let run = runs
        .as_array()
        .and_then(|runs| runs.iter().find(|run| run["status"] == "completed"));
    let run = run.with_context(|| format!("{runs:#}"))?;
    let steps: Vec<&str> = run["steps"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(|step| step["id"].as_str())
        .collect();
    ensure!(
        steps.starts_with(&["prerequisites", "download", "integrity", "preflight"])
            && steps.ends_with(&["agent"]),
        "{steps:?}"
    );
    // The token is nowhere but in the script: in no unit, record or log.
    let found = node.sh(&format!(
        "grep -rl '{token}' /etc /opt /var /run /usr/local 2>/dev/null; journalctl --no-pager | grep -c '{token}'"
    ))?;
    ensure!(found.stdout.trim() == "0", "{}", found.stdout);
    ensure!(!said.contains(&token), "{said}");
    // It began with what it would do, and ended with what there is now and where to look.
    let (id, url) = (site.node("gpu-01")?["id"].clone(), site.url());
    let id = id.as_str().context("no id")?;
    for part in [
        format!("for gpu-01 ({id})"),
        format!("guide: {url}/docs/guide/enrolling"),
        format!("{UNIT} is active, and connected with {url}"),
        format!("Node:          {id}"),
        format!("Control plane: {url}"),
        format!("Service:       {UNIT} is active"),
        format!("journalctl -u {UNIT} -f"),
        format!("systemctl status {UNIT}"),
    ] {
        ensure!(said.contains(&part), "no {part:?} in\n{said}");
    }
    let page = node
        .types_well(&format!("systemctl show -P Documentation {UNIT}"))?
        .stdout;
    ensure!(page.trim() == format!("{url}/docs/guide/agent"), "{page}");
    node.types_well(&format!("curl -sfk -o /dev/null {}", page.trim()))?;

    // A hardened unit, in which every exception has its reason.
    is_hardened(node)?;

    // And it leaves nothing behind.
    node.types_well("aami-agent uninstall --unregister")?;
    is_as_before(node, &before, "uninstalling")
}

/// At most 3.0, and whatever is counted is named in a comment of the unit.
pub(crate) fn is_hardened(node: &Node) -> Result<()> {
    let judged = node.types_well(&format!("systemd-analyze security --no-pager {UNIT}"))?;
    let overall = judged
        .stdout
        .lines()
        .find(|line| line.contains("Overall exposure level"));
    let level: f64 = overall
        .and_then(|line| line.rsplit(": ").next()?.split(' ').next()?.parse().ok())
        .with_context(|| judged.stdout.clone())?;
    ensure!(level <= 3.0, "{level}");
    let unit = node.types_well(&format!("systemctl cat {UNIT}"))?.stdout;
    let comments: String = unit.lines().filter(|line| line.starts_with('#')).collect();
    let counted: Vec<&str> = judged
        .stdout
        .lines()
        .filter_map(|line| line.strip_prefix('✗')?.trim().split('=').next())
        .collect();
    ensure!(counted.len() > 5, "nothing is counted:\n{}", judged.stdout);
    for setting in counted {
        ensure!(
            comments.contains(&format!("{setting}=")),
            "{setting}= is counted and has no reason in the unit:\n{}\n{unit}",
            judged.stdout
        );
    }
    Ok(())
}

#[test]
fn a_rotated_node_is_shut_out_at_once_and_comes_back_as_somebody_else_by_its_new_script() -> Result<()> {
    // Given a node at work whose credential somebody has copied
    let net = Net::new()?;
    let stage = Stage::set(&net)?;
    let (site, node) = (&stage.site, &stage.node);
    let before = node.picture()?;
    let first = stage.bring("token")?;
    node.types_well("sh /root/install.sh")?;
    stage.is_connected()?;
    let secrets = |node: &Node| -> Result<(Vec<u8>, Vec<u8>)> {
        let file = |name: &str| node.read(&format!("/var/lib/aami/agent/{name}"));
        Ok((file("node.key")?, file("credential")?))
    };
    let stolen = secrets(node)?;
    let id = site.node("gpu-01")?["id"].as_str().context("no id")?.to_owned();
    let asks = |credential: &[u8]| -> Result<String> {
        node.write(
            "/root/header",
            &[b"Authorization: Bearer ", credential].concat(),
            0o600,
        )?;
        let url = format!("{}/api/v1/nodes/{id}", site.url());
        let asked = format!("curl -sk -o /dev/null -w '%{{http_code}}' -H @/root/header {url}");
        Ok(node.types_well(&asked)?.stdout)
    };
    ensure!(asks(&stolen.1)? == "200");

    // when it is rotated, then the copy opens nothing and the node's own connection is gone,
    let second = stage.bring("rotate")?;
    ensure!(first != second);
    ensure!(asks(&stolen.1)? == "401");
    wait_until(SOON, "the connection is closed", || {
        let node = site.node("gpu-01")?;
        ensure!(node["connected"] != true, "{node:#}");
        Ok(())
    })?;

    // and when the new script is run, then it is the same node with another key and credential.
    node.types_well("sh /root/install.sh")?;
    stage.is_connected()?;
    ensure!(site.node("gpu-01")?["id"] == *id);
    let renewed = secrets(node)?;
    ensure!(
        renewed.0 != stolen.0 && renewed.1 != stolen.1,
        "they are as before"
    );
    ensure!(asks(&stolen.1)? == "401" && asks(&renewed.1)? == "200");
    ensure!(stage.kinds()?.contains(&"node.credential_revoked".to_owned()));

    node.types_well("rm /root/header && aami-agent uninstall --unregister")?;
    node.types_well("rm /root/install.sh")?;
    is_as_before(node, &before, "uninstalling")
}
