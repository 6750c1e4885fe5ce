//! A terminal that does not show what is typed, and shows it again however that ends: also where a signal ends the
//! program in the middle, which asks nobody else.

use std::fs::File;
use std::io;
use std::sync::Arc;
use std::thread::JoinHandle;

use rustix::termios::{LocalModes, OptionalActions, Termios, tcgetattr, tcsetattr};
use signal_hook::consts::{SIGHUP, SIGINT, SIGQUIT, SIGTERM};
use signal_hook::iterator::{Handle, Signals};
use signal_hook::low_level::emulate_default_handler;

/// While this lives, what is typed is not shown.
pub(super) struct Hidden {
    silent: Arc<Silent>,
    signals: Handle,
    listening: Option<JoinHandle<()>>,
}

/// A terminal, and how it was before it was silent.
struct Silent {
    terminal: File,
    before: Termios,
}

impl Silent {
    fn show_again(&self) {
        // A terminal that is gone has nothing to show either.
        let _ = tcsetattr(&self.terminal, OptionalActions::Flush, &self.before);
    }
}

impl Hidden {
    /// Makes a terminal silent.
    pub(super) fn on(terminal: &File) -> io::Result<Self> {
        // What ends a program unless somebody says otherwise.
        Self::until(terminal, |signal| {
            let _ = emulate_default_handler(signal);
        })
    }

    fn until(terminal: &File, ended: impl Fn(i32) + Send + 'static) -> io::Result<Self> {
        let before = tcgetattr(terminal)?;
        let mut quiet = before.clone();
        quiet.local_modes.remove(LocalModes::ECHO);
        quiet.local_modes.insert(LocalModes::ECHONL);
        let terminal = terminal.try_clone()?;
        let silent = Arc::new(Silent { terminal, before });
        let mut signals = Signals::new([SIGINT, SIGTERM, SIGHUP, SIGQUIT])?;
        let handle = signals.handle();
        let heard = Arc::clone(&silent);
        let listening = std::thread::Builder::new()
            .name("prompt".to_owned())
            .spawn(move || {
                for signal in signals.forever() {
                    heard.show_again();
                    ended(signal);
                }
            })?;
        let hidden = Self {
            silent,
            signals: handle,
            listening: Some(listening),
        };
        tcsetattr(&hidden.silent.terminal, OptionalActions::Flush, &quiet)?;
        Ok(hidden)
    }
}

impl Drop for Hidden {
    fn drop(&mut self) {
        self.signals.close();
        if let Some(listening) = self.listening.take() {
            let _ = listening.join();
        }
        self.silent.show_again();
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_signal_in_the_middle_of_a_prompt_leaves_a_terminal_that_shows_what_is_typed() {
        let terminal = File::options().read(true).write(true).open("/dev/ptmx").unwrap();
        let shows = || {
            tcgetattr(&terminal)
                .unwrap()
                .local_modes
                .contains(LocalModes::ECHO)
        };
        // Given somebody who is being asked,
        let (ended, heard) = mpsc::channel();
        let asked = Hidden::until(&terminal, move |signal| ended.send(signal).unwrap()).unwrap();
        assert!(!shows());
        // when a signal comes, then the terminal is as before when that ends the program;
        signal_hook::low_level::raise(SIGTERM).unwrap();
        assert_eq!(heard.recv_timeout(Duration::from_secs(20)), Ok(SIGTERM));
        assert!(shows());
        // and without a signal it is so when the answer was given.
        drop(asked);
        let asked = Hidden::on(&terminal).unwrap();
        assert!(!shows());
        drop(asked);
        assert!(shows());
    }
}
