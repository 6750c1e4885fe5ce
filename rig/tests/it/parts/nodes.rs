//! Nodes of every release boot, obey, and leave nothing.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use rig::engines::{Nginx, Site};
use rig::{Booting, Net, Node, Release, wait_until};

fn a_node_of(release: Release) -> Result<()> {
    let net = Net::new()?;
    let server = net.host("control")?;
    let folder = tempfile::tempdir()?;
    std::fs::write(folder.path().join("hello"), "hello\n")?;
    let _nginx = Nginx::start(&server, &Site::of(folder.path()))?;
    let node = Node::boot(&net, release, "node1")?;

    // It is what it says, and knows the others by name.
    ensure!(node.sh("hostname")?.ok()? == "node1\n");
    let codename = node.sh(". /etc/os-release; echo $VERSION_CODENAME")?.ok()?;
    ensure!(codename.trim() == release.codename(), "{codename}");
    ensure!(node.sh("curl -sf http://control/hello")?.ok()? == "hello\n");
    ensure!(node.sh("wget -qO- http://control/hello")?.ok()? == "hello\n");

    // Its systemd runs units, and the journal keeps what they say.
    node.write(
        "/etc/systemd/system/greeter.service",
        b"[Service]\nType=oneshot\nExecStart=/bin/echo good morning\nDynamicUser=yes\nProtectSystem=strict\n",
        0o644,
    )?;
    node.sh("systemctl daemon-reload && systemctl start greeter")?
        .ok()?;
    wait_until(Duration::from_secs(10), "the journal has it", || {
        let journal = node.journal("greeter")?;
        ensure!(journal.contains("good morning"), "{journal}");
        Ok(())
    })?;

    let failed = node.sh("echo to stdout; echo to stderr >&2; exit 7")?;
    ensure!(
        (failed.code, failed.stdout.as_str(), failed.stderr.as_str()) == (7, "to stdout\n", "to stderr\n")
    );
    node.stop()
}

#[test]
fn debian_11_boots_and_obeys() -> Result<()> {
    a_node_of(Release::Bullseye)
}

#[test]
fn debian_12_boots_and_obeys() -> Result<()> {
    a_node_of(Release::Bookworm)
}

#[test]
fn debian_13_boots_and_obeys() -> Result<()> {
    a_node_of(Release::Trixie)
}

#[test]
fn a_picture_shows_what_was_done_and_that_it_was_undone() -> Result<()> {
    let net = Net::new()?;
    let node = Node::boot(&net, Release::Bookworm, "node1")?;
    let before = node.picture()?;
    ensure!(
        before.len() > 5000,
        "a whole Debian is more than {} paths",
        before.len()
    );

    node.sh("useradd --system guest; install -m 600 /dev/null /opt/new; chmod 700 /usr/bin/wget; echo x > /tmp/left")?
        .ok()?;
    let changes = before.changes_in(&node.picture()?);
    for expected in [
        "changed: /etc/passwd",
        "appeared: /opt/new (f 600 0:0",
        "changed: /usr/bin/wget",
        "appeared: /tmp/left",
    ] {
        ensure!(
            changes.iter().any(|change| change.starts_with(expected)),
            "{expected} is not in {changes:#?}"
        );
    }

    node.sh("userdel guest; rm /opt/new /tmp/left; chmod 755 /usr/bin/wget")?
        .ok()?;
    let changes = before.changes_in(&node.picture()?);
    ensure!(changes.is_empty(), "{changes:#?}");
    node.stop()
}

#[test]
fn a_command_that_takes_too_long_is_ended_inside_too() -> Result<()> {
    let net = Net::new()?;
    let node = Node::boot(&net, Release::Bookworm, "node1")?;
    let ended = node.sh_within(Duration::from_secs(1), "exec sleep 4321", b"")?;
    ensure!(ended.code == 137, "{ended:?}");
    ensure!(
        node.sh("pgrep -f 'sleep 432[1]'")?.stdout.is_empty(),
        "it still runs"
    );
    node.stop()
}

#[test]
fn a_cloned_machine_carries_the_same_machine_id() -> Result<()> {
    let net = Net::new()?;
    let id = "0123456789abcdef0123456789abcdef";
    let first = Booting::new(Release::Bookworm, "first")
        .machine_id(id)
        .boot(&net)?;
    let second = Booting::new(Release::Bookworm, "second")
        .machine_id(id)
        .boot(&net)?;
    let third = Node::boot(&net, Release::Bookworm, "third")?;
    let read = |node: &Node| anyhow::Ok(String::from_utf8(node.read("/etc/machine-id")?)?);
    ensure!(read(&first)?.trim() == id && read(&second)?.trim() == id);
    ensure!(
        read(&third)?.trim().len() == 32 && read(&third)?.trim() != id,
        "{:?}",
        read(&third)?
    );
    Ok(())
}

#[test]
fn ten_nodes_run_at_once_and_see_only_themselves() -> Result<()> {
    let net = Net::new()?;
    let nodes: Vec<Node> = std::thread::scope(|scope| {
        let boots: Vec<_> = (0..10)
            .map(|number| {
                let (net, release) = (&net, Release::ALL[number % 3]);
                scope.spawn(move || Node::boot(net, release, &format!("node{number}")))
            })
            .collect();
        boots
            .into_iter()
            .map(|boot| boot.join().expect("no panic"))
            .collect::<Result<_>>()
    })?;

    for node in &nodes {
        node.sh(&format!("systemd-run --unit=only-{} sleep 600", node.name()))?
            .ok()?;
    }
    for node in &nodes {
        let units = node
            .sh("systemctl list-units --plain --no-legend 'only-*'")?
            .ok()?;
        ensure!(units.lines().count() == 1, "{} sees {units}", node.name());
        ensure!(
            node.sh("systemctl is-system-running")?.ok()? == "running\n",
            "{}",
            node.name()
        );
    }
    let last = nodes.last().context("ten")?;
    nodes[0]
        .sh(&format!("timeout 5 bash -c '</dev/tcp/{}/22'", last.address()))?
        .ok()?;
    Ok(())
}

#[test]
fn a_dropped_node_is_gone_with_all_its_processes() -> Result<()> {
    let net = Net::new()?;
    let node = Node::boot(&net, Release::Bookworm, "node1")?;
    let marker = format!("rig-marker-{}", std::process::id());
    node.sh(&format!(
        "systemd-run --unit=marked bash -c 'exec -a {marker} sleep 600'"
    ))?
    .ok()?;
    wait_until(Duration::from_secs(10), "the marked process runs", || {
        ensure!(!marked(&marker)?.is_empty(), "not yet");
        Ok(())
    })?;

    drop(node);

    wait_until(Duration::from_secs(10), "its processes are gone", || {
        let found = marked(&marker)?;
        ensure!(found.is_empty(), "{found:?}");
        Ok(())
    })
}

/// This machine's processes whose command line begins with `marker`.
fn marked(marker: &str) -> Result<Vec<String>> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir("/proc")?.flatten() {
        let line = std::fs::read(entry.path().join("cmdline")).unwrap_or_default();
        if line.starts_with(marker.as_bytes()) {
            found.push(entry.file_name().to_string_lossy().into_owned());
        }
    }
    Ok(found)
}

/// Not a test: what [`a_killed_test_leaves_nothing`] kills.
#[test]
#[ignore = "started by a_killed_test_leaves_nothing"]
fn a_test_that_hangs() -> Result<()> {
    let marker = std::env::var("RIG_MARKER").context("started by hand")?;
    let net = Net::new()?;
    let node = Node::boot(&net, Release::Bookworm, "node1")?;
    node.sh(&format!(
        "systemd-run --unit=marked bash -c 'exec -a {marker} sleep 600'"
    ))?
    .ok()?;
    loop {
        std::thread::park();
    }
}

#[test]
fn a_killed_test_leaves_nothing() -> Result<()> {
    let marker = format!("rig-marker-{}", std::process::id());
    let folder = tempfile::tempdir()?;
    let mut test = std::process::Command::new(std::env::current_exe()?)
        .args(["--ignored", "--exact", "parts::nodes::a_test_that_hangs"])
        .env("RIG_MARKER", &marker)
        // Nobody is left to remove what it keeps in files.
        .env("TMPDIR", folder.path())
        .stdout(std::process::Stdio::null())
        .spawn()?;
    wait_until(Duration::from_secs(120), "the other test's node runs", || {
        ensure!(test.try_wait()?.is_none(), "it ended by itself");
        ensure!(!marked(&marker)?.is_empty(), "not yet");
        Ok(())
    })?;

    test.kill()?;
    test.wait()?;

    wait_until(Duration::from_secs(10), "its node is gone", || {
        let found = marked(&marker)?;
        ensure!(found.is_empty(), "{found:?}");
        Ok(())
    })
}
