//! Exporters as child processes: they begin with this process and end with it, however it ends.
//!
//! The kernel signals a child when the *thread* that made it ends (prctl(2), `PR_SET_PDEATHSIG`), and
//! only a program that asks for it. So each child is made by a thread of its own that lives as long
//! as the child, and is started through a launcher, this same program, which asks and then becomes
//! the exporter ([`become_child`]).

use std::fs::File;
use std::io;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{self, RecvTimeoutError, Sender};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

/// How long a child may take to end when asked.
const GRACE: Duration = Duration::from_secs(5);
/// How often a child is looked at.
const LOOK: Duration = Duration::from_millis(100);
/// The first and the longest pause before a child that ended by itself is started again.
const PAUSES: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(30));

/// Told when a child ended by itself: its name and how.
pub type Ended = dyn Fn(&str, &str) + Send + Sync;

/// The child processes of a foreground run.
pub struct Foreground {
    launcher: PathBuf,
    ended: Arc<Ended>,
    children: Mutex<Vec<Kept>>,
}

struct Kept {
    name: String,
    stop: Sender<()>,
    thread: Option<JoinHandle<()>>,
}

/// What to run.
#[derive(Debug, Clone)]
pub struct Task {
    /// For messages.
    pub name: String,
    /// Absolute path.
    pub program: PathBuf,
    /// Its arguments.
    pub arguments: Vec<String>,
    /// Where its output goes; begun anew with each start.
    pub log: PathBuf,
}

impl std::fmt::Debug for Foreground {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Foreground")
            .field("launcher", &self.launcher)
            .finish_non_exhaustive()
    }
}

impl Foreground {
    /// `launcher` is a program that calls [`become_child`] when its first argument is [`WORD`].
    pub fn new(launcher: PathBuf, ended: Arc<Ended>) -> Self {
        Self {
            launcher,
            ended,
            children: Mutex::new(Vec::new()),
        }
    }

    /// Starts a child and keeps it running; one of the same name is replaced.
    pub fn start(&self, task: Task) -> io::Result<()> {
        self.stop(&task.name);
        let (stop, stopped) = mpsc::channel();
        let (begun, first) = mpsc::channel();
        let name = task.name.clone();
        let (launcher, ended) = (self.launcher.clone(), self.ended.clone());
        let thread = std::thread::Builder::new()
            .name(format!("child {name}"))
            .spawn(move || {
                let mut pause = PAUSES.0;
                let mut child = match spawn(&launcher, &task) {
                    Ok(child) => child,
                    Err(error) => {
                        let _ = begun.send(Err(error));
                        return;
                    }
                };
                let _ = begun.send(Ok(()));
                let mut started = Instant::now();
                loop {
                    match stopped.recv_timeout(LOOK) {
                        Err(RecvTimeoutError::Timeout) => {}
                        Ok(()) | Err(RecvTimeoutError::Disconnected) => return end(&mut child),
                    }
                    let Ok(Some(status)) = child.try_wait() else {
                        continue;
                    };
                    ended(&task.name, &status.to_string());
                    if started.elapsed() > PAUSES.1 {
                        pause = PAUSES.0;
                    }
                    // Waiting for the word to stop is waiting, too.
                    if !matches!(stopped.recv_timeout(pause), Err(RecvTimeoutError::Timeout)) {
                        return;
                    }
                    pause = (pause * 2).min(PAUSES.1);
                    if let Ok(again) = spawn(&launcher, &task) {
                        (child, started) = (again, Instant::now());
                    }
                }
            })?;
        first.recv().map_err(io::Error::other)??;
        self.lock().push(Kept {
            name,
            stop,
            thread: Some(thread),
        });
        Ok(())
    }

    /// Ends the child of this name, if there is one.
    fn stop(&self, name: &str) {
        let found: Vec<Kept> = {
            let mut children = self.lock();
            let (going, staying) = children.drain(..).partition(|kept| kept.name == name);
            *children = staying;
            going
        };
        finish(found);
    }

    /// Ends every child and waits for it.
    pub fn stop_all(&self) {
        let all: Vec<Kept> = self.lock().drain(..).collect();
        finish(all);
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Vec<Kept>> {
        self.children.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Foreground {
    fn drop(&mut self) {
        self.stop_all();
    }
}

/// All at once, then one after the other: ending takes as long as the slowest.
fn finish(mut children: Vec<Kept>) {
    for kept in &children {
        let _ = kept.stop.send(());
    }
    for thread in children.iter_mut().filter_map(|kept| kept.thread.take()) {
        let _ = thread.join();
    }
}

fn spawn(launcher: &Path, task: &Task) -> io::Result<Child> {
    let log = File::create(&task.log)?;
    Command::new(launcher)
        .arg(WORD)
        .arg(std::process::id().to_string())
        .arg(&task.program)
        .args(&task.arguments)
        .env_clear()
        .stdin(Stdio::null())
        .stdout(log.try_clone()?)
        .stderr(log)
        .spawn()
}

fn end(child: &mut Child) {
    let pid = i32::try_from(child.id()).ok().and_then(Pid::from_raw);
    if let Some(pid) = pid {
        let _ = kill_process(pid, Signal::TERM);
    }
    let deadline = Instant::now() + GRACE;
    while matches!(child.try_wait(), Ok(None)) {
        if Instant::now() >= deadline {
            let _ = child.kill();
            let _ = child.wait();
            return;
        }
        std::thread::park_timeout(Duration::from_millis(10));
    }
}

/// The launcher's first argument when it shall become a child.
pub const WORD: &str = "become-child";

/// Turns this process into the child it was asked for: `PARENT PROGRAM ARGUMENT...` are what follows
/// [`WORD`]. Returns only when that fails.
pub fn become_child(mut arguments: impl Iterator<Item = std::ffi::OsString>) -> io::Error {
    let bad = || io::Error::other("it needs a process number and a program");
    let parent = arguments
        .next()
        .and_then(|text| text.to_str()?.parse::<u32>().ok());
    let (Some(parent), Some(program)) = (parent, arguments.next()) else {
        return bad();
    };
    if let Err(error) = rustix::process::set_parent_process_death_signal(Some(Signal::KILL)) {
        return error.into();
    }
    // The parent may have ended before the kernel was asked; then nobody will ever signal.
    let now = rustix::process::getppid().and_then(|pid| u32::try_from(pid.as_raw_nonzero().get()).ok());
    if now != Some(parent) {
        return io::Error::other("its parent has ended already");
    }
    Command::new(program).args(arguments).exec()
}
