//! The control plane as a process of its own.

use std::io::{BufRead as _, BufReader, Read as _};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use aami_server::{Config, World};

use crate::client::Connection;
use crate::process;

/// A control plane in another process; ends with this.
pub(crate) struct Served {
    child: Child,
    pub(crate) address: SocketAddr,
    pub(crate) admin_key: String,
}

/// What the other process does: serve until its standard input is closed.
pub(crate) fn serve(folder: &str, listen: &str) {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .unwrap();
    let mut config = Config::for_data_dir(folder).unwrap();
    config.listen = listen.parse().unwrap();
    config.open_rate = 1_000_000;
    let running = runtime
        .block_on(aami_server::start(config, World::system()))
        .unwrap();
    println!("{} {}", running.address(), running.admin_key().display());
    let _ = std::io::stdin().read_to_end(&mut Vec::new());
    runtime.block_on(running.stop());
}

impl Served {
    pub(crate) fn start(folder: &Path) -> Self {
        Self::start_at(folder, "127.0.0.1:0")
    }

    /// Starts it on what the folder holds, listening there.
    pub(crate) fn start_at(folder: &Path, listen: &str) -> Self {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .arg("serve")
            .arg(folder.join("data"))
            .arg(listen)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap())
            .read_line(&mut line)
            .unwrap();
        let (address, key) = line.trim().split_once(' ').unwrap();
        let admin_key = std::fs::read_to_string(key).unwrap().trim().to_owned();
        Self {
            child,
            address: address.parse().unwrap(),
            admin_key,
        }
    }

    /// Resident memory in bytes.
    pub(crate) fn memory(&self) -> u64 {
        process::memory(self.child.id())
    }

    /// The processor time it has used, in hundredths of a second.
    #[allow(dead_code, reason = "only `links` measures that")]
    pub(crate) fn spent(&self) -> u64 {
        process::spent(self.child.id())
    }

    /// Waits until the control plane has copied what was left for later and rests, for at most a minute.
    pub(crate) async fn settle(&self) {
        process::settle(self.child.id()).await;
    }

    /// Holds it for so long, as a machine does that is suspended, and lets it go on.
    #[allow(dead_code, reason = "only `links` does that")]
    pub(crate) async fn hold(&self, lasting: std::time::Duration) {
        use rustix::process::{Pid, Signal, kill_process};
        let pid = Pid::from_child(&self.child);
        kill_process(pid, Signal::STOP).unwrap();
        tokio::time::sleep(lasting).await;
        kill_process(pid, Signal::CONT).unwrap();
    }

    /// Ends it at once, as a crash would.
    #[allow(dead_code, reason = "only `links` does that")]
    pub(crate) fn kill(mut self) {
        self.child.kill().unwrap();
    }

    /// Changes one label of one node in the middle of the list.
    pub(crate) async fn relabel(&self, connection: &mut Connection) {
        let page = connection
            .get(&self.admin_key, "/api/v1/nodes?hostname=gpu-50000.example.com")
            .await;
        let page: serde_json::Value = serde_json::from_slice(&page).unwrap();
        let path = format!("/api/v1/nodes/{}", page["items"][0]["id"].as_str().unwrap());
        let body = serde_json::json!({ "labels": { "rack": "moved" } });
        connection.patch(&self.admin_key, &path, body.to_string()).await;
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        drop(self.child.stdin.take());
        let _ = self.child.wait();
    }
}
