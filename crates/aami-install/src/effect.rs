//! Effects: the closed list of ways this project changes a host.
//!
//! An [`Effect`] is a value: a step says which effects must hold, the dry run prints that list, and
//! the executor performs the ones that do not hold yet. Each kind knows four things, one file per
//! kind: whether it holds, what stands in its place now, how to bring it about, and how to take it
//! back from its [record](crate::receipt::Record). A new way to change a host is a new kind here,
//! never a command in a step.
//!
//! What needs no kind of its own: a timer or a watched path is a [`UnitState`] of a `.timer` or `.path`
//! unit beside its file; where there is no systemd, a [`Placement`] in `/etc/cron.d` is a cron job (cron
//! reads the folder each minute; no dot in the name, mode 0644, root's); a service that holds a port
//! is stopped by [`UnitState::down`].

pub(crate) mod account;
mod apply;
mod directory;
mod error;
pub mod firewall;
mod mark;
mod owner;
pub mod package;
pub(crate) mod place;
pub(crate) mod placement;
pub(crate) mod project;
mod registration;
mod symlink;
mod tool;
pub(crate) mod tree;
mod undo;
pub(crate) mod unit;

use std::fmt;

use serde::Serialize;

pub use account::{CreateGroup, CreateUser, GroupMembership};
pub(crate) use apply::Happened;
pub use directory::MakeDirectory;
pub use error::EffectError;
pub(crate) use error::fs_code;
pub use firewall::FirewallRule;
pub use mark::Mark;
pub(crate) use mark::Signature;
pub use owner::Owner;
pub use package::PackageSet;
pub use placement::Placement;
pub use project::ContainerProject;
pub use registration::{Irreversible, Registration, Unregister};
pub use symlink::Symlink;
pub use tree::{ArchiveError, PlaceTree};
pub(crate) use undo::undo as undo_one;
pub use unit::UnitState;

use crate::content::Content;
use crate::host::Host;
use crate::path::HostPath;
use crate::receipt::{Before, Record, Recorded};

/// One change to a host, with all that is needed to bring it about.
#[derive(Debug, Clone)]
pub enum Effect {
    /// A folder with this mode and owner.
    MakeDirectory(MakeDirectory),
    /// A file with this content, mode and owner.
    WriteFile(Placement),
    /// An executable file, fetched and verified.
    PlaceBinary(Placement),
    /// A folder of a program's own with all that is in it, from a verified archive.
    PlaceTree(PlaceTree),
    /// A symbolic link.
    Symlink(Symlink),
    /// A group.
    CreateGroup(CreateGroup),
    /// A user.
    CreateUser(CreateUser),
    /// A user in a group.
    GroupMembership(GroupMembership),
    /// A unit enabled or not, running or not.
    UnitState(UnitState),
    /// Packages of the distribution.
    PackageSet(PackageSet),
    /// A port opened in the firewall.
    FirewallRule(FirewallRule),
    /// A compose project that runs.
    ContainerProject(ContainerProject),
    /// This host known to a control plane.
    Registration(Registration),
    /// Something that cannot be taken back, and needs an approval.
    Irreversible(Irreversible),
}

/// What an effect is about. Two effects with the same key, in one plan or in two, change the same
/// thing.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Key(String);

impl Key {
    pub(crate) fn path(path: &HostPath) -> Self {
        Self(path.to_string())
    }

    pub(crate) fn named(kind: &str, name: &str) -> Self {
        Self(format!("{kind} {name}"))
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// An effect as people and programs are shown it. It depends on the effect alone, so what a dry run
/// prints and what a run reports can be compared.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
pub struct Described {
    /// `write_file`, `unit_state`, ...
    pub kind: &'static str,
    /// The path, user or unit.
    pub subject: String,
    /// Everything else: mode, owner, digest, ... Never content.
    pub detail: String,
}

impl fmt::Display for Described {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let verb = match self.kind {
            "make_directory" => "make folder",
            "write_file" => "write file",
            "place_binary" => "place program",
            "place_tree" => "unpack",
            "symlink" => "link",
            "create_group" => "create group",
            "create_user" => "create user",
            "group_membership" => "add to group",
            "unit_state" => "set unit",
            "package_set" => "install packages",
            "firewall_rule" => "open port",
            "container_project" => "run containers",
            "registration" => "register with",
            _ => "irreversibly",
        };
        write!(f, "{verb} {}", self.subject)?;
        if self.detail.is_empty() {
            Ok(())
        } else {
            write!(f, " ({})", self.detail)
        }
    }
}

/// Where an effect stands on a host.
#[derive(Debug, Clone)]
pub(crate) enum Standing {
    /// It is so already.
    Holds,
    /// It is not so.
    Due(Due),
}

/// What is in an effect's place while it is not so.
#[derive(Debug, Clone)]
pub(crate) struct Due {
    /// In a few words, for people.
    pub(crate) because: String,
    /// What undoing needs, should this effect be the first to touch the thing.
    pub(crate) before: Before,
    /// Somebody edited what we had written: the edit is put beside it before it is replaced.
    pub(crate) edited: bool,
    /// What a file holds is right; only its mode or owner is not.
    pub(crate) content: bool,
    /// It holds, and is due only because something it reads is.
    pub(crate) follows: bool,
}

impl Standing {
    pub(crate) fn due(because: impl Into<String>, before: Before) -> Self {
        Self::Due(Due {
            because: because.into(),
            before,
            edited: false,
            content: false,
            follows: false,
        })
    }

    /// Due only because something else is.
    pub(crate) fn following(because: impl Into<String>, before: Before) -> Self {
        Self::Due(Due {
            because: because.into(),
            before,
            edited: false,
            content: false,
            follows: true,
        })
    }
}

/// What an effect may look at to see where it stands, and what it acts on.
#[derive(Clone, Copy)]
pub(crate) struct Scene<'a> {
    pub(crate) host: &'a Host,
    /// Our own record of the same thing from before, or another plan's.
    pub(crate) record: Option<&'a Record>,
}

impl Effect {
    /// A folder.
    pub fn directory(path: HostPath, mode: u32, owner: Option<Owner>) -> Self {
        let keeps = false;
        Self::MakeDirectory(MakeDirectory {
            path,
            mode,
            owner,
            keeps,
        })
    }

    /// A folder that is made where it is absent; one that is there keeps the mode and owner it has.
    pub fn directory_where_absent(path: HostPath, mode: u32, owner: Option<Owner>) -> Self {
        let keeps = true;
        Self::MakeDirectory(MakeDirectory {
            path,
            mode,
            owner,
            keeps,
        })
    }

    /// A file; more is said with [`Placement`]'s methods and [`Effect::WriteFile`].
    pub fn file(path: HostPath, content: Content, mode: u32, owner: Option<Owner>) -> Self {
        Self::WriteFile(Placement::new(path, content, mode, owner))
    }

    /// An executable, mode 0755.
    pub fn binary(path: HostPath, content: Content, owner: Option<Owner>) -> Self {
        Self::PlaceBinary(Placement::new(path, content, 0o755, owner))
    }

    /// A symbolic link at `path` with the text `target`.
    pub fn link(path: HostPath, target: impl Into<String>) -> Self {
        Self::Symlink(Symlink {
            path,
            target: target.into(),
        })
    }

    /// What it is about.
    pub fn key(&self) -> Key {
        match self {
            Self::MakeDirectory(effect) => Key::path(&effect.path),
            Self::WriteFile(effect) | Self::PlaceBinary(effect) => Key::path(&effect.path),
            Self::PlaceTree(effect) => Key::path(&effect.path),
            Self::Symlink(effect) => Key::path(&effect.path),
            Self::CreateGroup(effect) => Key::named("group", &effect.name),
            Self::CreateUser(effect) => Key::named("user", &effect.name),
            Self::GroupMembership(effect) => effect.key(),
            Self::UnitState(effect) => Key::named("unit", &effect.unit),
            Self::PackageSet(effect) => Key::named("packages", &effect.name),
            Self::FirewallRule(effect) => effect.key(),
            Self::ContainerProject(effect) => Key::named("project", &effect.name),
            Self::Registration(effect) => Key::named("registration", &effect.server),
            Self::Irreversible(effect) => Key::named("irreversible", &effect.what),
        }
    }

    /// How people and programs are shown it.
    pub fn describe(&self) -> Described {
        let (kind, subject, detail) = match self {
            Self::MakeDirectory(effect) => ("make_directory", effect.path.to_string(), effect.detail()),
            Self::WriteFile(effect) => ("write_file", effect.path.to_string(), effect.detail()),
            Self::PlaceBinary(effect) => ("place_binary", effect.path.to_string(), effect.detail()),
            Self::PlaceTree(effect) => ("place_tree", effect.path.to_string(), effect.detail()),
            Self::Symlink(effect) => (
                "symlink",
                effect.path.to_string(),
                format!("to {}", effect.target),
            ),
            Self::CreateGroup(effect) => ("create_group", effect.name.clone(), effect.detail()),
            Self::CreateUser(effect) => ("create_user", effect.name.clone(), effect.detail()),
            Self::GroupMembership(effect) => (
                "group_membership",
                effect.user.clone(),
                format!("group {}", effect.group),
            ),
            Self::UnitState(effect) => ("unit_state", effect.unit.clone(), effect.detail()),
            Self::PackageSet(effect) => ("package_set", effect.name.clone(), effect.detail()),
            Self::FirewallRule(effect) => ("firewall_rule", effect.subject(), effect.detail()),
            Self::ContainerProject(effect) => ("container_project", effect.name.clone(), effect.detail()),
            Self::Registration(effect) => ("registration", effect.server.clone(), effect.detail()),
            Self::Irreversible(effect) => ("irreversible", effect.what.clone(), effect.detail()),
        };
        Described {
            kind,
            subject,
            detail,
        }
    }

    /// The effect as it is performed: with the plan's mark in it.
    pub(crate) fn sealed(&self, signature: &Signature) -> Self {
        match self {
            Self::WriteFile(effect) => Self::WriteFile(effect.sealed(signature)),
            Self::PlaceTree(effect) => Self::PlaceTree(effect.sealed(signature)),
            Self::CreateUser(effect) => Self::CreateUser(effect.sealed(signature)),
            Self::FirewallRule(effect) => Self::FirewallRule(effect.sealed(signature)),
            other => other.clone(),
        }
    }

    /// Where it stands. Looks only.
    pub(crate) fn inspect(&self, scene: Scene<'_>) -> Result<Standing, EffectError> {
        match self {
            Self::MakeDirectory(effect) => effect.inspect(scene),
            Self::WriteFile(effect) | Self::PlaceBinary(effect) => effect.inspect(scene),
            Self::PlaceTree(effect) => effect.inspect(scene),
            Self::Symlink(effect) => effect.inspect(scene),
            Self::CreateGroup(effect) => effect.inspect(scene),
            Self::CreateUser(effect) => effect.inspect(scene),
            Self::GroupMembership(effect) => effect.inspect(scene),
            Self::UnitState(effect) => effect.inspect(scene),
            Self::PackageSet(effect) => effect.inspect(scene),
            Self::FirewallRule(effect) => effect.inspect(scene),
            Self::ContainerProject(effect) => effect.inspect(scene),
            Self::Registration(effect) => Ok(effect.inspect(scene)),
            Self::Irreversible(effect) => Ok(effect.inspect(scene)),
        }
    }

    /// What its record says it did; `content` is the digest of what is about to be written.
    pub(crate) fn record(&self, content: Option<crate::digest::Digest>) -> Recorded {
        match self {
            Self::MakeDirectory(effect) => effect.record(),
            Self::WriteFile(effect) => Recorded::WriteFile(effect.record(content)),
            Self::PlaceBinary(effect) => Recorded::PlaceBinary(effect.record(content)),
            Self::PlaceTree(effect) => effect.record(content),
            Self::Symlink(effect) => effect.record(),
            Self::CreateGroup(effect) => Recorded::CreateGroup {
                name: effect.name.clone(),
            },
            Self::CreateUser(effect) => effect.record(),
            Self::GroupMembership(effect) => effect.record(),
            Self::UnitState(effect) => effect.record(),
            Self::PackageSet(effect) => effect.record(),
            Self::FirewallRule(effect) => effect.record(),
            Self::ContainerProject(effect) => effect.record(),
            Self::Registration(effect) => effect.record(),
            Self::Irreversible(effect) => effect.record(),
        }
    }
}
