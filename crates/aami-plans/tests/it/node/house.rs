//! A temporary host that becomes a node, on its own or of a control plane, and what answers on its ports while its units
//! run.

use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, Once, OnceLock, PoisonError};
use std::time::Duration;

use aami_api::client::{Settings as Api, Trust};
use aami_install::checkpoint::Watch;
use aami_install::doubles::{self, System};
use aami_install::executor::StatusReport;
use aami_install::{Cancel, Host, InstallError, Installer, Mode, Options, RunReport, UninstallReport};
use aami_inventory::gpu::{Gpu, Gpus, Vendor};
use aami_inventory::{Inventory, SystemCommands};
use aami_model::code;
use aami_model::label::Labels;
use aami_model::secret::Secret;
use aami_plans::download::{Downloader, Proxies, Settings};
use aami_plans::node::{Change, Enrolment, Form, Node, NodeOptions, Purpose, Summary, Unregisterer};
use aami_plans::obtain::Source;

use super::plane::{self, Book};
use crate::archives::{self, AMD64};
use crate::stack::house::Picture;

/// Each port with its unit and what it answers.
const PORTS: [(u16, &str, &str); 4] = [
    (
        9100,
        "aami-node-exporter.service",
        "node_exporter_build_info{} 1\n",
    ),
    (9400, "aami-dcgm-exporter.service", "DCGM_FI_DEV_GPU_TEMP{} 40\n"),
    (9401, "aami-all-smi.service", "all_smi_gpu_utilization{} 40\n"),
    (9105, "aami-agent.service", "aami_agent_info{version=\"1\"} 1\n"),
];
/// Where the control plane answers.
const PLANE: u16 = 8080;

/// What is asked by whoever answers: there is one house at a time in a process.
#[derive(Default)]
struct Asked {
    root: PathBuf,
    memory: PathBuf,
    mute: Option<u16>,
    /// Whether its address may not be registered.
    is_refused: bool,
}

impl Asked {
    /// Whether somebody answers at this port of it.
    fn runs(&self, port: u16) -> bool {
        let units = System::new(&self.root, &self.memory).units();
        let unit = PORTS
            .iter()
            .find(|(known, ..)| *known == port)
            .map(|known| known.1);
        self.mute != Some(port)
            && units
                .iter()
                .any(|known| Some(known.unit.as_str()) == unit && known.active)
    }
}

static ASKED: Mutex<Option<Asked>> = Mutex::new(None);
static ONE_HOUSE: Mutex<()> = Mutex::new(());
static SERVED: Once = Once::new();
/// Looking at a machine takes longer than installing one here.
static INVENTORY: OnceLock<Inventory> = OnceLock::new();

/// Answers on a port while its unit runs in the house there is.
fn serve(port: u16, text: &'static str) {
    let listener = TcpListener::bind((address(), port)).unwrap();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            if ASKED
                .lock()
                .unwrap()
                .as_ref()
                .is_some_and(|asked| asked.runs(port))
            {
                // Whoever asks may be gone by now.
                let _ = stream.and_then(|stream| answer(stream, text));
            }
        }
    });
}

/// Answers as the control plane of the house there is.
fn serve_plane() {
    let listener = TcpListener::bind((address(), PLANE)).unwrap();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let asked = ASKED.lock().unwrap();
            if let Some(asked) = asked.as_ref() {
                let refused = asked.is_refused.then(|| address().into());
                // Whoever asks may be gone by now.
                let _ = stream
                    .and_then(|stream| plane::serve(stream, &asked.memory, refused, |port| asked.runs(port)));
            }
        }
    });
}

/// An address of this process' own: tests run beside each other, and the ports are always the same.
fn address() -> Ipv4Addr {
    let [_, _, high, low] = std::process::id().to_be_bytes();
    Ipv4Addr::new(127, 77, high, low)
}

/// A temporary host.
pub(crate) struct House {
    dir: PathBuf,
    inventory: Inventory,
    tells: bool,
    /// Whether it enrols with a control plane.
    enrols: bool,
    /// Calls the next run off.
    pub(crate) cancel: Cancel,
    /// Where the one lies that this one is a copy of.
    aside: Option<PathBuf>,
    _alone: Option<MutexGuard<'static, ()>>,
}

impl House {
    pub(crate) fn new() -> Self {
        // One that failed before has left nothing that matters here.
        let alone = ONE_HOUSE.lock().unwrap_or_else(PoisonError::into_inner);
        // Always the same: where it is stands in a unit, and pictures of two houses are compared.
        let memory = Path::new("/dev/shm");
        let base = if memory.is_dir() {
            memory.to_owned()
        } else {
            std::env::temp_dir()
        };
        let dir = base.join(format!("aami-node-house-{}", std::process::id()));
        let _ = std::fs::remove_dir_all(&dir);
        let root = dir.join("root");
        for folder in [
            "etc/systemd/system",
            "run",
            "usr/local/bin",
            "usr/sbin",
            "var/lib",
            "opt",
        ] {
            std::fs::create_dir_all(root.join(folder)).unwrap();
        }
        let (uid, gid) = (
            rustix::process::geteuid().as_raw(),
            rustix::process::getegid().as_raw(),
        );
        let passwd = format!("root:x:{uid}:{gid}:root:/root:/bin/bash\n");
        std::fs::write(root.join("etc/passwd"), passwd).unwrap();
        std::fs::write(root.join("etc/group"), format!("root:x:{gid}:\n")).unwrap();
        std::fs::create_dir(dir.join("memory")).unwrap();
        std::fs::write(dir.join("aami-agent"), archives::program(AMD64, 200)).unwrap();
        stock(&dir.join("components"));
        SERVED.call_once(|| {
            for (port, _, text) in PORTS {
                serve(port, text);
            }
            serve_plane();
        });
        let house = Self {
            inventory: INVENTORY.get_or_init(inventory).clone(),
            tells: false,
            enrols: false,
            cancel: Cancel::new(),
            aside: None,
            dir,
            _alone: Some(alone),
        };
        *ASKED.lock().unwrap() = Some(Asked {
            root: house.root(),
            memory: house.memory(),
            mute: None,
            is_refused: false,
        });
        house
    }

    /// One that enrols with a control plane, and whose agent is connected with it.
    pub(crate) fn enrolling() -> Self {
        let mut house = Self::new();
        house.enrols = true;
        house
    }

    /// The same host once more, as it is at this moment, in the place of this one, which is back there when the copy is
    /// dropped.
    pub(crate) fn copy(&self) -> Self {
        let aside = self.dir.with_extension("aside");
        std::fs::rename(&self.dir, &aside).unwrap();
        doubles::copy(&aside, &self.dir).unwrap();
        Self {
            dir: self.dir.clone(),
            inventory: self.inventory.clone(),
            tells: self.tells,
            enrols: self.enrols,
            cancel: Cancel::new(),
            aside: Some(aside),
            _alone: None,
        }
    }

    /// One whose runs are told in the exporter's folder, which happens beside them and not at a boundary.
    pub(crate) fn telling() -> Self {
        let mut house = Self::new();
        house.tells = true;
        house
    }

    fn installer<'a>(&self, host: &'a Host, node: &'a Node) -> Installer<'a> {
        let installer = Installer::new(host, node.plan(), one_at_a_time())
            .unwrap()
            .cancelled_by(self.cancel.clone());
        if self.tells {
            installer.textfile(node.textfile().clone(), "gpu-01")
        } else {
            installer
        }
    }

    /// From now on nobody answers on this port.
    pub(crate) fn silence(&self, port: u16) {
        ASKED.lock().unwrap().as_mut().unwrap().mute = Some(port);
    }

    /// From now on the control plane registers nobody at this host's address.
    pub(crate) fn refuse_its_address(&self) {
        ASKED.lock().unwrap().as_mut().unwrap().is_refused = true;
    }

    /// The nodes that the control plane has, each with the ports of its exporters.
    pub(crate) fn nodes(&self) -> Vec<(String, Vec<u16>)> {
        Book::read(&self.memory()).nodes()
    }

    /// From now on everybody answers again.
    pub(crate) fn speak(&self) {
        ASKED.lock().unwrap().as_mut().unwrap().mute = None;
    }

    fn root(&self) -> PathBuf {
        self.dir.join("root")
    }

    fn memory(&self) -> PathBuf {
        self.dir.join("memory")
    }

    pub(crate) fn exists(&self, below: &str) -> bool {
        self.root().join(below).symlink_metadata().is_ok()
    }

    pub(crate) fn read(&self, below: &str) -> String {
        std::fs::read_to_string(self.root().join(below)).unwrap()
    }

    /// Removes a folder, as somebody does who tidies up.
    pub(crate) fn lose(&self, below: &str) {
        std::fs::remove_dir_all(self.root().join(below)).unwrap();
    }

    /// Leaves the note that an enrolment would.
    pub(crate) fn enrolled_with(&self, server: &str) {
        let folder = self.root().join("var/lib/aami/agent");
        std::fs::create_dir_all(&folder).unwrap();
        let note = serde_json::json!({ "server": server, "request": { "hostname": "gpu-01" } });
        std::fs::write(folder.join("registration.json"), note.to_string()).unwrap();
    }

    /// The units that run.
    pub(crate) fn running(&self) -> Vec<String> {
        let units = System::new(&self.root(), &self.memory()).units();
        let running = units.into_iter().filter(|unit| unit.active);
        running.map(|unit| unit.unit).collect()
    }

    fn host(&self, watch: Option<Arc<dyn Watch>>) -> Host {
        doubles::host(&self.root(), &self.memory(), watch).unwrap()
    }

    fn options(&self, purpose: Purpose) -> NodeOptions {
        let inventory = self.inventory.clone();
        NodeOptions {
            purpose,
            form: Form::Host,
            cluster: "default".to_owned(),
            api: self.enrols.then(api),
            token: self.enrols.then(|| Secret::parse(plane::TOKEN).unwrap()),
            run: None,
            port: None,
            labels: Labels([("rack".to_owned(), "a1".to_owned())].into()),
            address: Some(address().into()),
            adopt: false,
            // It looks at the machine that runs the tests.
            skip_preflight: true,
            skip_firewall: true,
            scrape_from: Vec::new(),
            skip_gpu: false,
            dcgm_image: None,
            skip_checks: false,
            skip_agent: false,
            proxies: Proxies::default(),
            sources: vec![Source::Folder(self.dir.join("components"))],
            downloader: Downloader::new(Settings::new(Proxies::default(), || 0.5)),
            agent: Some(self.dir.join("aami-agent")),
            release_key: None,
            look: Box::new(move || Ok(inventory.clone())),
            listeners: Box::new(|_| Vec::new()),
            foreground: None,
        }
    }

    /// Runs the plan one step at a time; answers with what there is to tell.
    pub(crate) fn run(
        &self,
        mode: Mode,
        watch: Option<Arc<dyn Watch>>,
    ) -> Result<(RunReport, Summary), InstallError> {
        self.run_with(mode, watch, |_| {})
    }

    fn run_with(
        &self,
        mode: Mode,
        watch: Option<Arc<dyn Watch>>,
        change: impl FnOnce(&mut NodeOptions),
    ) -> Result<(RunReport, Summary), InstallError> {
        let host = self.host(watch);
        let mut options = self.options(Purpose::Install);
        change(&mut options);
        let node = Node::new(options).unwrap();
        let report = self.installer(&host, &node).run(mode)?;
        Ok((report, node.session().summary()))
    }

    #[track_caller]
    pub(crate) fn install(&self) -> (RunReport, Summary) {
        self.install_with(|_| {})
    }

    #[track_caller]
    pub(crate) fn install_with(&self, change: impl FnOnce(&mut NodeOptions)) -> (RunReport, Summary) {
        let (report, summary) = self.run_with(Mode::Fresh, None, change).unwrap();
        let failure = report.failure().map(|(code, why)| format!("{code}: {why}"));
        assert_eq!(failure, None, "{:#?}", report.steps);
        (report, summary)
    }

    /// Adds or removes an exporter, as `aami-agent exporters` does; answers what was taken back.
    pub(crate) fn change(&self, change: &Change, watch: Option<Arc<dyn Watch>>) -> UninstallReport {
        let host = self.host(watch);
        let enrolment = self.enrolment().expect("it is a node");
        let options = NodeOptions {
            token: None,
            ..self.options(Purpose::Exporters {
                enrolment: Box::new(enrolment),
                change: change.clone(),
            })
        };
        let node = Node::new(options).unwrap();
        let name = node.exporter(&host).unwrap().unwrap();
        let gone = match change {
            Change::Add(_) => None,
            Change::Remove(_) => match node.exporter_effects(&host, &name) {
                Ok(gone) => Some(gone),
                // It is gone already, and the command ends with that.
                Err(error) if error.code() == code::NOT_FOUND => return UninstallReport::default(),
                Err(error) => panic!("{error}"),
            },
        };
        let held = self.installer(&host, &node).hold().unwrap();
        let installer = || self.installer(&host, &node).within(&held);
        let report = installer().run(Mode::Fresh).unwrap();
        let failure = report.failure().map(|(code, why)| format!("{code}: {why}"));
        assert_eq!(failure, None, "{:#?}", report.steps);
        let taken = gone.map(|gone| installer().take_back(&gone).unwrap());
        taken.unwrap_or_default()
    }

    fn enrolment(&self) -> Option<Enrolment> {
        Enrolment::read(&self.root(), Form::Host, "default").unwrap()
    }

    fn looked_at(&self) -> Node {
        let enrolment = self.enrolment();
        let purpose = Purpose::Look(enrolment.map(Box::new));
        Node::new(self.options(purpose)).unwrap()
    }

    /// How it stands, by what is noted on the host.
    pub(crate) fn status(&self) -> StatusReport {
        let (host, node) = (self.host(None), self.looked_at());
        let installer = Installer::new(&host, node.plan(), one_at_a_time());
        installer.unwrap().status().unwrap()
    }

    /// Takes it back. Where it is a node on its own there is nobody who could be asked for anything.
    pub(crate) fn undo(&self, watch: Option<Arc<dyn Watch>>) -> Result<UninstallReport, InstallError> {
        let (host, node) = (self.host(watch), self.looked_at());
        let unregisterer = Unregisterer {
            trust: Trust::System,
            proxies: Proxies::default(),
            server: None,
            secret: None,
        };
        self.installer(&host, &node).uninstall(Some(&unregisterer))
    }

    #[track_caller]
    pub(crate) fn uninstall(&self) {
        let report = self.undo(None).unwrap();
        assert!(report.failed.is_empty(), "{:#?}", report.failed);
        assert_eq!(report.left, Vec::<String>::new());
    }

    pub(crate) fn picture(&self) -> Picture {
        let secrets = ["/var/lib/aami/agent/node.key", "/var/lib/aami/agent/credential"];
        Picture::of(&self.root(), &self.memory()).without_the_text_of(&secrets)
    }
}

impl Drop for House {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.dir);
        if let Some(aside) = &self.aside {
            let _ = std::fs::rename(aside, &self.dir);
        }
    }
}

/// How its control plane is reached.
fn api() -> Api {
    Api::new(format!("http://{}:{PLANE}", address()))
}

fn one_at_a_time() -> Options {
    Options {
        parallel: 1,
        ..Options::default()
    }
}

fn answer(mut stream: TcpStream, text: &str) -> std::io::Result<()> {
    stream.set_read_timeout(Some(Duration::from_secs(2)))?;
    let _ = stream.read(&mut [0_u8; 4096])?;
    let length = text.len();
    write!(
        stream,
        "HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n{text}"
    )
}

/// This machine, as if it had two GPUs.
fn inventory() -> Inventory {
    let commands = SystemCommands::default();
    let mut inventory = Inventory::collect(&aami_inventory::Host {
        root: Path::new("/"),
        privileged: false,
        commands: &commands,
    })
    .unwrap();
    let gpu = Gpu {
        vendor: Vendor::Nvidia,
        pci_address: None,
        model: Some("H100 80GB HBM3".to_owned()),
        uuid: None,
        serial: None,
        memory_bytes: None,
        driver: None,
    };
    inventory.gpus = Gpus {
        gpus: vec![gpu.clone(), gpu],
        warnings: Vec::new(),
    };
    inventory
}

/// A folder that carries the exporters.
fn stock(folder: &Path) {
    std::fs::create_dir(folder).unwrap();
    let mut catalogue = "format = 1\n".to_owned();
    for (name, program, port) in [
        ("node_exporter", "node_exporter", 9100),
        ("dcgm_exporter", "dcgm-exporter", 9400),
        ("all_smi", "all-smi", 9401),
    ] {
        let bytes = archives::program(AMD64, 100 + name.len());
        std::fs::write(folder.join(program), &bytes).unwrap();
        catalogue.push_str(&format!(
            "\n[[component]]\nname = \"{name}\"\nversion = \"1.0.0\"\nkind = \"exporter\"\nlicense = \"MIT\"\n\
             ports = [{port}]\narchive = \"none\"\n[component.build.amd64]\nfile = \"{program}\"\nsha256 = \"{}\"\n\
             programs = {{ {program} = \"{program}\" }}\n",
            archives::sum(&bytes),
        ));
    }
    std::fs::write(folder.join("components.toml"), catalogue).unwrap();
}
