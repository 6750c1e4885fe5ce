//! A whole node: GPU exporter, checks, a firewall in the way; and back to what it was.

use anyhow::{Result, ensure};
use rig::{Net, Node, Release};

use crate::node_parts::{
    close, give_gpus, hand_out_dcgm_exporter, metrics, not_well, ruleset, serves, serves_status,
};
use crate::site::{Site, Typing as _};

/// Users, groups, units, timers and rules, beside the files of a picture.
fn facts(node: &Node) -> Result<String> {
    let script = "getent passwd; getent group; \
                  systemctl list-unit-files --no-legend --plain | sort; \
                  systemctl list-units --all --no-legend --plain --type=service,timer --state=active \
                      | awk '{print $1}' | sort; systemctl --failed --no-legend --plain";
    Ok(node.sh(script)?.ok()? + &ruleset(node)?)
}

#[test]
fn a_whole_node_is_monitored_through_a_firewall_and_is_nothing_but_what_it_was_afterwards() -> Result<()> {
    let net = Net::new()?;
    let site = Site::start(&net)?;
    hand_out_dcgm_exporter(&site)?;
    let node = Node::boot(&net, Release::Bookworm, "gpu-01")?;
    give_gpus(&node)?;
    close(&node)?;
    let (before, facts_before) = (node.picture()?, facts(&node)?);
    let token = site.token(&["--name", "rack"])?;

    let said = node.types_well(&token.one_line)?.all();

    for line in [
        "2x H100 80GB HBM3 (NVIDIA)",
        "Firewall: nft is active",
        "port 9400 is open for",
    ] {
        ensure!(said.contains(line), "no word of {line:?}:\n{said}");
    }
    // The control plane reaches both exporters, and nobody else is let in.
    let known = site.node("gpu-01")?;
    ensure!(known["status"] == "online", "{known:#}");
    let labels = &known["labels"];
    ensure!(
        labels["gpu_vendor"] == "nvidia"
            && labels["gpu_count"] == "2"
            && labels["gpu_model"] == "H100 80GB HBM3",
        "{labels:#}"
    );
    let kinds: Vec<&str> = known["exporters"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(|exporter| exporter["type"].as_str())
        .collect();
    ensure!(kinds == ["node_exporter", "dcgm_exporter"], "{kinds:?}");
    let rules = ruleset(&node)?;
    let control = site.host().address().to_string();
    for port in [9100, 9400] {
        let rule = format!("ip saddr {control} tcp dport {port} accept");
        ensure!(rules.contains(&rule), "{rule} is not in\n{rules}");
    }

    // Our own counters are what it exports: what alerts are made of and stock dcgm-exporter leaves out.
    let gpu = metrics(&node, 9400)?;
    for name in [
        "DCGM_FI_DEV_FB_TOTAL",
        "DCGM_FI_DEV_ECC_DBE_VOL_TOTAL",
        "DCGM_FI_DEV_ROW_REMAP_PENDING",
        "DCGM_FI_DEV_NVLINK_REPLAY_ERROR_COUNT_TOTAL",
        "DCGM_FI_DEV_CLOCKS_EVENT_REASONS",
        "DCGM_FI_DEV_XID_ERRORS",
        "DCGM_EXP_XID_ERRORS_COUNT",
    ] {
        ensure!(
            gpu.contains(&format!("\n{name}{{")),
            "{name} is not exported:\n{gpu}"
        );
    }

    // Checks run by themselves.
    serves_status(&node, "gpu_count", 0)?;
    serves(
        &node,
        &["aami_check_value{check=\"gpu_count\"", "name=\"gpus_visible\""],
        2.0,
    )?;
    ensure!(not_well(&node)?.is_empty(), "{:?}", not_well(&node)?);

    // Once more changes nothing.
    let installed = node.picture()?;
    node.types_well("aami-agent bootstrap --repair")?;
    let mut changes = installed.changes_in(&node.picture()?);
    // What rounds of checks and the agent write by themselves.
    let own = ["/aami_checks.prom:", "/checks/checks.json:", "/agent/spool/"];
    changes.retain(|change| !own.iter().any(|own| change.contains(own)));
    ensure!(changes.is_empty(), "a second run changed {changes:#?}");

    // What would go is said first, and then it goes.
    let plan = node.types_well("aami-agent uninstall --dry-run")?.stdout;
    for named in [
        "unit aami-dcgm-exporter.service",
        "user aami-check",
        "firewall tcp 9400",
        "would keep",
    ] {
        ensure!(plan.contains(named), "{named} is not in the plan:\n{plan}");
    }
    let said = node.types_well("aami-agent uninstall --unregister")?.all();
    ensure!(said.contains("  kept  "), "no list of what stays:\n{said}");
    let changes = before.changes_in(&node.picture()?);
    ensure!(changes.is_empty(), "left on the node: {changes:#?}\n{said}");
    let facts_after = facts(&node)?;
    ensure!(
        facts_after == facts_before,
        "before:\n{facts_before}\nafter:\n{facts_after}"
    );
    ensure!(site.node("gpu-01")?["status"] == "inactive");
    Ok(())
}
