//! One installer at a time.

use std::sync::mpsc;
use std::time::Duration;

use aami_install::effect::Irreversible;
use aami_install::{Effect, Installer, Mode, Plan};
use aami_model::{Exit, code};

use crate::house::{House, options};
use crate::plan::{self, Wants};

/// A plan whose one effect says that it began and waits to be let go on.
fn waiting(began: mpsc::Sender<()>, go_on: mpsc::Receiver<()>) -> Plan {
    let go_on = std::sync::Arc::new(std::sync::Mutex::new(go_on));
    let step = Wants::step("wait", &[], move || {
        let (began, go_on) = (began.clone(), go_on.clone());
        vec![Effect::Irreversible(Irreversible::new(
            "waiting",
            "yes",
            move |_, _| {
                let _ = began.send(());
                let _ = go_on.lock().unwrap().recv_timeout(Duration::from_secs(30));
                Ok(())
            },
        ))]
    });
    Plan::new("slow", "Slow", vec![step]).unwrap()
}

#[test]
fn a_second_installer_fails_at_once_and_names_the_first() {
    let house = House::new();
    let (began, has_begun) = mpsc::channel();
    let (let_go, go_on) = mpsc::channel();
    let slow = waiting(began, go_on);
    std::thread::scope(|scope| {
        // Given an installer at work,
        let first = scope.spawn(|| {
            let host = house.host(None);
            let options = aami_install::Options {
                approvals: vec!["yes".into()],
                ..options()
            };
            Installer::new(&host, &slow, options)
                .unwrap()
                .run(Mode::Fresh)
                .unwrap()
        });
        has_begun.recv_timeout(Duration::from_secs(30)).unwrap();
        let before = house.picture();
        // when others want to change the host,
        let node = plan::node(&house);
        for error in [
            house.run(&node, None).unwrap_err(),
            house.undo(&node, None).unwrap_err(),
        ] {
            // then they are told who is at work,
            assert_eq!((error.code(), error.code().exit), (code::LOCKED, Exit::Conflict));
            let sentence = error.to_string();
            assert!(
                sentence.contains(&format!("process {}, plan default/slow", std::process::id())),
                "{sentence}"
            );
        }
        // those that only look are not,
        let host = house.host(None);
        let status = Installer::new(&host, &node, options()).unwrap().status().unwrap();
        assert_eq!(status.holder.unwrap().plan, "default/slow");
        Installer::new(&host, &node, options())
            .unwrap()
            .dry_run()
            .unwrap();
        house.picture().must_be(&before, "while another was at work");
        // and when the first is done the way is free.
        let_go.send(()).unwrap();
        assert_eq!(first.join().unwrap().failure(), None);
        house.install(&node);
    });
    assert!(
        !house.exists("run/aami/install.lock"),
        "the lock file was left behind"
    );
}

#[test]
fn what_a_dead_installer_left_does_not_lock() {
    let house = House::new();
    house.folder("run/aami", 0o755);
    house.write(
        "run/aami/install.lock",
        "{\"pid\":1,\"plan\":\"default/node\",\"started_at\":\"2026-01-01T00:00:00Z\"}",
        0o600,
    );
    house.install(&plan::node(&house));
}

#[test]
fn a_link_in_the_place_of_the_lock_is_not_followed() {
    let house = House::new();
    house.folder("run/aami", 0o755);
    house.write("etc/precious", "precious", 0o644);
    std::os::unix::fs::symlink("/etc/precious", house.real("run/aami/install.lock")).unwrap();
    assert!(house.run(&plan::node(&house), None).is_err());
    assert_eq!(house.read("etc/precious"), "precious");
}
