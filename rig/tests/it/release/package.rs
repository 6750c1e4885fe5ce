//! The Debian package, by dpkg of three releases.

use std::fs;

use anyhow::{Result, ensure};
use rig::{Net, Node, Release};

use super::shelf::{Shelf, VERSION};
use crate::site::{ARCH, Typing as _};

#[test]
fn the_package_installs_and_leaves_without_a_trace() -> Result<()> {
    let net = Net::new()?;
    let host = net.host("web")?;
    let shelf = Shelf::fill(&host)?;
    let package = fs::read(shelf.release().join(format!("aami_{VERSION}_{ARCH}.deb")))?;
    for (release, name) in [
        (Release::Bullseye, "eleven"),
        (Release::Bookworm, "twelve"),
        (Release::Trixie, "thirteen"),
    ] {
        let node = Node::boot(&net, release, name)?;
        let before = node.picture()?;
        node.write("/root/aami.deb", &package, 0o644)?;

        let said = node.types_well("dpkg --install /root/aami.deb")?;
        ensure!(
            said.stdout.contains("aami server install"),
            "no next step: {said:?}"
        );
        let said = node.types_well("aami version && aami-agent version && dpkg --verify aami")?;
        ensure!(said.stdout.matches(VERSION).count() == 2, "{said:?}");
        let status =
            node.types_well("dpkg-query --show --showformat='${Status} ${Version} ${Conffiles}' aami")?;
        ensure!(
            status.stdout.trim() == format!("install ok installed {VERSION}"),
            "{status:?}"
        );
        // Over itself, as an upgrade does; the next step is said once.
        let said = node.types_well("dpkg --install /root/aami.deb")?;
        ensure!(!said.stdout.contains("aami server install"), "{said:?}");

        node.types_well("dpkg --purge aami && rm /root/aami.deb")?;
        let mut changes = before.changes_in(&node.picture()?);
        // dpkg's own books.
        changes.retain(|change| !change.contains("/var/lib/dpkg") && !change.contains("/var/log/dpkg.log"));
        ensure!(changes.is_empty(), "left on {name}: {changes:#?}");
    }
    Ok(())
}
