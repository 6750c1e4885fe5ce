//! A symbolic link, e.g. from `/usr/local/bin` into a release.

use super::place;
use super::{Due, EffectError, Scene, Standing};
use crate::path::HostPath;
use crate::receipt::{Before, Recorded};

/// A symbolic link.
#[derive(Debug, Clone)]
pub struct Symlink {
    /// Where.
    pub path: HostPath,
    /// The text of its target, absolute or relative.
    pub target: String,
}

impl Symlink {
    pub(super) fn record(&self) -> Recorded {
        Recorded::Symlink {
            path: self.path.clone(),
            wrote: vec![self.target.clone()],
        }
    }

    pub(super) fn inspect(&self, scene: Scene<'_>) -> Result<Standing, EffectError> {
        let before = match place::found(scene, &self.path)? {
            Ok(before) => before,
            Err(found) => {
                let path = self.path.clone();
                return Err(EffectError::InTheWay {
                    path,
                    found,
                    wanted: "a symbolic link",
                });
            }
        };
        let because = match &before {
            Before::Symlink { target } if *target == self.target => return Ok(Standing::Holds),
            Before::Symlink { target } => format!("links to {target}"),
            Before::File { .. } => "is a file".to_owned(),
            _ => return Ok(Standing::due("missing", before)),
        };
        let edited = scene.record.is_some_and(|record| record.is_foreign(&before));
        Ok(Standing::Due(Due {
            because,
            before,
            edited,
            content: false,
            follows: false,
        }))
    }

    pub(super) fn apply(&self, scene: Scene<'_>) -> Result<(), EffectError> {
        scene.host.root.link(&self.path, &self.target)?;
        Ok(())
    }
}
