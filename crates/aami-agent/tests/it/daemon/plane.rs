//! A control plane's end of `/ws/node` in the hands of a test, and a folder that stands for an enrolled node.

use std::fs;
use std::io::{BufRead as _, BufReader, ErrorKind, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use aami_api::link::{ConnectionAck, Down, Hello, Report, Told, Up};
use aami_api::register::RegisterRequest;
use aami_model::Timestamp;
use aami_model::finding::{Finding, Severity};
use aami_model::secret::{Secret, SecretKind};
use tungstenite::handshake::server::{Request, Response};
use tungstenite::{Message, WebSocket};

/// Longer than anything takes that happens at all.
const PATIENCE: Duration = Duration::from_secs(60);
const LOOK: Duration = Duration::from_millis(10);

/// Waits until `seen` answers something.
fn until<T>(what: &str, mut seen: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(found) = seen() {
            return found;
        }
        assert!(Instant::now() < deadline, "{what}: never");
        std::thread::park_timeout(LOOK);
    }
}

/// An answer to a greeting, with no spread.
pub(super) fn ack(wants_inventory: bool) -> ConnectionAck {
    ConnectionAck {
        status: "success".to_owned(),
        node_id: "n1".parse().unwrap(),
        controller_id: "main".to_owned(),
        generation: 1,
        heartbeat_seconds: 5,
        spread_seconds: 0,
        wants_inventory,
        received: 0,
        time: Timestamp::EPOCH,
    }
}

/// Where a node connects to.
pub(super) struct Plane(TcpListener);

impl Plane {
    pub(super) fn new() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        Self(listener)
    }

    pub(super) fn address(&self) -> String {
        format!("http://{}", self.0.local_addr().unwrap())
    }

    /// Forgets those who knocked while nobody answered.
    pub(super) fn forget_who_knocked(&self) {
        while self.0.accept().is_ok() {}
    }

    fn connection(&self) -> TcpStream {
        let tcp = until("a connection", || match self.0.accept() {
            Ok((tcp, _)) => Some(tcp),
            Err(error) if error.kind() == ErrorKind::WouldBlock => None,
            Err(error) => panic!("{error}"),
        });
        tcp.set_nonblocking(false).unwrap();
        tcp.set_read_timeout(Some(PATIENCE)).unwrap();
        tcp
    }

    /// The next node that connects.
    pub(super) fn accept(&self) -> Peer {
        let mut bearer = String::new();
        let socket = loop {
            #[expect(clippy::result_large_err, reason = "the library's signature")]
            let note = |request: &Request, response: Response| {
                assert_eq!(request.uri().path(), "/ws/node");
                let text = request.headers()["authorization"].to_str().unwrap();
                text.strip_prefix("Bearer ").unwrap().clone_into(&mut bearer);
                Ok(response)
            };
            // One that was killed while it waited is gone.
            if let Ok(socket) = tungstenite::accept_hdr(self.connection(), note) {
                break socket;
            }
        };
        Peer { socket, bearer }
    }

    /// The same, greeted.
    pub(super) fn greeted(&self) -> Peer {
        let mut peer = self.accept();
        peer.hello();
        peer.say(&Down::ConnectionAck(ack(false)));
        peer
    }

    /// Answers the next upgrade with a problem.
    pub(super) fn refuse(&self, status: u16, code: &str) {
        let mut tcp = self.connection();
        let mut request = Vec::new();
        let mut byte = [0_u8; 1];
        while !request.ends_with(b"\r\n\r\n") {
            tcp.read_exact(&mut byte).unwrap();
            request.push(byte[0]);
        }
        let body = format!(
            "{{\"type\":\"about:blank\",\"title\":\"no\",\"status\":{status},\"detail\":\"no\",\"code\":\"{code}\",\
             \"id\":\"x\",\"error\":\"no\",\"hint\":\"\"}}"
        );
        let answer = format!(
            "HTTP/1.1 {status} No\r\nContent-Type: application/problem+json\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        );
        tcp.write_all(answer.as_bytes()).unwrap();
    }

    /// Nobody connects for so long.
    pub(super) fn is_quiet_for(&self, time: Duration) {
        let deadline = Instant::now() + time;
        while Instant::now() < deadline {
            let knock = self.0.accept();
            assert!(knock.is_err(), "it came back");
            std::thread::park_timeout(LOOK);
        }
    }
}

/// A node that is connected.
pub(super) struct Peer {
    socket: WebSocket<TcpStream>,
    pub(super) bearer: String,
}

impl Peer {
    pub(super) fn hello(&mut self) -> Hello {
        match self.next() {
            Up::Hello(hello) => hello,
            other => panic!("it greets first: {other:?}"),
        }
    }

    fn next(&mut self) -> Up {
        loop {
            match self.socket.read().unwrap() {
                Message::Text(text) => return serde_json::from_str(&text).unwrap(),
                Message::Ping(_) | Message::Pong(_) => {}
                other => panic!("{other:?}"),
            }
        }
    }

    pub(super) fn until(&mut self, wanted: impl Fn(&Up) -> bool) -> Up {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let up = self.next();
            if wanted(&up) {
                return up;
            }
            assert!(Instant::now() < deadline, "last it said {up:?}");
        }
    }

    pub(super) fn say(&mut self, down: &Down) {
        self.text(&serde_json::to_string(down).unwrap());
    }

    pub(super) fn text(&mut self, text: &str) {
        self.socket.send(Message::text(text)).unwrap();
    }
}

/// A folder that stands for an enrolled node.
pub(super) struct Stage {
    folder: tempfile::TempDir,
    credential: Secret,
}

impl Stage {
    pub(super) fn new(server: &str) -> Self {
        let stage = Self {
            folder: tempfile::tempdir().unwrap(),
            credential: Secret::from_random(SecretKind::NodeCredential, "n1", [7; 20]),
        };
        fs::create_dir_all(stage.agent("")).unwrap();
        let request = RegisterRequest {
            hostname: "gpu-01".to_owned(),
            ip_address: "127.0.0.1".to_owned(),
            ..RegisterRequest::default()
        };
        let told = serde_json::json!({ "server": server, "request": request });
        fs::write(stage.agent("registration.json"), told.to_string()).unwrap();
        fs::write(stage.agent("credential"), stage.credential()).unwrap();
        stage.mode("credential", 0o600);
        stage
    }

    /// A node without a control plane, that should have so many GPUs.
    pub(super) fn alone(gpus: u32) -> Self {
        let stage = Self::new("");
        let told = serde_json::json!({ "request": {
            "hostname": "gpu-01", "ip_address": "127.0.0.1",
            "system_info": { "os": "x", "os_version": "1", "kernel": "6", "cpu_cores": 1, "memory_gb": 1,
                             "gpu_count": gpus, "gpu_vendor": "nvidia" },
        }});
        fs::write(stage.agent("registration.json"), told.to_string()).unwrap();
        fs::remove_file(stage.agent("credential")).unwrap();
        stage
    }

    pub(super) fn credential(&self) -> String {
        self.credential.reveal().to_owned()
    }

    pub(super) fn agent(&self, name: &str) -> PathBuf {
        self.folder.path().join("node/agent").join(name)
    }

    pub(super) fn mode(&self, name: &str, mode: u32) {
        fs::set_permissions(self.agent(name), fs::Permissions::from_mode(mode)).unwrap();
    }

    pub(super) fn spool(&self) -> String {
        fs::read_to_string(self.agent("spool/reports.jsonl")).unwrap_or_default()
    }

    pub(super) fn wait_for_spool(&self, wanted: impl Fn(&str) -> bool) {
        until("the spool has it", || wanted(&self.spool()).then_some(()));
    }

    pub(super) fn wait_for_commands(&self, wanted: impl Fn(&str) -> bool) {
        until("the commands are noted so", || {
            let text = fs::read_to_string(self.agent("spool/commands.json")).ok()?;
            wanted(&text).then_some(())
        });
    }

    /// As a node has it that was alone for days, each report with a summary of so many letters.
    pub(super) fn fill_spool(&self, reports: u64, letters: usize) {
        let mut text = format!("{{\"spool\":\"full\",\"next\":{}}}\n", reports + 1);
        for seq in 1..=reports {
            let findings = vec![Finding {
                code: "GPU_COUNT_CHANGED".to_owned(),
                subject: String::new(),
                severity: Severity::Critical,
                summary: "x".repeat(letters),
                action: String::new(),
                since: Timestamp::EPOCH,
            }];
            let what = Told::Findings { findings };
            let at = Timestamp::EPOCH;
            let line = serde_json::to_string(&Up::Report(Report { seq, at, what })).unwrap();
            text.push_str(&line);
            text.push('\n');
        }
        fs::create_dir_all(self.agent("spool")).unwrap();
        fs::write(self.agent("spool/reports.jsonl"), text).unwrap();
    }

    /// As a round of checks leaves it.
    pub(super) fn write_checks(&self, status: &str) {
        let folder = self.folder.path().join("var/lib/aami/checks");
        fs::create_dir_all(&folder).unwrap();
        let text = format!(
            "{{\"checks\":{{\"mounts\":{{\"report\":{{\"status\":\"{status}\"}},\"at\":\"2026-01-01T00:00:00.000Z\",\
             \"duration_ms\":1}}}}}}"
        );
        fs::write(folder.join("new"), text).unwrap();
        fs::rename(folder.join("new"), folder.join("checks.json")).unwrap();
    }
}

/// A daemon that ends with the test.
pub(super) struct Daemon {
    child: Child,
    lines: Arc<Mutex<String>>,
    metrics: SocketAddr,
}

impl Daemon {
    pub(super) fn start(stage: &Stage) -> Self {
        let free = TcpListener::bind("127.0.0.1:0").unwrap();
        let metrics = free.local_addr().unwrap();
        drop(free);
        let mut child = Command::new(env!("CARGO_BIN_EXE_aami-agent"))
            .args(["daemon", "--metrics", &metrics.to_string(), "--root"])
            .arg(stage.folder.path())
            .env_clear()
            .stdin(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let lines = Arc::new(Mutex::new(String::new()));
        let (written, stderr) = (lines.clone(), child.stderr.take().unwrap());
        std::thread::spawn(move || {
            for line in BufReader::new(stderr).lines().map_while(Result::ok) {
                let mut written = written.lock().unwrap();
                written.push_str(&line);
                written.push('\n');
            }
        });
        Self {
            child,
            lines,
            metrics,
        }
    }

    pub(super) fn terminate(&self) {
        let pid = rustix::process::Pid::from_child(&self.child);
        rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
    }

    /// The most memory it ever had resident, in kB (proc_pid_status(5)).
    pub(super) fn peak_kb(&self) -> u64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        let number = line.unwrap().split_whitespace().next().unwrap();
        number.parse().unwrap()
    }

    pub(super) fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Its exit status, where it ends in time.
    pub(super) fn ended(&mut self, patience: Duration) -> Option<i32> {
        let deadline = Instant::now() + patience;
        while Instant::now() < deadline {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status.code();
            }
            std::thread::park_timeout(LOOK);
        }
        None
    }

    pub(super) fn wait_for_line(&self, wanted: &str) {
        until(wanted, || {
            self.lines.lock().unwrap().contains(wanted).then_some(())
        });
    }

    fn metrics(&self) -> Option<String> {
        let mut tcp = TcpStream::connect(self.metrics).ok()?;
        tcp.write_all(b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n").ok()?;
        let mut text = String::new();
        tcp.read_to_string(&mut text).ok()?;
        Some(text)
    }

    pub(super) fn wait_for_metrics(&self, wanted: impl Fn(&str) -> bool) {
        until("the metrics", || wanted(&self.metrics()?).then_some(()));
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        #[expect(clippy::print_stderr, reason = "what it said explains the failure")]
        if std::thread::panicking() {
            eprintln!("the daemon said:\n{}", self.lines.lock().unwrap());
        }
    }
}
