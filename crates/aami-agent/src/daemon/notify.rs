//! The service manager, told by its own socket (sd_notify(3)). Where there is none, nothing is told.

use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::time::Duration;

/// How often it is told that all is well, at least.
const USUAL: Duration = Duration::from_secs(15);
/// It is told so often within the time after which it would start the daemon anew.
const WITHIN: u32 = 3;

/// Where it listens, and how patient it is.
#[derive(Debug, Clone, Default)]
pub(crate) struct Notify {
    socket: Option<String>,
    watchdog: Option<Duration>,
}

impl Notify {
    /// `socket` as in `NOTIFY_SOCKET`: a path, or `@` and an abstract name. `watchdog` is after how long without a word
    /// it starts the daemon anew, as in `WATCHDOG_USEC`.
    pub(crate) const fn to(socket: Option<String>, watchdog: Option<Duration>) -> Self {
        Self { socket, watchdog }
    }

    /// How often it is to be told that all is well.
    pub(super) fn every(&self) -> Duration {
        self.watchdog
            .map_or(USUAL, |patience| (patience / WITHIN).min(USUAL))
    }

    /// It runs.
    pub(super) fn ready(&self) {
        self.send("READY=1");
    }

    /// All its loops move.
    pub(super) fn alive(&self) {
        self.send("WATCHDOG=1");
    }

    /// It ends.
    pub(super) fn stopping(&self) {
        self.send("STOPPING=1");
    }

    /// A manager that does not listen will judge by itself.
    fn send(&self, state: &str) {
        let Some(name) = &self.socket else { return };
        let address = match name.strip_prefix('@') {
            Some(name) => SocketAddr::from_abstract_name(name),
            None => SocketAddr::from_pathname(name),
        };
        let (Ok(address), Ok(socket)) = (address, UnixDatagram::unbound()) else {
            return;
        };
        let _ = socket.set_write_timeout(Some(Duration::from_secs(1)));
        let _ = socket.send_to_addr(state.as_bytes(), &address);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_manager_hears_what_it_is_told() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("notify");
        let socket = UnixDatagram::bind(&path).unwrap();
        socket.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
        let notify = Notify::to(Some(path.display().to_string()), None);
        for (tell, wanted) in [
            (Notify::ready as fn(&Notify), "READY=1"),
            (Notify::alive, "WATCHDOG=1"),
            (Notify::stopping, "STOPPING=1"),
        ] {
            tell(&notify);
            let mut buffer = [0_u8; 64];
            let read = socket.recv(&mut buffer).unwrap();
            assert_eq!(&buffer[..read], wanted.as_bytes());
        }
        Notify::to(None, None).ready();
        Notify::to(Some("/nonexistent/notify".to_owned()), None).ready();
    }

    #[test]
    fn an_impatient_manager_is_told_often_enough_and_a_patient_one_no_more_seldom_than_usual() {
        let every = |seconds| Notify::to(None, Some(Duration::from_secs(seconds))).every();
        assert_eq!((every(3), every(90)), (Duration::from_secs(1), USUAL));
        assert_eq!(Notify::to(None, None).every(), USUAL);
    }
}
