//! One TCP port opened in the firewall that is active, now and after the next boot; closed again as
//! far as we opened it.
//!
//! A host without an active firewall has nothing to open, and the rule holds. A rule that somebody
//! else already has is left to them.

mod firewalld;
mod interface;
mod network;
mod nft;
mod ruleset;
mod ufw;

use aami_model::code;
use serde::{Deserialize, Serialize};

use network::normal;

use super::tool::{is_there, is_well, look, refused};
use super::{EffectError, Key, Scene, Signature, Standing};
use crate::host::{CommandError, Host, Output};
use crate::receipt::{Before, Record, Recorded};
use crate::undo::Undone;

pub use network::is_network;

/// A firewall this room can talk to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Firewall {
    /// firewalld, by `firewall-cmd`.
    Firewalld,
    /// ufw.
    Ufw,
    /// nftables with rules of the site's own, by `nft`.
    Nft,
}

impl Firewall {
    /// The tool's name, as people know it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Firewalld => "firewalld",
            Self::Ufw => "ufw",
            Self::Nft => "nft",
        }
    }
}

/// The firewall that decides on `host` what comes in; `None` where none does, or where only a folder
/// is installed to. firewalld and ufw are asked first: their rules are nftables rules too.
pub fn active(host: &Host) -> Result<Option<Firewall>, EffectError> {
    if host.commands.is_none() {
        return Ok(None);
    }
    if is_there(host, "firewall-cmd")? && firewalld::is_running(host)? {
        return Ok(Some(Firewall::Firewalld));
    }
    if is_there(host, "ufw")? && ufw::is_active(host)? {
        return Ok(Some(Firewall::Ufw));
    }
    if is_there(host, "nft")? && nft::is_closed(host)? {
        return Ok(Some(Firewall::Nft));
    }
    Ok(None)
}

/// Which part of a host's addresses a rule is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Family {
    V4,
    V6,
}

/// A TCP port that shall be reachable.
#[derive(Debug, Clone)]
pub struct FirewallRule {
    /// The port.
    pub port: u16,
    /// Who may reach it: an address or a network (`10.0.0.0/8`); `None` is anybody.
    pub source: Option<String>,
    /// The zone of firewalld; `None` is the one that decides on what comes from the source.
    pub zone: Option<String>,
    /// Our mark, where the tool keeps one.
    pub(crate) comment: String,
}

/// Where a rule stands now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Found {
    /// It is in force.
    pub(super) runtime: bool,
    /// It will be after the next boot. Where that cannot be brought about it counts as so.
    pub(super) permanent: bool,
}

impl FirewallRule {
    /// `port`, for anybody.
    pub const fn tcp(port: u16) -> Self {
        Self {
            port,
            source: None,
            zone: None,
            comment: String::new(),
        }
    }

    /// Only for this address or network, written as firewalls tell it back: without host bits, in its short form.
    #[must_use]
    pub fn from(mut self, source: impl Into<String>) -> Self {
        self.source = Some(normal(&source.into()));
        self
    }

    /// In this zone of firewalld.
    #[must_use]
    pub fn in_zone(mut self, zone: impl Into<String>) -> Self {
        self.zone = Some(zone.into());
        self
    }

    pub(super) fn sealed(&self, signature: &Signature) -> Self {
        Self {
            comment: signature.comment(),
            ..self.clone()
        }
    }

    pub(super) fn key(&self) -> Key {
        key(self.port, self.source.as_deref())
    }

    pub(super) fn subject(&self) -> String {
        format!("tcp {}", self.port)
    }

    pub(super) fn detail(&self) -> String {
        format!("from {}", self.source.as_deref().unwrap_or("anybody"))
    }

    /// The family of the source; `None` for both.
    pub(super) fn family(&self) -> Option<Family> {
        let source = self.source.as_deref()?;
        Some(if source.contains(':') {
            Family::V6
        } else {
            Family::V4
        })
    }

    /// The record where no look at the firewall came before: another plan's rule, shared.
    pub(super) fn record(&self) -> Recorded {
        Recorded::FirewallRule {
            firewall: None,
            port: self.port,
            source: self.source.clone(),
            zone: self.zone.clone(),
            comment: self.comment.clone(),
        }
    }

    /// What will be recorded: also which firewall, and which zone of it.
    pub(crate) fn foresee(&self, scene: Scene<'_>) -> Result<Recorded, EffectError> {
        let firewall = active(scene.host)?;
        let zone = match firewall {
            Some(Firewall::Firewalld) => Some(self.zone(scene.host)?),
            _ => None,
        };
        Ok(Recorded::FirewallRule {
            firewall,
            port: self.port,
            source: self.source.clone(),
            zone,
            comment: self.comment.clone(),
        })
    }

    fn zone(&self, host: &Host) -> Result<String, EffectError> {
        match &self.zone {
            Some(zone) => Ok(zone.clone()),
            None => {
                let zone = firewalld::zone_towards(host, self.source.as_deref())?;
                // What could not be closed again is not opened.
                let chosen = Self {
                    zone: Some(zone.clone()),
                    ..self.clone()
                };
                chosen.check().map(|()| zone)
            }
        }
    }

    pub(super) fn inspect(&self, scene: Scene<'_>) -> Result<Standing, EffectError> {
        self.check()?;
        let Some(firewall) = active(scene.host)? else {
            return Ok(Standing::Holds);
        };
        let found = self.found(scene, firewall)?;
        let before = Before::Firewall {
            runtime: found.runtime,
            permanent: found.permanent,
        };
        let name = firewall.name();
        Ok(match (found.runtime, found.permanent) {
            (true, true) => Standing::Holds,
            (false, true) => Standing::due(format!("closed by {name} until it is reloaded"), before),
            (true, false) => Standing::due(format!("open until {name} is reloaded, closed after"), before),
            (false, false) => Standing::due(format!("closed by {name}"), before),
        })
    }

    fn found(&self, scene: Scene<'_>, firewall: Firewall) -> Result<Found, EffectError> {
        match firewall {
            Firewall::Firewalld => firewalld::found(scene.host, self, &self.zone(scene.host)?),
            Firewall::Ufw => ufw::found(scene.host, self),
            Firewall::Nft => nft::found(scene, self),
        }
    }

    pub(super) fn apply(&self, scene: Scene<'_>) -> Result<(), EffectError> {
        let Some(firewall) = active(scene.host)? else {
            return Ok(());
        };
        let found = self.found(scene, firewall)?;
        match firewall {
            Firewall::Firewalld => firewalld::open(scene.host, self, &self.zone(scene.host)?, found),
            Firewall::Ufw => ufw::open(scene.host, self),
            Firewall::Nft => nft::open(scene, self, found),
        }
    }

    /// A source is an address or a network; nothing else reaches a command line or a rule.
    fn check(&self) -> Result<(), EffectError> {
        let fits = self.source.as_deref().is_none_or(is_network);
        if fits && self.zone.as_deref().is_none_or(is_zone) && self.port != 0 {
            return Ok(());
        }
        Err(EffectError::Refused {
            code: code::INVALID,
            what: format!("the firewall rule for {}", self.subject()),
            complaint: format!(
                "port {}, source {:?}, zone {:?}: a port is 1 to 65535, a source an address or network, \
                 a zone a word",
                self.port, self.source, self.zone
            ),
        })
    }
}

pub(crate) fn key(port: u16, source: Option<&str>) -> Key {
    Key::named(
        "firewall",
        &format!("tcp {port} from {}", source.unwrap_or("anybody")),
    )
}

/// Whether firewalld may have a zone of this name: its own are `public` and `nm-shared`, a site's may be `gpu.lab`.
fn is_zone(name: &str) -> bool {
    let is_part = |byte: u8| byte.is_ascii_alphanumeric() || b"_-.".contains(&byte);
    name.bytes().all(is_part) && name.starts_with(|first: char| first.is_ascii_alphanumeric() || first == '_')
}

/// Closes what `record` says was opened, and only that, also in the firewall or zone that the site had at the time.
pub(super) fn undo(scene: Scene<'_>, record: &Record) -> Result<Undone, EffectError> {
    // What stood there before was seen when the first of them was opened.
    let first = record.earlier.first().unwrap_or(&record.effect);
    let mut left = Vec::new();
    for recorded in record.all() {
        let before = if recorded == first {
            &record.before
        } else {
            &Before::Absent
        };
        if let Undone::Left(what) = close(scene, recorded, before)? {
            left.push(what);
        }
    }
    if left.is_empty() {
        return Ok(Undone::Gone);
    }
    Ok(Undone::Left(left.join("; ")))
}

/// Closes one door.
fn close(scene: Scene<'_>, recorded: &Recorded, before: &Before) -> Result<Undone, EffectError> {
    let Recorded::FirewallRule {
        firewall: Some(firewall),
        port,
        source,
        zone,
        comment,
    } = recorded
    else {
        return Ok(Undone::Gone);
    };
    let rule = FirewallRule {
        port: *port,
        source: source.clone(),
        zone: zone.clone(),
        comment: comment.clone(),
    };
    let was = match before {
        Before::Firewall { runtime, permanent } => Found {
            runtime: *runtime,
            permanent: *permanent,
        },
        _ => Found {
            runtime: false,
            permanent: false,
        },
    };
    rule.check()?;
    let closed = match firewall {
        Firewall::Firewalld => firewalld::close(scene.host, &rule, zone.as_deref().unwrap_or("public"), was),
        Firewall::Ufw => ufw::close(scene.host, &rule),
        Firewall::Nft => nft::close(scene, &rule),
    };
    match closed {
        // Without its tool nobody can look, now or in any later run.
        Err(EffectError::Tool(CommandError::Missing { program })) => Ok(Undone::Left(format!(
            "the rule of {} for {}, because {program} is no longer on this host",
            firewall.name(),
            rule.subject()
        ))),
        ended => ended,
    }
}

/// Whether the firewall carries a rule with this mark: then it is ours.
pub(crate) fn is_marked(scene: Scene<'_>, rule: &FirewallRule) -> Result<bool, EffectError> {
    match active(scene.host)? {
        Some(Firewall::Ufw) => ufw::is_ours(scene.host, rule),
        Some(Firewall::Nft) => nft::is_ours(scene.host, rule),
        Some(Firewall::Firewalld) | None => Ok(false),
    }
}

/// The condition a firewall tool's failure stands for.
fn failure(what: &str, output: &Output) -> EffectError {
    let said = super::tool::said(output);
    let denied = [
        "need to be root",
        "Operation not permitted",
        "Authorization failed",
        "must be root",
    ];
    let code = if denied.iter().any(|word| said.contains(word)) {
        code::NOT_ROOT
    } else if said.contains("No space left on device") {
        code::DISK_FULL
    } else {
        code::FIREWALL_FAILED
    };
    refused(code, what, output, &["Error", "ERROR", "error"])
}

/// Runs a tool that only looks, and expects it to end well.
fn ask(host: &Host, argv: &[&str]) -> Result<Output, EffectError> {
    let output = look(host, argv.iter().copied())?;
    if is_well(&output) {
        Ok(output)
    } else {
        Err(failure(&format!("`{}`", argv.join(" ")), &output))
    }
}

/// Runs a tool that changes something, and expects it to end well.
fn act(host: &Host, command: &crate::host::Command) -> Result<Output, EffectError> {
    let output = super::tool::change(host, command)?;
    if is_well(&output) {
        Ok(output)
    } else {
        Err(failure(&format!("`{}`", command.line()), &output))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_zone_has_a_name_that_firewalld_takes_and_nothing_else_reaches_a_command_line() {
        for name in ["public", "nm-shared", "libvirt-routed", "gpu.lab", "_own"] {
            assert!(is_zone(name), "{name}");
        }
        for name in ["", "-x", "--reload", "../public", "a/b", "a b", "a\"b", ".."] {
            assert!(!is_zone(name), "{name}");
        }
    }
}
