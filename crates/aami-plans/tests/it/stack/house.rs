//! A temporary host, the components it is offered, and a control plane that remembers what it made.

use std::collections::BTreeMap;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use aami_install::checkpoint::Watch;
use aami_install::doubles::{self, System, UnitPicture};
use aami_install::executor::{DryRun, StatusReport};
use aami_install::{
    Cancel, Held, Host, HostPath, InstallError, Installer, Mode, Options, Plan, RunReport, StepError,
    UninstallReport,
};
use aami_inventory::Arch;
use aami_model::run::RunEvent;
use aami_plans::download::{Backoff, Downloader, Proxies, Settings};
use aami_plans::obtain::{Mirror, Source};
use aami_plans::stack::uninstall::{TakeBackError, TakenBack, hold, take_back};
use aami_plans::stack::{
    ControlPlane, FirstToken, Given, Looked, Note, Part, Purpose, Render, Rendered, Runtime, Stack,
    StackOptions, TokenWish, Wishes, take_back_credential, take_back_former,
};
use tempfile::TempDir;

use crate::archives::{self, AMD64};

/// What somebody was told of runs: the host, and what happened.
type Told = Arc<Mutex<Vec<(String, Vec<RunEvent>)>>>;

/// A temporary host.
pub(crate) struct House {
    dir: TempDir,
    /// What every test of health answers, by part; a part that runs is well unless it is named here.
    pub(crate) unwell: Arc<Mutex<Vec<Part>>>,
    /// The keys the control plane takes.
    pub(crate) keys: Arc<Mutex<Vec<String>>>,
    /// How often it made a token.
    pub(crate) tokens: Arc<Mutex<u32>>,
    /// What it was told of runs: the host, and the events.
    pub(crate) told: Told,
    /// A password somebody gave.
    pub(crate) password: Option<&'static str>,
    /// What the parts are told where there is no control plane; there is one where this is absent.
    pub(crate) declared: Option<Rendered>,
    /// What the parts run under.
    runtime: Runtime,
    /// Who carries the components; the folder of this host where nobody does.
    pub(crate) mirror: Option<Mirror>,
    /// Calls the next run off.
    pub(crate) cancel: Cancel,
}

/// One path of a picture.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Thing {
    Folder(u32, u32, u32),
    File(u32, u32, u32, Vec<u8>),
    Link(String),
}

/// A host at one moment: every path, every unit, and what its container engine holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Picture {
    paths: BTreeMap<String, Thing>,
    units: Vec<UnitPicture>,
    containers: Vec<String>,
}

const COMPONENTS: [(&str, &[&str]); 4] = [
    ("prometheus", &["prometheus", "promtool"]),
    ("alertmanager", &["alertmanager", "amtool"]),
    ("grafana", &["grafana"]),
    ("node_exporter", &["node_exporter"]),
];

/// What lies beside Grafana's program.
const TREE: [(&str, &str); 2] = [
    ("grafana/conf/defaults.ini", "[paths]\n"),
    ("grafana/public/index.html", "<html>"),
];

/// Where a program lies in its component's archive.
fn inside(name: &str, program: &str) -> String {
    if name == "grafana" {
        format!("{name}/bin/{program}")
    } else {
        format!("{name}/{program}")
    }
}

/// A folder in memory where there is one: thousands of runs sync to it.
fn in_memory() -> TempDir {
    TempDir::new_in("/dev/shm").or_else(|_| TempDir::new()).unwrap()
}

/// Nobody here is far away, and who is silent for a moment stays so.
fn downloader() -> Downloader {
    let mut settings = Settings::new(Proxies::default(), || 0.5);
    settings.silence = std::time::Duration::from_millis(500);
    settings.attempts = 3;
    settings.backoff = Backoff {
        first: std::time::Duration::ZERO,
        most: std::time::Duration::ZERO,
        random: || 0.5,
        sleep: |_| {},
    };
    Downloader::new(settings)
}

impl House {
    pub(crate) fn new() -> Self {
        let house = Self {
            dir: in_memory(),
            unwell: Arc::default(),
            keys: Arc::default(),
            tokens: Arc::default(),
            told: Arc::default(),
            password: None,
            declared: None,
            runtime: Runtime::Systemd,
            mirror: None,
            cancel: Cancel::new(),
        };
        for folder in ["etc/systemd/system", "run", "usr/local/bin", "var/lib", "opt"] {
            std::fs::create_dir_all(house.real(folder)).unwrap();
        }
        let (uid, gid) = (
            rustix::process::geteuid().as_raw(),
            rustix::process::getegid().as_raw(),
        );
        house.write(
            "etc/passwd",
            &format!("root:x:{uid}:{gid}:root:/root:/bin/bash\n"),
        );
        house.write("etc/group", &format!("root:x:{gid}:\n"));
        std::fs::create_dir(house.memory()).unwrap();
        std::fs::write(house.dir.path().join("aami"), archives::program(AMD64, 300)).unwrap();
        std::fs::write(house.dir.path().join("aami-agent"), archives::program(AMD64, 200)).unwrap();
        std::fs::create_dir(house.components()).unwrap();
        house.offer(&["prometheus", "alertmanager", "grafana", "node_exporter"]);
        house
    }

    /// One on which containers run the server.
    pub(crate) fn of_containers() -> Self {
        let house = Self {
            runtime: Runtime::Compose,
            ..Self::new()
        };
        let docker = house.real("usr/bin/docker");
        std::fs::create_dir(house.real("usr/bin")).unwrap();
        std::fs::write(&docker, "").unwrap();
        std::fs::set_permissions(docker, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
        house
    }

    /// The same host once more, as it is at this moment, with a control plane that knows the same.
    pub(crate) fn copy(&self) -> Self {
        fn same<T: Clone>(of: &Mutex<T>) -> Arc<Mutex<T>> {
            Arc::new(Mutex::new(of.lock().unwrap().clone()))
        }
        let dir = in_memory();
        for name in ["root", "memory", "components", "aami", "aami-agent"] {
            doubles::copy(&self.dir.path().join(name), &dir.path().join(name)).unwrap();
        }
        Self {
            dir,
            unwell: same(&self.unwell),
            keys: same(&self.keys),
            tokens: same(&self.tokens),
            told: same(&self.told),
            password: self.password,
            declared: self.declared.clone(),
            runtime: self.runtime,
            mirror: self.mirror.clone(),
            cancel: Cancel::new(),
        }
    }

    /// Puts exactly these components into the folder they are taken from.
    pub(crate) fn offer(&self, names: &[&str]) {
        let mut catalogue = "format = 1\n".to_owned();
        for (name, programs) in COMPONENTS.iter().filter(|(name, _)| names.contains(name)) {
            let file = format!("{name}-1.0.0.linux-amd64.tar.gz");
            let bytes: Vec<(String, Vec<u8>)> = programs
                .iter()
                .map(|program| {
                    (
                        inside(name, program),
                        archives::program(AMD64, 100 + program.len()),
                    )
                })
                .collect();
            let entries: Vec<_> = bytes
                .iter()
                .map(|(path, bytes)| archives::file(path, bytes))
                .collect();
            let mut entries = entries;
            if *name == "grafana" {
                entries.extend(TREE.map(|(path, text)| archives::file(path, text.as_bytes())));
            }
            let archive = archives::tar_gz(&entries);
            std::fs::write(self.components().join(&file), &archive).unwrap();
            let programs: Vec<String> = programs
                .iter()
                .map(|program| format!("{program} = \"{}\"", inside(name, program)))
                .collect();
            catalogue.push_str(&format!(
                "\n[[component]]\nname = \"{name}\"\nversion = \"1.0.0\"\nkind = \"server\"\nlicense = \"MIT\"\n\
                 archive = \"tar.gz\"\n[component.build.amd64]\nfile = \"{file}\"\nsha256 = \"{}\"\n\
                 programs = {{ {} }}\n{}",
                archives::sum(&archive),
                programs.join(", "),
                if *name == "grafana" { "tree = \"grafana\"\n" } else { "" }
            ));
        }
        for (name, _) in COMPONENTS.iter().filter(|(name, _)| !names.contains(name)) {
            let _ = std::fs::remove_file(self.components().join(format!("{name}-1.0.0.linux-amd64.tar.gz")));
            catalogue.push_str(&format!(
                "\n[[absent]]\nname = \"{name}\"\nkind = \"server\"\nwhy = \"nobody offers it here\"\n"
            ));
        }
        std::fs::write(self.components().join("components.toml"), catalogue).unwrap();
    }

    pub(crate) fn components(&self) -> PathBuf {
        self.dir.path().join("components")
    }

    fn root(&self) -> PathBuf {
        self.dir.path().join("root")
    }

    fn memory(&self) -> PathBuf {
        self.dir.path().join("memory")
    }

    pub(crate) fn real(&self, below: &str) -> PathBuf {
        self.root().join(below.trim_start_matches('/'))
    }

    pub(crate) fn write(&self, below: &str, text: &str) {
        std::fs::write(self.real(below), text).unwrap();
    }

    pub(crate) fn read(&self, below: &str) -> String {
        std::fs::read_to_string(self.real(below)).unwrap_or_else(|error| panic!("{below}: {error}"))
    }

    pub(crate) fn mode(&self, below: &str) -> u32 {
        self.real(below).symlink_metadata().unwrap().permissions().mode() & 0o7777
    }

    pub(crate) fn link(&self, below: &str) -> String {
        std::fs::read_link(self.real(below))
            .unwrap()
            .display()
            .to_string()
    }

    pub(crate) fn exists(&self, below: &str) -> bool {
        self.real(below).symlink_metadata().is_ok()
    }

    pub(crate) fn host(&self, watch: Option<Arc<dyn Watch>>) -> Host {
        doubles::host(&self.root(), &self.memory(), watch).unwrap()
    }

    pub(crate) fn units(&self) -> Vec<UnitPicture> {
        System::new(&self.root(), &self.memory()).units()
    }

    /// The plan as whoever looks at the host now has it.
    pub(crate) fn looked_at(&self, host: &Host) -> Stack {
        self.stack(self.looking(host))
    }

    fn stack(&self, purpose: Purpose) -> Stack {
        Stack::new(self.options(purpose)).unwrap()
    }

    /// What the plan is made of.
    pub(crate) fn options(&self, purpose: Purpose) -> StackOptions {
        let wishes = match &purpose {
            Purpose::Look(note) => note.wishes.clone(),
            Purpose::Install => Wishes {
                control_plane: self.declared.is_none(),
                runtime: self.runtime,
                image: format!("docker.io/library/debian@sha256:{}", "5b".repeat(32)),
                mirror: self.mirror.as_ref().map(|mirror| mirror.url.clone()),
                ..Wishes::usual().unwrap()
            },
        };
        let declared = self.declared.clone();
        let (system, unwell) = (System::new(&self.root(), &self.memory()), self.unwell.clone());
        let runtime = wishes.runtime;
        let runs = move |part: Part| match runtime {
            Runtime::Systemd => {
                let units = system.units();
                units.iter().any(|unit| unit.unit == part.unit() && unit.active)
            }
            Runtime::Compose => {
                let container = format!("container aami {} ", part.name());
                let containers = system.containers();
                containers
                    .iter()
                    .any(|line| line.starts_with(&container) && line.ends_with(" running"))
            }
        };
        let folder = Source::Folder(self.components());
        StackOptions {
            render: declared.map(|rendered| Box::new(move |_: &[Part]| Ok(rendered.clone())) as Box<Render>),
            purpose,
            wishes,
            why_runtime: "asked for".to_owned(),
            grafana_password: self.password.map(Given::new),
            certificate: None,
            token: TokenWish {
                max_uses: 10,
                ttl: std::time::Duration::from_secs(3600),
            },
            skip_preflight: false,
            sources: vec![self.mirror.clone().map_or(folder, Source::Mirror)],
            known: Vec::new(),
            downloader: downloader(),
            program: self.dir.path().join("aami"),
            agents: vec![(Arch::Amd64, self.dir.path().join("aami-agent"))],
            released: BTreeMap::new(),
            arch: Arch::Amd64,
            look_first: Box::new(Looked::default),
            listeners: Box::new(|_| Vec::new()),
            ask: Box::new(move |question| {
                if unwell.lock().unwrap().contains(&question.part) || !runs(question.part) {
                    return Err("connection refused".to_owned());
                }
                Ok(())
            }),
            control_plane: Box::new(Book {
                keys: self.keys.clone(),
                tokens: self.tokens.clone(),
                told: self.told.clone(),
            }),
        }
    }

    /// Runs the plan one step at a time; answers with what could not be had.
    pub(crate) fn run(
        &self,
        mode: Mode,
        watch: Option<Arc<dyn Watch>>,
    ) -> Result<(RunReport, Vec<String>), InstallError> {
        let host = self.host(watch);
        let stack = self.stack(Purpose::Install);
        let installer = Installer::new(&host, stack.plan(), options())
            .unwrap()
            .cancelled_by(self.cancel.clone());
        let ran = stack.run(installer, mode, "server-1")?;
        Ok((ran.report, stack.session().missing().into_keys().collect()))
    }

    /// The same with other options.
    #[track_caller]
    pub(crate) fn run_with(
        &self,
        mode: Mode,
        change: impl FnOnce(&mut StackOptions),
    ) -> (RunReport, Vec<String>) {
        self.watched_with(mode, None, change)
    }

    #[track_caller]
    pub(crate) fn watched_with(
        &self,
        mode: Mode,
        watch: Option<Arc<dyn Watch>>,
        change: impl FnOnce(&mut StackOptions),
    ) -> (RunReport, Vec<String>) {
        let host = self.host(watch);
        let mut wanted = self.options(Purpose::Install);
        change(&mut wanted);
        let stack = Stack::new(wanted).unwrap();
        let installer = Installer::new(&host, stack.plan(), options()).unwrap();
        let ran = stack.run(installer, mode, "server-1").unwrap();
        (ran.report, stack.session().missing().into_keys().collect())
    }

    #[track_caller]
    pub(crate) fn install(&self) -> (RunReport, Vec<String>) {
        let (report, missing) = self.run(Mode::Fresh, None).unwrap();
        let failure = report.failure().map(|(code, why)| format!("{code}: {why}"));
        assert_eq!(failure, None, "{:#?}", report.steps);
        (report, missing)
    }

    pub(crate) fn dry_run(&self) -> DryRun {
        let host = self.host(None);
        let stack = self.stack(Purpose::Install);
        Installer::new(&host, stack.plan(), options())
            .unwrap()
            .dry_run()
            .unwrap()
    }

    /// How it stands, by what is noted on the host.
    pub(crate) fn status(&self) -> StatusReport {
        let host = self.host(None);
        let stack = self.looked_at(&host);
        Installer::new(&host, stack.plan(), options())
            .unwrap()
            .status()
            .unwrap()
    }

    fn looking(&self, host: &Host) -> Purpose {
        Note::read(host).map_or(Purpose::Install, |note| Purpose::Look(Box::new(note)))
    }

    /// Runs another plan, as an earlier version of this one.
    pub(crate) fn run_earlier(&self, plan: &Plan) {
        let host = self.host(None);
        let report = Installer::new(&host, plan, options()).unwrap();
        let report = report.run(Mode::Fresh).unwrap();
        assert!(report.failure().is_none(), "{:#?}", report.steps);
    }

    /// Takes back what earlier versions made and the plan does not want.
    pub(crate) fn take_back_former(&self) -> Option<UninstallReport> {
        let (host, stack) = (self.host(None), self.stack(Purpose::Install));
        let held = kept_out(&host, &stack);
        take_back_former(&host, &stack, &options(), &held).unwrap()
    }

    /// Takes back what a mirror wanted to see that is asked no more.
    pub(crate) fn take_back_credential(&self) -> Option<UninstallReport> {
        let (host, stack) = (self.host(None), self.stack(Purpose::Install));
        let held = kept_out(&host, &stack);
        take_back_credential(&host, &stack, &options(), &held).unwrap()
    }

    /// Installs as the command does: what is former goes before and after, all of it while one lock is held. Answers how
    /// often somebody else could have come in between.
    pub(crate) fn install_at_one_go(&self) -> usize {
        let (host, stack) = (self.host(None), self.stack(Purpose::Install));
        let installer = || Installer::new(&host, stack.plan(), options()).unwrap();
        let mut gaps = 0;
        let mut somebody_else = || gaps += usize::from(installer().hold().is_ok());
        let held = kept_out(&host, &stack);
        take_back_former(&host, &stack, &options(), &held).unwrap();
        somebody_else();
        let report = installer().within(&held).run(Mode::Fresh).unwrap();
        assert!(report.failure().is_none(), "{:?}", report.failure());
        somebody_else();
        take_back_credential(&host, &stack, &options(), &held).unwrap();
        somebody_else();
        drop(held);
        assert!(installer().hold().is_ok(), "the lock is still held");
        gaps
    }

    /// Takes the plan back.
    pub(crate) fn undo(
        &self,
        purges: bool,
        watch: Option<Arc<dyn Watch>>,
    ) -> Result<TakenBack, TakeBackError> {
        let host = self.host(watch);
        let stack = self.looked_at(&host);
        let held = hold(&host, &stack, &options())?;
        take_back(&host, &stack, &options(), purges, &Cancel::new(), &held)
    }

    #[track_caller]
    pub(crate) fn uninstall(&self, purges: bool) -> TakenBack {
        let taken = self.undo(purges, None).unwrap();
        assert!(taken.report.failed.is_empty(), "{:#?}", taken.report.failed);
        taken
    }

    /// Everything but the lock and the plans' own memory, which tells times and attempts.
    pub(crate) fn picture(&self) -> Picture {
        Picture::of(&self.root(), &self.memory())
    }
}

/// Keeps everybody else from changing the host.
fn kept_out<'a>(host: &'a Host, stack: &'a Stack) -> Held<'a> {
    let installer = Installer::new(host, stack.plan(), options()).unwrap();
    installer.hold().unwrap()
}

pub(crate) fn options() -> Options {
    Options {
        parallel: 1,
        ..Options::default()
    }
}

fn walk(root: &Path, folder: &Path, paths: &mut BTreeMap<String, Thing>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = format!("/{}", path.strip_prefix(root).unwrap().display());
        if name == "/run/aami" || name.starts_with("/var/lib/aami/install/") {
            continue;
        }
        let meta = path.symlink_metadata().unwrap();
        let (mode, uid, gid) = (meta.permissions().mode() & 0o7777, meta.uid(), meta.gid());
        let thing = if meta.is_symlink() {
            Thing::Link(path.read_link().unwrap().display().to_string())
        } else if meta.is_dir() {
            walk(root, &path, paths);
            Thing::Folder(mode, uid, gid)
        } else {
            Thing::File(mode, uid, gid, std::fs::read(&path).unwrap())
        };
        paths.insert(name, thing);
    }
}

impl Picture {
    /// Of the host below `root`, whose doubles remember in `memory`.
    pub(crate) fn of(root: &Path, memory: &Path) -> Self {
        let mut paths = BTreeMap::new();
        walk(root, root, &mut paths);
        let system = System::new(root, memory);
        Self {
            paths,
            units: system.units(),
            containers: system.containers(),
        }
    }

    #[track_caller]
    pub(crate) fn must_be(&self, other: &Self, story: &str) {
        let names = self.paths.keys().chain(other.paths.keys());
        let mut lines: Vec<String> = names
            .filter(|name| self.paths.get(*name) != other.paths.get(*name))
            .map(|name| {
                let short =
                    |thing: Option<&Thing>| format!("{thing:?}").chars().take(200).collect::<String>();
                format!(
                    "{name}: {} / {}",
                    short(self.paths.get(name)),
                    short(other.paths.get(name))
                )
            })
            .collect();
        if self.units != other.units {
            lines.push(format!("units: {:?} / {:?}", self.units, other.units));
        }
        if self.containers != other.containers {
            lines.push(format!(
                "containers: {:?} / {:?}",
                self.containers, other.containers
            ));
        }
        lines.sort();
        lines.dedup();
        assert!(lines.is_empty(), "{story}:\n{}", lines.join("\n"));
    }

    /// Without what these files say, for who made them at random does not do so twice.
    pub(crate) fn without_the_text_of(mut self, names: &[&str]) -> Self {
        for (name, thing) in &mut self.paths {
            if let (true, Thing::File(.., bytes)) = (names.contains(&name.as_str()), thing) {
                bytes.clear();
            }
        }
        self
    }

    /// Each file below a folder is the same in `other`.
    #[track_caller]
    pub(crate) fn must_be_part_of(&self, other: &Self, below: &str, story: &str) {
        let is_another = |(name, thing): &(&String, &Thing)| {
            let is_file = matches!(thing, Thing::File(..));
            is_file && name.starts_with(below) && other.paths.get(*name) != Some(*thing)
        };
        let others: Vec<&String> = self
            .paths
            .iter()
            .filter(is_another)
            .map(|(name, _)| name)
            .collect();
        assert!(others.is_empty(), "{story}: {others:?}");
    }

    /// Every path.
    pub(crate) fn names(&self) -> impl Iterator<Item = &String> {
        self.paths.keys()
    }

    /// The paths that are here and not in `other`.
    pub(crate) fn beyond(&self, other: &Self) -> Vec<String> {
        let names = self.paths.keys().filter(|name| !other.paths.contains_key(*name));
        names.cloned().collect()
    }
}

/// A control plane that makes the same key and token every time, so that pictures can be compared.
struct Book {
    keys: Arc<Mutex<Vec<String>>>,
    tokens: Arc<Mutex<u32>>,
    told: Told,
}

impl ControlPlane for Book {
    fn tell(&self, host: &str, events: Vec<RunEvent>) -> Result<(), StepError> {
        self.told.lock().unwrap().push((host.to_owned(), events));
        Ok(())
    }

    fn discovery_key(&self) -> Result<String, StepError> {
        let mut keys = self.keys.lock().unwrap();
        let key = match keys.last() {
            // What it was told to forget is not made again.
            Some(gone) if gone == "revoked" => "aamik_second".to_owned(),
            _ => "aamik_first".to_owned(),
        };
        keys.push(key.clone());
        Ok(key)
    }

    fn takes(&self, key: &str) -> Result<bool, StepError> {
        Ok(self.keys.lock().unwrap().iter().any(|known| known == key))
    }

    fn token(&self, _: TokenWish) -> Result<FirstToken, StepError> {
        *self.tokens.lock().unwrap() += 1;
        Ok(FirstToken {
            token: "aami_token".to_owned(),
            one_line: "curl -H 'Authorization: Bearer aami_token' https://server/bootstrap.sh | sudo sh"
                .to_owned(),
        })
    }
}

/// A path on a host.
pub(crate) fn path(text: &str) -> HostPath {
    HostPath::new(text).unwrap()
}
