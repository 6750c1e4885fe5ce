//! A fleet that a file declares, from `aami init` to exporters that answer, over OpenSSH and with no server at all.
//! One command on many nodes is [`many`], Ctrl-C in the middle [`stopped`].

mod many;
mod stopped;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use rig::{Host, Net, Node, Place, Release, cache, wait_until};
use serde_json::Value;

use crate::node_parts::answers;
use crate::site::{ARCH, Said, built, stock};

/// Where no node of this net ever is.
const NOBODY: &str = "10.77.0.200";

/// An operator with a configuration of their own, and nodes whose root lets them in.
struct Operator {
    net: Net,
    host: Host,
    /// What stands for `/` on the operator's machine.
    root: PathBuf,
    /// Agent and exporters to carry.
    dist: PathBuf,
}

/// Runs a command to its end.
fn said(command: &mut Command) -> Result<Said> {
    let output = command.output().context("cannot start aami")?;
    Ok(Said {
        code: output.status.code().unwrap_or(-1),
        stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
        stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
    })
}

impl Operator {
    fn new() -> Result<Self> {
        let net = Net::new()?;
        let host = net.host("operator")?;
        let (root, dist) = (host.folder().join("root"), host.folder().join("dist"));
        fs::create_dir_all(&root)?;
        stock(&dist)?;
        let operator = Self {
            net,
            host,
            root,
            dist,
        };
        let keygen = cache::packages(None, &["openssh-client"])?.join("usr/bin/ssh-keygen");
        let made = Command::new(keygen)
            .args(["-q", "-t", "ed25519", "-N", "", "-f"])
            .arg(operator.key())
            .output()?;
        ensure!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
        operator.well(&["init", "--no-install"])?;
        operator.well(&["config", "set", "ssh.key", &operator.key().to_string_lossy()])?;
        operator.well(&["config", "set", "ssh.connect_timeout", "5"])?;
        Ok(operator)
    }

    fn key(&self) -> PathBuf {
        self.host.folder().join("id_ed25519")
    }

    /// Boots a node whose root lets the operator in.
    fn node(&self, name: &str) -> Result<Node> {
        let node = Node::boot(&self.net, Release::Bookworm, name)?;
        let public = fs::read(self.key().with_extension("pub"))?;
        node.sh("install -d -m 700 /root/.ssh")?.ok()?;
        node.write("/root/.ssh/authorized_keys", &public, 0o600)?;
        wait_until(Duration::from_secs(20), "sshd listens", || {
            node.sh("ss -ltn | grep -q ':22 '")?.ok()
        })?;
        Ok(node)
    }

    /// Declares a node.
    fn declare(&self, name: &str, address: &str) -> Result<()> {
        self.well(&["nodes", "add", name, "--ip", address]).map(drop)
    }

    fn command(&self, arguments: &[&str]) -> Result<Command> {
        let mut command = self.host.command(&built("aami")?.to_string_lossy());
        // Before the rest: what follows `--` is for the nodes.
        let (noun, rest) = arguments.split_first().context("no command")?;
        command
            .arg(noun)
            .arg("--root")
            .arg(&self.root)
            .args(rest)
            .env("HOME", self.host.folder())
            .env_remove("AAMI_SERVER")
            .env_remove("AAMI_API_KEY");
        Ok(command)
    }

    fn aami(&self, arguments: &[&str]) -> Result<Said> {
        said(&mut self.command(arguments)?)
    }

    fn well(&self, arguments: &[&str]) -> Result<Said> {
        let said = self.aami(arguments)?;
        ensure!(said.code == 0, "aami {}: {}", arguments.join(" "), said.all());
        Ok(said)
    }

    /// `nodes install` with what there is to carry.
    fn install(&self, more: &[&str]) -> Result<Said> {
        self.aami(&self.installing(more))
    }

    fn installing<'a>(&'a self, more: &[&'a str]) -> Vec<&'a str> {
        let mut words = vec!["nodes", "install", "--skip-agent", "--skip-checks"];
        words.extend_from_slice(more);
        words
    }

    fn carried(&self) -> (String, String) {
        let folder = self.dist.join(ARCH);
        let text = |path: &Path| path.to_string_lossy().into_owned();
        (text(&folder.join("aami-agent")), text(&folder))
    }

    /// The addresses Prometheus would scrape node_exporter at.
    fn targets(&self) -> Result<String> {
        Ok(fs::read_to_string(
            self.root.join("var/lib/aami/targets/nodes.json"),
        )?)
    }

    /// Node_exporter answers on a node, as Prometheus would ask it.
    fn scrapes(&self, node: &Node) -> Result<()> {
        let url = format!("http://{}:9100/metrics", node.address());
        wait_until(Duration::from_secs(30), &format!("{url} answers"), || {
            let text = Place::On(&self.host).get(&url, &[])?;
            ensure!(text.contains("node_exporter_build_info"), "{text}");
            Ok(())
        })
    }
}

#[test]
fn a_declared_fleet_is_installed_and_what_fails_is_folded_and_resumed() -> Result<()> {
    // Given an operator and three nodes, one of them with its cable out,
    let operator = Operator::new()?;
    let nodes = ["gpu-1", "gpu-2", "gpu-3"].map(|name| operator.node(name));
    let nodes = nodes.into_iter().collect::<Result<Vec<Node>>>()?;
    let list: String = nodes
        .iter()
        .map(|node| format!("{} {} rack=a1\n", node.name(), node.address()))
        .collect();
    let file = operator.host.folder().join("nodes.txt");
    fs::write(&file, list)?;
    let said = operator.well(&["nodes", "add", "--file", &file.to_string_lossy()])?;
    ensure!(said.stdout.matches("✅ Node gpu-").count() == 3, "{}", said.all());

    // when the way to them is tried, each has a row and its host key is learned once,
    let said = operator.well(&["nodes", "test", "--all"])?;
    ensure!(said.stdout.matches("learned").count() == 3, "{}", said.all());
    ensure!(
        said.stdout.matches("Debian GNU/Linux 12").count() == 3,
        "{}",
        said.all()
    );
    let said = operator.well(&["nodes", "test", "gpu-[1-3]"])?;
    ensure!(said.stdout.matches("known").count() == 3, "{}", said.all());
    // and what they say alike is said once.
    let said = operator.well(&["nodes", "exec", "--all", "-b", "--", "uname -s; echo lost >&2"])?;
    ensure!(
        said.stdout.contains("gpu-[1-3] (3)") && said.stdout.matches("Linux").count() == 1,
        "{}",
        said.all()
    );
    let said = operator.aami(&["nodes", "exec", "gpu-1", "--", "echo hello; exit 3"])?;
    ensure!(
        said.code == 1 && said.stdout == "gpu-1: hello\n",
        "{}",
        said.all()
    );

    // When they are installed, the one that cannot be reached stops nobody,
    nodes[2].connected(false)?;
    let (agent, components) = operator.carried();
    let carry = ["--agent", agent.as_str(), "--components", components.as_str()];
    operator.well(&["config", "set", "ssh.retry.max_attempts", "1"])?;
    let said = operator.install(&[&["--all"][..], &carry[..]].concat())?;
    ensure!(said.code == 7, "{}", said.all());
    ensure!(said.stderr.contains("gpu-[1-2]: ok"), "{}", said.all());
    ensure!(said.stderr.contains("gpu-3: AAMI-"), "{}", said.all());
    // the two answer and are listed for Prometheus, the third is not,
    for node in &nodes[..2] {
        operator.scrapes(node)?;
        ensure!(operator.targets()?.contains(&format!("{}:9100", node.address())));
    }
    ensure!(!operator.targets()?.contains(&nodes[2].address().to_string()));
    // each has a log, and what is left to do is in a file.
    let resume = said.stderr.split("--resume ").nth(1).context("no resume file")?;
    let resume = resume.lines().next().context("no resume file")?.trim().to_owned();
    let logs = Path::new(&resume).parent().context("no folder")?;
    ensure!(fs::read_to_string(logs.join("gpu-1.log"))?.contains("node_exporter"));

    // When its cable is back, the rest is done from that file, which goes,
    nodes[2].connected(true)?;
    let said = operator.install(&[&["--resume", resume.as_str()][..], &carry[..]].concat())?;
    ensure!(
        said.code == 0 && said.stdout.contains("✅ Node gpu-3 is installed"),
        "{}",
        said.all()
    );
    operator.scrapes(&nodes[2])?;
    ensure!(!Path::new(&resume).exists());
    // once more changes nothing, and sends nothing that is there,
    let said = operator.install(&[&["--all"][..], &carry[..]].concat())?;
    ensure!(
        said.code == 0 && said.stdout.contains("gpu-[1-3]"),
        "{}",
        said.all()
    );
    // and a node that is removed is scraped no more.
    operator.well(&["nodes", "remove", "gpu-2", "--yes"])?;
    ensure!(!operator.targets()?.contains(&nodes[1].address().to_string()));
    answers(&nodes[1], 9100)
}

#[test]
fn a_cut_connection_finds_the_run_again() -> Result<()> {
    // Given a node whose installation hangs at a mirror that says nothing,
    let operator = Operator::new()?;
    let node = operator.node("gpu-1")?;
    operator.declare("gpu-1", &node.address().to_string())?;
    node.sh(
        "systemd-run --quiet --unit=silent --socket-property=ListenStream=127.0.0.1:8999 sleep infinity",
    )?
    .ok()?;
    let (agent, components) = operator.carried();
    let logs = operator.host.folder().join("logs");
    let logged = logs.to_string_lossy().into_owned();
    let mut hanging = operator.installing(&["gpu-1", "--agent", &agent, "--mirror", "http://127.0.0.1:8999"]);
    hanging.extend(["--logs", logged.as_str()]);
    let mut install = operator
        .host
        .start("nodes-install", operator.command(&hanging)?)?;
    let log = || fs::read_to_string(logs.join("gpu-1.log")).unwrap_or_default();
    let status = || -> Result<Value> {
        let said = node.sh("/var/lib/aami/push/aami-agent run list --json")?.ok()?;
        Ok(serde_json::from_str(said.trim())?)
    };
    wait_until(Duration::from_secs(60), "the run hangs", || {
        ensure!(log().contains("node_exporter"), "{}", log());
        ensure!(status()?[0]["status"] == "running", "{:#}", status()?);
        Ok(())
    })?;
    // when the cable is pulled until that is noticed, and put in again,
    node.connected(false)?;
    wait_until(Duration::from_secs(90), "the loss is noticed", || {
        install.check()?;
        ensure!(log().contains("connecting again"), "{}", log());
        Ok(())
    })?;
    node.connected(true)?;
    // then the same run is read along with again,
    wait_until(Duration::from_secs(90), "it is connected again", || {
        install.check()?;
        ensure!(log().contains("connected again"), "{}", log());
        Ok(())
    })?;
    let runs = status()?;
    ensure!(
        runs.as_array().map(Vec::len) == Some(1) && runs[0]["attempt"] == 1,
        "{runs:#}"
    );
    // and its end is heard: the mirror goes, so the run fails and says why.
    node.sh("systemctl stop silent.socket silent.service; systemctl reset-failed")?;
    let ended = install.wait(Duration::from_secs(120))?;
    ensure!(ended.code() != Some(0), "{}", install.log());
    ensure!(
        install.log().contains("DOWNLOAD_FAILED") || install.log().contains("AAMI-"),
        "{}",
        install.log()
    );

    // A second operator's command waits for a run that is at work there, and then does its own.
    let said = operator.install(&["gpu-1", "--agent", &agent, "--components", &components])?;
    ensure!(said.code == 0, "{}", said.all());
    operator.scrapes(&node)
}

#[test]
fn a_host_key_that_changed_is_told_and_nothing_is_done() -> Result<()> {
    let operator = Operator::new()?;
    let node = operator.node("gpu-1")?;
    operator.declare("gpu-1", &node.address().to_string())?;
    operator.well(&["nodes", "test", "gpu-1"])?;
    node.sh("rm /etc/ssh/ssh_host_*; ssh-keygen -q -A; systemctl restart ssh")?
        .ok()?;
    wait_until(Duration::from_secs(20), "sshd listens again", || {
        node.sh("ss -ltn | grep -q ':22 '")?.ok()
    })?;
    for arguments in [
        &["nodes", "test", "gpu-1"][..],
        &["nodes", "exec", "gpu-1", "--", "touch /root/was-here"],
    ] {
        let said = operator.aami(arguments)?;
        ensure!(said.code == 10, "exit {}: {}", said.code, said.all());
        ensure!(
            said.all().contains("has changed") && said.all().contains("known_hosts:"),
            "{}",
            said.all()
        );
    }
    ensure!(node.sh("test -e /root/was-here")?.code != 0);
    Ok(())
}

#[test]
fn a_diagnosis_looks_at_the_node_itself_where_it_is_asked_to() -> Result<()> {
    // Given a node whose exporter was installed and answers,
    let operator = Operator::new()?;
    let node = operator.node("gpu-1")?;
    operator.declare("gpu-1", &node.address().to_string())?;
    operator.well(&["config", "set", "prometheus.port", "9"])?;
    let (agent, components) = operator.carried();
    let said = operator.install(&["--all", "--agent", &agent, "--components", &components])?;
    ensure!(said.code == 0, "{}", said.all());
    operator.scrapes(&node)?;
    let diagnosed = || -> Result<Value> {
        let said = operator.aami(&["diagnose", "gpu-1", "--ssh", "-o", "json"])?;
        ensure!(said.code == 3, "{}", said.all());
        Ok(serde_json::from_str(&said.stdout)?)
    };
    let hop = |told: &Value, name: &str| -> Result<Value> {
        let hops = told["hops"].as_array().context("no hops")?;
        let found = hops.iter().find(|link| link["hop"] == name);
        Ok(found.with_context(|| format!("no hop {name} in {told}"))?.clone())
    };
    // when it is looked at, then all of it is well but that nobody scrapes it here.
    let told = diagnosed()?;
    ensure!(told["broken"] == "prometheus", "{told}");
    ensure!(hop(&told, "exporter")?["standing"] == "ok", "{told}");
    let seen = hop(&told, "node")?;
    ensure!(
        seen["standing"] == "ok" && seen.to_string().contains("aami-node-exporter.service is active"),
        "{told}"
    );
    // When the exporter is stopped there, then the port is what is broken, and the next command starts it.
    node.sh("systemctl stop aami-node-exporter.service")?.ok()?;
    let told = diagnosed()?;
    ensure!(told["broken"] == "port", "{told}");
    ensure!(
        hop(&told, "node")?.to_string().contains("is inactive there"),
        "{told}"
    );
    let next = told["next"].as_str().context("no next command")?.to_owned();
    ensure!(
        next.ends_with("systemctl start aami-node-exporter.service"),
        "{told}"
    );
    // It is a command that can be typed as it stands.
    let words: Vec<&str> = next.split(' ').skip(1).collect();
    operator.well(&words)?;
    operator.scrapes(&node)?;
    // With its cable out it is the route, and the look by SSH is only unknown.
    node.connected(false)?;
    let told = diagnosed()?;
    ensure!(told["broken"] == "route", "{told}");
    ensure!(hop(&told, "node")?["standing"] == "unknown", "{told}");
    Ok(())
}
