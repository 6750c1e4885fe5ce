//! Repair: of everything that can go wrong with each kind of thing of ours, `--status` names exactly it, a
//! repair mends exactly it, and the next repair has nothing to do.

use std::os::unix::fs::PermissionsExt;

use aami_install::host::UnitError;
use aami_install::{Installer, Mode, Plan};
use aami_model::code;

use crate::house::{House, options};
use crate::plan;
use crate::toolshed::{self, SHEDS};

/// One thing that went wrong.
pub(crate) struct Drift {
    pub(crate) name: &'static str,
    pub(crate) breaks: fn(&House),
    /// What `--status` names: the thing, and a word of why.
    pub(crate) told: &'static [(&'static str, &'static str)],
}

const NODE: &[Drift] = &[
    Drift {
        name: "a program deleted",
        breaks: |house| remove(house, "opt/aami/1.9.1/node_exporter"),
        told: &[("/opt/aami/1.9.1/node_exporter", "missing")],
    },
    Drift {
        name: "a program of another mode",
        breaks: |house| mode(house, "opt/aami/1.9.1/node_exporter", 0o600),
        told: &[("/opt/aami/1.9.1/node_exporter", "mode 0600")],
    },
    Drift {
        name: "a configuration of another owner",
        breaks: |house| owner(house, "etc/default/node_exporter"),
        told: &[("/etc/default/node_exporter", "owner 65534")],
    },
    Drift {
        name: "a configuration of another mode",
        breaks: |house| mode(house, "etc/prometheus.yml", 0o666),
        told: &[("/etc/prometheus.yml", "mode 0666")],
    },
    Drift {
        name: "a link deleted",
        breaks: |house| remove(house, "usr/local/bin/node_exporter"),
        told: &[("/usr/local/bin/node_exporter", "missing")],
    },
    Drift {
        name: "a folder deleted",
        breaks: |house| std::fs::remove_dir(house.real("var/lib/node_exporter/textfile")).unwrap(),
        told: &[("/var/lib/node_exporter/textfile", "missing")],
    },
    Drift {
        name: "a folder of another mode",
        breaks: |house| mode(house, "etc/aami", 0o777),
        told: &[("/etc/aami", "mode 0777")],
    },
    Drift {
        name: "a folder of another owner",
        breaks: |house| owner(house, "opt/aami/1.9.1"),
        told: &[("/opt/aami/1.9.1", "owner 65534")],
    },
    Drift {
        name: "a member taken out of a group",
        breaks: |house| edit(house, "etc/group", "operator,node_exporter", "operator"),
        told: &[("node_exporter", "not a member")],
    },
    Drift {
        name: "a unit file deleted",
        breaks: |house| remove(house, "etc/systemd/system/node_exporter.service"),
        told: &[("/etc/systemd/system/node_exporter.service", "missing")],
    },
    Drift {
        name: "a unit disabled",
        breaks: |house| units(house, |units| units.enable("node_exporter.service", false)),
        told: &[("node_exporter.service", "is disabled")],
    },
    Drift {
        name: "a unit stopped",
        breaks: |house| units(house, |units| units.stop("node_exporter.service")),
        told: &[("node_exporter.service", "is inactive")],
    },
    Drift {
        name: "a unit that failed",
        breaks: |house| {
            let file = house.memory().join("systemd.json");
            let mut units: serde_json::Value =
                serde_json::from_slice(&std::fs::read(&file).unwrap()).unwrap();
            let unit = &mut units["node_exporter.service"];
            (unit["active"], unit["failed"], unit["result"]) = (false.into(), true.into(), "signal".into());
            std::fs::write(&file, units.to_string()).unwrap();
        },
        told: &[("node_exporter.service", "is failed")],
    },
    Drift {
        name: "a unit of the distribution's masked",
        breaks: |house| {
            units(house, |units| units.stop("prometheus.service"));
            std::os::unix::fs::symlink("/dev/null", house.real("etc/systemd/system/prometheus.service"))
                .unwrap();
        },
        told: &[("prometheus.service", "masked")],
    },
    Drift {
        name: "a unit of ours masked in the place of its file",
        breaks: |house| {
            units(house, |units| units.stop("node_exporter.service"));
            remove(house, "etc/systemd/system/node_exporter.service");
            let place = house.real("etc/systemd/system/node_exporter.service");
            std::os::unix::fs::symlink("/dev/null", place).unwrap();
        },
        told: &[
            ("/etc/systemd/system/node_exporter.service", "is a link"),
            ("node_exporter.service", "masked"),
        ],
    },
];

/// Those that leave the edit beside, under another name.
const EDITS: &[(Drift, &str)] = &[
    (
        Drift {
            name: "a program of another version",
            breaks: |house| house.write("opt/aami/1.9.1/node_exporter", "an older one", 0o755),
            told: &[("/opt/aami/1.9.1/node_exporter", "holds something else")],
        },
        "opt/aami/1.9.1/node_exporter.aami-kept",
    ),
    (
        Drift {
            name: "a configuration edited",
            breaks: |house| house.write("etc/default/node_exporter", "ARGS=--mine\n", 0o644),
            told: &[("/etc/default/node_exporter", "holds something else")],
        },
        "etc/default/node_exporter.aami-kept",
    ),
    (
        Drift {
            name: "a port moved in the unit file",
            breaks: |house| {
                edit(
                    house,
                    "etc/systemd/system/node_exporter.service",
                    "ExecStart=/usr/local/bin/node_exporter",
                    "ExecStart=/usr/local/bin/node_exporter --web.listen-address=:9999",
                );
            },
            told: &[(
                "/etc/systemd/system/node_exporter.service",
                "holds something else",
            )],
        },
        "etc/systemd/system/node_exporter.service.aami-kept",
    ),
    (
        Drift {
            name: "a link pointed elsewhere",
            breaks: |house| {
                remove(house, "usr/local/bin/node_exporter");
                std::os::unix::fs::symlink("/opt/mine", house.real("usr/local/bin/node_exporter")).unwrap();
            },
            told: &[("/usr/local/bin/node_exporter", "/opt/mine")],
        },
        "usr/local/bin/node_exporter.aami-kept",
    ),
];

const TOOLS: &[Drift] = &[
    Drift {
        name: "a package removed",
        breaks: |house| {
            edit(house, "var/lib/packages", "smartmontools installed\n", "");
            remove(house, "usr/bin/smartmontools");
            remove(house, "etc/smartmontools.conf");
        },
        told: &[("prerequisites", "missing: smartmontools")],
    },
    Drift {
        name: "a package half installed",
        breaks: |house| edit(house, "var/lib/packages", "jq installed", "jq half-configured"),
        told: &[("prerequisites", "half installed: jq")],
    },
    Drift {
        name: "a port closed until the next reload",
        breaks: |house| std::fs::write(house.memory().join("firewalld"), "port=22/tcp\n").unwrap(),
        told: &[
            ("tcp 9100", "closed by firewalld until it is reloaded"),
            ("tcp 9105", "closed by firewalld until it is reloaded"),
        ],
    },
    Drift {
        name: "a port closed from the next reload on",
        breaks: |house| {
            edit(house, "etc/firewalld/zones/public.xml", "port=9100/tcp\n", "");
        },
        told: &[("tcp 9100", "open until firewalld is reloaded")],
    },
    Drift {
        name: "a timer stopped",
        breaks: |house| units(house, |units| units.stop("aami-check.timer")),
        told: &[("aami-check.timer", "is inactive (dead)")],
    },
    Drift {
        name: "a timer disabled",
        breaks: |house| units(house, |units| units.enable("aami-check.timer", false)),
        told: &[("aami-check.timer", "is disabled")],
    },
    Drift {
        name: "a container that ended",
        breaks: |house| containers(house, |one| one["state"] = "exited".into()),
        told: &[("aami", "is exited")],
    },
    Drift {
        name: "a container of another configuration",
        breaks: |house| containers(house, |one| one["hash"] = "another".into()),
        told: &[("aami", "another configuration")],
    },
    Drift {
        name: "a container removed",
        breaks: |house| {
            let file = house.memory().join("docker.json");
            let mut engine: serde_json::Value =
                serde_json::from_slice(&std::fs::read(&file).unwrap()).unwrap();
            engine["containers"].as_array_mut().unwrap().pop();
            std::fs::write(&file, engine.to_string()).unwrap();
        },
        told: &[("aami", "has no container")],
    },
    Drift {
        name: "a compose file deleted",
        breaks: |house| remove(house, "opt/aami/stack/compose.yaml"),
        told: &[("/opt/aami/stack/compose.yaml", "missing")],
    },
];

pub(crate) fn remove(house: &House, path: &str) {
    std::fs::remove_file(house.real(path)).unwrap();
}

pub(crate) fn mode(house: &House, path: &str, mode: u32) {
    std::fs::set_permissions(house.real(path), PermissionsExt::from_mode(mode)).unwrap();
}

/// Gives a file to nobody, keeping its mode, where this process may do that.
pub(crate) fn owner(house: &House, path: &str) {
    let before = house.real(path).metadata().unwrap().permissions();
    std::os::unix::fs::chown(house.real(path), Some(65534), Some(65534)).unwrap();
    std::fs::set_permissions(house.real(path), before).unwrap();
}

fn edit(house: &House, path: &str, from: &str, to: &str) {
    let text = house.read(path);
    assert!(text.contains(from), "{path} has no {from:?}: {text}");
    std::fs::write(house.real(path), text.replacen(from, to, 1)).unwrap();
}

fn units(house: &House, act: fn(&dyn aami_install::host::Units) -> Result<(), UnitError>) {
    act(house.host(None).units.as_deref().unwrap()).unwrap();
}

/// Changes the first container.
fn containers(house: &House, change: fn(&mut serde_json::Value)) {
    let file = house.memory().join("docker.json");
    let mut engine: serde_json::Value = serde_json::from_slice(&std::fs::read(&file).unwrap()).unwrap();
    change(&mut engine["containers"][0]);
    std::fs::write(&file, engine.to_string()).unwrap();
}

/// What `--status` names, as thing and reason.
fn named(house: &House, plan: &Plan) -> Vec<(String, String)> {
    let host = house.host(None);
    let status = Installer::new(&host, plan, options()).unwrap().status().unwrap();
    let amiss = status.steps.into_iter().flat_map(|step| step.amiss);
    amiss.map(|one| (one.effect.subject, one.because)).collect()
}

/// Breaks one thing, and mends it. `kept` is where an edit lies afterwards.
pub(crate) fn story(drift: &Drift, house: &House, plan: &Plan, kept: Option<&str>) {
    let name = drift.name;
    house.install(plan);
    let wanted = house.picture();
    (drift.breaks)(house);
    assert!(
        !house.picture().difference(&wanted).is_empty(),
        "{name} changed nothing"
    );
    // Named: exactly these, each with its reason.
    let told = named(house, plan);
    assert_eq!(told.len(), drift.told.len(), "{name}: {told:?}");
    for ((subject, because), (thing, word)) in told.iter().zip(drift.told) {
        assert!(
            subject == thing && because.contains(word),
            "{name}: {subject}: {because}, not {thing}: {word}"
        );
    }
    // Mended: these, and at most what runs them.
    let report = house.run_as(plan, Mode::Repair, None).unwrap();
    assert_eq!(report.failure(), None, "{name}");
    for (subject, _) in &told {
        assert!(
            report.executed.iter().any(|effect| effect.subject == *subject),
            "{name}: {subject} is not among {:?}",
            report.executed
        );
    }
    let beside = report
        .executed
        .iter()
        .filter(|effect| !told.iter().any(|(subject, _)| *subject == effect.subject));
    for effect in beside {
        assert!(
            matches!(effect.kind, "unit_state" | "container_project"),
            "{name}: {effect} was not broken"
        );
    }
    if let Some(kept) = kept {
        std::fs::remove_file(house.real(kept)).unwrap();
    }
    house.picture().must_be(&wanted, name);
    // And then there is nothing to do.
    assert_eq!(named(house, plan), [], "{name}");
    let again = house.run_as(plan, Mode::Repair, None).unwrap();
    assert!(
        !again.wrote && again.executed.is_empty(),
        "{name}: {:?}",
        again.executed
    );
}

#[test]
fn everything_a_node_has_is_named_and_mended() {
    for drift in NODE {
        if drift.name.contains("owner") && !rustix::process::geteuid().is_root() {
            continue;
        }
        let house = House::new();
        story(drift, &house, &plan::node(&house), None);
    }
    for (drift, kept) in EDITS {
        let house = House::new();
        story(drift, &house, &plan::node(&house), Some(kept));
    }
}

#[test]
fn everything_tools_hold_is_named_and_mended() {
    for drift in TOOLS {
        let house = SHEDS[0].house();
        story(drift, &house, &toolshed::plan(), None);
    }
}

#[test]
fn a_unit_masked_before_it_ever_ran_for_us_stays_masked() {
    let house = House::new();
    units(&house, |units| units.stop("prometheus.service"));
    std::os::unix::fs::symlink("/dev/null", house.real("etc/systemd/system/prometheus.service")).unwrap();
    let report = house.run_as(&plan::node(&house), Mode::Repair, None).unwrap();
    let (code, sentence) = report.failure().unwrap();
    assert_eq!(code, code::UNIT_FAILED);
    assert!(sentence.contains("masked"), "{sentence}");
    assert_eq!(
        std::fs::read_link(house.real("etc/systemd/system/prometheus.service")).unwrap(),
        std::path::Path::new("/dev/null")
    );
}

#[test]
fn a_service_in_the_way_is_stopped_and_started_again_in_the_end() {
    use aami_install::Effect;
    use aami_install::effect::UnitState;
    let house = House::new();
    let before = house.picture();
    let plan = || {
        let down = |unit: &str| Effect::UnitState(UnitState::down(unit));
        // That there is no such unit is right as well.
        let step = plan::Wants::step("free", &[], move || {
            vec![down("prometheus.service"), down("nothing.service")]
        });
        Plan::new("node", "Node", vec![step]).unwrap()
    };
    let report = house.install(&plan());
    assert_eq!(report.executed.len(), 1, "{:?}", report.executed);
    assert!(house.picture().units.is_empty(), "{:?}", house.picture().units);
    assert!(!house.install(&plan()).wrote);
    house.uninstall(&plan());
    house.picture().must_be(&before, "given back");
}
