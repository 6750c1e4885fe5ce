//! The foreground form after its install: one per folder, there until told to go.

use std::fs::File;
use std::io::{self, Read as _};
use std::path::PathBuf;
use std::time::Duration;

use aami_install::Cancel;
use aami_model::code;

use super::super::failure::Failure;
use super::super::node::Which;

/// How often the flag is looked at.
const LOOK: Duration = Duration::from_millis(100);

/// Held for as long as this process serves a folder: a second one there would fight over its ports.
/// The lock is on the folder itself, so there is no file to leave behind. The host form needs none, its
/// exporters are systemd's.
pub(super) fn alone(which: &Which) -> Result<Option<File>, Failure> {
    let Some(root) = &which.root else { return Ok(None) };
    let folder = File::open(root).map_err(|error| Failure::file(root, &error))?;
    match folder.try_lock() {
        Ok(()) => Ok(Some(folder)),
        Err(std::fs::TryLockError::WouldBlock) => {
            let message = format!("another aami-agent serves {} already", root.display());
            Err(Failure::new(code::LOCKED, message)
                .with_hint("End that one first, or choose another folder."))
        }
        Err(std::fs::TryLockError::Error(error)) => Err(Failure::file(root, &error)),
    }
}

/// This program, for starting children through it. The link is the kernel's: it holds also when the
/// file was replaced meanwhile.
pub(crate) fn launcher() -> Result<PathBuf, Failure> {
    std::env::current_exe().map_err(|error| {
        Failure::new(
            code::STEP_FAILED,
            format!("this program's own file cannot be found: {error}"),
        )
    })
}

/// Calls the run off once standard input is closed: whoever holds its other end has ended, perhaps before the
/// install was through.
pub(super) fn end_with_stdin(cancel: &Cancel) {
    let cancel = cancel.clone();
    std::thread::spawn(move || {
        let mut buffer = [0_u8; 256];
        let mut stdin = io::stdin().lock();
        while !matches!(stdin.read(&mut buffer), Ok(0) | Err(_)) {}
        cancel.cancel();
    });
}

/// Waits until it is called off.
pub(super) fn until_told(cancel: &Cancel) {
    while !cancel.is_cancelled() {
        std::thread::park_timeout(LOOK);
    }
}
