//! Ctrl-C and SIGTERM call a run off between two effects; a second one ends the program at once.

use aami_install::Cancel;
use aami_model::{Exit, code};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

use super::super::failure::Failure;

/// A flag that the next signal sets.
pub(crate) fn cancel_on_signals() -> Result<Cancel, Failure> {
    let cancel = Cancel::new();
    let flag = cancel.clone();
    let mut signals = Signals::new([SIGINT, SIGTERM, SIGHUP]).map_err(|error| {
        Failure::new(
            code::STEP_FAILED,
            format!("signals cannot be listened for: {error}"),
        )
    })?;
    std::thread::spawn(move || {
        for _ in signals.forever() {
            if flag.is_cancelled() {
                // Whatever is under way is recorded already, as after a crash.
                #[expect(clippy::exit, reason = "the second Ctrl-C means now")]
                std::process::exit(i32::from(Exit::Interrupted.number()));
            }
            flag.cancel();
        }
    });
    Ok(cancel)
}
