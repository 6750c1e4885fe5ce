//! A run told in numbers, in the file the textfile collector reads.

use std::sync::Arc;
use std::time::{Duration, Instant};

use aami_install::effect::Unregister;
use aami_install::{
    Effect, Host, HostPath, Installer, Mode, Plan, Probe, Step, StepContext, StepError, Survey,
};
use aami_model::code;
use aami_model::run::StepOutcome;

use crate::house::{House, options, path};
use crate::plan;

const FOLDER: &str = "/var/lib/node_exporter/textfile";
const FILE: &str = "var/lib/node_exporter/textfile/aami_install_default_node.prom";

fn installer<'a>(host: &'a Host, plan: &'a Plan) -> Installer<'a> {
    Installer::new(host, plan, options())
        .unwrap()
        .textfile(path(FOLDER), "gpu-1")
}

/// The value of a sample, by the beginning of its line.
fn value(text: &str, name: &str, step: &str) -> Option<String> {
    let step = if step.is_empty() {
        "}".to_owned()
    } else {
        format!(",step=\"{step}\"}}")
    };
    let labels = format!("{name}{{cluster=\"default\",host=\"gpu-1\",plan=\"node\"{step}");
    let line = text.lines().find_map(|line| line.strip_prefix(&labels))?;
    Some(line.trim().to_owned())
}

#[test]
fn a_run_is_told_while_it_is_at_work_and_forgotten_when_it_is_taken_back() {
    let house = House::new();
    let before = house.picture();
    let (host, plan) = (house.host(None), plan::node(&house));
    // The folder itself is made by a step of the plan.
    assert_eq!(installer(&host, &plan).run(Mode::Fresh).unwrap().failure(), None);
    let text = house.read(FILE);
    assert_eq!(
        value(&text, "aami_install_step_status", "register").as_deref(),
        Some("2"),
        "{text}"
    );
    assert_eq!(
        value(&text, "aami_install_progress_ratio", "").as_deref(),
        Some("1"),
        "{text}"
    );
    assert_eq!(
        value(&text, "aami_install_step_attempts", "folders").as_deref(),
        Some("1"),
        "{text}"
    );
    assert!(
        installer(&host, &plan)
            .uninstall(Some(&house.control_plane()))
            .unwrap()
            .left
            .is_empty()
    );
    house.picture().must_be(&before, "uninstalled");
}

/// A plan that looks at something in every run, and makes one folder.
fn small(name: &str) -> Plan {
    let step = plan::Wants::step("a", &["look"], || {
        vec![Effect::directory(path("/opt/x"), 0o755, None)]
    });
    let look = Box::new(plan::Looks("look", &[]));
    Plan::new(name, "Small", vec![look, step]).unwrap()
}

#[test]
fn a_run_with_nothing_to_do_leaves_the_file_alone() {
    // Given a plan that was run,
    let house = House::new();
    house.folder(FOLDER.trim_start_matches('/'), 0o755);
    let (host, plan) = (house.host(None), small("node"));
    installer(&host, &plan).run(Mode::Fresh).unwrap();
    let inode = |house: &House| std::os::unix::fs::MetadataExt::ino(&house.real(FILE).metadata().unwrap());
    let first = inode(&house);
    // when it is run again, and looks at what it looks at in every run, then the file stays the one it was,
    assert!(!installer(&host, &plan).run(Mode::Fresh).unwrap().wrote);
    assert_eq!(inode(&house), first);
    // and where there is none, none is made.
    std::fs::remove_file(house.real(FILE)).unwrap();
    assert!(!installer(&host, &plan).run(Mode::Fresh).unwrap().wrote);
    assert!(!house.exists(FILE));
}

#[test]
fn a_failure_that_is_over_is_told_no_longer() {
    // Given a file that says that a step failed, and a host on which all is well by now,
    let house = House::new();
    house.folder(FOLDER.trim_start_matches('/'), 0o755);
    let (host, plan) = (house.host(None), small("node"));
    installer(&host, &plan).run(Mode::Fresh).unwrap();
    let failed = house.read(FILE).replace("step=\"a\"} 2", "step=\"a\"} 3");
    assert_ne!(failed, house.read(FILE));
    house.write(FILE, &failed, 0o644);
    // when the plan is run, though it has nothing to do,
    assert!(!installer(&host, &plan).run(Mode::Fresh).unwrap().wrote);
    // then the file says so.
    let text = house.read(FILE);
    let status = value(&text, "aami_install_step_status", "a");
    assert_eq!(status.as_deref(), Some("2"), "{text}");
}

#[test]
fn what_others_told_goes_with_the_folder_and_stays_while_another_plan_keeps_it() {
    // Given a folder that two plans tell in, made by one of them,
    let house = House::new();
    let before = house.picture();
    let folders = || {
        plan::Wants::step("folders", &[], || {
            ["/var/lib/node_exporter", FOLDER]
                .map(|folder| Effect::directory(path(folder), 0o755, None))
                .to_vec()
        })
    };
    let host = house.host(None);
    let node = Plan::new("node", "Node", vec![folders()]).unwrap();
    let other = small("other");
    for plan in [&node, &other] {
        installer(&host, plan).run(Mode::Fresh).unwrap();
    }
    let theirs = FILE.replace("_node.prom", "_other.prom");
    assert!(house.exists(FILE) && house.exists(&theirs));
    // when the one that made it is taken back, then nothing is left in the way of the folder,
    let report = installer(&host, &node).uninstall(None).unwrap();
    assert_eq!(report.left, Vec::<String>::new());
    assert!(!house.exists(FOLDER.trim_start_matches('/')));
    // and the other finds nothing to forget.
    installer(&host, &other).uninstall(None).unwrap();
    house.picture().must_be(&before, "both uninstalled");

    // Given that both want the folder, then each forgets what it told itself.
    let both = Plan::new("both", "Both", vec![folders()]).unwrap();
    for plan in [&node, &both] {
        installer(&host, plan).run(Mode::Fresh).unwrap();
    }
    let theirs = FILE.replace("_node.prom", "_both.prom");
    installer(&host, &node).uninstall(None).unwrap();
    assert!(!house.exists(FILE) && house.exists(&theirs));
    installer(&host, &both).uninstall(None).unwrap();
    house.picture().must_be(&before, "both uninstalled");
}

#[test]
fn a_host_that_cannot_be_taken_back_still_tells() {
    // Given an installed host whose control plane does not let it go,
    let house = House::new();
    let (host, plan) = (house.host(None), plan::node(&house));
    installer(&host, &plan).run(Mode::Fresh).unwrap();
    // when it is taken back, then that fails, and what it told stays.
    let report = installer(&host, &plan).uninstall(Some(&Refusing)).unwrap();
    assert!(!report.failed.is_empty());
    assert!(house.exists(FILE));
}

/// Lets nobody go.
struct Refusing;

impl Unregister for Refusing {
    fn unregister(&self, _: &Host, _: &str, _: Option<&str>, _: &HostPath) -> Result<(), StepError> {
        Err(StepError::new(code::FORBIDDEN, "this node stays"))
    }
}

/// Changes the host, waits until the file says that it is at work, then fails.
struct Watched(Arc<std::path::PathBuf>);

impl Step for Watched {
    fn id(&self) -> &str {
        "watched"
    }
    fn title(&self) -> String {
        "Watching".into()
    }
    fn probe(&self, _: &Survey<'_>) -> Result<Probe, StepError> {
        Ok(Probe::Missing("always".into()))
    }
    fn apply(&self, context: &mut StepContext<'_>) -> Result<StepOutcome, StepError> {
        context.perform(&[Effect::directory(path("/opt/x"), 0o755, None)])?;
        context.note("a folder is made");
        let started = Instant::now();
        loop {
            let text = std::fs::read_to_string(self.0.as_path()).unwrap_or_default();
            if value(&text, "aami_install_step_status", "watched").as_deref() == Some("1") {
                return Err(StepError::new(code::STEP_FAILED, "seen"));
            }
            if started.elapsed() > Duration::from_secs(20) {
                return Err(StepError::new(code::STEP_FAILED, format!("not seen in {text:?}")));
            }
            std::thread::yield_now();
        }
    }
}

#[test]
fn what_is_at_work_and_what_failed_is_seen_from_outside() {
    let house = House::new();
    house.folder(FOLDER.trim_start_matches('/'), 0o755);
    let watched = Watched(Arc::new(house.real(FILE)));
    let plan = Plan::new("node", "Node", vec![Box::new(watched)]).unwrap();
    let host = house.host(None);
    let report = installer(&host, &plan).run(Mode::Fresh).unwrap();
    assert_eq!(report.failure().unwrap().1, "seen");
    let text = house.read(FILE);
    assert_eq!(
        value(&text, "aami_install_step_status", "watched").as_deref(),
        Some("3"),
        "{text}"
    );
    assert_eq!(
        value(&text, "aami_install_progress_ratio", "").as_deref(),
        Some("0"),
        "{text}"
    );
}

#[test]
fn a_folder_that_is_none_stops_nothing() {
    let house = House::new();
    house.write("var/lib/node_exporter", "a file", 0o644);
    let plan = Plan::new("node", "Node", vec![Box::new(plan::Looks("look", &[]))]).unwrap();
    let host = house.host(None);
    assert_eq!(installer(&host, &plan).run(Mode::Fresh).unwrap().failure(), None);
}
