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
    let round = Round {
        places,
        // The starter set says nothing here, and at once.
        agent: "/bin/true".into(),
        identity: None,
        expected: Expected::default(),
        control_plane: None,
        now: true,
        clock,
    };
    round.run().unwrap()
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
fn a_round_has_room_for_every_check_and_ends_before_its_unit_is_ended() {
    let mut longest = CheckDefinition {
        interval_seconds: 3600,
        ..CheckDefinition::new("long", "exit 0\n")
    };
    longest.timeout_seconds = (1..=3600)
        .rev()
        .find(|seconds| {
            longest.timeout_seconds = *seconds;
            longest.check().is_ok()
        })
        .unwrap();
    assert!(Duration::from_secs(longest.timeout_seconds.into()) < ROUND);
    let unit = check_units::service("/x");
    let limit = unit
        .lines()
        .find_map(|line| line.strip_prefix("TimeoutStartSec="))
        .unwrap();
    assert!(ROUND + Duration::from_secs(5) < Duration::from_secs(limit.parse().unwrap()));
}
