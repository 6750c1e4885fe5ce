//! What preflight mends: every kind of it comes and goes without a trace, also when it is killed on the way.

use std::path::PathBuf;
use std::sync::Arc;

use aami_install::checkpoint::Watch;
use aami_install::doubles::{self, Repository, at_each_moment};
use aami_install::host::Command;
use aami_install::{Host, Installer, Mode, Options, RunReport};
use aami_plans::download::Proxies;
use aami_plans::preflight::fix::{self, Fix};
use aami_plans::preflight::{Mode as For, Request};
use tempfile::TempDir;

use crate::stack::house::Picture;

const SERVICE: &str = "[Service]\nExecStart=/usr/bin/daemon\n\n[Install]\nWantedBy=multi-user.target\n";

/// A machine with something amiss of every kind that can be mended and taken back.
struct Machine(TempDir);

impl Machine {
    fn new() -> Self {
        let machine = Self(TempDir::new_in("/dev/shm").or_else(|_| TempDir::new()).unwrap());
        let (uid, gid) = (rustix::process::geteuid(), rustix::process::getegid());
        let (uid, gid) = (uid.as_raw(), gid.as_raw());
        std::fs::create_dir_all(machine.memory()).unwrap();
        for folder in ["var/lib", "run", "etc/systemd/system", "etc/firewalld/zones"] {
            std::fs::create_dir_all(machine.real(folder)).unwrap();
        }
        for (path, text) in [
            (
                "etc/passwd",
                format!("root:x:{uid}:{gid}:root:/root:/bin/bash\nops:x:1000:1000::/home/ops:/bin/sh\n"),
            ),
            (
                "etc/group",
                format!("root:x:{gid}:\ndocker:x:998:\nops:x:1000:\n"),
            ),
            ("var/lib/packages", String::new()),
            ("usr/bin/apt-get", String::new()),
            ("usr/bin/dpkg", String::new()),
            ("usr/bin/dpkg-query", String::new()),
            ("usr/bin/firewall-cmd", String::new()),
            ("etc/firewalld/zones/public.xml", String::new()),
            ("usr/bin/daemon", String::new()),
            ("usr/lib/systemd/system/docker.service", SERVICE.to_owned()),
            (
                "usr/lib/systemd/system/grafana-server.service",
                SERVICE.to_owned(),
            ),
            (
                "usr/lib/systemd/system/systemd-timesyncd.service",
                SERVICE.to_owned(),
            ),
        ] {
            machine.write(path, &text);
        }
        let program = machine.real("usr/bin/daemon");
        std::fs::set_permissions(program, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
        // The firewall is up; the repository has what is missing.
        std::fs::write(machine.memory().join("firewalld"), "").unwrap();
        let repository = Repository {
            packages: [("jq".to_owned(), Vec::new())].into(),
            listed: true,
            ..Repository::default()
        };
        repository.set(&machine.memory());
        // Docker runs and knows no proxy; somebody else's Grafana is up on the port that is wanted.
        for unit in ["docker.service", "grafana-server.service"] {
            for verb in ["enable", "start"] {
                let command = Command::change(["systemctl", verb, unit]);
                machine.host(None).commands.unwrap().succeed(&command).unwrap();
            }
        }
        machine
    }

    /// The same machine once more, as it is at this moment.
    fn copy(&self) -> Self {
        let copy = Self(TempDir::new_in("/dev/shm").or_else(|_| TempDir::new()).unwrap());
        doubles::copy(&self.root(), &copy.root()).unwrap();
        doubles::copy(&self.memory(), &copy.memory()).unwrap();
        copy
    }

    fn root(&self) -> PathBuf {
        self.0.path().join("root")
    }

    fn memory(&self) -> PathBuf {
        self.0.path().join("memory")
    }

    fn real(&self, below: &str) -> PathBuf {
        self.root().join(below)
    }

    fn write(&self, below: &str, text: &str) {
        let path = self.real(below);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }

    fn read(&self, below: &str) -> String {
        std::fs::read_to_string(self.real(below)).unwrap_or_default()
    }

    fn host(&self, watch: Option<Arc<dyn Watch>>) -> Host {
        doubles::host(&self.root(), &self.memory(), watch).unwrap()
    }

    fn runs(&self, unit: &str) -> bool {
        doubles::System::new(&self.root(), &self.memory())
            .units()
            .iter()
            .any(|known| known.unit == unit && known.active)
    }

    fn firewall(&self) -> String {
        std::fs::read_to_string(self.memory().join("firewalld")).unwrap()
    }

    /// Without what a package manager and an account's lock file remember of themselves.
    fn picture(&self) -> (Picture, String) {
        let said = self.read("var/lib/packages");
        let said: String = said.lines().filter(|line| line.ends_with(" installed")).collect();
        std::fs::write(self.real("var/lib/packages"), &said).unwrap();
        (Picture::of(&self.root(), &self.memory()), self.firewall())
    }

    fn mend(&self, fixes: &[Fix], mode: Mode, watch: Option<Arc<dyn Watch>>) -> Option<RunReport> {
        let host = self.host(watch);
        let plan = fix::plan(fixes, &request()).unwrap();
        Installer::new(&host, &plan, options()).unwrap().run(mode).ok()
    }

    fn take_back(&self, fixes: &[Fix]) {
        let host = self.host(None);
        let plan = fix::plan(fixes, &request()).unwrap();
        let report = Installer::new(&host, &plan, options())
            .unwrap()
            .uninstall(None)
            .unwrap();
        assert!(report.failed.is_empty(), "{:#?}", report.failed);
    }
}

fn options() -> Options {
    Options {
        parallel: 1,
        approvals: vec![fix::APPROVAL.to_owned()],
        ..Options::default()
    }
}

fn request() -> Request {
    Request {
        proxies: Proxies {
            http: Some("http://proxy:3128".to_owned()),
            https: Some("http://ops:hunter2@proxy:3128".to_owned()),
            without: vec!["10.0.0.0/8".to_owned()],
        },
        ..Request::new(For::Node)
    }
}

/// What can be seen on the machine.
type Seen = fn(&Machine) -> bool;

/// One of each kind, with what can be seen of it on the machine.
fn each() -> Vec<(Fix, Seen)> {
    vec![
        (Fix::Package("jq".into()), |on| on.real("usr/bin/jq").exists()),
        (Fix::Folder("/tmp".into()), |on| on.real("tmp").is_dir()),
        (
            Fix::JoinGroup {
                user: "ops".into(),
                group: "docker".into(),
            },
            |on| on.read("etc/group").contains("docker:x:998:ops"),
        ),
        (Fix::ProxyForService("docker.service".into()), |on| {
            let settings = on.read("etc/systemd/system/docker.service.d/aami-proxy.env");
            settings.contains("HTTPS_PROXY=\"http://ops:hunter2@proxy:3128\"")
                && settings.contains("NO_PROXY=\"10.0.0.0/8\"")
                && on.runs("docker.service")
        }),
        (Fix::StartUnit("systemd-timesyncd.service".into()), |on| {
            on.runs("systemd-timesyncd.service")
                && on
                    .real("etc/systemd/system/multi-user.target.wants/systemd-timesyncd.service")
                    .is_symlink()
        }),
        (Fix::StopUnit("grafana-server.service".into()), |on| {
            !on.runs("grafana-server.service")
        }),
        (Fix::OpenPorts(vec![9100, 9400]), |on| {
            ["9100/tcp", "9400/tcp"].iter().all(|port| {
                on.firewall().contains(port) && on.read("etc/firewalld/zones/public.xml").contains(port)
            })
        }),
    ]
}

#[test]
fn each_kind_of_mending_is_done_and_taken_back() {
    for (fix, is_mended) in each() {
        // Given a machine on which it is amiss,
        let machine = Machine::new();
        let before = machine.picture();
        assert!(!is_mended(&machine), "{fix:?}: nothing to mend");
        // when it is mended,
        let fixes = [fix.clone()];
        let report = machine.mend(&fixes, Mode::Fresh, None).unwrap();
        assert_eq!(report.failure(), None, "{fix:?}");
        // then it is as it should be,
        assert!(is_mended(&machine), "{fix:?}");
        // and taking it back leaves nothing.
        machine.take_back(&fixes);
        let after = machine.picture();
        after.0.must_be(&before.0, &format!("{fix:?}, taken back"));
        assert_eq!(after.1, before.1, "{fix:?}, taken back: the firewall");
    }
}

#[test]
fn a_lock_is_removed_when_its_process_is_gone_and_stays_when_it_is_held() {
    let machine = Machine::new();
    let lock = |pid: u32| {
        machine.write("run/yum.pid", &format!("{pid}\n"));
        [Fix::RemoveLock("/run/yum.pid".into())]
    };
    // Given a lock of a process that lives, it stays, and the reason is said.
    let report = machine
        .mend(&lock(std::process::id()), Mode::Fresh, None)
        .unwrap();
    let (code, why) = report.failure().unwrap();
    assert_eq!(code.to_string(), "PACKAGES_LOCKED", "{why}");
    assert!(machine.real("run/yum.pid").exists());
    // Given one of a process that is gone, it is removed.
    let report = machine.mend(&lock(4_194_303), Mode::Fresh, None).unwrap();
    assert_eq!(report.failure(), None);
    assert!(!machine.real("run/yum.pid").exists());
}

#[test]
fn killed_at_every_boundary_mending_is_continued_and_taken_back() {
    let fixes: Vec<Fix> = each().into_iter().map(|(fix, _)| fix).collect();
    let whole = Machine::new();
    let before = whole.picture();
    let report = whole.mend(&fixes, Mode::Fresh, None).unwrap();
    assert_eq!(report.failure(), None);
    let wanted = whole.picture();
    let machine = Machine::new();
    let mut boundaries = 0;
    at_each_moment(
        |watch| machine.mend(&fixes, Mode::Fresh, Some(watch)).unwrap(),
        |at, act, subject| {
            boundaries += 1;
            let story = format!("killed at {at} {:?}", (act, subject));
            // The same again comes to the same end,
            let again = machine.copy();
            let report = again.mend(&fixes, Mode::Resume, None).unwrap();
            assert_eq!(report.failure(), None, "{story}, then continued");
            let now = again.picture();
            now.0.must_be(&wanted.0, &format!("{story}, then continued"));
            assert_eq!(now.1, wanted.1, "{story}, then continued: the firewall");
            // and taking back what was begun leaves nothing.
            let gone = machine.copy();
            gone.take_back(&fixes);
            let now = gone.picture();
            now.0.must_be(&before.0, &format!("{story}, then taken back"));
            assert_eq!(now.1, before.1, "{story}, then taken back: the firewall");
        },
    );
    assert!(boundaries > 60, "only {boundaries} boundaries");
}
