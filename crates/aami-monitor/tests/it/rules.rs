//! The rules, judged by promtool.

use std::process::Command;

use crate::engine::{prometheus, run};

#[test]
fn the_rules_about_installations() {
    insta::assert_snapshot!(aami_monitor::rules::installation().unwrap());
}

#[test]
fn a_failed_step_alerts_and_nothing_else_does() {
    // Given the rules as they are written, beside their unit test
    let folder = tempfile::tempdir().unwrap();
    let rules = aami_monitor::rules::installation().unwrap();
    std::fs::write(folder.path().join(aami_monitor::rules::INSTALLATION_FILE), &rules).unwrap();
    let test = folder.path().join("installation.test.yaml");
    std::fs::write(&test, include_str!("rules/installation.test.yaml")).unwrap();
    let promtool = |arguments: &[&str]| {
        Command::new(prometheus().join("promtool"))
            .args(arguments)
            .arg(&test)
            .output()
            .unwrap()
    };

    // when promtool runs it, then all of it holds;
    run(Command::new(prometheus().join("promtool"))
        .args(["test", "rules"])
        .arg(&test));

    // and it is a test that can fail: with a rule that fires one state too early it does.
    let wrong = rules.replace("== 3", "== 1");
    assert_ne!(wrong, rules);
    std::fs::write(folder.path().join(aami_monitor::rules::INSTALLATION_FILE), wrong).unwrap();
    assert!(!promtool(&["test", "rules"]).status.success());
}
