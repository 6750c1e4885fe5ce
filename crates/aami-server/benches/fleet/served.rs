//! The control plane as a process of its own.

use std::io::{BufRead as _, BufReader, Read as _};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use aami_server::{Config, World};

use crate::client::Connection;

/// A control plane in another process; ends with this.
pub(crate) struct Served {
    child: Child,
    pub(crate) address: SocketAddr,
    pub(crate) admin_key: String,
}

/// What the other process does: serve until its standard input is closed.
pub(crate) fn serve(folder: &str) {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .unwrap();
    let mut config = Config::for_data_dir(folder).unwrap();
    config.listen = "127.0.0.1:0".parse().unwrap();
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
        let mut child = Command::new(std::env::current_exe().unwrap())
            .arg("serve")
            .arg(folder.join("data"))
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

    /// Resident memory in bytes, after what was asked for before has settled.
    pub(crate) fn memory(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
        line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() * 1024
    }

    /// Waits until the control plane has copied what was left for later and rests, for at most a minute.
    pub(crate) async fn settle(&self) {
        let spent = || {
            let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.child.id())).unwrap();
            let (_, fields) = stat.rsplit_once(')').unwrap();
            let ticks = fields.split_whitespace().skip(11).take(2);
            ticks.map(|ticks| ticks.parse::<u64>().unwrap()).sum::<u64>()
        };
        let mut before = spent();
        for _ in 0..120 {
            tokio::time::sleep(Duration::from_millis(500)).await;
            let now = spent();
            if now - before <= 2 {
                return;
            }
            before = now;
        }
    }

    pub(crate) async fn token(&self, max_uses: u32) -> String {
        let mut connection = Connection::open(self.address).await;
        let body = serde_json::json!({ "name": "bench", "max_uses": max_uses, "labels": { "site": "eu-1" } });
        let answer = connection
            .post(&self.admin_key, "/api/v1/bootstrap-tokens", body.to_string())
            .await;
        let answer: serde_json::Value = serde_json::from_slice(&answer).unwrap();
        answer["token"].as_str().unwrap().to_owned()
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
