//! A release folder on a web server, and what it becomes on a bare machine: the one line of `install.sh`, and the
//! Debian package. `cargo xtask dist` makes the folder. Since `aami` has
//! to be static for it, these run in `make test-full` alone.

mod followed;
mod package;
mod shelf;
mod wrong;

use anyhow::{Result, ensure};
use rig::engines::{Nginx, Site as Folder};
use rig::{Net, Node, Release, cache};

use crate::site::{ARCH, Typing as _, is_as_before};
use shelf::{Shelf, VERSION};

/// A control plane alone: what runs beside it is not what these stories are about.
const ALONE: &str = "--unattended --components=";

#[test]
fn one_line_installs_a_server_on_debian_11() -> Result<()> {
    one_line_installs_a_server(Release::Bullseye)
}

#[test]
fn one_line_installs_a_server_on_debian_12() -> Result<()> {
    one_line_installs_a_server(Release::Bookworm)
}

#[test]
fn one_line_installs_a_server_on_debian_13() -> Result<()> {
    one_line_installs_a_server(Release::Trixie)
}

fn one_line_installs_a_server(release: Release) -> Result<()> {
    let net = Net::new()?;
    let host = net.host("web")?;
    let shelf = Shelf::fill(&host)?;
    let _web = Nginx::start(&host, &Folder::of(&shelf.folder))?;
    let node = Node::boot(&net, release, "server")?;
    let before = node.picture()?;

    node.types_well(&format!("curl -fsSL http://web/install.sh | bash -s -- {ALONE}"))?;

    // What runs is what was released, and nodes get the agent that was.
    let said = node.types_well("aami version && systemctl is-active aami-server")?;
    ensure!(
        said.stdout.contains(VERSION) && said.stdout.contains("active"),
        "{said:?}"
    );
    for (placed, released) in [
        (format!("/opt/aami/{VERSION}/aami"), "aami"),
        (
            format!("/var/lib/aami/server/dist/{ARCH}/aami-agent"),
            "aami-agent",
        ),
        // What they are updated from later, with what it is judged by.
        (
            format!("/var/lib/aami/server/dist/{VERSION}/{ARCH}/aami-agent"),
            "aami-agent",
        ),
        (
            format!("/var/lib/aami/server/dist/{VERSION}/SHA256SUMS"),
            "../SHA256SUMS",
        ),
        (
            format!("/var/lib/aami/server/dist/{VERSION}/SHA256SUMS.minisig"),
            "../SHA256SUMS.minisig",
        ),
        // Whose releases nodes that enrol here believe.
        (
            "/var/lib/aami/server/dist/minisign.pub".to_owned(),
            "../minisign.pub",
        ),
    ] {
        let released = std::fs::read(shelf.release().join(ARCH).join(released))?;
        ensure!(
            node.read(&placed)? == released,
            "{placed} is not what was released"
        );
    }

    // The same line again changes nothing that runs; and all of it can be taken back.
    let pid = "systemctl show --value --property MainPID aami-server";
    let running = node.types_well(pid)?.stdout;
    node.types_well(&format!("curl -fsSL http://web/install.sh | sh -s -- {ALONE}"))?;
    ensure!(node.types_well(pid)?.stdout == running, "it was started again");
    node.types_well("aami server uninstall --purge-data --yes")?;
    is_as_before(&node, &before, "an uninstall")
}

#[test]
fn every_way_of_asking_for_it_arrives_at_the_same_plan() -> Result<()> {
    let net = Net::new()?;
    let host = net.host("web")?;
    let shelf = Shelf::fill(&host)?;
    let _web = Nginx::start(&host, &Folder::of(&shelf.folder))?;
    let node = Node::boot(&net, Release::Bookworm, "server")?;
    node.write(
        "/root/scripts/install-server.sh",
        &std::fs::read(shelf::generic_script())?,
        0o755,
    )?;
    let copy = "mkdir /root/usb && cd /root/usb && curl -fsSL http://web/install.sh -O \
                && curl -fsSL http://web/latest -O && mkdir -p V/ARCH && for f in SHA256SUMS SHA256SUMS.minisig ARCH/aami \
                ARCH/aami-agent components/components.toml $(curl -fsS http://web/V/SHA256SUMS | sed -n 's|.*  \\(components/.*gz\\)|\\1|p'); \
                do mkdir -p V/$(dirname $f); curl -fsSL http://web/V/$f -o V/$f || exit 1; done";
    node.types_well(&copy.replace("ARCH", ARCH).replace("V/", &format!("{VERSION}/")))?;
    let before = node.picture()?;

    let key = shelf.public_key()?;
    for line in [
        format!("curl -fsSL http://web/install.sh | sh -s -- --version latest --dry-run {ALONE}"),
        format!("curl -fsSL http://web/install.sh | busybox sh -s -- --version v{VERSION} --dry-run {ALONE}"),
        format!("wget -qO- http://web/install.sh | bash --posix -s -- --dry-run {ALONE}"),
        format!(
            "mv /usr/bin/curl /usr/bin/away; wget -qO- http://web/{VERSION}/install.sh | dash -s -- --dry-run {ALONE}; \
                 code=$?; mv /usr/bin/away /usr/bin/curl; exit $code"
        ),
        format!(
            "mount -t tmpfs -o noexec none /tmp; curl -fsSL http://web/install.sh | sh -s -- --dry-run {ALONE}; \
                 code=$?; umount /tmp; exit $code"
        ),
        // Without a network, from what somebody brought.
        format!("sh /root/usb/install.sh --base-url file:///root/usb --dry-run {ALONE}"),
    ] {
        let said = node.types_well(&line)?;
        ensure!(
            said.stdout.contains(&format!("/opt/aami/{VERSION}/aami")),
            "{line}: {said:?}"
        );
    }
    // The script of the source tree was made for no release: it needs minisign and the key.
    let generic =
        format!("/root/scripts/install-server.sh --base-url http://web --public-key {key} --dry-run {ALONE}");
    node.types_in_vain(&generic, 10, "VERIFIER_MISSING")?;
    is_as_before(&node, &before, "looking")?;
    give_minisign(&node)?;
    node.types_well(&generic)?;
    Ok(())
}

/// Debian's minisign, as `apt-get install minisign` would place it.
fn give_minisign(node: &Node) -> Result<()> {
    let root = cache::packages(Some(Release::Bookworm), &["minisign", "libsodium23"])?;
    node.write(
        "/usr/bin/minisign",
        &std::fs::read(root.join("usr/bin/minisign"))?,
        0o755,
    )?;
    let folder = std::fs::read_dir(root.join("usr/lib"))?
        .flatten()
        .map(|entry| entry.path());
    for library in folder
        .map(|folder| folder.join("libsodium.so.23"))
        .filter(|path| path.exists())
    {
        node.write("/usr/lib/libsodium.so.23", &std::fs::read(library)?, 0o644)?;
    }
    node.sh("ldconfig && minisign -v")?.ok().map(drop)
}
