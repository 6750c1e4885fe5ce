//! One command at a time changes a server: while one takes it back nobody installs, and while one installs nobody removes
//! its data.

use std::collections::BTreeSet;

use aami_install::Mode;
use aami_install::doubles::at_each_moment;
use aami_model::{Exit, code};
use aami_plans::stack::uninstall::hold;

use super::house::{House, options};

/// Before and after a command has the lock there is nobody to be refused for.
fn is_around_the_lock(subject: &str) -> bool {
    subject.starts_with("/run/aami")
}

#[test]
fn nobody_installs_while_a_server_is_taken_back_with_its_data() {
    for fresh in [House::new as fn() -> House, House::of_containers] {
        // Given an installed server with data,
        let house = fresh();
        let before = house.picture();
        house.install();
        house.write("var/lib/aami/server/store.db", "nodes");
        let mut refused = BTreeSet::new();
        // when it is taken back with its data, and at each of its changes somebody wants to install,
        let taken = at_each_moment(
            |watch| house.undo(true, Some(watch)).unwrap(),
            |_, act, subject| {
                if is_around_the_lock(subject) {
                    return;
                }
                let now = house.picture();
                for mode in [Mode::Fresh, Mode::Resume, Mode::Repair] {
                    let error = house.run(mode, None).unwrap_err();
                    // then they are refused, from the first change to the last,
                    assert_eq!(error.code(), code::LOCKED, "{:?}: {error}", (act, subject));
                    assert_eq!(error.code().exit, Exit::Conflict);
                }
                house.picture().must_be(&now, "refused");
                refused.insert(format!("{act:?}"));
            },
        );
        assert!(
            refused.contains("Command") && refused.contains("Remove"),
            "{refused:?}"
        );
        // and what is taken back is gone.
        assert_eq!(taken.report.left, Vec::<String>::new());
        assert!(taken.purged.contains(&"/var/lib/aami/server".to_owned()));
        house.picture().must_be(&before, "purged");
        // Afterwards the way is free.
        house.install();
    }
}

#[test]
fn nobody_takes_a_server_back_or_removes_its_data_while_it_is_installed() {
    // Given a server whose data was left,
    let house = House::new();
    house.install();
    house.write("var/lib/aami/server/store.db", "nodes");
    house.uninstall(false);
    let mut refused = 0;
    // when it is installed again, and at each change somebody wants it gone,
    let (report, _) = at_each_moment(
        |watch| house.run(Mode::Fresh, Some(watch)).unwrap(),
        |_, act, subject| {
            if is_around_the_lock(subject) {
                return;
            }
            for purges in [false, true] {
                // then they are refused,
                let error = house.undo(purges, None).unwrap_err();
                assert_eq!(error.code(), code::LOCKED, "{:?}: {error}", (act, subject));
            }
            refused += 1;
        },
    );
    assert_eq!(report.failure(), None);
    assert!(refused > 100, "only {refused}");
    // and the data is there.
    assert_eq!(house.read("var/lib/aami/server/store.db"), "nodes");
    assert!(house.status().is_healthy());
}

#[test]
fn what_was_looked_at_before_somebody_else_changed_it_is_not_taken_back() {
    // Given somebody who has looked at a server, and is asked whether its data shall go,
    let house = House::new();
    house.install();
    let host = house.host(None);
    let looked_at = house.looked_at(&host);
    // when another command installs it otherwise meanwhile,
    let note = "etc/aami/server-install.json";
    let mut wishes: serde_json::Value = serde_json::from_str(&house.read(note)).unwrap();
    wishes["prometheus_data"] = "/srv/prometheus".into();
    house.write(note, &wishes.to_string());
    let now = house.picture();
    // then nothing is taken back by what was seen,
    let error = hold(&host, &looked_at, &options()).unwrap_err();
    assert_eq!(error.code(), code::CONFLICT, "{error}");
    house.picture().must_be(&now, "refused");
    // and who looks again may.
    drop(hold(&host, &house.looked_at(&host), &options()).unwrap());
    assert!(!house.exists("run/aami"), "the lock was left behind");
}
