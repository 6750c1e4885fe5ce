//! A host to try things on: a temporary root with a system that was there before us.

use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use aami_install::checkpoint::Watch;
use aami_install::doubles::{self, System};
use aami_install::effect::Unregister;
use aami_install::{
    Host, HostPath, InstallError, Installer, Mode, Options, Plan, RunReport, StepError, Tracking,
    UninstallReport,
};
use tempfile::TempDir;

use crate::picture::{self, Picture};

/// A temporary host.
pub(crate) struct House {
    pub(crate) dir: TempDir,
}

/// A temporary folder in memory where there is one: thousands of runs sync to it.
fn in_memory() -> TempDir {
    TempDir::new_in("/dev/shm").or_else(|_| TempDir::new()).unwrap()
}

pub(crate) fn path(text: &str) -> HostPath {
    HostPath::new(text).unwrap()
}

impl House {
    /// A host with users, a service of somebody else's that runs, a link and files that the plan will
    /// replace.
    pub(crate) fn new() -> Self {
        let house = Self { dir: in_memory() };
        for folder in [
            "etc/default",
            "etc/systemd/system",
            "run",
            "usr/local/bin",
            "usr/lib/systemd/system",
            "usr/bin",
            "usr/sbin",
            "var/lib",
            "opt",
        ] {
            house.folder(folder, 0o755);
        }
        let (uid, gid) = (
            rustix::process::geteuid().as_raw(),
            rustix::process::getegid().as_raw(),
        );
        house.write(
            "etc/passwd",
            &format!("root:x:{uid}:{gid}:root:/root:/bin/bash\n"),
            0o644,
        );
        house.write(
            "etc/group",
            &format!("root:x:{gid}:\nvideo:x:44:operator\n"),
            0o644,
        );
        house.write("etc/default/node_exporter", "ARGS=--the-operators-own\n", 0o600);
        house.write("usr/bin/prometheus", "a prometheus of the distribution\n", 0o755);
        house.write("etc/prometheus.yml", "scrape_configs: []\n", 0o640);
        house.write(
            "usr/lib/systemd/system/prometheus.service",
            "[Service]\nExecStart=/usr/bin/prometheus\nEnvironmentFile=/etc/prometheus.yml\n[Install]\nWantedBy=multi-user.target\n",
            0o644,
        );
        std::os::unix::fs::symlink(
            "/opt/theirs/node_exporter",
            house.real("usr/local/bin/node_exporter"),
        )
        .unwrap();
        std::fs::create_dir(house.memory()).unwrap();
        let host = house.host(None);
        let units = host.units.as_ref().unwrap();
        units.enable("prometheus.service", true).unwrap();
        units.start("prometheus.service").unwrap();
        house
    }

    /// The same host once more, as it is at this moment.
    pub(crate) fn copy(&self) -> Self {
        let copy = Self { dir: in_memory() };
        doubles::copy(&self.root(), &copy.root()).unwrap();
        doubles::copy(&self.memory(), &copy.memory()).unwrap();
        copy
    }

    pub(crate) fn root(&self) -> PathBuf {
        self.dir.path().join("root")
    }

    pub(crate) fn memory(&self) -> PathBuf {
        self.dir.path().join("memory")
    }

    pub(crate) fn real(&self, below: &str) -> PathBuf {
        self.root().join(below.trim_start_matches('/'))
    }

    pub(crate) fn folder(&self, below: &str, mode: u32) {
        std::fs::create_dir_all(self.real(below)).unwrap();
        std::fs::set_permissions(self.real(below), PermissionsExt::from_mode(mode)).unwrap();
    }

    pub(crate) fn write(&self, below: &str, text: &str, mode: u32) {
        std::fs::write(self.real(below), text).unwrap();
        std::fs::set_permissions(self.real(below), PermissionsExt::from_mode(mode)).unwrap();
    }

    pub(crate) fn read(&self, below: &str) -> String {
        std::fs::read_to_string(self.real(below)).unwrap_or_else(|error| panic!("{below}: {error}"))
    }

    pub(crate) fn exists(&self, below: &str) -> bool {
        self.real(below).symlink_metadata().is_ok()
    }

    pub(crate) fn host(&self, watch: Option<Arc<dyn Watch>>) -> Host {
        doubles::host(&self.root(), &self.memory(), watch).unwrap()
    }

    pub(crate) fn control_plane(&self) -> ControlPlane {
        ControlPlane {
            book: self.memory().join("registered.json"),
        }
    }

    pub(crate) fn picture(&self) -> Picture {
        Picture {
            paths: picture::paths(&self.root()),
            units: System::new(&self.root(), &self.memory()).units(),
            registered: self.control_plane().nodes(),
            tools: self.tools(),
        }
    }

    fn tools(&self) -> Vec<String> {
        let mut tools = System::new(&self.root(), &self.memory()).containers();
        for file in ["firewalld", "nft.json"] {
            let text = std::fs::read_to_string(self.memory().join(file)).unwrap_or_default();
            tools.extend(text.lines().map(|line| format!("{file} {line}")));
        }
        tools
    }

    /// Runs `plan` once, one step at a time.
    pub(crate) fn run(&self, plan: &Plan, watch: Option<Arc<dyn Watch>>) -> Result<RunReport, InstallError> {
        self.run_as(plan, Mode::Fresh, watch)
    }

    pub(crate) fn run_as(
        &self,
        plan: &Plan,
        mode: Mode,
        watch: Option<Arc<dyn Watch>>,
    ) -> Result<RunReport, InstallError> {
        let host = self.host(watch);
        Installer::new(&host, plan, options()).unwrap().run(mode)
    }

    /// Runs `plan` and expects every step to hold afterwards.
    #[track_caller]
    pub(crate) fn install(&self, plan: &Plan) -> RunReport {
        let report = self.run(plan, None).unwrap();
        assert_eq!(
            report.failure().map(|(code, why)| format!("{code}: {why}")),
            None,
            "{:#?}",
            report.steps
        );
        report
    }

    pub(crate) fn undo(
        &self,
        plan: &Plan,
        watch: Option<Arc<dyn Watch>>,
    ) -> Result<UninstallReport, InstallError> {
        let host = self.host(watch);
        Installer::new(&host, plan, options())
            .unwrap()
            .uninstall(Some(&self.control_plane()))
    }

    /// Uninstalls and expects that nothing failed.
    #[track_caller]
    pub(crate) fn uninstall(&self, plan: &Plan) -> UninstallReport {
        let report = self.undo(plan, None).unwrap();
        assert!(report.failed.is_empty(), "{:#?}", report.failed);
        report
    }

    pub(crate) fn receipt(&self, plan: &str) -> aami_install::receipt::Receipt {
        serde_json::from_str(&self.read(&format!("var/lib/aami/install/default/{plan}/receipt.json")))
            .unwrap()
    }
}

pub(crate) fn options() -> Options {
    Options {
        parallel: 1,
        tracking: Tracking::host(),
        ..Options::default()
    }
}

/// A control plane that remembers nodes by their credential, in a file.
pub(crate) struct ControlPlane {
    book: PathBuf,
}

impl ControlPlane {
    fn load(&self) -> BTreeMap<String, String> {
        std::fs::read(&self.book)
            .ok()
            .and_then(|bytes| serde_json::from_slice(&bytes).ok())
            .unwrap_or_default()
    }

    fn store(&self, book: &BTreeMap<String, String>) {
        std::fs::write(&self.book, serde_json::to_vec(book).unwrap()).unwrap();
    }

    pub(crate) fn nodes(&self) -> Vec<String> {
        self.load().into_values().collect()
    }

    /// The same credential again is the same node.
    pub(crate) fn register(&self, credential: &Path) -> String {
        let credential = std::fs::read_to_string(credential).unwrap();
        let mut book = self.load();
        let next = format!("node-{}", book.len() + 1);
        let node = book.entry(credential).or_insert(next).clone();
        self.store(&book);
        node
    }
}

impl Unregister for ControlPlane {
    fn unregister(
        &self,
        host: &Host,
        _server: &str,
        _node: Option<&str>,
        credential: &HostPath,
    ) -> Result<(), StepError> {
        let credential = std::fs::read_to_string(host.root.outside(credential)).unwrap_or_default();
        let mut book = self.load();
        book.remove(&credential);
        self.store(&book);
        Ok(())
    }
}
