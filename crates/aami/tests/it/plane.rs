//! A control plane of a test's own: the real program, a free port, a data folder that goes with it.

use std::path::PathBuf;
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

/// The program under test, in an environment without anything of the machine's.
pub(crate) fn aami(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_aami"));
    command.args(arguments).env_clear().stdin(Stdio::null());
    command
}

/// Waits for something that has to come.
pub(crate) fn until(what: &str, mut look: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(90);
    while !look() {
        assert!(Instant::now() < deadline, "{what} never came");
        std::thread::sleep(Duration::from_millis(3));
    }
}

/// How a command ended and what it said.
#[derive(Debug)]
pub(crate) struct Said {
    pub(crate) exit: i32,
    pub(crate) out: String,
    pub(crate) err: String,
}

impl Said {
    pub(crate) fn by(command: &mut Command) -> Self {
        let Output {
            status,
            stdout,
            stderr,
        } = command.output().unwrap();
        Self {
            exit: status.code().unwrap_or(-1),
            out: String::from_utf8(stdout).unwrap(),
            err: String::from_utf8(stderr).unwrap(),
        }
    }

    pub(crate) fn json(&self) -> serde_json::Value {
        assert_eq!(self.exit, 0, "{self:?}");
        serde_json::from_str(&self.out).unwrap_or_else(|error| panic!("{error} in {self:?}"))
    }
}

/// A running control plane.
pub(crate) struct Plane {
    pub(crate) folder: tempfile::TempDir,
    child: Option<Child>,
    /// What its environment says beside nothing.
    settings: Vec<(&'static str, String)>,
    listen: String,
}

impl Plane {
    pub(crate) fn start() -> Self {
        Self::start_with(&[])
    }

    /// With these settings in its environment.
    pub(crate) fn start_with(settings: &[(&'static str, &str)]) -> Self {
        Self::start_at("127.0.0.1:0", settings)
    }

    /// At an address of its own.
    pub(crate) fn start_at(listen: &str, settings: &[(&'static str, &str)]) -> Self {
        let mut plane = Self {
            listen: listen.to_owned(),
            folder: tempfile::tempdir().unwrap(),
            child: None,
            settings: (settings.iter())
                .map(|(name, value)| (*name, (*value).to_owned()))
                .collect(),
        };
        plane.start_again();
        plane
    }

    /// Starts it on the folder there is, and waits until it answers.
    pub(crate) fn start_again(&mut self) {
        let _ = std::fs::remove_file(self.data().join("address"));
        let log = std::fs::File::create(self.folder.path().join("log")).unwrap();
        let child = aami(&["server", "--listen", &self.listen, "--log", "json", "--data-dir"])
            .arg(self.data())
            .envs(self.settings.iter().map(|(name, value)| (name, value)))
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .unwrap();
        self.child = Some(child);
        let deadline = Instant::now() + Duration::from_secs(60);
        loop {
            let said = self.aami(&["status"]);
            // An empty fleet is a healthy one.
            if said.exit == 0 {
                return;
            }
            assert!(
                Instant::now() < deadline,
                "never answered: {said:?}\n{}",
                self.log()
            );
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    pub(crate) fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    pub(crate) fn log(&self) -> String {
        std::fs::read_to_string(self.folder.path().join("log")).unwrap()
    }

    pub(crate) fn address(&self) -> String {
        std::fs::read_to_string(self.data().join("address"))
            .unwrap()
            .trim()
            .to_owned()
    }

    /// A command line that finds this control plane by its data folder.
    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = aami(arguments);
        command
            .arg("--data-dir")
            .arg(self.data())
            .env("HOME", self.folder.path());
        command
    }

    pub(crate) fn aami(&self, arguments: &[&str]) -> Said {
        Said::by(&mut self.command(arguments))
    }

    /// Names a Prometheus to it that is on the node of the same name.
    pub(crate) fn add_prometheus(&self, node: &str, url: &str) {
        let added = self.aami(&["prometheuses", "add", node, "--node", node, "--url", url]);
        assert_eq!(added.exit, 0, "{added:?}");
    }

    /// Asks it to stop and waits; answers with its exit code.
    pub(crate) fn stop(&mut self) -> i32 {
        let mut child = self.child.take().unwrap();
        let pid = rustix::process::Pid::from_raw(child.id().try_into().unwrap()).unwrap();
        rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
        let deadline = Instant::now() + Duration::from_secs(30);
        loop {
            if let Some(status) = child.try_wait().unwrap() {
                return status.code().unwrap_or(-1);
            }
            if Instant::now() > deadline {
                let _ = child.kill();
                panic!("it did not stop: {}", self.log());
            }
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

impl Drop for Plane {
    fn drop(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}
