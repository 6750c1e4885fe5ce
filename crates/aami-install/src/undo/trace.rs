//! What tools write down about our work and keep by their design: it stays, and is told.

use crate::effect::firewall::Firewall;
use crate::effect::package::Packaging;
use crate::receipt::Recorded;

/// What the host's tools keep about an effect, whoever takes it back.
pub(super) fn of(effect: &Recorded) -> Option<String> {
    match effect {
        Recorded::PackageSet { added, .. } if added.is_empty() => None,
        Recorded::PackageSet {
            packaging: Some(Packaging::Apt),
            ..
        } => Some(
            "/var/log/apt, /var/log/dpkg.log, /var/lib/apt, /var/cache/apt: apt's own logs and lists".into(),
        ),
        Recorded::PackageSet { .. } => {
            Some("/var/log/dnf*, /var/lib/dnf, /var/cache/dnf: dnf's own logs and lists".into())
        }
        Recorded::CreateUser { .. } | Recorded::CreateGroup { .. } | Recorded::GroupMembership { .. } => {
            Some(
                "/etc/passwd-, /etc/group-, /etc/shadow-, /etc/gshadow-: backups the account tools make"
                    .into(),
            )
        }
        Recorded::UnitState { .. } => Some("the journal: what services wrote".into()),
        Recorded::FirewallRule {
            firewall: Some(Firewall::Firewalld),
            zone: Some(zone),
            ..
        } => Some(format!(
            "/etc/firewalld/zones/{zone}.xml, {zone}.xml.old: firewalld's own copies of the zone, the first without \
             our rule"
        )),
        Recorded::ContainerProject { name, .. } => Some(format!(
            "container images: those the compose project {name} pulled"
        )),
        _ => None,
    }
}
