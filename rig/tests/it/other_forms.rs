//! The other ways to say it: wget, other shells, the documents' form, plans, and the form without root.

use anyhow::{Result, ensure};
use rig::{Net, Node, Release};

use crate::site::{Site, Typing as _, is_as_before};

#[test]
fn wget_does_where_curl_is_missing() -> Result<()> {
    let net = Net::new()?;
    let site = Site::start(&net)?;
    let node = Node::boot(&net, Release::Bullseye, "node1")?;
    node.sh("mv /usr/bin/curl /usr/bin/curl.away")?.ok()?;
    let token = site.token(&["--name", "rack"])?;
    node.write(
        "/root/ca.pem",
        &std::fs::read(site.data().join("tls/ca.pem"))?,
        0o644,
    )?;
    // Another control plane's CA, which is not this one's.
    let other = Site::start_with(&net, "other", &[], &[])?;
    node.write(
        "/root/wrong.pem",
        &std::fs::read(other.data().join("tls/ca.pem"))?,
        0o644,
    )?;
    let before = node.picture()?;

    // Who answers cannot be trusted: wget says so (5 is its word for TLS) and the shell gets nothing,
    let said = node.types(&format!(
        "bash -o pipefail -c \"wget -nv -O- --ca-certificate=/root/wrong.pem {}/bootstrap.sh | sudo sh\"",
        site.url()
    ))?;
    ensure!(
        said.code == 5 && said.all().contains("certificate") && said.stdout.is_empty(),
        "{said:?}"
    );
    // and the script, had by other means, does not fetch an agent that way either.
    let told = format!("--token {} --server {} --ca-file", token.secret, site.url());
    let script = site.generic_script(&node, &format!("{told} /root/wrong.pem"))?;
    node.types_in_vain(&script, 10, "[SERVER_NOT_TRUSTED]")?;
    node.sh("rm -f /root/script")?;
    is_as_before(&node, &before, "refusals")?;

    // wget knows no pins: it is told the CA, which somebody brought.
    node.types_well(&format!(
        "wget -qO- --ca-certificate=/root/ca.pem --header='Authorization: Bearer {}' {}/bootstrap.sh | sudo sh",
        token.secret,
        site.url()
    ))?;

    ensure!(site.node("node1")?["status"] == "online");
    Ok(())
}

#[test]
fn any_posix_shell_runs_the_script() -> Result<()> {
    let net = Net::new()?;
    let site = Site::start(&net)?;
    let token = site.token(&["--name", "rack", "--max-uses", "3"])?;
    let node = Node::boot(&net, Release::Bookworm, "node1")?;
    for shell in ["dash", "busybox sh", "bash --posix"] {
        node.types_well(&token.one_line.replace("| sudo sh", &format!("| sudo {shell}")))?;
    }
    ensure!(site.json(&["tokens", "show", &token.id])?["used"] == 1);
    Ok(())
}

#[test]
fn the_documents_form_works_with_a_pin_and_says_what_it_costs() -> Result<()> {
    let net = Net::new()?;
    let site = Site::start(&net)?;
    let node = Node::boot(&net, Release::Bookworm, "node1")?;
    let token = site.token(&["--name", "rack"])?;
    let before = node.picture()?;

    // Without knowing whom to trust, nothing happens.
    let told = format!("--token {} --server {}", token.secret, site.url());
    let script = site.generic_script(&node, &told)?;
    node.types_in_vain(&script, 10, "SERVER_NOT_TRUSTED")?;
    node.sh("rm -f /root/script")?;
    is_as_before(&node, &before, "looking")?;

    // With the CA it does, and warns of what sudo has logged.
    node.write(
        "/root/ca.pem",
        &std::fs::read(site.data().join("tls/ca.pem"))?,
        0o644,
    )?;
    let script = site.generic_script(&node, &format!("{told} --ca-file /root/ca.pem"))?;
    let said = node.types_well(&script)?;
    ensure!(
        said.stderr.contains("warning: ") && said.stderr.contains("--token-file"),
        "{}",
        said.stderr
    );
    ensure!(site.node("node1")?["status"] == "online");
    Ok(())
}

#[test]
fn a_dry_run_shows_the_plan_and_touches_nothing() -> Result<()> {
    let net = Net::new()?;
    let site = Site::start(&net)?;
    let node = Node::boot(&net, Release::Bookworm, "node1")?;
    let token = site.token(&["--name", "rack"])?;
    let before = node.picture()?;

    let said = node.types_well(&format!("{} -s -- --dry-run", token.one_line))?;

    for promised in ["aami-node-exporter.service", "node_exporter", "/opt/aami"] {
        ensure!(
            said.stdout.contains(promised),
            "{promised} is not in the plan:\n{}",
            said.stdout
        );
    }
    is_as_before(&node, &before, "looking")?;
    ensure!(site.json(&["tokens", "show", &token.id])?["used"] == 0);
    Ok(())
}

#[test]
fn what_the_plan_names_is_what_the_install_changes() -> Result<()> {
    let net = Net::new()?;
    let site = Site::start(&net)?;
    let node = Node::boot(&net, Release::Bookworm, "node1")?;
    let token = site.token(&["--name", "rack"])?;
    let before = node.picture()?;
    let plan = node
        .types_well(&format!("{} -s -- --dry-run", token.one_line))?
        .stdout;

    node.types_well(&token.one_line)?;

    let changed = before.changes_in(&node.picture()?);
    let programs_and_units: Vec<_> = changed
        .iter()
        .filter_map(|change| change.strip_prefix("appeared: ")?.split(" (").next())
        .filter(|path| path.starts_with("/opt/aami/") || path.starts_with("/etc/systemd/system/aami"))
        .collect();
    ensure!(!programs_and_units.is_empty(), "{changed:#?}");
    for path in programs_and_units {
        ensure!(plan.contains(path), "{path} was not in the plan:\n{plan}");
    }
    Ok(())
}
