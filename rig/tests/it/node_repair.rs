//! What becomes of an installed node: `status` names exactly what is broken, `--repair` mends exactly that, and the
//! repair after it has nothing to do.

use anyhow::{Context as _, Result, ensure};
use rig::{Net, Node, Picture, Release};

use crate::node_parts::{close, give_gpus, hand_out_dcgm_exporter, not_well, not_well_by, ruleset};
use crate::site::{Site, Typing as _};

/// What is done to the node, and what `status` then has to say.
type Damage = (&'static str, &'static str, &'static str);

const FILES: &[Damage] = &[
    // Programs.
    (
        "rm /opt/aami/node_exporter-*/node_exporter",
        "node_exporter",
        "/node_exporter: missing",
    ),
    (
        "chmod 600 /opt/aami/dcgm_exporter-4.5.3/dcgm-exporter",
        "gpu_exporter",
        "dcgm-exporter: mode 0600",
    ),
    (
        "cp --remove-destination /bin/true /opt/aami/node_exporter-*/node_exporter",
        "node_exporter",
        "holds something else",
    ),
    (
        "rm /usr/local/bin/aami-agent",
        "checks",
        "/usr/local/bin/aami-agent: missing",
    ),
    // Another version: of the program people type, and of what a unit runs.
    (
        "ln -sfn /opt/aami/aami-agent-0.0.1/aami-agent /usr/local/bin/aami-agent",
        "checks",
        "/usr/local/bin/aami-agent: links to /opt/aami/aami-agent-0.0.1/aami-agent",
    ),
    // Files.
    (
        "echo DCGM_FI_DEV_SM_CLOCK, gauge, x > /etc/aami/dcgm-counters.csv",
        "gpu_exporter",
        "dcgm-counters.csv: holds something else",
    ),
    (
        "chown 4242 /var/lib/aami/agent/credential",
        "register",
        "credential: mode 0600, owner 4242",
    ),
    (
        "chmod 777 /etc/systemd/system/aami-checks.service",
        "checks",
        "aami-checks.service: mode 0777",
    ),
    (
        "rm -r /var/lib/aami/checks",
        "checks",
        "/var/lib/aami/checks: missing",
    ),
];

/// Units: edited, moved to another port, masked, disabled, dead. A user, and a door.
const UNITS: &[Damage] = &[
    (
        "echo '# mine' >> /etc/systemd/system/aami-node-exporter.service; systemctl daemon-reload",
        "node_exporter",
        "aami-node-exporter.service: holds something else",
    ),
    (
        "sed -i s/:9100/:9199/ /etc/systemd/system/aami-node-exporter.service; systemctl daemon-reload; systemctl restart aami-node-exporter",
        "node_exporter",
        "aami-node-exporter.service: holds something else",
    ),
    (
        "old=/opt/aami/node_exporter-0.0.1; cp -r /opt/aami/node_exporter-[1-9]* $old; \
         sed -i s,/opt/aami/node_exporter-[^/]*,$old, /etc/systemd/system/aami-node-exporter.service; \
         systemctl daemon-reload; systemctl restart aami-node-exporter; rm -r $old",
        "node_exporter",
        "aami-node-exporter.service: holds something else",
    ),
    (
        "ln -sf /dev/null /etc/systemd/system/aami-node-exporter.service; systemctl daemon-reload",
        "node_exporter",
        "is a link to /dev/null",
    ),
    (
        "systemctl disable aami-dcgm-exporter",
        "gpu_exporter",
        "unit aami-dcgm-exporter.service: is disabled",
    ),
    (
        "systemctl stop aami-node-exporter",
        "node_exporter",
        "unit aami-node-exporter.service: is inactive",
    ),
    (
        "systemctl kill -s KILL aami-dcgm-exporter; systemctl stop aami-dcgm-exporter",
        "gpu_exporter",
        "unit aami-dcgm-exporter.service: is",
    ),
    (
        "systemctl disable --now aami-checks.timer",
        "checks",
        "unit aami-checks.timer: is disabled",
    ),
    (
        "systemctl stop aami-agent",
        "agent",
        "unit aami-agent.service: is inactive",
    ),
    (
        "sed -i s/ProtectSystem=strict/ProtectSystem=no/ /etc/systemd/system/aami-agent.service; systemctl daemon-reload",
        "agent",
        "aami-agent.service: holds something else",
    ),
    ("userdel aami-check", "checks", "aami-check: missing"),
    (
        "nft -a list chain inet filter input | sed -n 's/.*dport 9400 .*# handle //p' | xargs -n1 nft delete rule inet filter input handle",
        "gpu_exporter",
        "firewall tcp 9400",
    ),
];

fn changes(before: &Picture, after: &Picture) -> Vec<String> {
    let mut changes = before.changes_in(after);
    // What rounds of checks, the agent and installers write by themselves.
    changes.retain(|change| {
        ![
            "/aami_checks.prom",
            "/aami_install_default_node.prom",
            "/checks/checks.json",
            "/agent/spool/",
            "/install/default/node/",
            "/run/aami-checks",
            ".aami-kept",
        ]
        .iter()
        .any(|own| change.contains(own))
    });
    changes
}

/// What rounds of checks and the agent change with nobody's doing.
fn by_themselves(change: &str) -> bool {
    change.contains("check") || change.contains("/agent/spool/")
}

/// Each of `damages` is named and mended, and the second repair has nothing to do.
fn suffers(damages: &[Damage]) -> Result<()> {
    let net = Net::new()?;
    let site = Site::start(&net)?;
    hand_out_dcgm_exporter(&site)?;
    let node = Node::boot(&net, Release::Bookworm, "gpu-01")?;
    give_gpus(&node)?;
    close(&node)?;
    let token = site.token(&["--name", "rack"])?;
    node.types_well(&token.one_line)?;
    let agent = node.sh("readlink -f /usr/local/bin/aami-agent")?.ok()?;
    let agent = agent.trim();
    ensure!(not_well(&node)?.is_empty(), "{:?}", not_well(&node)?);
    let (well, rules) = (node.picture()?, ruleset(&node)?);

    for (damage, step, named) in damages {
        node.sh(damage)?.ok().with_context(|| format!("after {damage}"))?;
        // Its own path, since the link may be what is damaged.
        let said = not_well_by(&node, agent)?;
        let of_step: Vec<&String> = said
            .iter()
            // The control plane cannot reach what is down; that is the damage's doing.
            .filter(|line| !line.starts_with("verify:"))
            .collect();
        ensure!(
            of_step.len() == 1 && of_step[0].starts_with(&format!("{step}: ")) && of_step[0].contains(named),
            "after {damage}: status says {said:#?}, not {step} with {named:?}"
        );

        node.types_well(&format!("{agent} bootstrap --repair"))
            .with_context(|| format!("after {damage}"))?;

        ensure!(
            not_well(&node)?.is_empty(),
            "after {damage}: {:?}",
            not_well(&node)?
        );
        // What runs is what is placed, whatever ran before.
        let runs = node
            .sh("readlink /proc/$(systemctl show -P MainPID aami-node-exporter)/exe")?
            .ok()?;
        ensure!(
            runs.starts_with("/opt/aami/node_exporter-")
                && !runs.contains("0.0.1")
                && !runs.contains("deleted"),
            "after {damage}: {runs} runs"
        );
        crate::node_parts::answers(&node, 9100)?;
        let mended = node.picture()?;
        let left = changes(&well, &mended);
        // A user that was made anew has another number.
        let left: Vec<_> = left
            .into_iter()
            .filter(|change| !(damage.starts_with("userdel") && change.contains("/etc/")))
            .collect();
        ensure!(left.is_empty(), "after {damage} and its repair: {left:#?}");
        ensure!(
            ruleset(&node)? == rules || damage.starts_with("nft"),
            "{}",
            ruleset(&node)?
        );

        // Nothing more to do: not a byte written, nothing restarted.
        let since = "systemctl show -p ActiveEnterTimestampMonotonic aami-node-exporter aami-dcgm-exporter aami-checks.timer aami-agent";
        let before = node.sh(since)?.ok()?;
        node.types_well(&format!("{agent} bootstrap --repair"))?;
        let twice = mended.changes_in(&node.picture()?);
        let twice: Vec<_> = twice.iter().filter(|change| !by_themselves(change)).collect();
        ensure!(twice.is_empty(), "the second repair after {damage}: {twice:#?}");
        ensure!(
            node.sh(since)?.ok()? == before,
            "the second repair after {damage} restarted something"
        );
    }
    Ok(())
}

#[test]
fn each_damage_to_a_file_is_named_and_mended_and_the_second_repair_has_nothing_to_do() -> Result<()> {
    suffers(FILES)
}

#[test]
fn each_damage_to_a_unit_is_named_and_mended_and_the_second_repair_has_nothing_to_do() -> Result<()> {
    suffers(UNITS)
}

#[test]
fn progress_is_forgotten_shown_and_gone_on_with() -> Result<()> {
    let net = Net::new()?;
    let site = Site::start(&net)?;
    let node = Node::boot(&net, Release::Bookworm, "node1")?;
    let before = node.picture()?;
    let token = site.token(&["--name", "rack"])?;
    // Stopped in the middle: the unit's folder cannot be written.
    node.sh("mount --bind /etc/systemd/system /etc/systemd/system && mount -o remount,bind,ro /etc/systemd/system")?
        .ok()?;
    let line = format!("{} -s -- --skip-preflight --unattended", token.one_line);
    node.types_in_vain(&line, 1, "READ_ONLY")?;
    node.sh("umount /etc/systemd/system")?.ok()?;
    let said =
        node.types("aami-agent bootstrap --status || /opt/aami/aami-agent-*/aami-agent bootstrap --status")?;
    // Whatever came that far, nothing is said to be well that is not.
    ensure!(!said.all().contains("ok       node_exporter"), "{}", said.all());

    node.types_well(&format!("{} -s -- --resume --unattended", token.one_line))?;
    ensure!(site.node("node1")?["status"] == "online");
    let state = "/var/lib/aami/install/default/node/state.json";
    node.types_well("aami-agent bootstrap --reset")?;
    ensure!(
        node.sh(&format!("test -e {state}"))?.code == 1,
        "progress is still there"
    );
    ensure!(not_well(&node)?.is_empty(), "{:?}", not_well(&node)?);
    // The record of changes stays: taking back works without progress.
    node.types_well("aami-agent uninstall")?;
    crate::site::is_as_before(&node, &before, "uninstalling without progress")
}
