//! A node that was purged on the control plane and enrols again: what is recorded is the id it has now.

use std::sync::{Arc, Mutex};

use aami_install::effect::{Registration, Unregister};
use aami_install::receipt::Recorded;
use aami_install::{
    Effect, Host, HostPath, Installer, Mode, Plan, Probe, Step, StepContext, StepError, Survey,
};
use aami_model::code;
use aami_model::run::StepOutcome;

use crate::house::{House, options, path};

const SERVER: &str = "https://aami.example:8080";

/// The nodes a control plane knows, by id; ids are never given twice.
#[derive(Default)]
struct Book {
    nodes: Vec<String>,
    given: u32,
    /// Whether nobody answers just now.
    away: bool,
}

#[derive(Clone, Default)]
struct ControlPlane(Arc<Mutex<Book>>);

impl ControlPlane {
    fn register(&self) -> String {
        let mut book = self.0.lock().unwrap();
        book.given += 1;
        let id = format!("node-{}", book.given);
        book.nodes.push(id.clone());
        id
    }

    fn nodes(&self) -> Vec<String> {
        self.0.lock().unwrap().nodes.clone()
    }

    fn purge(&self) {
        self.0.lock().unwrap().nodes.clear();
    }
}

impl Unregister for ControlPlane {
    fn unregister(&self, _: &Host, server: &str, node: Option<&str>, _: &HostPath) -> Result<(), StepError> {
        assert_eq!(server, SERVER);
        if self.0.lock().unwrap().away {
            return Err(StepError::new(code::UNREACHABLE, "nobody answers").with_hint("wait"));
        }
        let why = "which node it is cannot be told";
        let node = node.ok_or_else(|| StepError::new(code::FORBIDDEN, why))?;
        self.0.lock().unwrap().nodes.retain(|known| known != node);
        Ok(())
    }
}

struct Register(ControlPlane);

impl Register {
    fn effect(&self) -> Effect {
        let control_plane = self.0.clone();
        Effect::Registration(Registration::new(SERVER, path("/etc/credential"), move |_, _| {
            Ok(control_plane.register())
        }))
    }

    fn is_forgotten(&self, survey: &Survey<'_>) -> bool {
        match survey.record(&self.effect().key()).map(|record| record.effect) {
            Some(Recorded::Registration { node: Some(node), .. }) => !self.0.nodes().contains(&node),
            _ => false,
        }
    }
}

impl Step for Register {
    fn id(&self) -> &str {
        "register"
    }
    fn title(&self) -> String {
        "Registering".into()
    }
    fn desired(&self, _: &Survey<'_>) -> Result<Vec<Effect>, StepError> {
        Ok(vec![self.effect()])
    }
    fn probe(&self, survey: &Survey<'_>) -> Result<Probe, StepError> {
        if self.is_forgotten(survey) {
            return Ok(Probe::Missing("forgotten".into()));
        }
        survey.probe(&self.desired(survey)?)
    }
    fn apply(&self, context: &mut StepContext<'_>) -> Result<StepOutcome, StepError> {
        if self.is_forgotten(&context.survey()) {
            let node = self.0.register();
            context.registered_as(SERVER, &node)?;
            return Ok(StepOutcome::Changed);
        }
        context.perform(&[self.effect()])
    }
}

#[test]
fn after_a_purge_the_new_id_is_recorded_and_taken_back() {
    let house = House::new();
    let before = house.picture();
    let control_plane = ControlPlane::default();
    let plan = Plan::new("node", "Node", vec![Box::new(Register(control_plane.clone()))]).unwrap();
    house.install(&plan);
    // Given a node that was purged on the control plane and enrolled again,
    control_plane.purge();
    house.install(&plan);
    assert_eq!(control_plane.nodes(), ["node-2"]);
    let Recorded::Registration { node, .. } = &house.receipt("node").effects[0].effect else {
        panic!("a registration")
    };
    assert_eq!(node.as_deref(), Some("node-2"));
    // when nothing changed since, then nothing is written,
    assert!(!house.install(&plan).wrote);
    // and uninstalling takes back the registration there is.
    let host = house.host(None);
    let installer = Installer::new(&host, &plan, options()).unwrap();
    let report = installer.uninstall(Some(&control_plane)).unwrap();
    assert!(report.failed.is_empty() && report.left.is_empty(), "{report:?}");
    assert_eq!(control_plane.nodes(), Vec::<String>::new());
    house.picture().must_be(&before, "uninstalled");
    // A host that never registered has nothing to note.
    let report = house.run_as(
        &Plan::new("other", "Other", Vec::new()).unwrap(),
        Mode::Fresh,
        None,
    );
    assert!(!report.unwrap().wrote);
}

#[test]
fn without_the_record_a_registration_that_nobody_can_tell_of_is_said_to_stand() {
    // Given a node whose record of changes is lost, and its credential is there,
    let house = House::new();
    let control_plane = ControlPlane::default();
    let plan = Plan::new("node", "Node", vec![Box::new(Register(control_plane.clone()))]).unwrap();
    house.install(&plan);
    house.write("etc/credential", "aamin_secret", 0o600);
    std::fs::remove_dir_all(house.real("var/lib/aami/install")).unwrap();
    // when it is taken back while nobody answers, then that is a failure, after which it can be tried again;
    let host = house.host(None);
    let installer = || Installer::new(&host, &plan, options()).unwrap();
    control_plane.0.lock().unwrap().away = true;
    let report = installer().uninstall(Some(&control_plane)).unwrap();
    assert_eq!(report.failed.len(), 1, "{report:?}");
    assert_eq!(
        report.failed[0].hint, "wait",
        "whoever failed says best what to do"
    );
    assert!(
        report.failed[0].subject.contains(SERVER) && report.undone.is_empty(),
        "{report:?}"
    );
    // when it is taken back and nobody will ever tell, then nobody claims that the control plane was told.
    control_plane.0.lock().unwrap().away = false;
    let report = installer().uninstall(Some(&control_plane)).unwrap();
    assert_eq!(control_plane.nodes(), ["node-1"]);
    let stands = |line: &String| line.contains(SERVER) && line.contains("stands") && !line.contains("secret");
    assert!(
        report.failed.is_empty() && report.left.iter().any(stands),
        "{report:?}"
    );
}
