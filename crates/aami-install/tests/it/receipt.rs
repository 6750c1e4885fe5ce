//! The receipt: old ones stay readable, lost ones are rebuilt from marks, broken ones are set aside.

use aami_install::receipt::{Before, Receipt, Recorded};
use aami_install::{Installer, Mode};
use aami_model::code;

use crate::house::{House, options};
use crate::plan;

const FOLDER: &str = "var/lib/aami/install/default/node";

/// A receipt as version 1 wrote it. It never changes: every later program must read it.
const GOLDEN: &str = include_str!("../golden/receipt-v1.json");

/// And as version 2 wrote it, with the kinds that are new in it.
const GOLDEN_2: &str = include_str!("../golden/receipt-v2.json");

/// And as version 3 wrote it.
const GOLDEN_3: &str = include_str!("../golden/receipt-v3.json");

#[test]
fn a_receipt_of_version_1_is_read_whole() {
    let receipt: Receipt = serde_json::from_str(GOLDEN).unwrap();
    assert_eq!(
        (receipt.version, receipt.plan.as_str(), receipt.effects.len()),
        (1, "node", 11)
    );
    let kinds: Vec<_> = receipt
        .effects
        .iter()
        .map(|record| record.effect.key().to_string())
        .collect();
    assert_eq!(
        kinds,
        [
            "group node_exporter",
            "user node_exporter",
            "member node_exporter video",
            "/etc/aami",
            "/opt/aami/1.9.1/node_exporter",
            "/usr/local/bin/node_exporter",
            "/etc/default/node_exporter",
            "unit node_exporter.service",
            "registration https://aami.example:8080",
            "irreversible the disk sda is wiped",
            "/etc/lost",
        ]
    );
    let Recorded::UnitState {
        started_with: Some(_),
        ..
    } = receipt.effects[7].effect
    else {
        panic!("started")
    };
    assert_eq!(receipt.effects[10].before, Before::Unknown);
    // And what is read is written again as it was.
    let again = serde_json::to_value(&receipt).unwrap();
    assert_eq!(again, serde_json::from_str::<serde_json::Value>(GOLDEN).unwrap());
}

#[test]
fn a_receipt_of_version_2_is_read_whole() {
    let receipt: Receipt = serde_json::from_str(GOLDEN_2).unwrap();
    let keys: Vec<_> = receipt
        .effects
        .iter()
        .map(|record| record.effect.key().to_string())
        .collect();
    assert_eq!(
        keys,
        [
            "packages prerequisites",
            "packages shared",
            "firewall tcp 9100 from anybody",
            "firewall tcp 9105 from 10.0.0.0/8",
            "project aami",
            "project old",
        ]
    );
    let again = serde_json::to_value(&receipt).unwrap();
    assert_eq!(
        again,
        serde_json::from_str::<serde_json::Value>(GOLDEN_2).unwrap()
    );
}

#[test]
fn a_receipt_of_version_3_is_read_whole() {
    let receipt: Receipt = serde_json::from_str(GOLDEN_3).unwrap();
    let [record] = receipt.effects.as_slice() else {
        panic!("one record")
    };
    let Recorded::PlaceTree(tree) = &record.effect else {
        panic!("{record:?}")
    };
    assert_eq!((tree.path.as_str(), tree.wrote.len()), ("/opt/aami/grafana-1", 2));
    let again = serde_json::to_value(&receipt).unwrap();
    assert_eq!(
        again,
        serde_json::from_str::<serde_json::Value>(GOLDEN_3).unwrap()
    );
}

#[test]
fn a_receipt_is_no_newer_than_what_it_records() {
    let house = House::new();
    house.install(&plan::node(&house));
    assert_eq!(house.receipt("node").version, 1);
    let house = crate::toolshed::SHEDS[0].house();
    house.install(&crate::toolshed::plan());
    assert_eq!(house.receipt("stack").version, 2);
    let house = House::new();
    house.install(&crate::tree::plan());
    assert_eq!(house.receipt("stack").version, 3);
}

#[test]
fn of_a_receipt_from_a_newer_program_nothing_is_undone() {
    // Given a receipt with one more kind of effect than this program knows, in its middle,
    for (name, added) in [
        (
            "kind",
            r#"{"step":"x","at":"2026-11-20T12:00:00.000Z","done":true,"kind":"kernel_module","name":"x","before":{"was":"absent"}}"#,
        ),
        (
            "before",
            r#"{"step":"x","at":"2026-11-20T12:00:00.000Z","done":true,"kind":"create_group","name":"x","before":{"was":"a_module"}}"#,
        ),
    ] {
        let house = House::new();
        house.install(&plan::node(&house));
        let path = format!("{FOLDER}/receipt.json");
        let mut receipt: serde_json::Value = serde_json::from_str(&house.read(&path)).unwrap();
        let effects = receipt["effects"].as_array_mut().unwrap();
        effects.insert(3, serde_json::from_str(added).unwrap());
        house.write(&path, &receipt.to_string(), 0o600);
        let before = house.picture();
        // when it is to be undone, then that is said and nothing is touched.
        let error = house.undo(&plan::node(&house), None).unwrap_err();
        assert_eq!(error.code(), code::RECEIPT_NEWER, "{name}");
        let word = if name == "kind" {
            "kernel_module"
        } else {
            "a_module"
        };
        assert!(error.to_string().contains(word), "{error}");
        house.picture().must_be(&before, name);
    }
}

#[test]
fn what_stays_after_uninstalling_is_listed() {
    let house = crate::toolshed::SHEDS[0].house();
    house.install(&plan::node(&house));
    house.write("etc/default/node_exporter", "ARGS=--mine\n", 0o644);
    house.install(&crate::toolshed::plan());
    let mut list = Vec::new();
    for report in [
        house.uninstall(&crate::toolshed::plan()),
        house.uninstall(&plan::node(&house)),
    ] {
        list.extend(report.kept.iter().map(ToString::to_string));
        list.extend(report.left.into_iter().chain(report.traces));
    }
    list.sort();
    list.dedup();
    for told in [
        "/var/log/apt",
        "container images",
        "/etc/passwd-",
        "the journal",
        "/etc/default/node_exporter.aami-kept",
    ] {
        assert_eq!(
            list.iter().filter(|line| line.contains(told)).count(),
            1,
            "{told} is not told once in {list:#?}"
        );
    }
}

#[test]
fn a_host_installed_by_version_1_is_uninstalled() {
    // Given a host as version 1 left it: the receipt, the originals it saved, and what it made.
    let house = House::new();
    let before = house.picture();
    let (uid, gid) = (
        rustix::process::geteuid().as_raw(),
        rustix::process::getegid().as_raw(),
    );
    let receipt = GOLDEN.replace(
        "\"uid\": 0, \"gid\": 0",
        &format!("\"uid\": {uid}, \"gid\": {gid}"),
    );
    let receipt = receipt.replace("/etc/lost", "/etc/aami/lost");
    house.folder(&format!("{FOLDER}/saved"), 0o700);
    house.write(&format!("{FOLDER}/receipt.json"), &receipt, 0o600);
    let saved = aami_install::Digest::of(b"ARGS=--the-operators-own\n");
    house.write(
        &format!("{FOLDER}/saved/{saved}"),
        "ARGS=--the-operators-own\n",
        0o600,
    );
    house.write("etc/default/node_exporter", "version 1\n", 0o644);
    house.folder("etc/aami", 0o755);
    // When this program uninstalls it,
    let report = house.undo(&plan::node(&house), None).unwrap();
    // then the original is back and only what cannot be undone is named.
    assert!(report.failed.is_empty(), "{:?}", report.failed);
    assert_eq!(report.left, ["the disk sda is wiped: cannot be taken back"]);
    // Folders for the versioned program were never part of that receipt.
    house.picture().must_be(&before, "uninstalled");
}

#[test]
fn a_receipt_nobody_can_read_stops_a_run_and_repair_sets_it_aside() {
    for (text, code) in [
        ("", code::RECEIPT_UNREADABLE),
        ("{\"version\": 1, \"eff", code::RECEIPT_UNREADABLE),
        ("[]", code::RECEIPT_UNREADABLE),
        ("{\"version\": 99}", code::RECEIPT_NEWER),
        (
            "{\"version\":1,\"effects\":[{\"kind\":\"dance\"}]}",
            code::RECEIPT_NEWER,
        ),
    ] {
        let house = House::new();
        house.install(&plan::node(&house));
        let wanted = house.picture();
        house.write(&format!("{FOLDER}/receipt.json"), text, 0o600);
        for mode in [Mode::Fresh, Mode::Resume] {
            let error = house.run_as(&plan::node(&house), mode, None).unwrap_err();
            assert_eq!(error.code(), code, "{text:?}");
        }
        assert_eq!(
            house.read(&format!("{FOLDER}/receipt.json")),
            text,
            "it was touched"
        );
        let report = house.run_as(&plan::node(&house), Mode::Repair, None).unwrap();
        assert_eq!(report.failure(), None, "{text:?}");
        assert_eq!(
            report.set_aside.unwrap().as_str(),
            format!("/{FOLDER}/receipt.json.unreadable-1")
        );
        assert_eq!(house.read(&format!("{FOLDER}/receipt.json.unreadable-1")), text);
        house.picture().must_be(&wanted, "repaired");
        assert!(house.receipt("node").rebuilt);
    }
}

#[test]
fn a_lost_receipt_is_rebuilt_from_marks_and_the_unknown_is_left() {
    let house = House::new();
    house.install(&plan::node(&house));
    std::fs::remove_dir_all(house.real("var/lib/aami")).unwrap();
    let report = house.uninstall(&plan::node(&house));
    // What carries our mark is gone: unit, configuration, user, registration.
    assert!(!house.exists("etc/systemd/system/node_exporter.service"));
    assert!(!house.exists("etc/default/node_exporter"));
    assert!(!house.read("etc/passwd").contains("node_exporter"));
    assert!(
        house
            .picture()
            .units
            .iter()
            .all(|unit| unit.unit != "node_exporter.service")
    );
    assert!(house.control_plane().nodes().is_empty());
    // What could have been there before is left and named.
    for path in [
        "/opt/aami/1.9.1/node_exporter",
        "/usr/local/bin/node_exporter",
        "/etc/aami",
    ] {
        assert!(house.exists(path), "{path} was guessed to be ours");
        assert!(
            report.left.iter().any(|why| why.starts_with(path)),
            "{path} is not named in {:?}",
            report.left
        );
    }
    assert!(!house.exists("var/lib/aami"));
}

#[test]
fn what_would_be_taken_back_is_told_of_a_lost_receipt_too() {
    let house = House::new();
    let recorded = || {
        let (host, plan) = (house.host(None), plan::node(&house));
        let installer = Installer::new(&host, &plan, options()).unwrap();
        installer.recorded().unwrap().join("\n")
    };
    // On a host that never was installed to there is nothing,
    assert_eq!(recorded(), "");
    house.install(&plan::node(&house));
    assert!(recorded().contains("/opt/aami/1.9.1/node_exporter"));
    // and where the record is lost, what carries our mark, and nothing that may be somebody else's.
    std::fs::remove_dir_all(house.real("var/lib/aami")).unwrap();
    let before = house.picture();
    let told = recorded();
    assert!(
        told.contains("/etc/systemd/system/node_exporter.service"),
        "{told}"
    );
    assert!(!told.contains("/opt/aami/1.9.1/node_exporter"), "{told}");
    house.picture().must_be(&before, "looked at");
}

#[test]
fn a_lost_state_costs_nothing() {
    let house = House::new();
    house.install(&plan::node(&house));
    for text in [None, Some("{\"version\":\"1.0\",\"clus"), Some("\0\0\0")] {
        match text {
            None => std::fs::remove_file(house.real(&format!("{FOLDER}/state.json"))).unwrap(),
            Some(text) => house.write(&format!("{FOLDER}/state.json"), text, 0o600),
        }
        house.write(&format!("{FOLDER}/.state.json.aami-new"), "torn", 0o600);
        let report = house.install(&plan::node(&house));
        assert!(report.executed.is_empty(), "{:?}", report.executed);
    }
}

#[test]
fn the_state_file_has_the_documented_form() {
    let house = House::new();
    house.install(&plan::node(&house));
    let state: serde_json::Value =
        serde_json::from_str(&house.read(&format!("{FOLDER}/state.json"))).unwrap();
    let members: Vec<_> = state.as_object().unwrap().keys().map(String::as_str).collect();
    assert_eq!(
        members,
        ["cluster_name", "started_at", "steps", "updated_at", "version"]
    );
    assert_eq!(
        (&state["version"], &state["cluster_name"]),
        (&"1.0".into(), &"default".into())
    );
    let step = &state["steps"]["node_exporter"];
    assert_eq!(
        (&step["status"], &step["attempts"]),
        (&"completed".into(), &1.into())
    );
    assert_eq!(step["started_at"], "2026-11-20T12:00:00.000Z");
    use std::os::unix::fs::PermissionsExt;
    for file in ["state.json", "receipt.json", "log"] {
        let mode = house
            .real(&format!("{FOLDER}/{file}"))
            .metadata()
            .unwrap()
            .permissions()
            .mode()
            & 0o777;
        assert_eq!(mode, 0o600, "{file}");
    }
}

/// The state of a run whose third step failed, as the document has it. It never changes.
const GOLDEN_STATE: &str = include_str!("../golden/state.json");

#[test]
fn the_state_of_a_failed_run_is_the_golden_one_to_the_byte() {
    use aami_install::{Content, Effect, StepError};
    let house = House::new();
    let plan = || {
        let write = |id, path: &'static str| {
            plan::Wants::step(id, &[], move || {
                vec![Effect::file(
                    crate::house::path(path),
                    Content::bytes("x"),
                    0o644,
                    None,
                )]
            })
        };
        let fails: Box<dyn aami_install::Step> = Box::new(Fails);
        aami_install::Plan::new(
            "node",
            "Node",
            vec![
                write("preflight", "/opt/a"),
                write("apply", "/opt/b"),
                fails,
                write("verify", "/opt/c"),
            ],
        )
        .unwrap()
    };
    struct Fails;
    impl aami_install::Step for Fails {
        fn id(&self) -> &str {
            "pods_ready"
        }
        fn title(&self) -> String {
            "Failing".into()
        }
        fn needs(&self) -> Vec<String> {
            vec!["apply".into()]
        }
        fn probe(&self, _: &aami_install::Survey<'_>) -> Result<aami_install::Probe, StepError> {
            Ok(aami_install::Probe::Missing("always".into()))
        }
        fn apply(
            &self,
            _: &mut aami_install::StepContext<'_>,
        ) -> Result<aami_model::run::StepOutcome, StepError> {
            Err(StepError::new(code::UNIT_FAILED, "it did not come up"))
        }
    }
    // Tried twice, as the attempts tell.
    house.run(&plan(), None).unwrap();
    house.run(&plan(), None).unwrap();
    assert_eq!(house.read(&format!("{FOLDER}/state.json")), GOLDEN_STATE);
    // Forgetting progress keeps the receipt, byte for byte.
    let receipt = house.read(&format!("{FOLDER}/receipt.json"));
    let (host, plan) = (house.host(None), plan());
    let installer = aami_install::Installer::new(&host, &plan, crate::house::options()).unwrap();
    installer.reset().unwrap();
    assert!(!house.exists(&format!("{FOLDER}/state.json")));
    assert_eq!(house.read(&format!("{FOLDER}/receipt.json")), receipt);
}

#[test]
fn no_secret_stands_in_what_is_remembered() {
    let house = House::new();
    house.install(&plan::node(&house));
    let secret = house.read("etc/aami/credential");
    for file in ["state.json", "receipt.json", "log"] {
        assert!(
            !house.read(&format!("{FOLDER}/{file}")).contains(&secret),
            "{file} holds the credential"
        );
    }
}
