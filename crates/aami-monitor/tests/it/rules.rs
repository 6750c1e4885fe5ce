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

#[test]
fn the_rules_about_deliveries() {
    insta::assert_snapshot!(aami_monitor::rules::deliveries().unwrap());
}

#[test]
fn a_destination_that_takes_nothing_alerts_and_one_that_recovers_does_not() {
    // Given the rules as they are written, beside their unit test
    let folder = tempfile::tempdir().unwrap();
    let rules = aami_monitor::rules::deliveries().unwrap();
    let file = folder.path().join(aami_monitor::rules::DELIVERIES_FILE);
    std::fs::write(&file, &rules).unwrap();
    let test = folder.path().join("deliveries.test.yaml");
    std::fs::write(&test, include_str!("rules/deliveries.test.yaml")).unwrap();
    let promtool = || {
        let mut command = Command::new(prometheus().join("promtool"));
        command.args(["test", "rules"]).arg(&test);
        command
    };
    // when promtool runs it, then all of it holds;
    run(&mut promtool());
    // and each rule is looked at: without what it asks for, the test fails.
    for (part, other) in [
        ("unless", "or"),
        ("\"dead\"", "\"lost\""),
        ("\"dead\\\"", "\"lost\\\""),
    ] {
        let wrong = rules.replace(part, other);
        if wrong != rules {
            std::fs::write(&file, wrong).unwrap();
            assert!(!promtool().output().unwrap().status.success(), "{part}");
        }
    }
}

#[test]
fn the_rules_about_agents() {
    insta::assert_snapshot!(aami_monitor::rules::agents().unwrap());
}

#[test]
fn many_agents_in_trouble_alert_and_one_node_or_a_restart_does_not() {
    // Given the rules as they are written, beside their unit test
    let folder = tempfile::tempdir().unwrap();
    let rules = aami_monitor::rules::agents().unwrap();
    let file = folder.path().join(aami_monitor::rules::AGENTS_FILE);
    std::fs::write(&file, &rules).unwrap();
    let test = folder.path().join("agents.test.yaml");
    std::fs::write(&test, include_str!("rules/agents.test.yaml")).unwrap();
    let promtool = || {
        let mut command = Command::new(prometheus().join("promtool"));
        command.args(["test", "rules"]).arg(&test);
        command
    };
    // when promtool runs it, then all of it holds;
    run(&mut promtool());
    // and each rule is looked at: with another threshold the test fails.
    for (part, other) in [
        (">= 3", ">= 2"),
        ("0.8 *", "0.6 *"),
        ("> 5 *", "> 0.05 *"),
        ("== 1", "== 0"),
    ] {
        let wrong = rules.replace(part, other);
        assert_ne!(wrong, rules, "{part}");
        std::fs::write(&file, wrong).unwrap();
        assert!(!promtool().output().unwrap().status.success(), "{part}");
    }
}

#[test]
fn a_prometheus_that_does_not_take_its_rules_alerts_and_a_slow_one_does_not() {
    // Given the rules as they are written, beside their unit test
    let folder = tempfile::tempdir().unwrap();
    let rules = aami_monitor::rules::loading().unwrap();
    let file = folder.path().join(aami_monitor::rules::LOADING_FILE);
    std::fs::write(&file, &rules).unwrap();
    let test = folder.path().join("loading.test.yaml");
    std::fs::write(&test, include_str!("rules/loading.test.yaml")).unwrap();
    let promtool = || {
        let mut command = Command::new(prometheus().join("promtool"));
        command.args(["test", "rules"]).arg(&test);
        command
    };
    // when promtool runs it, then all of it holds;
    run(&mut promtool());
    // and each rule is looked at: with another threshold the test fails.
    for (part, other) in [("== 0", "== 1"), ("> 0", "> 5"), ("10m", "0m")] {
        let wrong = rules.replace(part, other);
        assert_ne!(wrong, rules, "{part}");
        std::fs::write(&file, wrong).unwrap();
        assert!(!promtool().output().unwrap().status.success(), "{part}");
    }
}
