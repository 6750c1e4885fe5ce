//! A terminal that does not show what is typed, and shows it again however that ends.
//!
//! What is typed is read on a thread that nothing interrupts, and which may still wait when the program ends: a second
//! Ctrl-C, or a SIGTERM, asks nobody. So how the terminal was stands where every way out of the program finds it, and
//! [`give_up`] puts it back.

use std::fs::File;
use std::io;
use std::sync::{Mutex, MutexGuard, PoisonError};

use rustix::termios::{LocalModes, OptionalActions, Termios, tcgetattr, tcsetattr};

/// The one terminal of this program.
static SILENT: Mutex<Silent> = Mutex::new(Silent {
    before: None,
    over: false,
});

struct Silent {
    /// The terminal, and how it was before it was silent.
    before: Option<(File, Termios)>,
    /// Whether nothing is asked any more.
    over: bool,
}

impl Silent {
    fn show_again(&mut self) {
        if let Some((terminal, before)) = self.before.take() {
            // A terminal that is gone has nothing to show either.
            let _ = tcsetattr(&terminal, OptionalActions::Flush, &before);
        }
    }
}

fn silent() -> MutexGuard<'static, Silent> {
    SILENT.lock().unwrap_or_else(PoisonError::into_inner)
}

/// While this lives, what is typed is not shown.
pub(super) struct Hidden(());

impl Hidden {
    /// Makes a terminal silent. Fails where it is none, where it is silent already, and once it was given up.
    pub(super) fn on(terminal: &File) -> io::Result<Self> {
        let mut silent = silent();
        if silent.over || silent.before.is_some() {
            return Err(io::Error::other("nobody can be asked any more"));
        }
        let before = tcgetattr(terminal)?;
        let mut quiet = before.clone();
        quiet.local_modes.remove(LocalModes::ECHO);
        quiet.local_modes.insert(LocalModes::ECHONL);
        // First noted, so that it cannot be silent without anybody knowing.
        silent.before = Some((terminal.try_clone()?, before));
        if let Err(error) = tcsetattr(terminal, OptionalActions::Flush, &quiet) {
            silent.before = None;
            return Err(error.into());
        }
        Ok(Self(()))
    }
}

impl Drop for Hidden {
    fn drop(&mut self) {
        silent().show_again();
    }
}

/// Puts the terminal back and asks nothing any more: the program ends, or was told to.
pub(crate) fn give_up() {
    let mut silent = silent();
    silent.over = true;
    silent.show_again();
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_prompt_that_is_cut_off_leaves_a_terminal_that_shows_what_is_typed() {
        // Given a terminal, and somebody who is being asked on it,
        let terminal = File::options().read(true).write(true).open("/dev/ptmx").unwrap();
        let shows = || {
            tcgetattr(&terminal)
                .unwrap()
                .local_modes
                .contains(LocalModes::ECHO)
        };
        assert!(shows());
        let asked = Hidden::on(&terminal).unwrap();
        assert!(!shows());
        // when that ends, it shows again;
        drop(asked);
        assert!(shows());
        // and when it does not end, but the program does, as well;
        let asked = Hidden::on(&terminal).unwrap();
        assert!(!shows());
        give_up();
        assert!(shows());
        // and nobody is asked any more.
        assert!(Hidden::on(&terminal).is_err());
        drop(asked);
        assert!(shows());
    }
}
