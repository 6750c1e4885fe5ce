//! Rounds of real scripts, without a control plane.

use aami_install::host::SystemClock;
use aami_model::CheckId;
use aami_model::check::CheckDefinition;
use data_encoding::HEXLOWER;
use sha2::{Digest as _, Sha256};
use tempfile::TempDir;

use super::*;
use crate::node::check_units;

fn definition(name: &str, script: &str, timeout: u32) -> NodeCheck {
    let definition = CheckDefinition {
        timeout_seconds: timeout,
        interval_seconds: 300,
        ..CheckDefinition::new(name, script)
    };
    NodeCheck {
        id: CheckId::from_random([7; 10]),
        enabled: true,
        sha256: HEXLOWER.encode(&Sha256::digest(definition.canonical())),
        definition,
    }
}

/// A host's folders with these definitions kept from an earlier round.
fn folder(definitions: Vec<NodeCheck>) -> (TempDir, Places) {
    let folder = tempfile::tempdir().unwrap();
    let places = Places::below(folder.path());
    for path in [
        &places.folder,
        places.metrics.parent().unwrap(),
        places.scripts.parent().unwrap(),
    ] {
        fs::create_dir_all(path).unwrap();
    }
    let remembered = Remembered {
        definitions,
        ..Remembered::default()
    };
    remembered.write(&places.folder).unwrap();
    (folder, places)
}

fn round(places: Places, clock: &SystemClock) -> Outcome {
    of(places, clock).run().unwrap()
}

fn of(places: Places, clock: &SystemClock) -> Round<'_> {
    Round {
        places,
        // The starter set says nothing here, and at once.
        agent: "/bin/true".into(),
        identity: None,
        expected: Expected::default(),
        control_plane: None,
        now: true,
        clock,
    }
}

#[test]
fn what_one_check_found_is_told_while_another_still_runs() {
    // Given one that is quick, and one that ends when it sees the other's result among the metrics,
    let (folder, places) = folder(vec![definition("quick", "exit 0\n", 10)]);
    let wait = format!(
        "until grep -q 'aami_check_status{{check=\"quick\"}} 0' {}; do sleep 0.05; done\n",
        places.metrics.display()
    );
    let mut remembered = Remembered::read(&places.folder);
    remembered.definitions.push(definition("waits", &wait, 20));
    remembered.write(&places.folder).unwrap();
    // then it does end, and finds things well.
    let outcome = round(places, &SystemClock::new());
    let found = |name: &str| {
        let ran = outcome.ran.iter().find(|(ran, _)| ran == name);
        ran.map(|(_, report)| report.status)
    };
    assert_eq!(found("quick"), Some(Status::Ok));
    assert_eq!(found("waits"), Some(Status::Ok), "{outcome:?}");
    drop(folder);
}

#[test]
fn a_round_has_room_for_the_longest_check_after_the_longest_fetch_and_ends_before_its_unit_is_ended() {
    // Given that asking takes as long as it may, and then the longest check there can be is due,
    let longest = seconds(LONGEST_TIMEOUT);
    let mut check = CheckDefinition {
        interval_seconds: 3600,
        ..CheckDefinition::new("long", "exit 0\n")
    };
    check.timeout_seconds = LONGEST_TIMEOUT;
    check.check().unwrap();
    check.timeout_seconds += 1;
    check.check().unwrap_err();
    // then it is begun,
    assert!(
        fetch::ASK + longest < ROUND,
        "there is time to write between the two"
    );
    // and killed, with all it left behind, before systemd ends the round and nothing of it is told.
    let unit = check_units::service("/x");
    let limit = unit
        .lines()
        .find_map(|line| line.strip_prefix("TimeoutStartSec="))
        .unwrap();
    let limit = seconds(limit.parse().unwrap());
    assert!(ROUND + run::ENDING + orphans::PATIENCE < limit);
}

#[test]
fn a_control_plane_that_accepts_and_never_answers_takes_no_time_from_the_checks() {
    // Given a control plane that says nothing,
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let server = format!("http://{}", silent.local_addr().unwrap());
    let kind = aami_model::secret::SecretKind::NodeCredential;
    let secret = aami_model::secret::Secret::from_random(kind, "x", [7; 20]);
    let client = fetch::asker(aami_api::client::Settings::new(server), &secret).unwrap();
    let (folder, places) = folder(vec![definition("quick", "exit 0\n", 10)]);
    // when a round asks it,
    let clock = SystemClock::new();
    let began = Instant::now();
    let outcome = Round {
        control_plane: Some((client, "node1".to_owned())),
        ..of(places, &clock)
    }
    .run()
    .unwrap();
    // then it gives up in time, says so, and runs what it knows.
    assert!(outcome.not_fetched.is_some());
    assert!(outcome.ran.iter().any(|(name, _)| name == "quick"));
    assert!(
        began.elapsed() < fetch::ASK + seconds(10),
        "{:?}",
        began.elapsed()
    );
    drop(folder);
}

#[test]
fn a_round_writes_into_a_folder_that_belongs_to_somebody_else() {
    // Given a folder for node_exporter that somebody else made, closed to others, and root as the unit has it,
    if !rustix::process::geteuid().is_root() {
        eprintln!("only root can give a folder away; not run");
        return;
    }
    let (folder, places) = folder(vec![definition("quick", "exit 0\n", 10)]);
    std::os::unix::fs::chown(places.metrics.parent().unwrap(), Some(4711), Some(4711)).unwrap();
    let unit = check_units::service("/x");
    let line = unit
        .lines()
        .find_map(|line| line.strip_prefix("CapabilityBoundingSet="));
    let (script, names) = (folder.path().join("write"), line.unwrap());
    let dropped = names.to_lowercase().replace("cap_", "+").replace(' ', ",");
    fs::write(&script, format!("echo it is > {}\n", places.metrics.display())).unwrap();
    // when it writes there, then it can.
    let wrote = std::process::Command::new("setpriv")
        .args([&format!("--bounding-set=-all,{dropped}"), "--", "/bin/sh"])
        .arg(&script)
        .status()
        .unwrap();
    assert!(wrote.success(), "{names}");
    assert_eq!(fs::read_to_string(&places.metrics).unwrap(), "it is\n");
}

#[test]
fn a_check_that_is_off_is_fine_whatever_it_found_and_one_that_runs_is_not() {
    // Given two checks that found something, one of which an admin switched off since,
    let off = NodeCheck {
        enabled: false,
        ..definition("off", "exit 2\n", 10)
    };
    let (folder, places) = folder(vec![off, definition("on", "exit 2\n", 10)]);
    let clock = SystemClock::new();
    let seen = Seen {
        report: Report::new(Status::Critical, "x"),
        at: clock.now(),
        duration_ms: 1,
    };
    // then only the one that runs is worth a look.
    let (planned, _) = of(places, &clock).look().unwrap();
    let is_fine = |name: &str| {
        let check = planned.iter().find(|check| check.name == name).unwrap();
        check.is_fine(Some(&seen))
    };
    assert!(is_fine("off"));
    assert!(!is_fine("on"));
    drop(folder);
}
