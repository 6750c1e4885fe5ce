//! Bringing one effect about.

use super::placement::Payload;
use super::project::CameUp;
use super::{Effect, Scene};
use crate::digest::Digest;
use crate::path::HostPath;
use crate::step::{StepError, Voice};

/// What is known only after an effect happened.
pub(crate) enum Happened {
    /// Nothing more.
    Plainly,
    /// A unit was started with this.
    Started(Option<Digest>),
    /// A compose project came up.
    CameUp(CameUp),
    /// The host was registered as this node.
    Registered(String),
}

impl Effect {
    /// Where it puts something, if it does.
    pub(crate) const fn path(&self) -> Option<&HostPath> {
        match self {
            Self::MakeDirectory(effect) => Some(&effect.path),
            Self::WriteFile(effect) | Self::PlaceBinary(effect) => Some(&effect.path),
            Self::PlaceTree(effect) => Some(&effect.path),
            Self::Symlink(effect) => Some(&effect.path),
            _ => None,
        }
    }

    /// Whether bringing it about may change what is at `path`.
    pub(crate) fn changes(&self, path: &HostPath) -> bool {
        match self {
            Self::PlaceTree(effect) => path.is_within(&effect.path),
            other => other.path() == Some(path),
        }
    }

    /// Brings it about. It is due, and recorded; `payload` is what a file will hold.
    pub(crate) fn apply(
        &self,
        scene: Scene<'_>,
        payload: Option<&Payload>,
        voice: &Voice<'_>,
    ) -> Result<Happened, StepError> {
        match self {
            Self::MakeDirectory(effect) => effect.apply(scene)?,
            Self::WriteFile(effect) | Self::PlaceBinary(effect) => {
                effect.apply(scene, payload.unwrap_or(&Payload::Kept))?;
            }
            Self::PlaceTree(effect) => {
                let unpacked = match payload {
                    Some(Payload::Tree(unpacked)) => Some(unpacked),
                    _ => None,
                };
                effect.apply(scene, unpacked, voice)?;
            }
            Self::Symlink(effect) => effect.apply(scene)?,
            Self::CreateGroup(effect) => effect.apply(scene)?,
            Self::CreateUser(effect) => effect.apply(scene)?,
            Self::GroupMembership(effect) => effect.apply(scene)?,
            Self::UnitState(effect) => return Ok(Happened::Started(effect.apply(scene)?)),
            Self::PackageSet(effect) => effect.apply(scene, voice)?,
            Self::FirewallRule(effect) => effect.apply(scene)?,
            Self::ContainerProject(effect) => return effect.apply(scene, voice).map(Happened::CameUp),
            Self::Registration(effect) => return effect.apply(scene.host, voice).map(Happened::Registered),
            Self::Irreversible(effect) => effect.apply(scene.host, voice)?,
        }
        Ok(Happened::Plainly)
    }
}
