//! A real etcd of a test's own, that can be stopped, killed and started again.

use std::fs::File;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, kill_process, waitid};
use tempfile::TempDir;

use crate::engine::eventually;

pub(crate) struct EtcdServer {
    program: PathBuf,
    folder: TempDir,
    name: String,
    client_port: u16,
    peer_port: u16,
    /// Every member and where it speaks to the others.
    members: String,
    arguments: Vec<String>,
    child: Option<Child>,
}

impl EtcdServer {
    /// Starts one on free loopback ports; `None` where no etcd is to be had, unless `CI=true`.
    pub(crate) async fn start() -> Option<Self> {
        Self::start_with(&[]).await
    }

    pub(crate) async fn start_with(arguments: &[&str]) -> Option<Self> {
        let mut server = Self::prepare(1, arguments)?.remove(0);
        server.run().await;
        Some(server)
    }

    /// Starts a cluster of three.
    pub(crate) async fn start_three() -> Option<Vec<Self>> {
        let mut servers = Self::prepare(3, &[])?;
        for server in &mut servers {
            server.spawn();
        }
        for server in &mut servers {
            server.serves().await;
        }
        Some(servers)
    }

    fn prepare(count: usize, arguments: &[&str]) -> Option<Vec<Self>> {
        let program = program()?;
        let peer_ports: Vec<u16> = (0..count).map(|_| free_port()).collect();
        let member = |(n, port): (usize, &u16)| format!("member{n}=http://127.0.0.1:{port}");
        let members = peer_ports
            .iter()
            .enumerate()
            .map(member)
            .collect::<Vec<_>>()
            .join(",");
        let server = |(n, peer_port)| Self {
            program: program.clone(),
            folder: tempfile::tempdir().expect("there is room for a folder"),
            name: format!("member{n}"),
            client_port: free_port(),
            peer_port,
            members: members.clone(),
            arguments: arguments.iter().map(|text| (*text).to_owned()).collect(),
            child: None,
        };
        Some(peer_ports.into_iter().enumerate().map(server).collect())
    }

    pub(crate) fn port(&self) -> u16 {
        self.client_port
    }

    pub(crate) fn url(&self) -> String {
        format!("etcd://127.0.0.1:{}", self.client_port)
    }

    /// Starts it, again on the same data, and waits until it serves.
    pub(crate) async fn run(&mut self) {
        self.spawn();
        self.serves().await;
    }

    fn log(&self) -> PathBuf {
        self.folder.path().join("log")
    }

    fn spawn(&mut self) {
        let client = format!("http://127.0.0.1:{}", self.client_port);
        let peer = format!("http://127.0.0.1:{}", self.peer_port);
        let log = File::options()
            .create(true)
            .append(true)
            .open(self.log())
            .expect("the log can be written");
        let child = Command::new(&self.program)
            .env_clear()
            .args(["--name", &self.name, "--data-dir"])
            .arg(self.folder.path().join("data"))
            .args([
                "--listen-client-urls",
                &client,
                "--advertise-client-urls",
                &client,
            ])
            .args([
                "--listen-peer-urls",
                &peer,
                "--initial-advertise-peer-urls",
                &peer,
            ])
            .args(["--initial-cluster", &self.members])
            .args(&self.arguments)
            .stdin(Stdio::null())
            .stdout(log.try_clone().expect("a file can be had twice"))
            .stderr(log)
            .spawn();
        self.child = Some(child.expect("etcd starts"));
    }

    async fn serves(&mut self) {
        eventually("etcd to serve", async || {
            let child = self.child.as_mut().expect("it was started");
            let ended = child.try_wait().expect("it is our child");
            assert!(
                ended.is_none(),
                "etcd ended: {}",
                std::fs::read_to_string(self.log()).unwrap_or_default()
            );
            aami_store::open(&self.url()).await.ok().map(drop)
        })
        .await;
    }

    /// As a power cut would end it.
    pub(crate) fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            // It may have ended by itself.
            let _ = child.kill();
            let _ = child.wait();
        }
    }

    /// Makes it stand still, connections and all, or go on.
    pub(crate) fn freeze(&self, frozen: bool) {
        let child = Pid::from_child(self.child.as_ref().expect("it runs"));
        let signal = if frozen { Signal::STOP } else { Signal::CONT };
        kill_process(child, signal).expect("it can be told");
        if frozen {
            // Until it stands, its other threads may go on answering.
            waitid(WaitId::Pid(child), WaitIdOptions::STOPPED).expect("it stands still");
        }
    }
}

impl Drop for EtcdServer {
    fn drop(&mut self) {
        self.kill();
    }
}

fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("loopback has a free port");
    listener.local_addr().expect("it is bound").port()
}

/// `AAMI_ETCD`, then `PATH`, then what the rig has fetched into its cache.
fn program() -> Option<PathBuf> {
    let found = std::env::var_os("AAMI_ETCD")
        .map(PathBuf::from)
        .or_else(|| on_path("etcd"))
        .or_else(in_cache);
    if found.is_none() {
        let told = "there is no etcd: AAMI_ETCD names none, PATH has none, the rig's cache has none";
        assert!(std::env::var_os("CI").is_none_or(|ci| ci != "true"), "{told}");
        println!("SKIPPED: {told}");
    }
    found
}

fn on_path(name: &str) -> Option<PathBuf> {
    std::env::split_paths(&std::env::var_os("PATH")?)
        .map(|folder| folder.join(name))
        .find(|path| path.is_file())
}

fn in_cache() -> Option<PathBuf> {
    let home = || std::env::var_os("HOME").map(|home| Path::new(&home).join(".cache"));
    let cache = std::env::var_os("XDG_CACHE_HOME")
        .map(PathBuf::from)
        .or_else(home)?;
    let entries = std::fs::read_dir(cache.join("aami-rig")).ok()?;
    let mut programs = entries.flatten().map(|entry| entry.path().join("usr/bin/etcd"));
    programs.find(|path| path.is_file())
}
