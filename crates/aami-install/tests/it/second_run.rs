//! A run that finds everything so writes nothing at all.

use std::collections::BTreeMap;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use aami_install::doubles::CutOff;
use aami_install::effect::{Placement, UnitState};
use aami_install::host::{Command, CommandError, Commands, Output, Systemctl};
use aami_install::{Content, Effect, Installer, Mark, Mode, Plan};
use aami_model::run::RunStatus;

use crate::house::{House, path};
use crate::plan::{self, Recipe, Wants};
use crate::toolshed::{self, SHEDS};

/// Inode, size, and times of change of every path but the lock's folder.
fn traces(root: &Path) -> BTreeMap<String, (u64, u64, i64, i64)> {
    let mut traces = BTreeMap::new();
    let mut open = vec![root.to_owned()];
    while let Some(folder) = open.pop() {
        for entry in std::fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            let name = path.strip_prefix(root).unwrap().display().to_string();
            // The lock is taken before anything is probed; /run is in memory on a real host.
            if name == "run" {
                continue;
            }
            let meta = path.symlink_metadata().unwrap();
            traces.insert(
                name,
                (meta.ino(), meta.size(), meta.mtime_nsec(), meta.ctime_nsec()),
            );
            if meta.is_dir() {
                open.push(path);
            }
        }
    }
    traces
}

#[test]
fn a_second_run_writes_nothing() {
    for mode in [Mode::Fresh, Mode::Resume, Mode::Repair] {
        let house = House::new();
        house.install(&plan::node(&house));
        let (before, pictured) = (traces(&house.root()), house.picture());
        let watch = Arc::new(CutOff::never());
        let report = house
            .run_as(&plan::node(&house), mode, Some(watch.clone()))
            .unwrap();
        assert_eq!(report.status, RunStatus::Completed);
        assert!(
            !report.wrote && report.executed.is_empty(),
            "{mode:?}: {:?}",
            report.executed
        );
        assert_eq!(traces(&house.root()), before, "{mode:?}");
        house.picture().must_be(&pictured, "after a second run");
        let beside_the_lock: Vec<_> = watch
            .passed()
            .into_iter()
            .filter(|(_, subject)| !subject.starts_with("/run/aami"))
            .collect();
        assert_eq!(beside_the_lock, [], "{mode:?}");
    }
}

/// The system's programs, counted.
struct Counted {
    commands: Arc<dyn Commands>,
    changes: Mutex<Vec<String>>,
}

impl Commands for Counted {
    fn run(&self, command: &Command) -> Result<Output, CommandError> {
        if command.changes {
            self.changes.lock().unwrap().push(command.line());
        }
        self.commands.run(command)
    }
}

#[test]
fn a_second_run_of_every_kind_writes_nothing_and_starts_nothing() {
    let node: (House, fn(&House) -> Plan) = (House::new(), plan::node);
    let sheds = SHEDS.map(|shed| (shed.house(), (|_| toolshed::plan()) as fn(&House) -> Plan));
    for (house, plan) in std::iter::once(node).chain(sheds) {
        house.install(&plan(&house));
        let pictured = house.picture();
        // Counted on both sides: what is done below the root, and which programs are run to change something.
        let mut host = house.host(None);
        let counted = Arc::new(Counted {
            commands: host.commands.take().unwrap(),
            changes: Mutex::default(),
        });
        host.units = Some(Arc::new(Systemctl::new(counted.clone(), host.clock.clone())));
        host.commands = Some(counted.clone());
        let plan = plan(&house);
        let installer = Installer::new(&host, &plan, crate::house::options()).unwrap();
        let report = installer.run(Mode::Fresh).unwrap();
        assert!(
            !report.wrote && report.executed.is_empty(),
            "{:?}",
            report.executed
        );
        assert_eq!(*counted.changes.lock().unwrap(), Vec::<String>::new());
        // The lock's own folder is in memory; nothing is synced for it.
        assert_eq!(host.root.counts().syncs, 0);
        house.picture().must_be(&pictured, "after a second run");
        // Mended after a stop, exactly one program starts exactly one thing.
        if plan.name() == "node" {
            house
                .host(None)
                .units
                .unwrap()
                .stop("node_exporter.service")
                .unwrap();
            let installer = Installer::new(&host, &plan, crate::house::options()).unwrap();
            installer.run(Mode::Repair).unwrap();
            let started = std::mem::take(&mut *counted.changes.lock().unwrap());
            assert_eq!(started.len(), 1, "{started:?}");
            assert!(
                started[0].ends_with(" start node_exporter.service"),
                "{started:?}"
            );
            // Disabled, it is enabled, and goes on running.
            let units = house.host(None).units.unwrap();
            units.enable("node_exporter.service", false).unwrap();
            let installer = Installer::new(&host, &plan, crate::house::options()).unwrap();
            installer.run(Mode::Repair).unwrap();
            let enabled = counted.changes.lock().unwrap();
            assert_eq!(enabled.len(), 1, "{enabled:?}");
            assert!(
                enabled[0].ends_with(" enable -- node_exporter.service"),
                "{enabled:?}"
            );
        }
    }
}

#[test]
fn an_upgrade_changes_only_what_differs_and_restarts_only_what_runs_it() {
    let house = House::new();
    let before = house.picture();
    house.install(&plan::node(&house));
    let upgrade = Recipe {
        program: b"a newer one",
        pinned: b"a newer one",
        ..Recipe::default()
    };
    let report = house.install(&plan::node_by(&house, upgrade));
    let executed: Vec<_> = report
        .executed
        .iter()
        .map(|effect| effect.subject.as_str())
        .collect();
    assert_eq!(
        executed,
        ["/opt/aami/1.9.1/node_exporter", "node_exporter.service"]
    );
    // And what was there before the first install is still what uninstalling brings back.
    house.uninstall(&plan::node(&house));
    house
        .picture()
        .must_be(&before, "installed, upgraded, uninstalled");
}

/// Something that breaks an installed host.
type Drift = fn(&House);

#[test]
fn repair_mends_what_drifted_and_nothing_else() {
    let drifts: [(&str, Drift); 6] = [
        ("deleted", |house| {
            std::fs::remove_file(house.real("etc/systemd/system/node_exporter.service")).unwrap()
        }),
        ("mode", |house| {
            let mode = std::os::unix::fs::PermissionsExt::from_mode(0o600);
            std::fs::set_permissions(house.real("opt/aami/1.9.1/node_exporter"), mode).unwrap();
        }),
        ("link", |house| {
            std::fs::remove_file(house.real("usr/local/bin/node_exporter")).unwrap()
        }),
        ("stopped", |house| {
            house
                .host(None)
                .units
                .as_ref()
                .unwrap()
                .stop("node_exporter.service")
                .unwrap()
        }),
        ("disabled", |house| {
            house
                .host(None)
                .units
                .as_ref()
                .unwrap()
                .enable("node_exporter.service", false)
                .unwrap()
        }),
        ("folder", |house| {
            std::fs::remove_dir(house.real("var/lib/node_exporter/textfile")).unwrap()
        }),
    ];
    for (name, drift) in drifts {
        let house = House::new();
        house.install(&plan::node(&house));
        let wanted = house.picture();
        drift(&house);
        assert_ne!(house.picture(), wanted, "{name} changed nothing");
        let report = house.run_as(&plan::node(&house), Mode::Repair, None).unwrap();
        assert_eq!(report.failure(), None, "{name}");
        assert!(
            !report.executed.is_empty() && report.executed.len() <= 2,
            "{name}: {:?}",
            report.executed
        );
        house.picture().must_be(&wanted, name);
    }
}

#[test]
fn a_unit_that_is_to_begin_anew_is_restarted_once_although_it_runs_with_what_is_there() {
    // Given a unit that runs with what is there,
    let house = House::new();
    house.write("usr/local/bin/agent", "an agent", 0o755);
    let anew = Arc::new(AtomicBool::new(false));
    let asked = anew.clone();
    let step = Wants::step("agent", &[], move || {
        let unit = path("/etc/systemd/system/agent.service");
        let text = Content::bytes(
            "[Service]\nExecStart=/usr/local/bin/agent\n[Install]\nWantedBy=multi-user.target\n",
        );
        let state = UnitState::up("agent.service", [unit.clone()]);
        vec![
            Effect::WriteFile(Placement::new(unit, text, 0o644, None).marked(Mark::Hash)),
            Effect::UnitState(state.restarted(asked.load(Ordering::SeqCst))),
        ]
    });
    let plan = Plan::new("agent", "Agent", vec![step]).unwrap();
    house.install(&plan);
    let done = |anew_now: bool| {
        anew.store(anew_now, Ordering::SeqCst);
        let mut host = house.host(None);
        let counted = Arc::new(Counted {
            commands: host.commands.take().unwrap(),
            changes: Mutex::default(),
        });
        host.units = Some(Arc::new(Systemctl::new(counted.clone(), host.clock.clone())));
        let installer = Installer::new(&host, &plan, crate::house::options()).unwrap();
        installer.run(Mode::Fresh).unwrap();
        std::mem::take(&mut *counted.changes.lock().unwrap())
    };
    // when it is to begin anew, then it is restarted, and nothing else is done;
    let changes = done(true);
    assert_eq!(changes.len(), 1, "{changes:?}");
    assert!(changes[0].contains("restart"), "{changes:?}");
    // and it is not where nobody asks for it.
    assert_eq!(done(false), Vec::<String>::new());
}
