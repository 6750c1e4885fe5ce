//! The peer: a socket.io server on Node.js, holding the same connections with the same heartbeats.

use std::io::{BufRead as _, BufReader};
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};

use crate::process;

/// A socket.io server at work; ends with this.
pub(crate) struct Peer {
    child: Child,
    said: BufReader<ChildStdout>,
    pub(crate) address: SocketAddr,
}

impl Peer {
    /// Starts it for agents with these credentials, a line each; `None` where it was not fetched
    /// (`scripts/fetch-socketio.sh`).
    pub(crate) fn start(credentials: &Path, at: Option<SocketAddr>) -> Option<Self> {
        let cache = std::env::var_os("XDG_CACHE_HOME").map_or_else(
            || PathBuf::from(std::env::var_os("HOME").unwrap_or_default()).join(".cache"),
            PathBuf::from,
        );
        let folder = cache.join("aami/tools/socket.io");
        if !folder.join("node_modules/socket.io").exists() {
            return None;
        }
        let free = || TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let address = at.unwrap_or_else(free);
        let mut child = Command::new("node")
            .arg("--expose-gc")
            .arg(concat!(
                env!("CARGO_MANIFEST_DIR"),
                "/benches/links/socketio/server.mjs"
            ))
            .arg(folder)
            .arg(address.port().to_string())
            .arg(credentials)
            .env("NODE_ENV", "production")
            .stdout(Stdio::piped())
            .spawn()
            .ok()?;
        let said = BufReader::new(child.stdout.take().unwrap());
        let mut peer = Self { child, said, address };
        assert_eq!(peer.line(), "listening");
        Some(peer)
    }

    fn line(&mut self) -> String {
        let mut line = String::new();
        self.said.read_line(&mut line).unwrap();
        line.trim().to_owned()
    }

    pub(crate) fn spent(&self) -> u64 {
        process::spent(self.child.id())
    }

    /// Its memory, garbage collected, with how many sockets it holds and how many heartbeats it took.
    pub(crate) fn memory(&mut self) -> (u64, String) {
        let pid = self.child.id().to_string();
        let mut line = String::new();
        // A first collection leaves what a second one frees.
        for _ in 0..2 {
            assert!(
                Command::new("kill")
                    .args(["-USR2", &pid])
                    .status()
                    .unwrap()
                    .success()
            );
            line = self.line();
        }
        (process::memory(self.child.id()), line)
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
