//! The first commands an operator types, letter by letter, on a machine that has this program and nothing else. A bundle
//! stands for the internet, which is not to be had there.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use rig::{Net, wait_until};

use crate::init::stage::Operator;
use crate::site::Typing as _;
use crate::workshop::Workshop;

/// The lines of a table, each as its cells.
fn cells(text: &str) -> Vec<Vec<&str>> {
    (text.lines())
        .map(|line| {
            let parts = line.split("  ").map(str::trim);
            parts.filter(|part| !part.is_empty()).collect()
        })
        .collect()
}

#[test]
fn the_first_commands_do_what_they_promise_as_they_are_typed() -> Result<()> {
    let workshop = Workshop::open()?;
    workshop.packs()?;
    let net = Net::new()?;
    let operator = Operator::of(workshop.machine(&net, "operator", "/usr/local/bin/aami")?);
    let node = operator.node();

    let said = node.types_well("aami version")?;
    ensure!(
        said.stdout.starts_with("AAMI v0.1.0 (commit: ")
            && said.stdout.contains(", built: ")
            && said.stdout.ends_with(")\n")
            && said.stdout.lines().count() == 1,
        "{}",
        said.all()
    );

    // The configuration is made at once; what has to be fetched is named where there is nowhere to fetch it from,
    let said = node.types("aami init")?;
    ensure!(
        said.code != 0
            && said.stdout.contains("Created /etc/aami/config.yaml")
            && said.stderr.contains("hint: ")
            && !said.all().contains("panicked"),
        "exit {}: {}",
        said.code,
        said.all()
    );
    node.sh("test -s /etc/aami/config.yaml")?.ok()?;
    // and the same command goes on once there is.
    node.types_well("aami init --offline /root/aami-offline.tar.zst --bundle-key /root/bundle.pub")?;
    let said = node.types_well("aami init")?;
    ensure!(!said.stdout.contains("Created"), "{}", said.all());

    let said = node.types_well("aami nodes add test --ip 1.2.3.4")?;
    ensure!(said.stdout == "✅ Node test added\n", "{}", said.all());

    let said = node.types_well("aami nodes list")?;
    let table = cells(&said.stdout);
    ensure!(
        table.len() == 2
            && table[0].starts_with(&["NAME"])
            && table[1].first() == Some(&"test")
            && table[1].iter().any(|cell| cell.starts_with("1.2.3.4")),
        "{}",
        said.all()
    );

    let said = node.types_well("aami alerts apply-preset gpu-production")?;
    ensure!(
        said.stdout == "✅ Applied preset gpu-production (8 rules)\n" && !said.stderr.contains("wait for"),
        "{}",
        said.all()
    );

    // Everything runs, and the node that nothing was installed on is what is not well.
    wait_until(Duration::from_secs(60), "everything is seen", || {
        let said = node.types("aami status")?;
        let table = cells(&said.stdout);
        let line = |name: &str| {
            let line = table.iter().find(|cells| cells[0].trim_end_matches(':') == name);
            line.and_then(|cells| cells.get(1))
                .copied()
                .with_context(|| said.all())
        };
        for name in ["Prometheus", "Alertmanager", "Grafana"] {
            ensure!(line(name)? == "✅ running", "{name}: {}", said.all());
        }
        ensure!(line("Cluster")? == "my-gpu-cluster", "{}", said.all());
        ensure!(
            line("Configuration")? == "/etc/aami/config.yaml",
            "{}",
            said.all()
        );
        let nodes = line("Nodes")?;
        ensure!(
            nodes == "1 declared, 0 up, 0 down, 1 unknown to Prometheus",
            "{}",
            said.all()
        );
        ensure!(line("Alerts firing")? == "none", "{}", said.all());
        ensure!(
            line("Not well")? == "1 node is unknown to Prometheus: test",
            "{}",
            said.all()
        );
        ensure!(said.code == 3, "exit {}: {}", said.code, said.all());
        Ok(())
    })?;
    // One that is stopped is told as that.
    node.sh("systemctl stop aami-alertmanager")?.ok()?;
    let said = node.types("aami status")?;
    ensure!(
        said.code == 3
            && said.stdout.contains("❌ not running")
            && said.stdout.matches("✅ running").count() == 2
            && said.stdout.contains("Alertmanager is not running"),
        "exit {}: {}",
        said.code,
        said.all()
    );

    let said = node.types_well("aami explain xid 79")?;
    for part in [
        "Xid 79: GPU has fallen off the bus",
        "Severity: Critical",
        "Meaning:",
        "Common Causes:",
        "Recommended Actions:",
        "Reference:",
    ] {
        ensure!(said.stdout.contains(part), "no {part} in:\n{}", said.stdout);
    }
    Ok(())
}
