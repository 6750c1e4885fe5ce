//! How one record takes the place of another: a later run of the same plan, or another plan that goes.

use super::record::{Before, Record, Recorded};
use crate::effect::package::Packaging;

/// How many digests of earlier contents a record keeps, so that a file from any of the last
/// upgrades is still known for ours.
pub(super) const REMEMBERED: usize = 16;

impl Recorded {
    /// Takes over packages another plan added, when that plan goes and this one needs them.
    pub(crate) fn inherit_packages(&mut self, from: Option<Packaging>, packages: &[String], had: &[String]) {
        if let Self::PackageSet {
            packaging,
            added,
            had_configuration,
            ..
        } = self
        {
            *packaging = packaging.or(from);
            *added = joined(added, packages);
            let had: Vec<String> = packages
                .iter()
                .filter(|name| had.contains(name))
                .cloned()
                .collect();
            *had_configuration = joined(had_configuration, &had);
        }
    }

    /// Takes over from an earlier effect of the same kind what undoing must go on knowing. `false`
    /// where it was of another kind.
    fn take_over(&mut self, earlier: &Self) -> bool {
        match (self, earlier) {
            (
                Self::WriteFile(new) | Self::PlaceBinary(new),
                Self::WriteFile(old) | Self::PlaceBinary(old),
            ) => {
                new.wrote = remembered(&old.wrote, &new.wrote);
            }
            (Self::PlaceTree(new), Self::PlaceTree(old)) => {
                new.wrote = remembered(&old.wrote, &new.wrote);
            }
            (Self::Symlink { wrote: new, .. }, Self::Symlink { wrote: old, .. }) => {
                *new = remembered(old, new)
            }
            (
                Self::PackageSet {
                    packaging: new_packaging,
                    added: new_added,
                    upgraded: new_upgraded,
                    had_configuration: new_had,
                    ..
                },
                Self::PackageSet {
                    packaging,
                    added,
                    upgraded,
                    had_configuration,
                    ..
                },
            ) => {
                *new_packaging = new_packaging.or(*packaging);
                // What came back after somebody removed it came from us all the same.
                *new_added = joined(added, new_added);
                *new_upgraded = joined(upgraded, new_upgraded);
                *new_had = joined(had_configuration, new_had);
            }
            (
                Self::FirewallRule {
                    firewall: new,
                    zone: new_zone,
                    ..
                },
                Self::FirewallRule { firewall, zone, .. },
            ) => {
                if new.is_none() {
                    *new = *firewall;
                    new_zone.clone_from(zone);
                }
                // A rule in another firewall, or in another zone, is another thing to take back.
                return *new == *firewall && *new_zone == *zone || firewall.is_none();
            }
            (Self::Registration { node: new, .. }, Self::Registration { node: old, .. }) => {
                if new.is_none() {
                    new.clone_from(old);
                }
            }
            (new, old) => return std::mem::discriminant(new) == std::mem::discriminant(old),
        }
        true
    }
}

impl Record {
    /// Makes `effect` the latest on this thing.
    pub(super) fn supersede(&mut self, mut effect: Recorded) {
        let latest = std::mem::replace(&mut self.effect, effect.clone());
        self.earlier.push(latest);
        self.earlier.retain(|known| !effect.take_over(known));
        self.effect = effect;
    }

    /// Learns from another plan's record of the same thing what is not foreign, when that plan goes.
    pub(crate) fn learn(&mut self, other: &Self) {
        for theirs in other.all() {
            match (&mut self.effect, theirs) {
                (Recorded::CreateUser { comment: mine, .. }, Recorded::CreateUser { comment, .. }) => {
                    // Whoever made the user gave it the comment.
                    if !matches!(other.before, Before::Shared { .. }) {
                        mine.clone_from(comment);
                    }
                }
                // Open already when this plan came: where and how, the other knows.
                (mine @ Recorded::FirewallRule { firewall: None, .. }, Recorded::FirewallRule { .. }) => {
                    *mine = theirs.clone();
                }
                (mine, theirs) => {
                    let mut both = mine.clone();
                    if both.take_over(theirs) {
                        *mine = both;
                    } else if !self.earlier.contains(theirs) {
                        self.earlier.push(theirs.clone());
                    }
                }
            }
        }
    }
}

/// `old` and what of `new` is not in it.
fn joined(old: &[String], new: &[String]) -> Vec<String> {
    let mut all = old.to_vec();
    all.extend(new.iter().filter(|one| !old.contains(one)).cloned());
    all
}

/// `old` then `new`, each once at its last place, only the last [`REMEMBERED`].
fn remembered<T: Clone + PartialEq>(old: &[T], new: &[T]) -> Vec<T> {
    let mut all: Vec<T> = old.iter().filter(|one| !new.contains(one)).cloned().collect();
    all.extend_from_slice(new);
    all.drain(..all.len().saturating_sub(REMEMBERED));
    all
}
