//! Files that are whole or not there, and never in two hands at once, in the words of commands.

use std::path::Path;

use aami_model::code;
use aami_plans::whole_file::{self, Held, HoldError};

use crate::cli::failure::Failure;
use crate::cli::secret::written;

/// Takes the folder of `path`. Fails where another writer keeps it for longer than a change takes.
pub(super) fn hold(path: &Path) -> Result<Held, Failure> {
    whole_file::hold(path).map_err(|error| match error {
        HoldError::Busy(..) => Failure::found_with(
            code::LOCKED,
            error.to_string(),
            "Wait for it to end, then run the command again.",
        ),
        HoldError::File { path, source } => Failure::File {
            path,
            doing: "locked",
            source,
        },
    })
}

/// Puts `bytes` in the place of `path`, wholly or not at all, with this mode.
pub(super) fn replace(path: &Path, bytes: &[u8], mode: u32) -> Result<(), Failure> {
    whole_file::replace(path, bytes, mode).map_err(written(path))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_that_is_not_there_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let failure = replace(&folder.path().join("no/config.yaml"), b"x", 0o600).unwrap_err();
        assert!(failure.to_string().contains("no/config.yaml"), "{failure}");
    }
}
