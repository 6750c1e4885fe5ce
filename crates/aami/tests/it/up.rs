//! `aami up`: from nothing to one scraped node, by the real agent and the real Prometheus.

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use crate::plane::{Said, aami};

/// The programs `aami up` finds beside itself and in the cache, made or fetched by the project's own
/// tools where they are not there.
struct Stage {
    folder: tempfile::TempDir,
    components: PathBuf,
    ports: [u16; 3],
}

impl Stage {
    fn set() -> Self {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
        let profile = Path::new(env!("CARGO_BIN_EXE_aami")).parent().unwrap();
        let mut build = Command::new(env!("CARGO"));
        build.args([
            "build",
            "--quiet",
            "--workspace",
            "--bin",
            "aami-agent",
            "--target-dir",
        ]);
        build.arg(profile.parent().unwrap()).current_dir(&root);
        if profile.ends_with("release") {
            build.arg("--release");
        }
        run(&mut build);
        let cache = std::env::var_os("XDG_CACHE_HOME")
            .map(PathBuf::from)
            .unwrap_or_else(|| Path::new(&std::env::var_os("HOME").unwrap()).join(".cache"));
        let components = cache.join("aami/components");
        run(Command::new(root.join("scripts/fetch-components.sh")).arg(&components));
        Self {
            folder: tempfile::tempdir().unwrap(),
            components,
            ports: [free_port(), free_port(), free_port()],
        }
    }

    fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    fn up(&self) -> Up {
        let mut command = aami(&["up", "--data-dir"]);
        command.arg(self.data()).arg("--components").arg(&self.components);
        for (flag, port) in ["--port", "--prometheus-port", "--exporter-port"]
            .iter()
            .zip(self.ports)
        {
            command.arg(flag).arg(port.to_string());
        }
        let mut child = command
            .env("HOME", self.folder.path())
            .env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin")
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
    fn prometheuses(&self) -> Said {
        Said::by(aami(&["prometheuses", "list", "-o", "wide", "--data-dir"]).arg(self.data()))
    }

    fn nodes(&self) -> Value {
        Said::by(aami(&["nodes", "list", "-o", "json", "--data-dir"]).arg(self.data())).json()
    }
}

fn run(command: &mut Command) {
    let output = command
        .output()
        .unwrap_or_else(|error| panic!("{command:?}: {error}"));
    assert!(
        output.status.success(),
        "{command:?}: {}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
}

fn free_port() -> u16 {
    TcpListener::bind("0.0.0.0:0")
        .unwrap()
        .local_addr()
        .unwrap()
        .port()
}

/// A running `aami up`.
struct Up {
    child: Child,
    lines: Receiver<String>,
    said: String,
}

impl Up {
    /// Reads what it says until its page is whole.
    fn page(&mut self) -> String {
        let deadline = Instant::now() + Duration::from_secs(150);
        while !self.said.contains("Ctrl-C stops everything.") {
            match self.lines.recv_timeout(Duration::from_secs(1)) {
                Ok(line) => self.said.push_str(&format!("{line}\n")),
                Err(RecvTimeoutError::Timeout) if Instant::now() < deadline => {}
                Err(_) => panic!("no page came; it said: {}", self.said),
            }
        }
        self.said.clone()
    }

    fn signal(&self, signal: Signal) {
        let pid = Pid::from_raw(self.child.id().try_into().unwrap()).unwrap();
        kill_process(pid, signal).unwrap();
    }

    fn end(&mut self) -> i32 {
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

/// Processes that name a folder on their command line.
fn processes_of(folder: &Path) -> Vec<String> {
    let folder = folder.to_str().unwrap();
    fs::read_dir("/proc")
        .unwrap()
        .flatten()
        .filter_map(|entry| fs::read(entry.path().join("cmdline")).ok())
        .map(|line| String::from_utf8_lossy(&line).replace('\0', " "))
        .filter(|line| line.contains(folder))
        .collect()
}

fn until_gone(folder: &Path) {
    let deadline = Instant::now() + Duration::from_secs(20);
    loop {
        let left = processes_of(folder);
        if left.is_empty() {
            return;
        }
        assert!(Instant::now() < deadline, "still there: {left:?}");
        std::thread::sleep(Duration::from_millis(50));
    }
}

#[test]
fn from_nothing_to_one_scraped_node_and_back_again() {
    // Given an empty folder
    let stage = Stage::set();

    // when it is started
    let mut up = stage.up();
    let page = up.page();

    // then this machine is a node and scraped, and the page says what runs where,
    assert!(page.contains("1 node online, scraped"), "{page}");
    for place in [
        stage.data().join("admin.key"),
        stage.data(),
        stage.components.clone(),
    ] {
        assert!(page.contains(place.to_str().unwrap()), "{page}");
    }
    for port in stage.ports {
        assert!(
            page.contains(&format!(":{port}")) || page.contains(&format!("port {port}")),
            "{page}"
        );
    }
    let first = stage.nodes();
    assert_eq!(
        (&first[0]["status"], first.as_array().unwrap().len()),
        (&"online".into(), 1)
    );
    // Prometheus is brought the rules about all of this;
    let deadline = Instant::now() + Duration::from_secs(60);
    loop {
        let said = stage.prometheuses();
        if said.exit == 0 && said.out.contains("local") {
            break;
        }
        assert!(Instant::now() < deadline, "{said:?}");
        std::thread::sleep(Duration::from_millis(200));
    }
    // no secret stands on it, nor on anybody's command line, and nothing lies outside the two folders;
    let key = fs::read_to_string(stage.data().join("admin.key")).unwrap();
    assert!(!page.contains(key.trim()) && !page.contains("aami_"), "{page}");
    for line in processes_of(&stage.data()) {
        assert!(!line.contains("aami_") && !line.contains("aamik_"), "{line}");
    }
    let home: Vec<_> = fs::read_dir(stage.folder.path())
        .unwrap()
        .flatten()
        .map(|entry| entry.file_name())
        .collect();
    assert_eq!(home, ["data"]);

    // Ctrl-C ends all of it;
    up.signal(Signal::INT);
    assert_eq!(up.end(), 0, "{}", up.said);
    until_gone(&stage.data());

    // a second start finds its data,
    let mut up = stage.up();
    let page = up.page();
    assert!(page.contains("1 node online, scraped"), "{page}");
    assert_eq!(stage.nodes()[0]["id"], first[0]["id"]);

    // and when it is killed, nothing it started outlives it.
    up.signal(Signal::KILL);
    up.end();
    until_gone(&stage.data());
}

#[test]
fn ports_of_strangers_are_left_to_them() {
    // Given a program on each usual port
    let stage = Stage::set();
    let strangers = stage
        .ports
        .map(|port| TcpListener::bind(("0.0.0.0", port)).unwrap());

    // when it is started
    let mut up = stage.up();
    let page = up.page();

    // then it runs on others, says so, and the strangers are where they were.
    assert!(page.contains("1 node online, scraped"), "{page}");
    let [server, prometheus, exporter] = stage.ports;
    assert!(
        page.contains(&format!("port {server} is held by another program")),
        "{page}"
    );
    assert!(
        page.contains(&format!("port {prometheus} is held by another program")),
        "{page}"
    );
    assert!(
        page.contains(&format!("port {exporter} is held by another program")),
        "{page}"
    );
    for stranger in strangers {
        assert!(stage.ports.contains(&stranger.local_addr().unwrap().port()));
    }
    // SIGTERM ends it as Ctrl-C does.
    up.signal(Signal::TERM);
    assert_eq!(up.end(), 0, "{}", up.said);
    until_gone(&stage.data());
}

#[test]
fn a_second_one_on_the_same_folder_is_told_and_harms_nothing() {
    let stage = Stage::set();
    let mut up = stage.up();
    up.page();
    let mut second = stage.up();
    assert_eq!(second.end(), 6);
    let said: Vec<String> = second.lines.iter().collect();
    assert!(said.iter().any(|line| line.contains("STORE_LOCKED")), "{said:?}");
    assert_eq!(stage.nodes()[0]["status"], "online");
}

#[test]
fn told_to_stop_while_it_starts_it_leaves_nothing_running() {
    let stage = Stage::set();
    let mut up = stage.up();
    while !up.said.contains("enrolling this machine") {
        let line = up.lines.recv_timeout(Duration::from_secs(60)).unwrap();
        up.said.push_str(&line);
    }
    up.signal(Signal::INT);
    assert_eq!(up.end(), 9, "{}", up.said);
    until_gone(&stage.data());
    // What was begun is no obstacle.
    assert!(stage.up().page().contains("1 node online, scraped"));
}

#[test]
fn without_the_agent_beside_it_it_says_what_to_build() {
    let folder = tempfile::tempdir().unwrap();
    let alone = folder.path().join("aami");
    fs::copy(env!("CARGO_BIN_EXE_aami"), &alone).unwrap();
    let said = Said::by(
        Command::new(&alone)
            .arg("up")
            .env_clear()
            .env("HOME", folder.path()),
    );
    assert_eq!(said.exit, 1, "{said:?}");
    assert!(
        said.err.contains("TOOL_MISSING") && said.err.contains("aami-agent"),
        "{said:?}"
    );
    assert!(!folder.path().join(".local").exists(), "nothing was made");
}
