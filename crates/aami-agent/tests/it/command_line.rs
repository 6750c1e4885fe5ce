//! What is typed wrong, and what answers wrong: one sentence, a code, the exit code of its class, and
//! nothing half-placed.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use aami_model::secret::{Secret, SecretKind};
use serde_json::Value;

/// A folder that stands for a host, and a token beside it.
pub(crate) struct Stage {
    folder: tempfile::TempDir,
}

impl Stage {
    pub(crate) fn new() -> Self {
        let stage = Self {
            folder: tempfile::tempdir().unwrap(),
        };
        fs::create_dir(stage.root()).unwrap();
        let token = Secret::from_random(SecretKind::BootstrapToken, "abc", [7; 20]);
        stage.token(token.reveal());
        stage
    }

    fn root(&self) -> PathBuf {
        self.folder.path().join("root")
    }

    fn token(&self, text: &str) -> PathBuf {
        let path = self.folder.path().join("token");
        fs::write(&path, text).unwrap();
        path
    }

    pub(crate) fn bootstrap<S: AsRef<OsStr>>(&self, arguments: &[S]) -> Output {
        let (root, token) = (self.root(), self.folder.path().join("token"));
        let mut all = ["bootstrap", "--foreground", "--unattended", "--root"]
            .map(OsStr::new)
            .to_vec();
        all.push(root.as_os_str());
        if !arguments.iter().any(|word| word.as_ref() == "--token") {
            all.extend([OsStr::new("--token-file"), token.as_os_str()]);
        }
        // The usual one may be another test's at this moment.
        let port = crate::published::free_port().to_string();
        if !arguments.iter().any(|word| word.as_ref() == "--port") {
            all.extend([OsStr::new("--port"), OsStr::new(&port)]);
        }
        all.extend(arguments.iter().map(AsRef::as_ref));
        agent(&all)
    }

    /// Everything below the folder.
    pub(crate) fn left(&self) -> Vec<String> {
        fn walk(folder: &Path, found: &mut Vec<String>) {
            for entry in fs::read_dir(folder).unwrap() {
                let path = entry.unwrap().path();
                found.push(path.display().to_string());
                if path.is_dir() {
                    walk(&path, found);
                }
            }
        }
        let mut found = Vec::new();
        walk(&self.root(), &mut found);
        found
    }
}

fn agent<S: AsRef<OsStr>>(arguments: &[S]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_aami-agent"))
        .args(arguments)
        .env_clear()
        .stdin(Stdio::null())
        .output()
        .unwrap()
}

#[track_caller]
pub(crate) fn refused(output: &Output, exit: i32, code: &str) -> String {
    let said = format!(
        "{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    assert_eq!(output.status.code(), Some(exit), "{said}");
    assert!(said.contains(code), "{said}");
    said
}

/// A port of this machine that nobody listens on.
pub(crate) fn dead_server() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    format!("http://{}", listener.local_addr().unwrap())
}

/// Answers everything with one page, as a captive portal does.
fn portal() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for socket in listener.incoming() {
            let mut socket = socket.unwrap();
            let head = BufReader::new(socket.try_clone().unwrap()).lines();
            let _ = head
                .map_while(Result::ok)
                .take_while(|line| !line.is_empty())
                .count();
            let page = "<html><title>Sign in to Hotel WiFi</title></html>";
            let _ = write!(
                socket,
                "HTTP/1.1 200 OK\r\ncontent-type: text/html\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{page}",
                page.len()
            );
        }
    });
    format!("http://{address}")
}

#[test]
fn a_command_line_that_makes_no_sense_changes_nothing() {
    let stage = Stage::new();
    let server = dead_server();
    let with_server = |more: &[&'static str]| {
        let all: Vec<&str> = ["--server", server.as_str()]
            .into_iter()
            .chain(more.iter().copied())
            .collect();
        stage.bootstrap(&all)
    };
    refused(&stage.bootstrap::<&str>(&[]), 2, "--server is needed");
    refused(&stage.bootstrap(&["--server", "gpu01"]), 2, "INVALID");
    refused(&with_server(&["--labels", "rack"]), 2, "KEY=VALUE");
    refused(
        &with_server(&["--labels", "__address__=10.0.0.1:80"]),
        2,
        "__address__",
    );
    refused(&with_server(&["--labels", "rack=a\nb"]), 2, "rack");
    refused(&with_server(&["--port", "0"]), 2, "--port");
    refused(&with_server(&["--pin", "sha256//x"]), 2, "--pin");
    refused(
        &with_server(&["--ca-file", "/nonexistent/ca.pem"]),
        2,
        "/nonexistent/ca.pem",
    );
    refused(&with_server(&["--cluster", "../up"]), 2, "INVALID");
    refused(&with_server(&["--repair", "--resume"]), 2, "cannot be used with");
    assert_eq!(stage.left(), Vec::<String>::new());
}

#[test]
fn a_wrong_token_is_named_by_what_it_is_and_never_shown() {
    let stage = Stage::new();
    let server = dead_server();
    let key = Secret::from_random(SecretKind::ApiKey, "abc", [9; 20]);
    let whole = Secret::from_random(SecretKind::BootstrapToken, "abc", [9; 20]);
    for (text, code) in [
        (key.reveal(), "TOKEN_FOREIGN"),
        ("hunter2", "TOKEN_FOREIGN"),
        (&whole.reveal()[..30], "TOKEN_INVALID"),
    ] {
        stage.token(text);
        let said = refused(&stage.bootstrap(&["--server", &server]), 4, code);
        assert!(!said.contains(text), "{said}");
    }
    let without = agent(&[
        "bootstrap",
        "--foreground",
        "--unattended",
        "--root",
        stage.root().to_str().unwrap(),
        "--server",
        &server,
    ]);
    refused(&without, 2, "TOKEN_REQUIRED");
    assert_eq!(stage.left(), Vec::<String>::new());
}

#[test]
fn a_token_on_the_command_line_is_warned_about_and_not_repeated() {
    let stage = Stage::new();
    let token = Secret::from_random(SecretKind::BootstrapToken, "abc", [9; 20]);
    let said = refused(
        &stage.bootstrap(&["--server", &dead_server(), "--token", token.reveal()]),
        1,
        "--token-file",
    );
    assert!(!said.contains(token.reveal()), "{said}");
}

#[test]
fn a_server_that_is_not_there_is_found_before_anything_is_changed() {
    let stage = Stage::new();
    let said = refused(&stage.bootstrap(&["--server", &dead_server()]), 1, "UNREACHABLE");
    assert!(said.contains("the connection was refused"), "{said}");
    assert!(said.contains("[1/8] failed"), "{said}");
    assert_eq!(stage.left(), Vec::<String>::new());
}

#[test]
fn a_captive_portal_is_not_taken_for_a_control_plane() {
    let stage = Stage::new();
    let said = refused(
        &stage.bootstrap(&[
            "--server",
            &portal(),
            "--components",
            stage.folder.path().to_str().unwrap(),
        ]),
        1,
        "NOT_AAMI",
    );
    assert!(said.contains("Sign in to Hotel WiFi"), "{said}");
    assert_eq!(stage.left(), Vec::<String>::new());
    // Where it would have handed out a catalogue, that is no catalogue either.
    refused(
        &stage.bootstrap(&["--server", &portal(), "--skip-preflight"]),
        1,
        "NOT_AAMI",
    );
    assert_eq!(stage.left(), Vec::<String>::new());
}

#[test]
fn a_port_that_was_asked_for_and_is_taken_is_said_with_its_holder() {
    let stage = Stage::new();
    let stranger = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = stranger.local_addr().unwrap().port().to_string();
    let said = refused(
        &stage.bootstrap(&["--server", &dead_server(), "--port", &port]),
        6,
        "PORT_IN_USE",
    );
    assert!(said.contains(&format!("pid {}", std::process::id())), "{said}");
    assert!(
        said.contains("UNREACHABLE"),
        "everything is looked at before the first no: {said}"
    );
    assert_eq!(stage.left(), Vec::<String>::new());
}

#[test]
fn failures_are_json_for_programs() {
    let stage = Stage::new();
    let output = stage.bootstrap(&["--server", &dead_server(), "--json"]);
    assert_eq!(output.status.code(), Some(1));
    let lines: Vec<Value> = output
        .stdout
        .lines()
        .map(|line| serde_json::from_str(&line.unwrap()).unwrap())
        .collect();
    let kinds: Vec<&str> = lines.iter().map(|line| line["type"].as_str().unwrap()).collect();
    assert_eq!(kinds.first(), Some(&"run_started"));
    assert!(
        kinds.contains(&"step_failed") && kinds.contains(&"run_finished"),
        "{kinds:?}"
    );
    let last = lines.last().unwrap();
    assert_eq!(
        (&last["type"], &last["code"], &last["exit"]),
        (&"error".into(), &"UNREACHABLE".into(), &1.into())
    );
    for (at, line) in lines.iter().filter(|line| line.get("seq").is_some()).enumerate() {
        assert_eq!(line["seq"], at + 1, "numbered without a gap");
    }
}

#[test]
fn a_dry_run_shows_every_change_and_makes_none() {
    let stage = Stage::new();
    let output = agent(&[
        "bootstrap",
        "--foreground",
        "--dry-run",
        "--server",
        &dead_server(),
        "--root",
        stage.root().to_str().unwrap(),
    ]);
    let said = refused(&output, 0, "Nothing was changed.");
    for change in [
        "node_exporter 1.9.1",
        "/node/agent/node.key",
        "register with http://127.0.0.1",
        "[8/8]",
    ] {
        assert!(said.contains(change), "{change}: {said}");
    }
    assert_eq!(stage.left(), Vec::<String>::new());
}

#[test]
fn one_folder_is_served_by_one_agent() {
    let stage = Stage::new();
    let held = File::open(stage.root()).unwrap();
    held.lock().unwrap();
    refused(&stage.bootstrap(&["--server", &dead_server()]), 6, "LOCKED");
}

#[test]
fn looking_at_a_machine_that_is_no_node_and_taking_nothing_back_leave_no_trace() {
    let stage = Stage::new();
    let root = stage.root();
    let root = root.to_str().unwrap();
    refused(&agent(&["status", "--root", root]), 3, "not enrolled");
    refused(&agent(&["uninstall", "--root", root]), 0, "nothing to take back");
    assert_eq!(stage.left(), Vec::<String>::new());
}

#[test]
fn what_the_machine_is_can_be_read_by_people_and_programs() {
    let said = refused(&agent(&["inventory"]), 0, "Host name");
    assert!(said.contains("Memory"), "{said}");
    let output = agent(&["inventory", "--json"]);
    let inventory: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert!(
        inventory["hostname"].is_string() && inventory["gpus"]["gpus"].is_array(),
        "{inventory}"
    );
    let version: Value = serde_json::from_slice(&agent(&["version", "--json"]).stdout).unwrap();
    assert_eq!(version["version"], env!("CARGO_PKG_VERSION"));
}

#[test]
fn an_image_is_named_by_its_digest() {
    let output = agent(&[
        "exporters",
        "install",
        "dcgm_exporter",
        "--dcgm-image",
        "x.io/dcgm:4",
    ]);
    assert_eq!(output.status.code(), Some(2));
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(said.contains("@sha256:"), "{said}");

    let pinned = format!("x.io/dcgm@sha256:{}", "0a".repeat(32));
    let output = agent(&["exporters", "install", "all_smi", "--dcgm-image", &pinned]);
    refused(&output, 2, "dcgm_exporter alone");
    let stage = Stage::new();
    let server = dead_server();
    let output = stage.bootstrap(&["--server", &server, "--dcgm-image", &pinned]);
    refused(&output, 1, "UNREACHABLE");
}
