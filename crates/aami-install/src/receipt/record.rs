//! One line of a receipt: an effect, and what stood in its place before.

use std::collections::BTreeMap;

use aami_model::Timestamp;
use serde::{Deserialize, Serialize};

use crate::digest::Digest;
use crate::effect::firewall::{self, Firewall};
use crate::effect::package::Packaging;
use crate::effect::{Key, Owner};
use crate::path::HostPath;
use crate::root::Meta;

/// One effect that happened, or was about to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    /// The step it belongs to.
    pub step: String,
    /// When it was recorded.
    pub at: Timestamp,
    /// Whether it is known to have happened. `false` also after a crash right behind it.
    #[serde(default)]
    pub done: bool,
    /// What.
    #[serde(flatten)]
    pub effect: Recorded,
    /// What stood there before this plan first touched it.
    pub before: Before,
    /// Effects of another kind this plan had on the same thing earlier (a link where there is a file
    /// now).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub earlier: Vec<Recorded>,
}

/// What an effect did.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Recorded {
    /// Made a folder, or gave one another mode.
    MakeDirectory {
        /// Where.
        path: HostPath,
        /// With these permission bits.
        mode: u32,
        /// Given to.
        owner: Option<Owner>,
    },
    /// Wrote a file.
    WriteFile(WrittenFile),
    /// Placed an executable.
    PlaceBinary(WrittenFile),
    /// Placed a folder with all that is in it.
    PlaceTree(PlacedTree),
    /// Made a symbolic link.
    Symlink {
        /// Where.
        path: HostPath,
        /// The targets it was given, oldest first.
        wrote: Vec<String>,
    },
    /// Created a group.
    CreateGroup {
        /// Its name.
        name: String,
    },
    /// Created a user.
    CreateUser {
        /// Its name.
        name: String,
        /// Its comment field: the mark that it is ours.
        comment: String,
    },
    /// Put a user into a group.
    GroupMembership {
        /// The user.
        user: String,
        /// The group.
        group: String,
    },
    /// Set a unit's state.
    UnitState {
        /// Which.
        unit: String,
        /// Whether it was made to come up at boot.
        enabled: bool,
        /// Whether it was made to run.
        running: bool,
        /// What it was last started with; absent until that start is known to have happened.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        started_with: Option<Digest>,
        /// The files that is about. Where one of them is written again, whatever ran in between is not known: the
        /// unit may have been started with what stood there then.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        inputs: Vec<HostPath>,
    },
    /// Installed packages.
    PackageSet {
        /// What for.
        name: String,
        /// With which package manager; absent where nothing had to be installed.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        packaging: Option<Packaging>,
        /// The packages asked for.
        wanted: Vec<String>,
        /// The packages that were not there and came, dependencies included, as the package manager
        /// foretold before it began.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        added: Vec<String>,
        /// Packages that were there and became newer; that cannot be taken back.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        upgraded: Vec<String>,
        /// Those of `added` whose configuration was there already, from an earlier installation.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        had_configuration: Vec<String>,
    },
    /// Opened a port.
    FirewallRule {
        /// In which firewall; absent where it was open already.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        firewall: Option<Firewall>,
        /// The TCP port.
        port: u16,
        /// For whom; anybody where absent.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        source: Option<String>,
        /// In which zone, for firewalld.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        zone: Option<String>,
        /// The comment of the rule: the mark that it is ours.
        comment: String,
    },
    /// Brought a compose project up.
    ContainerProject {
        /// Its name.
        name: String,
        /// The folder its relative paths start from.
        folder: HostPath,
        /// Its compose file.
        file: HostPath,
        /// Where its variables come from.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        env_file: Option<HostPath>,
        /// Whether volumes it made go with it.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        owns_volumes: bool,
        /// The digest of the files it last came up with; absent until it is known to have.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        came_up_with: Option<Digest>,
        /// The files its containers read beside those two.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        inputs: Vec<HostPath>,
        /// The digest of these when its containers were made.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        made_with: Option<Digest>,
        /// The configuration hash each service's container had then.
        #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
        hashes: BTreeMap<String, String>,
    },
    /// Registered the host.
    Registration {
        /// With which control plane.
        server: String,
        /// Where the credential lies that can take it back.
        credential: HostPath,
        /// As which node, once known.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        node: Option<String>,
    },
    /// Did something that cannot be taken back.
    Irreversible {
        /// What.
        what: String,
        /// Who allowed it.
        approval: String,
    },
}

/// What was written to a file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct WrittenFile {
    /// Where.
    pub path: HostPath,
    /// With these permission bits.
    pub mode: u32,
    /// Given to.
    pub owner: Option<Owner>,
    /// Digests of the contents it was given, oldest first.
    pub wrote: Vec<Digest>,
    /// Where the last content came from, for fetched ones.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub origin: Option<String>,
    /// Whether what is installed changes the file itself, so that any content is ours.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub changes_in_use: bool,
}

/// What was placed as a folder with all that is in it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlacedTree {
    /// Where.
    pub path: HostPath,
    /// Given to.
    pub owner: Option<Owner>,
    /// Digests of the lists of what it was given, oldest first; each list is in `saved/` under its digest,
    /// and the last one in the folder itself.
    pub wrote: Vec<Digest>,
    /// The archive it came from last.
    pub origin: String,
}

/// What stood in an effect's place before.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "was", rename_all = "snake_case")]
pub enum Before {
    /// Nothing.
    Absent,
    /// A file; its bytes are in `saved/` under their digest.
    File {
        /// SHA-256 of its bytes.
        saved: Digest,
        /// Permission bits.
        mode: u32,
        /// Owner.
        uid: u32,
        /// Owning group.
        gid: u32,
    },
    /// A symbolic link.
    Symlink {
        /// The text of its target.
        target: String,
    },
    /// A folder.
    Directory {
        /// Permission bits.
        mode: u32,
        /// Owner.
        uid: u32,
        /// Owning group.
        gid: u32,
    },
    /// A unit.
    Unit {
        /// Whether there was one of that name.
        existed: bool,
        /// Whether it came up at boot.
        enabled: bool,
        /// Whether it ran.
        active: bool,
        /// Whether it was forbidden to run.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        masked: bool,
    },
    /// A firewall rule.
    Firewall {
        /// Whether it was in force.
        runtime: bool,
        /// Whether it would have been after the next boot.
        permanent: bool,
    },
    /// A compose project.
    Project {
        /// Whether it had containers.
        existed: bool,
        /// The volumes of its name that were there.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        volumes: Vec<String>,
    },
    /// What another plan of ours had made; that plan's receipt knows what was there before it.
    Shared {
        /// `cluster/plan` of the other.
        by: String,
    },
    /// Not known: the receipt that said so is lost.
    Unknown,
}

impl Before {
    /// Every word that can stand in the member `was`.
    pub(crate) const KINDS: [&'static str; 9] = [
        "absent",
        "file",
        "symlink",
        "directory",
        "unit",
        "firewall",
        "project",
        "shared",
        "unknown",
    ];

    pub(crate) const fn directory(meta: Meta) -> Self {
        Self::Directory {
            mode: meta.mode,
            uid: meta.uid,
            gid: meta.gid,
        }
    }
}

impl Recorded {
    /// Every word that can stand in the member `kind`.
    pub(crate) const KINDS: [&'static str; 14] = [
        "make_directory",
        "write_file",
        "place_binary",
        "place_tree",
        "symlink",
        "create_group",
        "create_user",
        "group_membership",
        "unit_state",
        "package_set",
        "firewall_rule",
        "container_project",
        "registration",
        "irreversible",
    ];

    /// Whether it is of a unit that is known to have been started, or of containers that are known to have been made, and
    /// not with which files: so earlier versions wrote it.
    pub(super) fn lacks_inputs(&self) -> bool {
        match self {
            Self::UnitState {
                started_with: Some(_),
                inputs,
                ..
            }
            | Self::ContainerProject {
                came_up_with: Some(_),
                made_with: None,
                inputs,
                ..
            } => inputs.is_empty(),
            _ => false,
        }
    }

    /// One of the files it runs with is about to be written again, and it may run with what stands there now: it counts
    /// as running with something else than there will be. Nothing where it does not run with any that `is_written`.
    pub(crate) fn forget_start(&mut self, is_written: impl Fn(&HostPath) -> bool) {
        match self {
            Self::UnitState {
                inputs, started_with, ..
            } if inputs.iter().any(&is_written) => *started_with = None,
            Self::ContainerProject {
                inputs,
                came_up_with,
                made_with,
                ..
            } if inputs.iter().any(&is_written) => {
                // No files have this digest.
                let other = came_up_with.map(|_| Digest::of(b"something else"));
                (*came_up_with, *made_with) = (other, other);
            }
            _ => {}
        }
    }

    /// What it is about; equal to the key of the effect it records.
    pub fn key(&self) -> Key {
        match self {
            Self::MakeDirectory { path, .. } | Self::Symlink { path, .. } => Key::path(path),
            Self::WriteFile(file) | Self::PlaceBinary(file) => Key::path(&file.path),
            Self::PlaceTree(tree) => Key::path(&tree.path),
            Self::CreateGroup { name } => Key::named("group", name),
            Self::CreateUser { name, .. } => Key::named("user", name),
            Self::GroupMembership { user, group } => Key::named("member", &format!("{user} {group}")),
            Self::UnitState { unit, .. } => Key::named("unit", unit),
            Self::PackageSet { name, .. } => Key::named("packages", name),
            Self::FirewallRule { port, source, .. } => firewall::key(*port, source.as_deref()),
            Self::ContainerProject { name, .. } => Key::named("project", name),
            Self::Registration { server, .. } => Key::named("registration", server),
            Self::Irreversible { what, .. } => Key::named("irreversible", what),
        }
    }
}

impl Record {
    pub(crate) fn all(&self) -> impl Iterator<Item = &Recorded> {
        std::iter::once(&self.effect).chain(&self.earlier)
    }

    /// What was written to it, where it is a file.
    pub(crate) const fn file(&self) -> Option<&WrittenFile> {
        match &self.effect {
            Recorded::WriteFile(file) | Recorded::PlaceBinary(file) => Some(file),
            _ => None,
        }
    }

    /// What was placed there last, where it is a tree.
    pub(crate) const fn tree(&self) -> Option<&PlacedTree> {
        match &self.effect {
            Recorded::PlaceTree(tree) => Some(tree),
            _ => None,
        }
    }

    /// What was ever placed there as a tree.
    pub(crate) fn trees(&self) -> impl Iterator<Item = &PlacedTree> {
        self.all().filter_map(|effect| match effect {
            Recorded::PlaceTree(tree) => Some(tree),
            _ => None,
        })
    }

    /// Whether this plan ever gave it this content.
    pub(crate) fn wrote(&self, content: Digest) -> bool {
        self.all().any(|effect| match effect {
            Recorded::WriteFile(file) | Recorded::PlaceBinary(file) => file.wrote.contains(&content),
            _ => false,
        })
    }

    /// Whether this plan ever made it a link to `target`.
    pub(crate) fn linked(&self, target: &str) -> bool {
        self.all().any(|effect| match effect {
            Recorded::Symlink { wrote, .. } => wrote.iter().any(|known| known == target),
            _ => false,
        })
    }

    /// Whether a file or link that stands in its place is neither this plan's nor from before it.
    pub(crate) fn is_foreign(&self, found: &Before) -> bool {
        let ours = match found {
            Before::File { saved, .. } => {
                self.file().is_some_and(|file| file.changes_in_use) || self.wrote(*saved)
            }
            Before::Symlink { target } => self.linked(target),
            _ => true,
        };
        let original = match (found, &self.before) {
            (Before::File { saved: found, .. }, Before::File { saved, .. }) => found == saved,
            (found, before) => found == before,
        };
        !ours && !original
    }
}
