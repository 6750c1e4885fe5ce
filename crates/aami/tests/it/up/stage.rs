//! What `aami up` is started with, by whom, and everything it may leave.

use std::collections::BTreeSet;
use std::fs;
use std::io::{BufRead as _, BufReader};
use std::net::TcpListener;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, chown};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use aami_api::client::{Client, Settings};
use rustix::process::{Pid, Signal, geteuid, kill_process, kill_process_group};
use serde_json::Value;

use crate::agent;
use crate::plane::{Said, aami};

/// The first of the users that no distribution and no container gives to anybody
/// (<https://systemd.io/UIDS-GIDS>): whatever belongs to one of them, the story that made it up has made.
const NOBODY_ELSE: u32 = 0x7000_0000;

/// The programs `aami up` finds beside itself and in the cache, and who starts it.
pub(super) struct Stage {
    home: tempfile::TempDir,
    programs: PathBuf,
    pub(super) components: PathBuf,
    pub(super) ports: [u16; 3],
    /// Somebody else than who runs the tests: with a home of their own, where all is where it is usually.
    user: Option<u32>,
}

impl Stage {
    pub(super) fn set() -> Self {
        Self {
            home: tempfile::tempdir().unwrap(),
            programs: agent::programs(),
            components: agent::components(),
            ports: [free_port(), free_port(), free_port()],
            user: None,
        }
    }

    /// The same for an ordinary user: a made-up one where root runs the tests, else whoever does.
    pub(super) fn for_a_user() -> Self {
        let mut stage = Self::set();
        let user = if geteuid().is_root() {
            NOBODY_ELSE + std::process::id()
        } else {
            geteuid().as_raw()
        };
        stage.user = Some(user);
        let home = stage.home.path().join("home");
        // Beside the home, since nobody else may look into that of whoever built them.
        let programs = stage.home.path().join("programs");
        for name in ["aami", "aami-agent"] {
            agent::put(&stage.programs.join(name), &programs.join(name));
        }
        fs::set_permissions(stage.home.path(), fs::Permissions::from_mode(0o755)).unwrap();
        for folder in ["", ".local", ".local/share", ".cache"] {
            let folder = home.join(folder);
            fs::create_dir(&folder).unwrap();
            chown(&folder, Some(user), None).unwrap();
        }
        stage.programs = programs;
        stage
    }

    /// Has the components where this user's cache is, as `make up` leaves them there.
    pub(super) fn fill_cache(&mut self) {
        let own = self.cache().join("components");
        for file in fs::read_dir(&self.components).unwrap() {
            let file = file.unwrap();
            agent::put(&file.path(), &own.join(file.file_name()));
        }
        for folder in [&self.cache(), &own] {
            chown(folder, self.user, None).unwrap();
        }
        self.components = own;
    }

    fn home(&self) -> PathBuf {
        self.home.path().join("home")
    }

    pub(super) fn cache(&self) -> PathBuf {
        self.home().join(".cache/aami")
    }

    pub(super) fn data(&self) -> PathBuf {
        match self.user {
            Some(_) => self.home().join(".local/share/aami-up"),
            None => self.home.path().join("data"),
        }
    }

    pub(super) fn up(&self) -> Up {
        // It ends with the test, in whatever process group it is.
        let mut command = Command::new("setpriv");
        command.args(["--pdeathsig", "KILL"]);
        match self.user {
            Some(user) => {
                if geteuid().is_root() {
                    let [user, group] = ["--reuid", "--regid"].map(|flag| format!("{flag}={user}"));
                    command.args([user, group, "--clear-groups".to_owned()]);
                }
                command.arg(self.programs.join("aami")).arg("up");
                command.env_clear().env("HOME", self.home());
            }
            None => {
                command.arg(self.programs.join("aami")).args(["up", "--data-dir"]);
                command.arg(self.data()).arg("--components").arg(&self.components);
                command.env_clear().env("HOME", self.home.path());
            }
        }
        for (flag, port) in ["--port", "--prometheus-port", "--exporter-port"]
            .iter()
            .zip(self.ports)
        {
            command.arg(flag).arg(port.to_string());
        }
        let mut child = command
            .env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin")
            .current_dir("/")
            // As a shell does with what is typed at a terminal.
            .process_group(0)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let (send, lines) = channel();
        let (out, err) = (child.stdout.take().unwrap(), child.stderr.take().unwrap());
        let aside = send.clone();
        std::thread::spawn(move || {
            BufReader::new(out)
                .lines()
                .map_while(Result::ok)
                .all(|line| send.send(line).is_ok())
        });
        std::thread::spawn(move || {
            BufReader::new(err)
                .lines()
                .map_while(Result::ok)
                .all(|line| aside.send(line).is_ok())
        });
        Up {
            child,
            lines,
            said: String::new(),
        }
    }

    /// How Prometheus' rules stand; exit code 0 where it has what it should have.
    pub(super) fn prometheuses(&self) -> Said {
        Said::by(aami(&["prometheuses", "list", "-o", "wide", "--data-dir"]).arg(self.data()))
    }

    pub(super) fn nodes(&self) -> Value {
        Said::by(aami(&["nodes", "list", "-o", "json", "--data-dir"]).arg(self.data())).json()
    }

    /// How often Prometheus has scraped a node up to a moment; nothing while it does not answer.
    pub(super) fn scrapes(&self, node: &str, until: SystemTime) -> Option<f64> {
        let url = format!("http://127.0.0.1:{}", self.ports[1]);
        let client = Client::new(&Settings::new(url)).unwrap();
        let moment = until.duration_since(UNIX_EPOCH).unwrap().as_secs_f64();
        let series = format!("up%7Bnode_id=%22{node}%22%7D%5B1h%5D");
        let question = format!("/api/v1/query?time={moment:.3}&query=sum(count_over_time({series}))");
        let answer: Value = client.get(&question).ok()?;
        answer.pointer("/data/result/0/value/1")?.as_str()?.parse().ok()
    }

    /// Everything below the home that is not below one of these.
    pub(super) fn beside(&self, folders: &[PathBuf]) -> BTreeSet<PathBuf> {
        fn walk(folder: &Path, but: &[PathBuf], found: &mut BTreeSet<PathBuf>) {
            for entry in fs::read_dir(folder).unwrap() {
                let path = entry.unwrap().path();
                if !but.contains(&path) {
                    if path.is_dir() {
                        walk(&path, but, found);
                    }
                    found.insert(path);
                }
            }
        }
        let mut found = BTreeSet::new();
        walk(&self.home(), folders, &mut found);
        found
    }

    /// Everything on this machine that belongs to the made-up user, their home aside: what they made, for what belongs
    /// to others they cannot change.
    pub(super) fn elsewhere(&self) -> Vec<String> {
        let Some(user) = self.user.filter(|user| *user >= NOBODY_ELSE) else {
            return Vec::new();
        };
        let found = Command::new("find")
            .args(["/etc", "/usr/local", "/opt", "/var", "/tmp", "/run", "/dev/shm"])
            .args(["-xdev", "-uid", &user.to_string()])
            .output()
            .unwrap();
        let home = self.home.path().to_str().unwrap();
        String::from_utf8_lossy(&found.stdout)
            .lines()
            .filter(|path| !path.starts_with(home))
            .map(str::to_owned)
            .collect()
    }

    /// What runs for it: what names its folder, and all of the made-up user's.
    pub(super) fn processes(&self) -> Vec<String> {
        let data = self.data();
        let theirs = |process: &Path| {
            let owner = fs::metadata(process).ok()?.uid();
            let line = fs::read(process.join("cmdline")).ok()?;
            let line = String::from_utf8_lossy(&line).replace('\0', " ");
            // One that has ended and waits for somebody to notice has no command line.
            let is_ours = line.contains(data.to_str()?) || (owner >= NOBODY_ELSE && Some(owner) == self.user);
            (is_ours && !line.is_empty()).then_some(line)
        };
        let all = fs::read_dir("/proc").unwrap().flatten();
        all.filter_map(|entry| theirs(&entry.path())).collect()
    }

    pub(super) fn until_gone(&self) {
        let deadline = Instant::now() + Duration::from_secs(20);
        loop {
            let left = self.processes();
            if left.is_empty() {
                return;
            }
            assert!(Instant::now() < deadline, "still there: {left:?}");
            std::thread::sleep(Duration::from_millis(50));
        }
    }
}

fn free_port() -> u16 {
    TcpListener::bind("0.0.0.0:0")
        .unwrap()
        .local_addr()
        .unwrap()
        .port()
}

/// A running `aami up`.
pub(super) struct Up {
    child: Child,
    pub(super) lines: Receiver<String>,
    pub(super) said: String,
}

impl Up {
    /// Reads what it says until this comes.
    pub(super) fn says(&mut self, what: &str) -> String {
        let deadline = Instant::now() + Duration::from_secs(150);
        while !self.said.contains(what) {
            match self.lines.recv_timeout(Duration::from_secs(1)) {
                Ok(line) => self.said.push_str(&format!("{line}\n")),
                Err(RecvTimeoutError::Timeout) if Instant::now() < deadline => {}
                Err(_) => panic!("no {what:?} came; it said: {}", self.said),
            }
        }
        self.said.clone()
    }

    /// Reads what it says until its page is whole.
    pub(super) fn page(&mut self) -> String {
        self.says("Ctrl-C stops everything.")
    }

    /// Reads what it says until the control plane runs and the agent is at work.
    pub(super) fn enrolling(&mut self) {
        self.says("enrolling this machine");
    }

    fn pid(&self) -> Pid {
        Pid::from_raw(self.child.id().try_into().unwrap()).unwrap()
    }

    pub(super) fn signal(&self, signal: Signal) {
        kill_process(self.pid(), signal).unwrap();
    }

    /// What a terminal does on Ctrl-C: everything in the foreground is told, the children too.
    pub(super) fn ctrl_c(&self) {
        kill_process_group(self.pid(), Signal::INT).unwrap();
    }

    pub(super) fn end(&mut self) -> i32 {
        let deadline = Instant::now() + Duration::from_secs(60);
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status.code().unwrap_or(-1);
            }
            assert!(
                Instant::now() < deadline,
                "it did not end; it said: {}",
                self.said
            );
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

impl Drop for Up {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
