//! Exporters that come and go on an enrolled node, and those that were there before it.

use anyhow::{Result, ensure};
use rig::{Net, Node, Packed, Release};

use crate::node_parts::{give_gpus, hand_out_dcgm_exporter, left_since, metrics, not_well, registered};
use crate::site::{Site, Typing as _, is_as_before};

#[test]
fn an_exporter_is_installed_and_removed_on_an_enrolled_node() -> Result<()> {
    let net = Net::new()?;
    let site = Site::start(&net)?;
    let node = Node::boot(&net, Release::Bookworm, "node1")?;
    let before = node.picture()?;
    let token = site.token(&["--name", "rack", "--labels", "rack=A1"])?;
    node.types_well(&format!("{} -s -- --labels team=ml", token.one_line))?;
    let enrolled = node.picture()?;
    ensure!(registered(&site, "node1")? == ["node_exporter-9100"]);

    // Nobody offers it, which is said before anything changes.
    node.types_in_vain(
        "aami-agent exporters install dcgm-exporter",
        1,
        "COMPONENT_MISSING",
    )?;
    hand_out_dcgm_exporter(&site)?;
    // The token is used up by now; the node speaks for itself.
    node.types_well("aami-agent exporters install dcgm-exporter")?;

    ensure!(metrics(&node, 9400)?.contains("DCGM_FI_DEV_FB_TOTAL{"));
    ensure!(registered(&site, "node1")? == ["node_exporter-9100", "dcgm_exporter-9400"]);
    let known = site.node("node1")?;
    ensure!(
        known["labels"]["team"] == "ml" && known["labels"]["rack"] == "A1",
        "{known:#}"
    );
    let list = node.types_well("aami-agent exporters list")?.stdout;
    ensure!(
        list.lines()
            .any(|line| line.starts_with("dcgm_exporter") && line.contains("installed")),
        "{list}"
    );
    ensure!(not_well(&node)?.is_empty(), "{:?}", not_well(&node)?);
    // Once more is no harm.
    let installed = node.picture()?;
    node.types_well("aami-agent exporters install dcgm-exporter")?;
    let changes: Vec<_> = installed
        .changes_in(&node.picture()?)
        .into_iter()
        .filter(|change| !change.contains("check") && !change.contains("/agent/spool/"))
        .collect();
    ensure!(changes.is_empty(), "{changes:#?}");

    node.types_well("aami-agent exporters remove dcgm-exporter")?;
    ensure!(registered(&site, "node1")? == ["node_exporter-9100"]);
    ensure!(metrics(&node, 9400).is_err(), "it still answers");
    let changes = left_since(&enrolled, &node)?;
    ensure!(changes.is_empty(), "left by it: {changes:#?}");
    ensure!(not_well(&node)?.is_empty(), "{:?}", not_well(&node)?);

    node.types_in_vain("aami-agent exporters remove dcgm-exporter", 5, "NOT_FOUND")?;
    node.types_well("aami-agent uninstall")?;
    is_as_before(&node, &before, "uninstalling")
}

#[test]
fn what_was_removed_stays_away_though_the_hardware_asks_for_it() -> Result<()> {
    let net = Net::new()?;
    let site = Site::start(&net)?;
    hand_out_dcgm_exporter(&site)?;
    let node = Node::boot(&net, Release::Bookworm, "gpu-01")?;
    give_gpus(&node)?;
    let before = node.picture()?;
    let token = site.token(&["--name", "rack"])?;
    node.types_well(&token.one_line)?;
    ensure!(registered(&site, "gpu-01")?.len() == 2);

    node.types_well("aami-agent exporters remove dcgm_exporter")?;
    node.types_well("aami-agent bootstrap --repair")?;

    ensure!(registered(&site, "gpu-01")? == ["node_exporter-9100"]);
    ensure!(
        node.sh("systemctl cat aami-dcgm-exporter")?.code != 0,
        "it came back"
    );
    node.types_well("aami-agent uninstall")?;
    is_as_before(&node, &before, "uninstalling")
}

#[test]
fn a_node_exporter_that_was_there_before_is_adopted_and_never_touched() -> Result<()> {
    let net = Net::new()?;
    let site = Site::start(&net)?;
    let node = Node::boot(&net, Release::Bookworm, "node1")?;
    // As Debian's package leaves it: its own program, unit and user.
    let packed = Packed::node_exporter()?;
    let archive = std::fs::read(&packed.path)?;
    let unpack = "tar -xz --strip-components=1 -C /usr/bin --transform 's/^node_exporter$/prometheus-node-exporter/;s,.*/node_exporter$,x/prometheus-node-exporter,'";
    node.sh_within(std::time::Duration::from_secs(30), unpack, &archive)?
        .ok()?;
    node.sh("useradd --system prometheus")?.ok()?;
    node.write(
        "/etc/systemd/system/prometheus-node-exporter.service",
        b"[Service]\nUser=prometheus\nExecStart=/usr/bin/prometheus-node-exporter\n[Install]\nWantedBy=multi-user.target\n",
        0o644,
    )?;
    node.sh("systemctl daemon-reload && systemctl enable --now prometheus-node-exporter")?
        .ok()?;
    crate::node_parts::answers(&node, 9100)?;
    let before = node.picture()?;
    let token = site.token(&["--name", "rack"])?;

    // Found, explained, and left to itself.
    let said = node.types_in_vain(&token.one_line, 6, "PORT_IN_USE")?.all();
    ensure!(
        said.contains("--adopt") && said.contains("prometheus-node-exporter"),
        "{said}"
    );
    is_as_before(&node, &before, "a refusal")?;

    node.types_well(&format!("{} -s -- --adopt", token.one_line))?;
    ensure!(site.node("node1")?["status"] == "online");
    ensure!(
        node.sh("systemctl cat aami-node-exporter")?.code != 0,
        "ours is there too"
    );
    ensure!(not_well(&node)?.is_empty(), "{:?}", not_well(&node)?);
    node.types_well("aami-agent bootstrap --repair")?;

    node.types_well("aami-agent uninstall")?;
    is_as_before(&node, &before, "uninstalling")?;
    ensure!(node.sh("systemctl is-active prometheus-node-exporter")?.stdout == "active\n");
    metrics(&node, 9100).map(drop)
}

#[test]
fn a_token_or_an_operators_key_takes_a_node_out_too() -> Result<()> {
    let net = Net::new()?;
    let site = Site::start(&net)?;
    let node = Node::boot(&net, Release::Bookworm, "node1")?;
    let before = node.picture()?;
    let (token, other) = (
        site.token(&["--name", "rack", "--max-uses", "2"])?,
        site.token(&["--name", "other"])?,
    );
    let lost = "rm /var/lib/aami/agent/credential";
    node.types_well(&token.one_line)?;
    // Its own credential is lost.
    node.sh(lost)?.ok()?;

    node.write("/root/secret", other.secret.as_bytes(), 0o600)?;
    let enrolled = node.picture()?;
    let said = node.types("aami-agent uninstall --token-file /root/secret")?;
    let changes: Vec<_> = enrolled
        .changes_in(&node.picture()?)
        .into_iter()
        .filter(|change| {
            !change.contains("check")
                && !change.contains("/agent/spool/")
                && !change.starts_with("gone: /run/aami (d")
        })
        .collect();
    ensure!(
        changes.is_empty(),
        "half of it is gone: {changes:#?}\n{}",
        said.all()
    );
    ensure!(
        said.code != 0 && said.all().contains("enrolled with it"),
        "{}",
        said.all()
    );
    ensure!(site.node("node1")?["status"] == "online");

    node.write("/root/secret", token.secret.as_bytes(), 0o600)?;
    let line = format!(
        "aami-agent uninstall --unregister --server {} --token-file /root/secret",
        site.url()
    );
    node.types_well(&line)?;
    ensure!(site.node("node1")?["status"] == "inactive");
    node.sh("rm /root/secret")?.ok()?;
    is_as_before(&node, &before, "uninstalling with its token")?;

    // The same with an operator's key, which knows every node; one that is none is refused by name.
    comes_back(&site, &node)?;
    node.sh(lost)?.ok()?;
    let key = std::fs::read_to_string(site.data().join("admin.key"))?;
    let guessed = format!("{}a", &key.trim()[..key.trim().len() - 1]);
    let by_key = "aami-agent uninstall --token-file /root/secret";
    node.write("/root/secret", guessed.as_bytes(), 0o600)?;
    let enrolled = node
        .sh("cat /var/lib/aami/install/default/node/receipt.json")?
        .ok()?;
    let said = node.types(by_key)?;
    ensure!(
        said.code != 0 && said.all().contains("Nothing was taken back"),
        "{}",
        said.all()
    );
    ensure!(
        node.sh("cat /var/lib/aami/install/default/node/receipt.json")?
            .ok()?
            == enrolled
    );
    ensure!(site.node("node1")?["status"] != "inactive");
    node.write("/root/secret", key.as_bytes(), 0o600)?;
    let said = node.types_well(by_key)?;
    ensure!(!said.all().contains(key.trim()), "{}", said.all());
    ensure!(site.node("node1")?["status"] == "inactive");
    node.sh("rm /root/secret")?.ok()?;
    is_as_before(&node, &before, "uninstalling with an operator's key")?;

    // Without a word to the control plane, where that is wanted: it keeps the node.
    comes_back(&site, &node)?;
    let planned = node
        .types_well("aami-agent uninstall --keep-registration --dry-run")?
        .stdout;
    ensure!(
        planned
            .lines()
            .any(|line| line.contains("would leave") && line.contains("registration ")),
        "{planned}"
    );
    node.types_well("aami-agent uninstall --keep-registration")?;
    let known = site.node("node1")?;
    ensure!(
        known["status"] == "online" || known["status"] == "offline",
        "{known:#}"
    );
    is_as_before(&node, &before, "uninstalling without a word")
}

/// A node that was retired, and lost its key, enrols again with a token that is made for it.
fn comes_back(site: &Site, node: &Node) -> Result<()> {
    let done = site.aami(&["nodes", "restore", "node1"])?;
    ensure!(done.code == 0, "{done:?}");
    let token = site.token(&["--name", "back", "--node", "node1"])?;
    node.types_well(&token.one_line)?;
    ensure!(site.node("node1")?["status"] == "online");
    Ok(())
}
