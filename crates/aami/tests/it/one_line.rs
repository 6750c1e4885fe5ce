//! The one line, pasted at a terminal: standard input is the script, so whoever sits there is asked on the terminal itself.
//!
//! What they see in the end is the README's picture: it is drawn from `docs/bootstrap.txt`, recorded here by
//! `AAMI_PICTURE=record cargo nextest run -p aami one_line` and drawn by `cargo xtask picture`.

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use crate::agent;
use crate::plane::{Plane, until};
use crate::terminal::Terminal;

const PICTURE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/bootstrap.txt");
const PROMPT: &str = "Bootstrap token: ";
const ARCH: &str = if cfg!(target_arch = "aarch64") {
    "arm64"
} else {
    "amd64"
};

/// Gives a control plane what nodes download: the agent, and node_exporter with the catalogue that knows it.
fn fill_dist(plane: &Plane) {
    let dist = plane.data().join("dist").join(ARCH);
    agent::put(&agent::agent(), &dist.join("aami-agent"));
    for file in fs::read_dir(agent::components()).unwrap() {
        let file = file.unwrap();
        let name = file.file_name().into_string().unwrap();
        if name == "components.toml" || name.starts_with("node_exporter-") {
            agent::put(&file.path(), &dist.join(name));
        }
    }
}

fn is_running(folder: &Path) -> bool {
    let folder = folder.to_str().unwrap();
    let lines = fs::read_dir("/proc").unwrap().flatten();
    let mut lines = lines.filter_map(|entry| fs::read(entry.path().join("cmdline")).ok());
    lines.any(|line| String::from_utf8_lossy(&line).contains(folder))
}

#[test]
fn who_pastes_it_is_asked_on_the_terminal_and_sees_what_the_picture_shows() {
    let records = std::env::var_os("AAMI_PICTURE").is_some_and(|what| what == "record");
    // Given a control plane with a token,
    let (listen, port) = if records {
        ("127.0.0.1:8080", 9100)
    } else {
        ("127.0.0.1:0", free_port())
    };
    let plane = Plane::start_at(listen, &[]);
    fill_dist(&plane);
    let words = [
        "tokens",
        "create",
        "--name",
        "rack-a1",
        "--max-uses",
        "48",
        "-o",
        "json",
        "--show-secret",
    ];
    let token = plane.aami(&words).json()["token"].as_str().unwrap().to_owned();
    let folder = tempfile::tempdir().unwrap();
    let (root, tmp) = (folder.path().join("node"), folder.path().join("tmp"));
    fs::create_dir(&tmp).unwrap();
    let server = plane.address();
    let script = format!("curl -fsSL --noproxy '*' {server}/bootstrap.sh");
    let run = format!(
        "sh -s -- --server {server} --foreground --root {} --port {port}",
        root.display()
    );

    // when the line is run where no terminal is, then nobody is asked, and standard input is not read for it either:
    // it stays open, and all ends.
    let text = Command::new("sh").args(["-c", &script]).output().unwrap().stdout;
    let mut alone = Command::new("setsid")
        .args(["--wait", "sh", "-c", &format!("exec {run}")])
        .env_clear()
        .env("PATH", "/usr/local/bin:/usr/bin:/bin")
        .env("TMPDIR", &tmp)
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = alone.stdin.take().unwrap();
    stdin.write_all(&text).unwrap();
    stdin.write_all(format!("{token}\n").as_bytes()).unwrap();
    let deadline = Instant::now() + Duration::from_secs(60);
    let status = loop {
        if let Some(status) = alone.try_wait().unwrap() {
            break status;
        }
        if Instant::now() > deadline {
            let _ = alone.kill();
            panic!("it waits for something");
        }
        std::thread::sleep(Duration::from_millis(10));
    };
    let mut said = String::new();
    alone.stderr.take().unwrap().read_to_string(&mut said).unwrap();
    assert_eq!(status.code(), Some(2), "{said}");
    assert!(
        said.contains("TOKEN_REQUIRED") && !said.contains(PROMPT),
        "{said}"
    );
    drop(stdin);

    // When it is pasted at a terminal, then they are asked there, and what they type is not shown;
    let mut terminal = Terminal::running(&format!("{script} | {run}"), |command| {
        command.env("TMPDIR", &tmp);
    });
    terminal.until(PROMPT);
    terminal.type_in(&format!("{token}\n"));
    terminal.until("Prometheus picks the node up");
    terminal.until("┘");
    assert!(!terminal.shown().contains(&token), "{}", terminal.shown());
    let nodes = plane.aami(&["nodes", "list", "-o", "json"]).json();
    assert_eq!(nodes[0]["status"], "online", "{nodes}");
    // what they see is the picture of it, but for what is another on each machine;
    let screen = last_screen(&terminal.shown());
    if records {
        fs::write(PICTURE, format!("{screen}\n")).unwrap();
    }
    let picture = fs::read_to_string(PICTURE).unwrap();
    assert_eq!(
        sentences(&screen),
        sentences(&picture),
        "the picture shows something else; record it anew as said above"
    );
    // and Ctrl-C ends all of it, and leaves none of the script's files.
    assert!(is_running(&root));
    terminal.type_in("\u{3}");
    assert_eq!(terminal.end(), 130, "{}", terminal.shown());
    until("an end of all", || !is_running(&root));
    assert_eq!(fs::read_dir(&tmp).unwrap().count(), 0);
}

fn free_port() -> u16 {
    let listener = TcpListener::bind("0.0.0.0:0").unwrap();
    listener.local_addr().unwrap().port()
}

/// What stands on a terminal after everything was drawn over.
fn last_screen(shown: &str) -> String {
    let from = shown.rfind("\u{1b}[J").map_or(0, |at| at + 3);
    let until = shown.rfind('┘').map_or(shown.len(), |at| at + '┘'.len_utf8());
    shown[from..until].to_owned()
}

/// What a screen says, a sentence each, whatever its colours and wherever its lines are broken, without what is another
/// on each machine and in each run: numbers, addresses, names, warnings, how long it took.
fn sentences(screen: &str) -> Vec<String> {
    const THEIR_OWN: [&str; 3] = ["✓ System:", "Host name:", "✓ Complete in"];
    let mut sentences: Vec<String> = Vec::new();
    let mut whole = false;
    for line in screen.lines().filter(|line| line.contains('│')) {
        let text = plain(line);
        let text = text.trim_matches('│').trim_end();
        let (begins, said) = (text.len() - text.trim_start().len() < 10, text.trim_start());
        match sentences.last_mut() {
            // What is as long as a line can be was broken within a word.
            Some(last) if !begins && !said.is_empty() => {
                last.push_str(if whole { "" } else { " " });
                last.push_str(said);
            }
            _ => sentences.push(said.to_owned()),
        }
        whole = text.chars().count() == 76;
    }
    let varies = |word: &&str| word.contains(|c: char| c.is_ascii_digit() || c == '/');
    let told = |sentence: &String| {
        if let Some(own) = THEIR_OWN.iter().find(|own| sentence.starts_with(*own)) {
            return (*own).to_owned();
        }
        let words = sentence.split_whitespace();
        words
            .map(|word| if varies(&word) { "…" } else { word })
            .collect::<Vec<_>>()
            .join(" ")
    };
    let has_gpu = !screen.contains("GPU: none found");
    sentences
        .iter()
        .filter(|sentence| !sentence.is_empty() && !sentence.starts_with('!'))
        // A machine with a GPU says more of it than the picture does.
        .filter(|sentence| !has_gpu || sentence.starts_with('['))
        .map(told)
        .collect()
}

/// A line without its colours.
fn plain(line: &str) -> String {
    let mut parts = line.split("\u{1b}[");
    let first = parts.next().unwrap_or_default().to_owned();
    parts.fold(first, |text, part| {
        text + part.split_once('m').map_or("", |(_, rest)| rest)
    })
}
