//! Exporters of the foreground form live and die with the process that keeps them.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use aami_plans::node::Foreground;
use aami_plans::node::foreground::Task;

const AGENT: &str = env!("CARGO_BIN_EXE_aami-agent");
const PATIENCE: Duration = Duration::from_secs(20);

/// Waits for a condition, and says what was seen last when it does not come.
#[track_caller]
fn wait_for<T>(what: &str, mut look: impl FnMut() -> Result<T, String>) -> T {
    let deadline = Instant::now() + PATIENCE;
    loop {
        match look() {
            Ok(found) => return found,
            Err(last) => assert!(Instant::now() < deadline, "{what}: {last}"),
        }
        std::thread::park_timeout(Duration::from_millis(5));
    }
}

fn pid_in(path: &Path) -> Result<u32, String> {
    let text = fs::read_to_string(path).map_err(|error| error.to_string())?;
    text.trim()
        .parse()
        .map_err(|_| format!("{text:?} is no process number"))
}

/// Gone, or waiting for somebody to notice that it is.
fn is_gone(pid: u32) -> Result<(), String> {
    match fs::read_to_string(format!("/proc/{pid}/stat")) {
        Err(_) => Ok(()),
        Ok(stat) if stat.contains(") Z ") => Ok(()),
        Ok(stat) => Err(stat),
    }
}

#[test]
fn a_child_ends_with_its_parent_however_that_ends() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("pid");
    // A shell that keeps one child, which writes its number down and waits.
    let child = format!("echo $$ > {}; exec sleep 600", file.display());
    let script = format!("{AGENT} become-child $$ /bin/sh -c '{child}' & wait");
    let mut parent = Command::new("sh").args(["-c", &script]).spawn().unwrap();
    let pid = wait_for("the child begins", || pid_in(&file));
    assert!(is_gone(pid).is_err(), "it lives while its parent does");

    parent.kill().unwrap();
    parent.wait().unwrap();

    wait_for("the child ends", || is_gone(pid));
}

#[test]
fn a_child_whose_parent_is_gone_never_begins() {
    let output = Command::new(AGENT)
        .args(["become-child", "1", "/bin/sh", "-c", "echo began"])
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(!String::from_utf8_lossy(&output.stdout).contains("began"));
}

struct Stage {
    folder: tempfile::TempDir,
    ended: Arc<Mutex<Vec<String>>>,
    foreground: Foreground,
}

impl Stage {
    fn new() -> Self {
        let ended = Arc::new(Mutex::new(Vec::new()));
        let heard = ended.clone();
        let told = move |name: &str, how: &str| heard.lock().unwrap().push(format!("{name}: {how}"));
        Self {
            folder: tempfile::tempdir().unwrap(),
            ended,
            foreground: Foreground::new(PathBuf::from(AGENT), Arc::new(told)),
        }
    }

    fn start(&self, script: &str) {
        let task = Task {
            name: "exporter".into(),
            program: PathBuf::from("/bin/sh"),
            arguments: vec![
                "-c".into(),
                script.replace("DIR", self.folder.path().to_str().unwrap()),
            ],
            log: self.folder.path().join("log"),
        };
        self.foreground.start(task).unwrap();
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }
}

#[test]
fn a_child_is_kept_until_it_is_stopped() {
    let stage = Stage::new();
    stage.start("echo said; echo $$ > DIR/pid; exec sleep 600");
    let pid = wait_for("it begins", || pid_in(&stage.path("pid")));
    assert_eq!(fs::read_to_string(stage.path("log")).unwrap(), "said\n");
    stage.foreground.stop_all();
    is_gone(pid).unwrap();
    assert_eq!(
        *stage.ended.lock().unwrap(),
        Vec::<String>::new(),
        "it did not end by itself"
    );
}

#[test]
fn a_child_that_ends_by_itself_is_started_again_and_said() {
    let stage = Stage::new();
    stage.start("echo x >> DIR/starts; [ $(wc -l < DIR/starts) -ge 2 ] && exec sleep 600; exit 3");
    wait_for("it is started again", || {
        let starts = fs::read_to_string(stage.path("starts")).unwrap_or_default();
        if starts.lines().count() >= 2 {
            Ok(())
        } else {
            Err(starts)
        }
    });
    let ended = stage.ended.lock().unwrap().clone();
    assert_eq!(ended.len(), 1, "{ended:?}");
    assert!(ended[0].contains("exit status: 3"), "{ended:?}");
}

#[test]
fn a_child_that_will_not_end_is_ended() {
    let stage = Stage::new();
    stage.start("trap '' TERM; echo $$ > DIR/pid; while :; do sleep 1; done");
    let pid = wait_for("it begins", || pid_in(&stage.path("pid")));
    stage.foreground.stop_all();
    is_gone(pid).unwrap();
}
