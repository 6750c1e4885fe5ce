//! A run told in numbers, in the file the textfile collector reads.

use std::sync::Arc;
use std::time::{Duration, Instant};

use aami_install::{Host, Installer, Mode, Plan, Probe, Step, StepContext, StepError, Survey};
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
    // A run that looks and finds all so still has steps that look at something in every run; a plan
    // without such steps is silent.
    assert!(
        installer(&host, &plan)
            .uninstall(Some(&house.control_plane()))
            .unwrap()
            .left
            .is_empty()
    );
    house.picture().must_be(&before, "uninstalled");
}

#[test]
fn a_run_with_nothing_to_do_leaves_the_file_alone() {
    let house = House::new();
    house.folder(FOLDER.trim_start_matches('/'), 0o755);
    let plan = || {
        let step = plan::Wants::step("a", &[], || {
            vec![aami_install::Effect::directory(path("/opt/x"), 0o755, None)]
        });
        Plan::new("node", "Node", vec![step]).unwrap()
    };
    let (host, plan) = (house.host(None), plan());
    installer(&host, &plan).run(Mode::Fresh).unwrap();
    let inode = |house: &House| std::os::unix::fs::MetadataExt::ino(&house.real(FILE).metadata().unwrap());
    let first = inode(&house);
    assert!(!installer(&host, &plan).run(Mode::Fresh).unwrap().wrote);
    assert_eq!(inode(&house), first);
}

/// Waits until the file says that it is at work, then fails.
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
    fn apply(&self, _: &mut StepContext<'_>) -> Result<StepOutcome, StepError> {
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
