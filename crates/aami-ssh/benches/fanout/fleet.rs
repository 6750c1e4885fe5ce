//! The fleet: this program again, as a process of its own, so that its memory and time are its own.

use std::fs;
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use tempfile::TempDir;

use crate::address;
use crate::process;
use crate::server::{Manner, Server, key_file};

/// A fleet at work; ends with this.
pub(crate) struct Fleet {
    child: Child,
    asked: ChildStdin,
    said: BufReader<ChildStdout>,
    port: u16,
    folder: TempDir,
}

impl Fleet {
    /// Starts it, and writes what clients need to reach it: `key`, `known_hosts` and `config` as ssh reads it.
    ///
    /// With `idle` hosts answer commands without running them.
    pub(crate) fn start(hosts: usize, idle: bool) -> Self {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .arg(if idle { "serve-idle" } else { "serve" })
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let (asked, said) = (child.stdin.take().unwrap(), child.stdout.take().unwrap());
        let mut said = BufReader::new(said);
        let port = line(&mut said).parse().unwrap();
        let folder = tempfile::tempdir().unwrap();
        let fleet = Self {
            child,
            asked,
            said,
            port,
            folder,
        };
        fleet.write_files(hosts);
        fleet
    }

    fn write_files(&self, hosts: usize) {
        use std::os::unix::fs::PermissionsExt as _;

        let folder = self.folder.path();
        let key = folder.join("key");
        fs::copy(key_file(), &key).unwrap();
        fs::set_permissions(&key, fs::Permissions::from_mode(0o600)).unwrap();
        let public = fs::read_to_string(key_file().with_extension("pub")).unwrap();
        let public: Vec<&str> = public.split_whitespace().take(2).collect();
        // A line for each, as such a file is in life.
        let known: String = (0..hosts)
            .map(|host| format!("[{}]:{} {}\n", address(host), self.port, public.join(" ")))
            .collect();
        fs::write(folder.join("known_hosts"), known).unwrap();
        let config = format!(
            "Host *\n  Port {}\n  User root\n  IdentityFile {}\n  IdentitiesOnly yes\n  UserKnownHostsFile {}\n  \
             GlobalKnownHostsFile /dev/null\n  StrictHostKeyChecking yes\n  BatchMode yes\n",
            self.port,
            key.display(),
            folder.join("known_hosts").display()
        );
        fs::write(folder.join("config"), config).unwrap();
        let addresses: Vec<String> = (0..hosts).map(|host| address(host).to_string()).collect();
        fs::write(folder.join("hosts"), addresses.join("\n") + "\n").unwrap();
    }

    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    pub(crate) const fn port(&self) -> u16 {
        self.port
    }

    /// How many commands were run so far.
    pub(crate) fn commands(&mut self) -> usize {
        writeln!(self.asked, "commands").unwrap();
        line(&mut self.said).parse().unwrap()
    }

    /// Its processor time, and that of the commands it ran, in hundredths of a second.
    pub(crate) fn spent(&self) -> u64 {
        let pid = self.child.id();
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
        let (_, fields) = stat.rsplit_once(')').unwrap();
        let children = fields.split_whitespace().skip(13).take(2);
        process::spent(pid) + children.map(|ticks| ticks.parse::<u64>().unwrap()).sum::<u64>()
    }
}

impl Drop for Fleet {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn line(from: &mut BufReader<ChildStdout>) -> String {
    let mut line = String::new();
    from.read_line(&mut line).unwrap();
    line.trim().to_owned()
}

/// The other side: serves until nobody asks any more.
pub(crate) fn serve(manner: Manner) {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .unwrap();
    let server = runtime.block_on(Server::start(move |_| manner));
    println!("{}", server.port());
    for _ in std::io::stdin().lines() {
        println!("{}", server.commands());
    }
}
