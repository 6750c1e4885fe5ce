//! Runs that go on by themselves, as the program that is shipped has them: started, read along with, cut off, killed and
//! gone on with. Units of systemd are the rig's to test; here each is a process in a session of its own.

use std::fs;
use std::io::{BufRead as _, BufReader, Read as _};
use std::net::TcpListener;
use std::path::PathBuf;
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use aami_api::detached::{Kind, Line, Standing};
use aami_model::run::{RunEventKind, RunStatus};
use rustix::process::{Pid, Signal, kill_process};
use sha2::Digest as _;

/// Longer than anything takes that happens at all.
const PATIENCE: Duration = Duration::from_secs(60);

fn until<T>(what: &str, mut seen: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(found) = seen() {
            return found;
        }
        assert!(Instant::now() < deadline, "{what}: never");
        std::thread::park_timeout(Duration::from_millis(10));
    }
}

/// A folder for runs and for a node, and a mirror that takes connections and says nothing: a bootstrap that asks it
/// stays at work for as long as a test wants.
struct Stage {
    folder: tempfile::TempDir,
    mirror: TcpListener,
}

impl Stage {
    fn new() -> Self {
        Self {
            folder: tempfile::tempdir().unwrap(),
            mirror: TcpListener::bind("127.0.0.1:0").unwrap(),
        }
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_aami-agent"));
        // What follows the first `--` is another command's.
        let (own, other) = arguments.split_at(
            arguments
                .iter()
                .position(|word| *word == "--")
                .unwrap_or(arguments.len()),
        );
        command
            .arg("run")
            .args(own)
            .arg("--runs")
            .arg(self.runs())
            .args(other);
        command
            .env_clear()
            .stdin(Stdio::null())
            .current_dir(self.folder.path());
        command
    }

    fn run(&self, arguments: &[&str]) -> Output {
        self.command(arguments).output().unwrap()
    }

    fn runs(&self) -> PathBuf {
        self.folder.path().join("runs")
    }

    /// Starts a run that has to begin or be there.
    #[track_caller]
    fn start(&self, id: &str, command: &[&str]) -> Standing {
        let output = self.run(&[&["start", "--json", "--id", id, "--"], command].concat());
        standing(&output)
    }

    /// A bootstrap that hangs at its mirror.
    fn hanging(&self) -> Vec<String> {
        let root = self.folder.path().join("node").display().to_string();
        let mirror = format!("http://{}", self.mirror.local_addr().unwrap());
        let words = [
            "bootstrap",
            "--standalone",
            "--foreground",
            "--root",
            &root,
            "--address",
            "127.0.0.1",
            "--skip-preflight",
            "--mirror",
            &mirror,
        ];
        words.map(str::to_owned).into()
    }

    /// A bootstrap that waits for an exporter that will never answer.
    fn waiting(&self) -> Vec<String> {
        let folder = self.folder.path().join("components");
        fs::create_dir_all(&folder).unwrap();
        let program = fs::read("/bin/true").unwrap();
        let sum = data_encoding::HEXLOWER.encode(&sha2::Sha256::digest(&program));
        fs::write(folder.join("node_exporter"), program).unwrap();
        let arch = if cfg!(target_arch = "aarch64") {
            "arm64"
        } else {
            "amd64"
        };
        let catalogue = format!(
            "format = 1\n[[component]]\nname = \"node_exporter\"\nversion = \"1\"\nkind = \"exporter\"\n\
             license = \"MIT\"\nports = [9100]\narchive = \"none\"\n[component.build.{arch}]\n\
             file = \"node_exporter\"\nsha256 = \"{sum}\"\nprograms = {{ node_exporter = \"node_exporter\" }}\n"
        );
        fs::write(folder.join("components.toml"), catalogue).unwrap();
        let mut command = self.hanging();
        command.truncate(command.len() - 2);
        command.extend(["--components".to_owned(), folder.display().to_string()]);
        command
    }

    /// Starts one that hangs, before it has said a word.
    #[track_caller]
    fn start_hanging(&self, id: &str) -> Standing {
        let command = self.hanging();
        let words: Vec<&str> = command.iter().map(String::as_str).collect();
        self.start(id, &words)
    }

    /// Starts one that waits for its exporter, and waits until it does.
    #[track_caller]
    fn start_waiting(&self, id: &str) -> Standing {
        let waits = |kind: &RunEventKind| matches!(kind, RunEventKind::StepStarted { step, .. } if step == "node_exporter");
        self.start_until(id, &self.waiting(), waits)
    }

    #[track_caller]
    fn start_until(&self, id: &str, command: &[String], wanted: fn(&RunEventKind) -> bool) -> Standing {
        let words: Vec<&str> = command.iter().map(String::as_str).collect();
        let standing = self.start(id, &words);
        let is_there = |line: &Line| matches!(&line.kind, Kind::Event(kind) if wanted(kind));
        until("it has come so far", || {
            self.written(id).iter().any(is_there).then_some(())
        });
        standing
    }

    fn status(&self, id: &str) -> Standing {
        standing(&self.run(&["status", id, "--json"]))
    }

    /// What its event file holds.
    fn written(&self, id: &str) -> Vec<Line> {
        let text = fs::read_to_string(self.runs().join(id).join("events.jsonl")).unwrap_or_default();
        text.lines().filter_map(Line::parse).collect()
    }

    fn follow(&self, id: &str, more: &[&str]) -> Output {
        self.run(&[&["follow", id, "--json"], more].concat())
    }

    fn is_at_work(&self, id: &str) -> bool {
        self.status(id).status == RunStatus::Running
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        let Ok(entries) = fs::read_dir(self.runs()) else {
            return;
        };
        for entry in entries.flatten() {
            let name = entry.file_name().to_string_lossy().into_owned();
            let Some(line) =
                Some(self.run(&["status", &name, "--json"])).filter(|said| said.status.success())
            else {
                continue;
            };
            if let Some(pid) = standing(&line).pid {
                kill(pid);
            }
        }
    }
}

fn kill(pid: u32) {
    let pid = Pid::from_raw(i32::try_from(pid).unwrap()).unwrap();
    // It may have ended by now.
    let _ = kill_process(pid, Signal::KILL);
}

#[track_caller]
fn standing(output: &Output) -> Standing {
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(
        output.status.success(),
        "{text}{}",
        String::from_utf8_lossy(&output.stderr)
    );
    serde_json::from_str(text.trim()).unwrap_or_else(|error| panic!("{error}: {text}"))
}

fn lines(output: &Output) -> Vec<Line> {
    let text = String::from_utf8_lossy(&output.stdout);
    text.lines().map(|line| Line::parse(line).expect(line)).collect()
}

#[track_caller]
fn refused(output: &Output, exit: i32, code: &str) -> String {
    let text = format!(
        "{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    assert_eq!(output.status.code(), Some(exit), "{text}");
    assert!(text.contains(code), "{text}");
    text
}

#[test]
fn a_run_goes_on_by_itself_and_is_read_to_its_end_as_often_as_one_likes() {
    // Given a command that was started and left alone,
    let stage = Stage::new();
    let words =
        "bootstrap --standalone --foreground --root relative --address 127.0.0.1 --components nowhere";
    let command: Vec<&str> = words.split(' ').collect();
    let begun = stage.start("first", &command);
    assert_eq!((begun.begun, begun.attempt), (Some(true), 1));
    // when somebody reads along, then every line is there, numbered without a gap, the end is the last, and the
    // follower exits as the run did: there is no such folder of components.
    let output = stage.follow("first", &[]);
    let all = lines(&output);
    let numbers: Vec<u64> = all.iter().map(|line| line.seq.unwrap()).collect();
    assert_eq!(numbers, (1..=numbers.len() as u64).collect::<Vec<_>>());
    let Some(Kind::Ended(ended)) = all.last().map(|line| &line.kind) else {
        panic!("{all:?}")
    };
    assert_eq!(
        (ended.status, i32::from(ended.exit)),
        (RunStatus::Failed, output.status.code().unwrap())
    );
    assert_ne!(ended.exit, 0);
    let says = |wanted: fn(&Kind) -> bool| all.iter().any(|line| wanted(&line.kind));
    assert!(
        says(|kind| matches!(kind, Kind::Event(RunEventKind::RunStarted { .. }))),
        "{all:?}"
    );
    assert!(
        says(|kind| matches!(kind, Kind::Event(RunEventKind::StepFailed { .. }))),
        "{all:?}"
    );
    assert!(says(|kind| matches!(kind, Kind::Error(_))), "{all:?}");
    // Whoever has some of it already gets the rest.
    let rest = lines(&stage.follow("first", &["--after", "3"]));
    assert_eq!(rest, all[3..]);
    // The same command under the same name is that run; another is none.
    let again = stage.start("first", &command);
    assert_eq!(
        (again.begun, again.exit, again.status),
        (Some(false), Some(ended.exit), RunStatus::Failed)
    );
    refused(
        &stage.run(&["start", "--id", "first", "--", "preflight"]),
        6,
        "CONFLICT",
    );
    // It failed, and is tried once more when that is said.
    let more = [
        &["start", "--json", "--again", "--id", "first", "--"],
        &command[..],
    ]
    .concat();
    assert_eq!(standing(&stage.run(&more)).attempt, 2);
    let all = lines(&stage.follow("first", &["--after", &numbers.len().to_string()]));
    assert!(all.iter().all(|line| line.seq.unwrap() > numbers.len() as u64));
    assert!(matches!(&all.last().unwrap().kind, Kind::Ended(ended) if ended.attempt == 2));
    // A relative path was meant from where it was started.
    assert!(stage.folder.path().join("relative").is_dir());
}

#[test]
fn only_its_owner_reads_what_a_run_says() {
    use std::os::unix::fs::PermissionsExt as _;

    let stage = Stage::new();
    stage.start("first", &["preflight", "--mode", "node", "--skip-gpu"]);
    stage.follow("first", &[]);
    let mode = |path: PathBuf| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(stage.runs()), 0o700);
    assert_eq!(mode(stage.runs().join("first")), 0o700);
    for file in ["events.jsonl", "request.json", "lock"] {
        assert_eq!(mode(stage.runs().join("first").join(file)), 0o600, "{file}");
    }
}

#[test]
fn a_second_run_waits_its_turn_and_is_told_who_is_at_work() {
    let stage = Stage::new();
    let begun = stage.start_hanging("first");
    let said = refused(
        &stage.run(&["start", "--id", "second", "--", "preflight"]),
        6,
        "LOCKED",
    );
    assert!(said.contains("first") && said.contains("bootstrap"), "{said}");
    assert!(!stage.runs().join("second").exists());
    // The same one is the one that is there.
    let command = stage.hanging();
    let words: Vec<&str> = command.iter().map(String::as_str).collect();
    let same = stage.start("first", &words);
    assert_eq!((same.begun, same.pid), (Some(false), begun.pid));
    assert!(same.pid.is_some());
}

#[test]
fn a_reader_that_is_gone_does_not_touch_the_run() {
    let stage = Stage::new();
    stage.start_waiting("first");
    let follower = |stdin: Stdio, more: &[&str]| -> Child {
        let mut command = stage.command(&[&["follow", "first", "--json"], more].concat());
        command.stdin(stdin).stdout(Stdio::piped()).spawn().unwrap()
    };
    let ends = |mut child: Child, what: &str| until(what, || child.try_wait().unwrap());
    // One that is killed,
    let mut killed = follower(Stdio::null(), &[]);
    let mut first = String::new();
    BufReader::new(killed.stdout.as_mut().unwrap())
        .read_line(&mut first)
        .unwrap();
    assert!(Line::parse(&first).is_some(), "{first}");
    killed.kill().unwrap();
    ends(killed, "the killed one ends");
    // one whose output nobody reads any more,
    let mut deaf = follower(Stdio::null(), &[]);
    drop(deaf.stdout.take());
    ends(deaf, "the one without a reader ends");
    // and one whose input is closed.
    let mut cut = follower(Stdio::piped(), &["--until-stdin-closes"]);
    drop(cut.stdin.take());
    ends(cut, "the one without an input ends");
    assert!(stage.is_at_work("first"));
    // Whoever comes next reads all of it.
    let mut next = follower(Stdio::null(), &[]);
    let mut again = String::new();
    BufReader::new(next.stdout.as_mut().unwrap())
        .read_line(&mut again)
        .unwrap();
    assert_eq!(again, first);
    next.kill().unwrap();
    next.wait().unwrap();
}

#[test]
fn a_run_that_is_called_off_ends_as_that() {
    let stage = Stage::new();
    stage.start_waiting("first");
    standing(&stage.run(&["cancel", "first", "--json"]));
    let output = stage.follow("first", &[]);
    assert_eq!(output.status.code(), Some(9));
    let all = lines(&output);
    let last = all.last().unwrap();
    let Kind::Ended(ended) = &last.kind else {
        panic!("{all:?}")
    };
    assert_eq!((ended.status, ended.exit), (RunStatus::Cancelled, 9));
    assert!(last.seq.is_some(), "it said so itself");
    // It is not begun again by itself, and calling it off once more is no harm.
    let command = stage.waiting();
    let words: Vec<&str> = command.iter().map(String::as_str).collect();
    assert_eq!(stage.start("first", &words).begun, Some(false));
    standing(&stage.run(&["cancel", "first", "--json"]));
    assert_eq!(stage.status("first").status, RunStatus::Cancelled);
    // One that hears nothing, since it waits for a server, is called off twice.
    stage.start_hanging("second");
    standing(&stage.run(&["cancel", "second", "--json"]));
    standing(&stage.run(&["cancel", "second", "--json"]));
    let output = stage.follow("second", &[]);
    assert_eq!(output.status.code(), Some(9));
    assert_eq!(stage.status("second").status, RunStatus::Cancelled);
}

#[test]
fn a_killed_run_is_told_and_the_same_command_goes_on_with_it() {
    // Given a run with somebody who reads along,
    let stage = Stage::new();
    let begun = stage.start_waiting("first");
    let mut reader = stage
        .command(&["follow", "first", "--json"])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    // when its process is killed, then it is told that it left no word,
    kill(begun.pid.unwrap());
    let mut text = String::new();
    reader.stdout.take().unwrap().read_to_string(&mut text).unwrap();
    assert_eq!(reader.wait().unwrap().code(), Some(9));
    let last = Line::parse(text.lines().last().unwrap()).unwrap();
    assert_eq!(last.seq, None, "nobody wrote it down");
    assert!(
        matches!(&last.kind, Kind::Ended(ended) if ended.status == RunStatus::Interrupted && ended.message.is_some()),
        "{last:?}"
    );
    let stands = stage.status("first");
    assert_eq!((stands.status, stands.exit), (RunStatus::Interrupted, Some(9)));
    // and the same command goes on, behind what was said before.
    let again = stage.start_waiting("first");
    assert_eq!((again.begun, again.attempt), (Some(true), 2));
    until("it is at work again", || {
        let started = |line: &&Line| matches!(line.kind, Kind::Event(RunEventKind::RunStarted { .. }));
        (stage.written("first").iter().filter(started).count() == 2).then_some(())
    });
    let written = stage.written("first");
    let numbers: Vec<u64> = written.iter().map(|line| line.seq.unwrap()).collect();
    assert_eq!(numbers, (1..=numbers.len() as u64).collect::<Vec<_>>());
    assert!(
        written
            .iter()
            .any(|line| matches!(&line.kind, Kind::Ended(ended) if ended.attempt == 1)),
        "{written:?}"
    );
}

#[test]
fn what_is_no_run_is_refused_with_a_code() {
    let stage = Stage::new();
    refused(&stage.run(&["follow", "nobody", "--json"]), 5, "NOT_FOUND");
    refused(&stage.run(&["status", "nobody"]), 5, "NOT_FOUND");
    refused(&stage.run(&["cancel", "nobody"]), 5, "NOT_FOUND");
    refused(
        &stage.run(&["start", "--id", "../x", "--", "preflight"]),
        2,
        "INVALID",
    );
    refused(&stage.run(&["start", "--id", "x", "--", "daemon"]), 2, "INVALID");
    let said = refused(
        &stage.run(&["start", "--id", "x", "--", "bootstrap", "--token", "aami_abc_def"]),
        2,
        "INVALID",
    );
    assert!(
        said.contains("--token-file") && !said.contains("aami_abc_def"),
        "{said}"
    );
    let none = stage.run(&["list", "--json"]);
    assert_eq!(String::from_utf8_lossy(&none.stdout).trim(), "[]");
    // A command line that its command does not understand is the run's end, with what it said.
    stage.start("typo", &["preflight", "--mdoe", "node"]);
    let output = stage.follow("typo", &[]);
    assert_eq!(output.status.code(), Some(2));
    assert!(
        lines(&output)
            .iter()
            .any(|line| matches!(&line.kind, Kind::Output(text) if text.contains("--mdoe")))
    );
    // What has ended is forgotten when that is asked for.
    assert!(stage.run(&["forget"]).status.success());
    assert!(!stage.runs().exists());
}
