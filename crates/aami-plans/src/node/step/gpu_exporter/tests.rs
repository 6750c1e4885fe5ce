use std::path::Path;

use aami_api::client::Settings as Api;
use aami_api::register::RegisterRequest;
use aami_install::{Installer, Mode, Options, Plan, RunReport, doubles};
use aami_inventory::{Inventory, SystemCommands};
use aami_model::label::Labels;

use super::*;
use crate::download::{Downloader, Proxies, Settings};
use crate::node::exporter::{Container, Runtime};
use crate::node::extra::Change;
use crate::node::register::Told;
use crate::node::{Enrolment, Node, NodeOptions, installed};
use crate::obtain::Source;
use crate::preflight;

/// The step without those that it needs.
struct Alone(InstallGpuExporter);

impl Step for Alone {
    fn id(&self) -> &str {
        self.0.id()
    }

    fn title(&self) -> String {
        self.0.title()
    }

    fn desired(&self, survey: &Survey<'_>) -> Result<Vec<Effect>, StepError> {
        self.0.desired(survey)
    }

    fn probe(&self, survey: &Survey<'_>) -> Result<Probe, StepError> {
        self.0.probe(survey)
    }

    fn apply(&self, context: &mut StepContext<'_>) -> Result<StepOutcome, StepError> {
        self.0.apply(context)
    }
}

const SERVER: &str = "http://127.0.0.1:9";

fn node(purpose: Purpose, components: Option<&Path>) -> Node {
    node_at("127.0.0.1", purpose, components)
}

fn node_at(address: &str, purpose: Purpose, components: Option<&Path>) -> Node {
    Node::new(options(address, purpose, components)).unwrap()
}

pub(in crate::node::step) fn options(
    address: &str,
    purpose: Purpose,
    components: Option<&Path>,
) -> NodeOptions {
    let look = move || {
        let commands = SystemCommands::default();
        Inventory::collect(&aami_inventory::Host {
            root: Path::new("/"),
            privileged: false,
            commands: &commands,
        })
    };
    NodeOptions {
        purpose,
        form: Form::Host,
        cluster: "default".to_owned(),
        api: Some(Api::new(SERVER)),
        token: None,
        run: None,
        port: None,
        labels: Labels::default(),
        address: Some(address.parse().unwrap()),
        adopt: false,
        skip_preflight: true,
        skip_firewall: true,
        scrape_from: Vec::new(),
        skip_gpu: true,
        dcgm_image: None,
        skip_checks: true,
        skip_agent: true,
        proxies: Proxies::default(),
        sources: components
            .map(|folder| Source::Folder(folder.to_owned()))
            .into_iter()
            .collect(),
        downloader: Downloader::new(Settings::new(Proxies::default(), || 0.5)),
        release_key: None,
        agent: None,
        look: Box::new(look),
        listeners: Box::new(|_| Vec::new()),
        foreground: None,
    }
}

fn exporters(change: Change) -> Purpose {
    let request = RegisterRequest {
        ip_address: "127.0.0.1".to_owned(),
        ..RegisterRequest::default()
    };
    let server = Some(SERVER.to_owned());
    Purpose::Exporters {
        enrolment: Box::new(Enrolment {
            told: Told {
                server: server.clone(),
                request,
            },
            server,
            trust: aami_api::client::Trust::System,
            hostname: "node1".to_owned(),
            address: "127.0.0.1".to_owned(),
        }),
        change,
    }
}

fn run(host: &Host, node: &Node) -> RunReport {
    let step = Alone(InstallGpuExporter(node.session().clone()));
    let plan = Plan::new("node", "A node", vec![Box::new(step)]).unwrap();
    let options = Options::default();
    Installer::new(host, &plan, options)
        .unwrap()
        .run(Mode::Fresh)
        .unwrap()
}

/// A folder that carries an exporter whose file is another than its catalogue says.
fn broken_components() -> tempfile::TempDir {
    components(&["foo"])
}

/// The same with exporters of these names.
fn components(names: &[&str]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("foo"), "not what was promised").unwrap();
    let builds: String = ["amd64", "arm64"]
        .map(|arch| {
            format!(
                "[component.build.{arch}]\nfile = \"foo\"\nsha256 = \"{}\"\nprograms = {{ foo = \"foo\" }}\n",
                "0".repeat(64)
            )
        })
        .concat();
    let component = |name: &&str| {
        format!(
            "[[component]]\nname = \"{name}\"\nversion = \"1\"\nkind = \"exporter\"\nlicense = \"MIT\"\n\
             ports = [9999]\narchive = \"none\"\n{builds}"
        )
    };
    let text = format!("format = 1\n{}", names.iter().map(component).collect::<String>());
    std::fs::write(folder.path().join("components.toml"), text).unwrap();
    folder
}

/// A host with units that are none.
pub(in crate::node::step) struct Place {
    pub(in crate::node::step) root: tempfile::TempDir,
    memory: tempfile::TempDir,
}

impl Place {
    pub(in crate::node::step) fn new() -> Self {
        let place = Self {
            root: tempfile::tempdir().unwrap(),
            memory: tempfile::tempdir().unwrap(),
        };
        let etc = place.root.path().join("etc");
        std::fs::create_dir(&etc).unwrap();
        std::fs::write(etc.join("passwd"), "root:x:0:0:root:/root:/bin/sh\n").unwrap();
        std::fs::write(etc.join("group"), "root:x:0:\n").unwrap();
        place
    }

    pub(in crate::node::step) fn host(&self) -> Host {
        doubles::host(self.root.path(), &self.memory.path().join("system"), None).unwrap()
    }

    /// As an earlier run noted it.
    fn noted(&self, name: &str, note: &serde_json::Value) {
        let folder = self.root.path().join("var/lib/aami/agent");
        std::fs::create_dir_all(&folder).unwrap();
        std::fs::write(folder.join(format!("{name}.json")), note.to_string()).unwrap();
    }
}

#[test]
fn an_exporter_that_cannot_be_had_is_not_wished_for_and_leaves_nothing() {
    let (place, components) = (Place::new(), broken_components());
    let host = place.host();

    // Given an install that fails on the file's checksum
    let node = node(exporters(Change::Add("foo".to_owned())), Some(components.path()));
    let report = run(&host, &node);
    let (code, why) = report.failure().expect("the file is another");
    assert_eq!(code, code::CHECKSUM_MISMATCH, "{why}");

    // Then later runs do not try it again
    assert_eq!(Wish::kept(node.session(), &host), Wish::default());
    let later = self::node(Purpose::Install, None);
    assert_eq!(Extra::wanted(later.session(), &host).unwrap(), []);
    // And nothing is left that would have to be taken back.
    assert!(!place.root.path().join("var/lib/aami/agent").exists());
}

#[test]
fn an_exporter_that_was_only_asked_for_can_be_withdrawn() {
    let place = Place::new();
    let host = place.host();
    place.noted("exporters", &serde_json::json!({"also": ["foo"]}));

    let node = node(exporters(Change::Remove("foo".to_owned())), None);
    assert!(node.exporter_effects(&host, "foo").unwrap().is_empty());
    assert!(
        node.exporter_effects(&host, "bar").is_err(),
        "nobody asked for it"
    );
    let report = run(&host, &node);
    assert!(report.failure().is_none(), "{:?}", report.failure());
    let wish = Wish::kept(node.session(), &host);
    assert!(wish.also.is_empty() && wish.without.contains("foo"), "{wish:?}");
}

#[test]
fn one_that_came_out_of_a_folder_stays_in_a_run_that_does_not_name_it() {
    let (place, components) = (Place::new(), broken_components());
    let host = place.host();
    let foo = Extra::named("foo");
    let named = node(Purpose::Install, Some(components.path()));
    let (component, _) = named.session().component(&host, "foo").unwrap();
    place.noted("exporters", &serde_json::json!({"also": ["foo"]}));

    let later = node(Purpose::Install, None);
    assert!(
        foo.setup(later.session(), &host).is_err(),
        "nothing is known of it"
    );
    let note = serde_json::json!({"component": component, "port": 9999, "arguments": []});
    place.noted("exporter-foo", &note);
    assert_eq!(
        Extra::wanted(later.session(), &host).unwrap(),
        std::slice::from_ref(&foo)
    );
    let setup = foo.setup(later.session(), &host).unwrap();
    assert!(!setup.effects(later.session(), &host).unwrap().is_empty());
}

#[test]
fn an_image_named_once_by_its_digest_stays_and_one_by_a_tag_does_not() {
    let place = Place::new();
    let host = place.host();
    let later = node(Purpose::Install, None);
    let noted = |image: &str| {
        let container = Container {
            runtime: Runtime::Docker,
            program: "/usr/bin/docker".to_owned(),
            image: image.to_owned(),
        };
        let note = installed::Exporter {
            component: container.component("dcgm_exporter"),
            port: 9400,
            arguments: Vec::new(),
            container: Some(container),
            door: None,
        };
        place.noted("dcgm_exporter", &serde_json::to_value(note).unwrap());
        Extra::Dcgm.setup(later.session(), &host).unwrap()
    };

    let pinned = format!("nvcr.io/nvidia/dcgm-exporter@sha256:{}", "0a".repeat(32));
    let kept = noted(&pinned).container.map(|container| container.image);
    assert_eq!(kept.as_ref(), Some(&pinned));

    // Another digest, named for what is installed, takes its place.
    let bin = place.root.path().join("usr/bin");
    std::fs::create_dir_all(&bin).unwrap();
    std::fs::write(bin.join("docker"), "").unwrap();
    let other = pinned.replace("0a", "0b");
    let mut named = options(
        "127.0.0.1",
        exporters(Change::Add("dcgm_exporter".to_owned())),
        None,
    );
    named.dcgm_image = Some(other.clone());
    let named = Node::new(named).unwrap();
    let setup = Extra::Dcgm.setup(named.session(), &host).unwrap();
    assert_eq!(setup.container.map(|container| container.image), Some(other));

    let setup = noted("nvcr.io/nvidia/dcgm-exporter:4.5.3");
    assert_eq!(setup.container, None);
    let refused = setup.effects(later.session(), &host).unwrap_err();
    assert_eq!(refused.code(), code::COMPONENT_MISSING);
    assert!(refused.to_string().contains("--dcgm-image"), "{refused}");
}

#[test]
fn all_smi_is_kept_to_this_machine_where_the_rest_is_on_loopback() {
    let place = Place::new();
    let host = place.host();
    let unit_is_local = |address: &str| {
        let later = node_at(address, Purpose::Install, None);
        Extra::AllSmi.setup(later.session(), &host).unwrap().is_local
    };
    assert!(unit_is_local("127.0.0.1"));
    assert!(unit_is_local("::1"));
    assert!(!unit_is_local("10.0.0.1"));
}

#[test]
fn an_exporter_of_a_sites_own_keeps_the_name_its_catalogue_gives_it() {
    let place = Place::new();
    let host = place.host();
    let given = |name: &str, folder: &tempfile::TempDir| {
        let node = node(exporters(Change::Add(name.to_owned())), Some(folder.path()));
        let wanted = Extra::wanted(node.session(), &host).unwrap();
        assert_eq!(wanted.len(), 1, "{wanted:?}");
        let unit = wanted[0].setup(node.session(), &host).map(|setup| setup.unit);
        (wanted[0].component().to_owned(), unit)
    };
    // Given a catalogue with two names that differ in their dash alone,
    let both = components(&["ib-exporter", "ib_exporter"]);
    // then each is found by its own, with a unit of its own,
    for name in ["ib-exporter", "ib_exporter"] {
        let (found, unit) = given(name, &both);
        assert_eq!(found, name);
        assert_eq!(unit.unwrap(), format!("aami-exporter-{name}.service"));
    }
    // and a dash where the catalogue has none is still understood.
    let one = components(&["ib_exporter"]);
    assert_eq!(given("ib-exporter", &one).0, "ib_exporter");
    let (found, _) = given("dcgm-exporter", &one);
    assert_eq!(found, "dcgm_exporter");
    // One that is installed goes by the name it has.
    let note = serde_json::json!({
        "component": node(Purpose::Install, Some(both.path())).session().component(&host, "ib-exporter").unwrap().0,
        "port": 9999, "arguments": [],
    });
    place.noted("exporter-ib-exporter", &note);
    let removed = |name: &str| {
        node(exporters(Change::Remove(name.to_owned())), None)
            .exporter(&host)
            .unwrap()
            .unwrap()
    };
    assert_eq!(removed("ib-exporter"), "ib-exporter");
    assert_eq!(removed("all-smi"), "all_smi");
}

#[test]
fn no_exporter_takes_the_place_of_something_of_our_own() {
    let place = Place::new();
    let host = place.host();
    // Given exporters that are called as our own units, notes and programs are,
    for name in [
        "checks",
        "registration",
        "exporters",
        "agent",
        "aami-agent",
        "server",
    ] {
        let folder = components(&[name]);
        let node = node(exporters(Change::Add(name.to_owned())), Some(folder.path()));
        // then they are refused before anything is written.
        let report = run(&host, &node);
        let (code, why) = report.failure().expect(name);
        assert_eq!(code, code::INVALID, "{why}");
        assert!(why.contains(name), "{why}");
        assert!(!place.root.path().join("var/lib/aami/agent").exists());
    }
    // And what the control plane answered is never read as an exporter's note.
    place.noted("registration", &serde_json::json!({}));
    assert_eq!(installed::exporter_of("registration.json"), None);
    assert_eq!(
        installed::exporter_of("exporter-registration.json"),
        Some("registration")
    );
}

#[test]
fn nothing_of_what_the_plan_starts_is_missing_where_blocked_units_are_looked_for() {
    let place = Place::new();
    let host = place.host();
    let later = node(Purpose::Install, None);
    let unit = |extra: Extra| extra.setup(later.session(), &host).unwrap().unit;
    let checks = [crate::node::check_units::SERVICE, crate::node::check_units::TIMER];
    // Given the units of a node's own programs,
    let own = [unit(Extra::AllSmi), crate::units::DCGM_EXPORTER.to_owned()];
    let own = own.iter().map(String::as_str).chain(checks);
    // then preflight looks whether any of them is blocked.
    let choice = preflight::Choice {
        mode: preflight::Mode::Node,
        mode_because: None,
        runtime: preflight::Runtime::Systemd,
        runtime_because: None,
    };
    let looked_at = preflight::needs::units(&choice);
    for unit in own.chain([super::super::node_exporter::UNIT, crate::units::AGENT]) {
        assert!(looked_at.contains(&unit), "{unit}");
    }
}
