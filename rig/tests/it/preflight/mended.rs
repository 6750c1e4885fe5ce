//! What `--fix` mends on a real node, and how it is taken back: each kind of thing with the real programs it is about.

use anyhow::{Context as _, Result, ensure};
use rig::{Net, Node, Root};

use super::stage::{AGENT, Stage};
use crate::effects::OF_APT;
use crate::node_firewalls::{Firewall, answers_no_more, answers_on, comes_in};
use crate::site::{Said, Site, Typing as _};

/// The control plane's port, which nodes and operators come to.
const PORT: u16 = 8080;

/// Mends everything that can be, without being asked, and says what it will do before.
fn mends(node: &Node, before: &str, arguments: &str, shown: &[&str]) -> Result<Said> {
    let said = node.types(&format!("{before} {AGENT} preflight {arguments} --fix --yes"))?;
    for part in shown {
        ensure!(said.stderr.contains(part), "no {part:?} in\n{}", said.all());
    }
    ensure!(
        said.stderr.contains("`preflight --undo-fix` takes it back")
            && !said.stderr.contains("not all could be mended"),
        "{}",
        said.all()
    );
    Ok(said)
}

fn takes_back(node: &Node) -> Result<String> {
    Ok(node
        .types_well(&format!("{AGENT} preflight --undo-fix --yes"))?
        .all())
}

/// Fails when something is not as before, but what the programs that ran meanwhile keep of their own: as ufw does a lock
/// once it was asked whether it is active.
fn is_as_before(node: &Node, before: &rig::Picture, own: &[&str], said: &str) -> Result<()> {
    let mut changes = before.changes_in(&node.picture()?);
    changes.retain(|change| {
        let path = change.split_once(": ").map_or("", |(_, rest)| rest);
        let is_own = own.iter().any(|own| path.starts_with(own));
        !is_own && !path.starts_with("/run/aami (d") && !path.starts_with("/run/ufw.lock")
    });
    ensure!(changes.is_empty(), "left: {changes:#?}\n{said}");
    Ok(())
}

#[test]
fn a_servers_port_is_opened_in_firewalld_and_in_ufw_and_closed_again() -> Result<()> {
    let net = Net::new()?;
    let site = Site::start(&net)?;
    let node = Node::boot(&net, Root::Furnished, "node1")?;
    let stage = Stage::set(&node, &site)?;
    let arguments = stage.server_arguments()?;
    for firewall in [Firewall::Firewalld, Firewall::Ufw] {
        // Given a machine whose firewall lets in SSH alone,
        firewall.begins(&node)?;
        let rules = firewall.says(&node)?;
        let seen = stage.look("", &arguments)?;
        let (errors, warnings) = seen.issues();
        ensure!(
            errors.is_empty() && warnings == ["FIREWALL_CLOSED"],
            "{firewall:?}: {:?}",
            seen.issues()
        );

        // when that is mended, nothing is amiss any more,
        let said = mends(
            &node,
            "",
            &arguments,
            &["open 8080 in the firewall", "tcp 8080 (from anybody)"],
        )?;
        ensure!(said.code == 0, "{}", said.all());
        ensure!(
            stage.look("", &arguments)?.issues().1.is_empty(),
            "{firewall:?}: {:?}",
            stage.look("", &arguments)?.issues()
        );
        // and whoever comes from outside comes in.
        answers_on(&node, PORT)?;
        ensure!(
            comes_in(site.host(), &node, PORT),
            "{firewall:?}: nobody comes in:\n{}",
            firewall.says(&node)?
        );
        // Taken back, the door is closed and the rules are the site's.
        let said = takes_back(&node)?;
        ensure!(
            !comes_in(site.host(), &node, PORT),
            "{firewall:?}: it is still open\n{said}"
        );
        ensure!(
            firewall.says(&node)? == rules,
            "{said}\n{}",
            firewall.says(&node)?
        );
        answers_no_more(&node)?;
        firewall.ends(&node)?;
    }
    Ok(())
}

/// A machine that nspawn does not tell of as a container: whose clock is its own. chrony is kept from setting this one.
const OWN_CLOCK: &str = "set -e
: > /srv/empty
mount --bind /srv/empty /run/systemd/container
mount --bind /srv/empty /proc/1/environ
mkdir -p /etc/systemd/system/chrony.service.d
printf '[Unit]\\nConditionCapability=\\n' > /etc/systemd/system/chrony.service.d/site.conf
echo 'DAEMON_OPTS=\"-F 0 -x\"' > /etc/default/chrony
systemctl daemon-reload
";
/// Neither curl nor wget, and an archive that has the first.
const WITHOUT_CURL: &str = "set -e
dpkg --purge curl wget
rm -f /etc/apt/sources.list /etc/apt/sources.list.d/*
echo 'deb [trusted=yes] file:/srv/packages ./' > /etc/apt/sources.list.d/site.list
";

#[test]
fn a_folder_a_package_and_the_time_service_are_mended_and_taken_back() -> Result<()> {
    // Given a server without /tmp, without curl, and whose time service is stopped,
    let net = Net::new()?;
    let site = Site::start(&net)?;
    let node = Node::boot(&net, Root::Furnished, "node1")?;
    let stage = Stage::set(&node, &site)?;
    let arguments = stage.server_arguments()?;
    node.sh(OWN_CLOCK)?.ok()?;
    node.sh(WITHOUT_CURL)?.ok()?;
    node.sh("umount --lazy /tmp; rm -r /tmp")?.ok()?;
    let before = node.picture()?;
    let amiss = stage.look("", &arguments)?;
    let (errors, mut warnings) = amiss.issues();
    warnings.sort();
    ensure!(
        errors == ["NOT_A_FOLDER"] && warnings == ["CLOCK_UNSYNCED", "TOOL_MISSING"],
        "{:?}",
        amiss.issues()
    );

    // when that is mended, all of it is well, by the machine's own tools too,
    let said = mends(
        &node,
        "",
        &arguments,
        &[
            "make the folder /tmp",
            "install the package curl",
            "start chrony.service, now and at every boot",
        ],
    )?;
    ensure!(
        said.code == 0 && said.stdout.contains("Result: no issues found"),
        "{}",
        said.all()
    );
    let (errors, warnings) = stage.look("", &arguments)?.issues();
    ensure!(
        errors.is_empty() && warnings.is_empty(),
        "{errors:?} {warnings:?}"
    );
    ensure!(node.sh("stat -c '%a %U %F' /tmp")?.ok()? == "1777 root directory\n");
    ensure!(node.sh("curl --version")?.ok()?.starts_with("curl "));
    ensure!(
        node.sh("systemctl is-active chrony; systemctl is-enabled chrony")?
            .stdout
            == "active\nenabled\n"
    );
    ensure!(
        node.sh("chronyc -n tracking")?.ok()?.contains("Reference ID"),
        "chronyd does not answer"
    );

    // and taken back, the machine is as it was, but for what apt and chronyd keep.
    let said = takes_back(&node)?;
    let stands = "systemctl is-active chrony; systemctl is-enabled chrony; dpkg-query -W -f '${Status}' curl; test -e /tmp";
    let ended = node.sh(stands)?;
    ensure!(
        ended.stdout.starts_with("inactive\ndisabled\n") && ended.code == 1,
        "{}\n{said}",
        ended.said()
    );
    ensure!(!ended.stdout.contains("install ok installed"), "{}", ended.stdout);
    let own = [OF_APT, &["/var/lib/chrony", "/run/chrony"]].concat();
    is_as_before(&node, &before, &own, &said)
}

/// An engine that needs nothing of the kernel that a container may not have, and somebody who will use it.
const ENGINE: &str = "set -e
echo '{\"iptables\": false, \"ip6tables\": false, \"bridge\": \"none\"}' > /etc/docker/daemon.json
mkdir -p /var/lib/docker
mount -t tmpfs -o size=60g none /var/lib/docker
useradd --create-home ops
";
/// What the engine writes by itself.
const OF_DOCKER: [&str; 8] = [
    "/etc/cni",
    "/etc/docker/key.json",
    "/opt/containerd",
    "/run/containerd",
    "/run/docker",
    "/var/lib/containerd",
    "/var/lib/docker",
    "/var/lib/systemd",
];

#[test]
fn a_stopped_engine_its_proxy_and_who_may_use_it_are_mended_and_taken_back() -> Result<()> {
    // Given a server of containers whose Docker is stopped, behind a proxy, and somebody behind sudo who is not in Docker's
    // group,
    let net = Net::new()?;
    let site = Site::start(&net)?;
    let node = Node::boot(&net, Root::Furnished, "node1")?;
    let stage = Stage::set(&node, &site)?;
    let arguments = format!("{} --runtime compose", stage.server_arguments()?);
    node.sh("mkdir -p /etc/docker")?.ok()?;
    node.sh(ENGINE)?.ok()?;
    let sudo = "env SUDO_USER=ops https_proxy=http://site:canary@10.77.0.250:3128 no_proxy=127.0.0.1";
    let before = node.picture()?;
    let errors = |what: &str, wanted: &[&str], warned: &[&str]| -> Result<()> {
        let (errors, mut warnings) = stage.look(sudo, &arguments)?.issues();
        warnings.sort();
        ensure!(
            errors == wanted && warnings == warned,
            "{what}: {errors:?} {warnings:?}"
        );
        Ok(())
    };
    // Debian's engine comes without Compose, which nobody mends.
    errors("stopped", &["DOCKER_NOT_RUNNING", "COMPOSE_MISSING"], &[])?;

    // when the engine is started, what it lacks shows,
    mends(
        &node,
        sudo,
        &arguments,
        &["start docker.service, now and at every boot"],
    )
    .with_context(|| node.journal("docker").unwrap_or_default())?;
    ensure!(node.sh("systemctl is-active docker")?.stdout == "active\n");
    errors(
        "started",
        &["COMPOSE_MISSING"],
        &["DOCKER_DENIED", "PROXY_NOT_FOR_SERVICES"],
    )?;
    // and is mended in its turn: the engine says so itself, and who was let in may ask it.
    mends(
        &node,
        sudo,
        &arguments,
        &[
            "add ops to the group docker",
            "tell docker.service the proxy of this environment, and restart it",
        ],
    )?;
    errors("mended", &["COMPOSE_MISSING"], &[])?;
    let proxy = node
        .sh("docker info --format '{{.HTTPSProxy}} {{.NoProxy}}'")?
        .ok()?;
    ensure!(proxy.contains("@10.77.0.250:3128 127.0.0.1"), "{proxy}");
    let asks = "setpriv --reuid=ops --regid=ops --init-groups docker version --format '{{.Server.Version}}'";
    node.sh(asks)?.ok()?;
    // The proxy's password is root's alone.
    let holds = node.sh("grep -rls canary /etc /var /opt /run /home | xargs stat -c '%n %a %U'")?;
    ensure!(
        holds.stdout == "/etc/systemd/system/docker.service.d/aami-proxy.env 600 root\n",
        "{}",
        holds.said()
    );

    // Taken back, the engine is stopped, has no proxy, and ops may not ask it.
    let said = takes_back(&node)?;
    let ended = node.sh("systemctl is-active docker; systemctl is-enabled docker; id -nG ops")?;
    ensure!(
        ended.stdout == "inactive\ndisabled\nops\n",
        "{}\n{said}",
        ended.said()
    );
    is_as_before(&node, &before, &OF_DOCKER, &said)
}
