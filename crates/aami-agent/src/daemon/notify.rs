//! The service manager, told by its own socket (sd_notify(3)). Where there is none, nothing is told.

use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::time::Duration;

/// Where it listens.
#[derive(Debug, Clone, Default)]
pub(crate) struct Notify(Option<String>);

impl Notify {
    /// `socket` as in `NOTIFY_SOCKET`: a path, or `@` and an abstract name.
    pub(crate) const fn to(socket: Option<String>) -> Self {
        Self(socket)
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
        let Some(name) = &self.0 else { return };
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
        let notify = Notify::to(Some(path.display().to_string()));
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
        Notify::to(None).ready();
        Notify::to(Some("/nonexistent/notify".to_owned())).ready();
    }
}
