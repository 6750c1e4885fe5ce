//! Nodes without a control plane: what was carried to them is all they get, and a run of theirs is nobody's to cut.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use rig::{Net, Node, Picture, Process, Release, wait_until};
use serde_json::Value;

use crate::node_parts::{add_dcgm_exporter, answers, give_gpus, lose_gpus, metrics, not_well};
use crate::site::{ARCH, Site, Typing as _, stock};

/// Where what is carried to a node lies.
const PUSHED: &str = "/var/lib/aami/push";

/// Carries the agent and a folder of components to a node, as an operator's SSH does.
fn carry(node: &Node) -> Result<String> {
    let folder = tempfile::tempdir()?;
    stock(folder.path())?;
    let files = folder.path().join(ARCH);
    add_dcgm_exporter(&files)?;
    node.sh(&format!("install -d -m 755 {PUSHED} {PUSHED}/components"))?
        .ok()?;
    for entry in std::fs::read_dir(&files)? {
        let entry = entry?;
        let (path, name) = (entry.path(), entry.file_name());
        let name = name.to_string_lossy().into_owned();
        let to = if name == "aami-agent" {
            format!("{PUSHED}/{name}")
        } else {
            format!("{PUSHED}/components/{name}")
        };
        let bytes = std::fs::read(path)?;
        node.write(&to, &bytes, 0o755)?;
    }
    Ok(format!("{PUSHED}/aami-agent"))
}

/// The bootstrap of a node whose address is known.
fn bootstrap(node: &Node) -> String {
    let address = node.address();
    format!("bootstrap --standalone --address {address} --labels rack=a1 --components {PUSHED}/components")
}

/// Where a site's own word about the exporter's unit lies.
const DROP_IN: &str = "/etc/systemd/system/aami-node-exporter.service.d";

/// From now on the exporter's unit runs and answers nobody.
fn never_answers(node: &Node) -> Result<()> {
    let script = format!(
        "mkdir {DROP_IN} && printf '[Service]\\nExecStart=\\nExecStart=/bin/sleep 600\\n' > {DROP_IN}/silent.conf"
    );
    node.sh(&script)?.ok().map(drop)
}

/// The lines of a run, as a follower has them.
fn lines(said: &str) -> Result<Vec<Value>> {
    let lines = said.lines();
    lines
        .map(|line| serde_json::from_str(line).with_context(|| format!("not JSON: {line}")))
        .collect()
}

/// What a node does by itself, beside what an install does.
fn by_itself(change: &str) -> bool {
    ["check", "/agent/spool/", "/run/aami", "/aami/runs"]
        .iter()
        .any(|own| change.contains(own))
}

fn changes(before: &Picture, node: &Node) -> Result<Vec<String>> {
    let mut changes = before.changes_in(&node.picture()?);
    changes.retain(|change| !by_itself(change));
    Ok(changes)
}

#[test]
fn a_node_on_its_own_is_made_without_any_network_and_taken_back_whole() -> Result<()> {
    // Given a node with two GPUs, to which agent and components were carried, and whose cable is out,
    let net = Net::new()?;
    let node = Node::boot(&net, Release::Bookworm, "gpu-01")?;
    give_gpus(&node)?;
    let before = node.picture()?;
    let agent = carry(&node)?;
    node.connected(false)?;

    // when it is made a node on its own by a detached run,
    let begun = node.types_well(&format!(
        "{agent} run start --id first --json -- {}",
        bootstrap(&node)
    ))?;
    let begun: Value = serde_json::from_str(begun.stdout.trim())?;
    ensure!(
        begun["begun"] == true && begun["status"] == "running",
        "{begun:#}"
    );
    let said = node.types_well(&format!("{agent} run follow first --json"))?;

    // then the run says what there is now,
    let lines = lines(&said.stdout)?;
    let is = |kind: &str| lines.iter().find(|line| line["type"] == kind);
    let made = &is("node").context("no word of the node")?["node"];
    ensure!(
        made["labels"]["gpu_count"] == "2" && made["labels"]["rack"] == "a1",
        "{made:#}"
    );
    let ports: Vec<&Value> = made["endpoints"]
        .as_array()
        .into_iter()
        .flatten()
        .map(|endpoint| &endpoint["port"])
        .collect();
    ensure!(ports == [9100, 9400, 9105], "{made:#}");
    ensure!(
        lines
            .last()
            .is_some_and(|line| line["type"] == "run_ended" && line["exit"] == 0)
    );
    node.connected(true)?;
    // each of them answers, also from beyond the node,
    let host = net.host("prometheus")?;
    for (port, wanted) in [
        (9100, "node_exporter_build_info"),
        (9400, "DCGM_FI_DEV_FB_TOTAL"),
        (9105, "aami_agent_gpus_expected 2"),
    ] {
        let url = format!("http://{}:{port}/metrics", node.address());
        wait_until(Duration::from_secs(30), &format!("{url} answers"), || {
            let text = rig::Place::On(&host).get(&url, &[])?;
            ensure!(text.contains(wanted), "no {wanted} in\n{text}");
            Ok(())
        })?;
    }
    // a lost GPU and the starter set of checks are seen,
    crate::node_parts::serves_status(&node, "gpu_count", 0)?;
    lose_gpus(&node, 1)?;
    wait_until(Duration::from_secs(150), "the lost GPU is seen", || {
        let text = metrics(&node, 9105)?;
        ensure!(text.contains("\naami_agent_gpus_usable 1\n"), "{text}");
        Ok(())
    })?;
    lose_gpus(&node, 2)?;
    // nothing that could speak for it lies there, and all of it is well.
    ensure!(node.sh("ls /var/lib/aami/agent/credential")?.code != 0);
    ensure!(not_well(&node)?.is_empty(), "{:?}", not_well(&node)?);
    let status = node.types_well("aami-agent status")?.stdout;
    ensure!(status.contains("on its own"), "{status}");
    ensure!(
        node.sh("systemctl --failed --no-legend --plain")?
            .stdout
            .is_empty()
    );

    // Once more, with nothing carried any more, writes nothing and needs no flag.
    let installed = node.picture()?;
    node.types_well("aami-agent bootstrap")?;
    ensure!(
        changes(&installed, &node)?.is_empty(),
        "{:#?}",
        changes(&installed, &node)?
    );

    // What is broken is named, and mended by the same run from what was carried.
    node.sh("rm /opt/aami/node_exporter-*/node_exporter; systemctl stop aami-agent")?
        .ok()?;
    let bad = not_well(&node)?;
    ensure!(bad.len() == 2, "{bad:#?}");
    node.types_well(&format!(
        "aami-agent bootstrap --repair --components {PUSHED}/components"
    ))?;
    ensure!(not_well(&node)?.is_empty(), "{:?}", not_well(&node)?);
    answers(&node, 9105)?;

    // Taken back, there is nothing left, of what was carried either, and nobody was asked.
    node.connected(false)?;
    node.types_well("aami-agent uninstall")?;
    node.connected(true)?;
    crate::site::is_as_before(&node, &before, "uninstalling")
}

#[test]
fn a_run_is_nobodys_to_cut_and_one_that_was_killed_goes_on() -> Result<()> {
    // Given a mirror that takes connections and says nothing,
    let net = Net::new()?;
    let node = Node::boot(&net, Release::Bookworm, "node1")?;
    let before = node.picture()?;
    let agent = carry(&node)?;
    let address = node.address();
    node.sh(
        "systemd-run --quiet --unit=silent --socket-property=ListenStream=127.0.0.1:8999 sleep infinity",
    )?
    .ok()?;
    let hangs = format!("bootstrap --standalone --address {address} --mirror http://127.0.0.1:8999");

    // when a bootstrap that asks it is started, it is a unit of its own,
    node.types_well(&format!("{agent} run start --id first -- {hangs}"))?;
    ensure!(node.sh("systemctl is-active aami-run-first.service")?.stdout == "active\n");
    // and somebody reads along.
    let folder = tempfile::tempdir()?;
    let mut reader = Process::start(
        "the reader",
        node.background(&format!("exec {agent} run follow first --json")),
        &folder.path().join("log"),
    )?;
    wait_until(Duration::from_secs(30), "it reads", || {
        // While its mirror says nothing, it has nothing to say either.
        ensure!(reader.log().contains("alive"), "{}", reader.log());
        Ok(())
    })?;
    // Another one is told who is at work, and so is an installer by hand.
    let said = node.types_in_vain(
        &format!("{agent} run start --id second -- {}", bootstrap(&node)),
        6,
        "LOCKED",
    )?;
    ensure!(said.all().contains("run first"), "{}", said.all());
    node.types_in_vain(&format!("{agent} {}", bootstrap(&node)), 6, "LOCKED")?;
    // A reader that is killed harms nothing,
    node.sh("pkill --signal KILL --full '[r]un follow first'")?;
    reader.wait(Duration::from_secs(30))?;
    let stands = |node: &Node| -> Result<Value> {
        let said = node.types_well(&format!("{agent} run status first --json"))?;
        Ok(serde_json::from_str(said.stdout.trim())?)
    };
    ensure!(stands(&node)?["status"] == "running", "{:#}", stands(&node)?);
    // and when the run itself is killed, that is told.
    let pid = stands(&node)?["pid"].to_string();
    node.sh(&format!("kill -KILL {pid}"))?.ok()?;
    let said = node.types(&format!("{agent} run follow first --json"))?;
    ensure!(said.code == 9, "{}", said.all());
    let last = lines(&said.stdout)?.pop().context("no line")?;
    ensure!(
        last["type"] == "run_ended" && last["status"] == "interrupted" && last["seq"].is_null(),
        "{last:#}"
    );

    // The same command goes on under the same name, and called off twice it ends at once.
    node.types_well(&format!("{agent} run start --id first -- {hangs}"))?;
    ensure!(stands(&node)?["attempt"] == 2, "{:#}", stands(&node)?);
    node.types_well(&format!("{agent} run cancel first && {agent} run cancel first"))?;
    let said = node.types(&format!("{agent} run follow first"))?;
    ensure!(
        said.code == 9 && said.all().contains("cancelled"),
        "{}",
        said.all()
    );

    // A machine that goes down ends a run in time: this one waits for an exporter that never answers.
    never_answers(&node)?;
    node.types_well(&format!("{agent} run start --id slow -- {}", bootstrap(&node)))?;
    wait_until(Duration::from_secs(30), "it waits for its exporter", || {
        let said = node.sh("cat /var/lib/aami/runs/slow/events.jsonl")?.ok()?;
        let waits = |line: &Value| line["type"] == "step_started" && line["step"] == "node_exporter";
        ensure!(lines(&said)?.iter().any(waits), "{said}");
        Ok(())
    })?;
    node.sh("systemctl stop aami-run-slow.service")?.ok()?;
    let said = node.types(&format!("{agent} run follow slow --json"))?;
    ensure!(said.code == 9, "{}", said.all());
    let last = lines(&said.stdout)?.pop().context("no line")?;
    ensure!(
        last["status"] == "interrupted" && last["seq"].is_u64(),
        "{last:#}"
    );
    node.sh(&format!("rm -r {DROP_IN} && systemctl daemon-reload"))?
        .ok()?;
    // Whether it came as far as its unit is up to the moment.
    node.sh("systemctl stop aami-node-exporter")?;

    // Another name and what was carried bring it to the end, and taking it back in a run leaves nothing but that run.
    node.types_well(&format!("{agent} run start --id third -- {}", bootstrap(&node)))?;
    node.types_well(&format!("{agent} run follow third"))?;
    ensure!(not_well(&node)?.is_empty(), "{:?}", not_well(&node)?);
    node.types_well(&format!("{agent} run start --id away -- uninstall"))?;
    let said = node.types_well(&format!("{agent} run follow away --json"))?;
    ensure!(
        said.stdout.contains("\"type\":\"uninstalled\""),
        "{}",
        said.stdout
    );
    node.types_well(&format!("{agent} run forget"))?;
    node.sh("systemctl stop silent.socket silent.service; systemctl reset-failed")?;
    crate::site::is_as_before(&node, &before, "uninstalling in a run")
}

#[test]
fn a_node_on_its_own_is_enrolled_by_the_usual_line_and_not_the_other_way_round() -> Result<()> {
    // Given a node on its own, and a control plane that comes later,
    let net = Net::new()?;
    let site = Site::start(&net)?;
    let node = Node::boot(&net, Release::Bookworm, "node1")?;
    let before = node.picture()?;
    let agent = carry(&node)?;
    node.types_well(&format!("{agent} {}", bootstrap(&node)))?;
    let since = "systemctl show -p ActiveEnterTimestampMonotonic aami-node-exporter aami-checks.timer";
    let running = node.sh(since)?.ok()?;

    // when it is enrolled by the usual line, only what is missing is done,
    let token = site.token(&["--name", "rack"])?;
    node.types_well(&token.one_line)?;
    let known = site.node("node1")?;
    ensure!(
        known["status"] == "online" && known["labels"]["rack"] == "a1",
        "{known:#}"
    );
    ensure!(node.sh(since)?.ok()? == running, "it was all installed again");
    ensure!(not_well(&node)?.is_empty(), "{:?}", not_well(&node)?);
    // its agent is still scraped, and is connected as well.
    wait_until(Duration::from_secs(60), "the agent is connected", || {
        let url = format!("http://{}:9105/metrics", node.address());
        let text = rig::Place::On(site.host()).get(&url, &[])?;
        ensure!(text.contains("\naami_agent_connected 1\n"), "{text}");
        Ok(())
    })?;
    // The other way round it is told what to do first, and nothing changes.
    let enrolled = node.picture()?;
    let said = node.types_in_vain("aami-agent bootstrap --standalone", 6, "CONFLICT")?;
    ensure!(said.all().contains("uninstall"), "{}", said.all());
    let mut changed = changes(&enrolled, &node)?;
    // That a run failed is remembered, and told in numbers.
    let remembers = ["/install/default/node/", "/aami_install_default_node.prom"];
    changed.retain(|change| !remembers.iter().any(|own| change.contains(own)));
    ensure!(changed.is_empty(), "{changed:#?}");

    // One receipt takes back both.
    node.types_well("aami-agent uninstall")?;
    ensure!(site.node("node1")?["status"] == "inactive");
    crate::site::is_as_before(&node, &before, "uninstalling")
}
