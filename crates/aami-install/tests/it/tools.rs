//! Packages, firewall rules and containers: installed with what they need, taken back exactly, refused
//! with a word that helps.

use std::sync::Arc;

use aami_install::doubles::{CutOff, Repository, System};
use aami_install::effect::{ContainerProject, FirewallRule, PackageSet};
use aami_install::receipt::Recorded;
use aami_install::{Content, Effect, Installer, Mode, Plan};
use aami_model::code;

use crate::house::{House, path};
use crate::plan::Wants;
use crate::toolshed::{self, SHEDS, Shed, repository};

const APT: Shed = SHEDS[0];

fn packages(name: &'static str, set: &'static str, packages: &'static [&'static str]) -> Plan {
    let step = Wants::step("packages", &[], move || {
        vec![Effect::PackageSet(PackageSet::new(set, packages.iter().copied()))]
    });
    Plan::new(name, name, vec![step]).unwrap()
}

fn installed(house: &House) -> String {
    std::fs::read_to_string(house.real("var/lib/packages")).unwrap_or_default()
}

#[test]
fn a_plan_with_packages_firewall_and_containers_comes_and_goes_without_a_trace() {
    for shed in SHEDS {
        let house = shed.house();
        let before = house.picture();
        let report = house.install(&toolshed::plan());
        assert_eq!(
            report.executed.len(),
            11 - if shed.firewall == "none" { 2 } else { 0 },
            "{shed:?}"
        );
        let installed = installed(&house);
        for name in ["jq", "libjq1", "libonig5", "smartmontools"] {
            assert!(
                installed.contains(&format!("{name} installed")),
                "{shed:?}: {installed}"
            );
        }
        let tools = house.picture().tools.join("\n");
        for told in [
            "container aami prometheus",
            "container aami grafana",
            "volume aami_data",
        ] {
            assert!(tools.contains(told), "{shed:?}: {tools}");
        }
        // A second run changes nothing at all.
        let report = house.install(&toolshed::plan());
        assert!(!report.wrote, "{shed:?}: {:?}", report.executed);
        let report = house.uninstall(&toolshed::plan());
        assert_eq!(report.left, Vec::<String>::new(), "{shed:?}");
        house.picture().must_be(&before, &format!("{shed:?}"));
    }
}

#[test]
fn a_package_somebody_else_needs_by_now_stays_with_what_it_needs() {
    for shed in SHEDS {
        let house = shed.house();
        house.install(&packages("node", "tools", &["jq", "smartmontools"]));
        // Given an operator who since installed something that needs one of the libraries,
        let mut now = installed(&house);
        now.push_str("curl installed\n");
        house.write("var/lib/packages", &now, 0o644);
        // when the plan goes,
        let report = house.uninstall(&packages("node", "tools", &["jq", "smartmontools"]));
        // then all of it goes but that library, and the report says why.
        assert_eq!(
            installed(&house),
            "curl installed\nlibonig5 installed\n",
            "{shed:?}"
        );
        assert_eq!(report.left.len(), 1, "{:?}", report.left);
        assert!(
            report.left[0].contains("libonig5 is needed by curl"),
            "{:?}",
            report.left
        );
    }
}

#[test]
fn packages_that_were_there_are_never_removed() {
    let house = APT.house();
    house.write(
        "var/lib/packages",
        "libonig5 installed\nlibjq1 config-files\n",
        0o644,
    );
    house.write("etc/libjq1.conf", "# of an earlier installation\n", 0o644);
    let before = installed(&house);
    let node = || packages("node", "tools", &["jq", "libonig5"]);
    house.install(&node());
    let receipt = house.receipt("node");
    let Recorded::PackageSet {
        added,
        had_configuration,
        ..
    } = &receipt.effects[0].effect
    else {
        panic!("{receipt:?}")
    };
    assert_eq!(
        (added.len(), had_configuration.as_slice()),
        (2, &["libjq1".to_owned()][..])
    );
    house.uninstall(&node());
    assert_eq!(
        installed(&house),
        before
            .lines()
            .rev()
            .map(|line| format!("{line}\n"))
            .collect::<String>()
    );
    assert!(
        house.exists("etc/libjq1.conf"),
        "its configuration was there before"
    );
}

#[test]
fn two_plans_that_want_the_same_package_each_go_alone() {
    for first in [0, 1] {
        let house = APT.house();
        let before = house.picture();
        let plans = [
            packages("one", "tools", &["jq", "smartmontools"]),
            packages("two", "others", &["jq"]),
        ];
        plans.iter().for_each(|plan| drop(house.install(plan)));
        house.uninstall(&plans[first]);
        let now = installed(&house);
        assert!(
            now.contains("jq installed") && now.contains("libjq1 installed"),
            "{first}: {now}"
        );
        assert_eq!(now.contains("smartmontools"), first == 1, "{now}");
        let report = house.uninstall(&plans[1 - first]);
        assert_eq!(report.left, Vec::<String>::new(), "{first}");
        house
            .picture()
            .must_be(&before, &format!("plan {first} went first"));
    }
}

#[test]
fn a_held_lock_is_waited_for_and_then_named() {
    for shed in SHEDS {
        let house = shed.house();
        Repository {
            locked: 3,
            ..repository()
        }
        .set(&house.memory());
        house.install(&packages("node", "tools", &["jq"]));
        // Held for longer than anybody waits:
        let house = shed.house();
        Repository {
            locked: u32::MAX,
            ..repository()
        }
        .set(&house.memory());
        let report = house.run(&packages("node", "tools", &["jq"]), None).unwrap();
        let (code, sentence) = report.failure().unwrap();
        assert_eq!(code, code::PACKAGES_LOCKED, "{shed:?}: {sentence}");
        assert!(installed(&house).is_empty());
    }
}

#[test]
fn each_way_packages_cannot_be_had_has_its_own_word() {
    type Break = fn(&mut Repository);
    let cases: [(&str, Break, _, &str); 4] = [
        (
            "unknown",
            |it| drop(it.packages.remove("libjq1")),
            code::PACKAGE_UNKNOWN,
            "libjq1",
        ),
        (
            "offline",
            |it| it.unreachable = true,
            code::PACKAGES_UNREACHABLE,
            "deb.example",
        ),
        (
            "offline, with lists",
            |it| (it.unreachable, it.listed) = (true, true),
            code::PACKAGES_UNREACHABLE,
            "deb.example",
        ),
        (
            "full",
            |it| it.full = true,
            code::DISK_FULL,
            "/var/cache/apt/archives",
        ),
    ];
    for (name, set, wanted, telling) in cases {
        let house = APT.house();
        let mut broken = repository();
        set(&mut broken);
        broken.set(&house.memory());
        let before = house.picture();
        let report = house.run(&packages("node", "tools", &["jq"]), None).unwrap();
        let (code, sentence) = report.failure().unwrap();
        assert_eq!(code, wanted, "{name}: {sentence}");
        assert!(sentence.contains(telling), "{name}: {sentence}");
        // And when it is mended, the same command goes on; or everything goes.
        if name == "unknown" {
            house.uninstall(&packages("node", "tools", &["jq"]));
            house.picture().must_be(&before, name);
        } else {
            repository().set(&house.memory());
            house.install(&packages("node", "tools", &["jq"]));
        }
    }
}

#[test]
fn an_installation_of_ours_that_broke_off_is_finished_and_one_of_others_is_not_touched() {
    // Given our own installation that broke off between unpacking and configuring,
    let house = APT.house();
    Repository {
        breaks: Some("libjq1".into()),
        ..repository()
    }
    .set(&house.memory());
    let plan = || packages("node", "tools", &["jq", "libjq1"]);
    let report = house.run(&plan(), None).unwrap();
    assert_eq!(report.failure().unwrap().0, code::PACKAGES_BROKEN);
    assert!(installed(&house).contains("libjq1 half-configured"));
    // when the same command is given again, then it is finished.
    house.install(&plan());
    assert!(
        !installed(&house).contains("half-configured"),
        "{}",
        installed(&house)
    );
    // Given somebody else's,
    let house = APT.house();
    house.write("var/lib/packages", "theirs half-configured\n", 0o644);
    let report = house.run(&plan(), None).unwrap();
    // then it is named and left to them.
    assert_eq!(report.failure().unwrap().0, code::PACKAGES_BROKEN);
    assert_eq!(installed(&house), "theirs half-configured\n");
}

#[test]
fn a_rule_somebody_else_has_is_left_to_them() {
    for (shed, file, rule) in [
        (SHEDS[0], "etc/firewalld/zones/public.xml", "port=9100/tcp\n"),
        (SHEDS[1], "etc/ufw/user.rules", "9100/tcp comment 'theirs'\n"),
    ] {
        let house = shed.house();
        house.write(file, rule, 0o644);
        if shed.firewall == "firewalld" {
            std::fs::write(house.memory().join("firewalld"), rule).unwrap();
        }
        let before = house.picture();
        let plan = || {
            let step = Wants::step("firewall", &[], || {
                vec![Effect::FirewallRule(FirewallRule::tcp(9100))]
            });
            Plan::new("node", "Node", vec![step]).unwrap()
        };
        let report = house.install(&plan());
        assert!(report.executed.is_empty(), "{shed:?}: {:?}", report.executed);
        house.uninstall(&plan());
        house.picture().must_be(&before, &format!("{shed:?}"));
    }
}

/// A plan that opens this and no more.
fn opens(rule: fn() -> FirewallRule) -> Plan {
    let step = Wants::step("firewall", &[], move || vec![Effect::FirewallRule(rule())]);
    Plan::new("node", "Node", vec![step]).unwrap()
}

#[test]
fn a_door_opens_in_the_zone_of_the_interface_it_is_for() {
    // Given a host whose machines are reached by an interface in a zone that is not the default one,
    let house = SHEDS[0].house();
    let zones =
        "cluster\n  interfaces: ib0\npublic (default)\n  interfaces: eth0\ntrusted\n  sources: 10.9.0.0/16\n";
    std::fs::write(house.memory().join("firewalld.zones"), zones).unwrap();
    std::fs::write(house.memory().join("firewalld.cluster"), "").unwrap();
    std::fs::write(house.memory().join("firewalld.trusted"), "").unwrap();
    house.write("etc/firewalld/zones/cluster.xml", "", 0o644);
    house.write("etc/firewalld/zones/trusted.xml", "", 0o644);
    let routes = "Iface\tDestination\n\
                  eth0\t00000000\t0101A8C0\t0003\t0\t0\t100\t00000000\t0\t0\t0\n\
                  ib0\t0000000A\t00000000\t0001\t0\t0\t0\t000000FF\t0\t0\t0\n";
    house.folder("proc", 0o755);
    house.folder("proc/net", 0o755);
    house.write("proc/net/route", routes, 0o444);
    let before = house.picture();
    type Rule = fn() -> FirewallRule;
    let cases: [(Rule, &str); 4] = [
        (|| FirewallRule::tcp(9100).from("10.1.2.3"), "cluster"),
        // What is bound by its address goes by that, whichever way it comes.
        (|| FirewallRule::tcp(9100).from("10.9.1.1"), "trusted"),
        (|| FirewallRule::tcp(9100).from("192.0.2.1"), "public"),
        (|| FirewallRule::tcp(9100), "public"),
    ];
    for (rule, zone) in cases {
        // when a door is opened, then it is that zone's, and no other's,
        house.install(&opens(rule));
        for other in ["cluster", "public", "trusted"] {
            let text = house.read(&format!("etc/firewalld/zones/{other}.xml"));
            assert_eq!(
                text.contains("9100"),
                other == zone,
                "{zone}: {other} has {text:?}"
            );
        }
        // and it is found there in the next run, and closed there.
        assert!(house.install(&opens(rule)).executed.is_empty());
        house.uninstall(&opens(rule));
        house.picture().must_be(&before, zone);
    }
}

#[test]
fn a_door_is_closed_wherever_it_was_opened_since_the_site_changed_its_firewall() {
    // Given a host with a door in the zone of its interface,
    let house = SHEDS[0].house();
    let zones = house.memory().join("firewalld.zones");
    std::fs::write(&zones, "cluster\n  sources: 10.0.0.0/8\n").unwrap();
    std::fs::write(house.memory().join("firewalld.cluster"), "").unwrap();
    std::fs::write(house.memory().join("firewalld.work"), "").unwrap();
    house.write("etc/firewalld/zones/cluster.xml", "", 0o644);
    house.write("etc/firewalld/zones/work.xml", "", 0o644);
    house.folder("etc/ufw", 0o755);
    house.folder("usr/sbin", 0o755);
    house.write("etc/ufw/ufw.conf", "ENABLED=no\n", 0o644);
    house.write("etc/ufw/user.rules", "", 0o640);
    house.write("usr/sbin/ufw", "", 0o755);
    let before = house.picture();
    let plan = || opens(|| FirewallRule::tcp(9100).from("10.1.2.3"));
    let has = |file: &str| house.read(file).contains("9100");
    house.install(&plan());
    assert!(has("etc/firewalld/zones/cluster.xml"));
    // when the site moves its addresses to another zone, and then to another firewall, with a repair after each,
    std::fs::write(&zones, "work\n  sources: 10.0.0.0/8\n").unwrap();
    house.install(&plan());
    assert!(has("etc/firewalld/zones/work.xml"));
    let runtime = house.memory().join("firewalld");
    std::fs::rename(&runtime, house.memory().join("stopped")).unwrap();
    house.write("etc/ufw/ufw.conf", "ENABLED=yes\n", 0o644);
    house.install(&plan());
    assert!(has("etc/ufw/user.rules"));
    // then all three doors are closed in the end.
    std::fs::rename(house.memory().join("stopped"), &runtime).unwrap();
    let report = house.uninstall(&plan());
    assert_eq!(report.left, Vec::<String>::new());
    house.write("etc/ufw/ufw.conf", "ENABLED=no\n", 0o644);
    std::fs::write(&zones, "cluster\n  sources: 10.0.0.0/8\n").unwrap();
    house.picture().must_be(&before, "every door is closed again");
}

#[test]
fn a_door_whose_firewall_was_removed_keeps_nothing_from_being_taken_back() {
    for (shed, tool) in [
        (SHEDS[0], "usr/bin/firewall-cmd"),
        (SHEDS[1], "usr/sbin/ufw"),
        (SHEDS[2], "usr/sbin/nft"),
    ] {
        // Given a host whose firewall somebody removed since,
        let house = shed.house();
        let plan = || opens(|| FirewallRule::tcp(9100).from("10.0.0.0/8"));
        house.install(&plan());
        std::fs::remove_file(house.real(tool)).unwrap();
        // when the plan is taken back, then that ends well, and says what nobody can look at any more.
        let report = house.uninstall(&plan());
        assert!(report.failed.is_empty(), "{shed:?}: {:?}", report.failed);
        assert!(
            report
                .left
                .iter()
                .any(|left| left.contains("no longer on this host")),
            "{shed:?}: {:?}",
            report.left
        );
        // nft's own file needs no tool.
        let kept = std::fs::read_to_string(house.real("etc/nftables.conf")).unwrap_or_default();
        assert!(!kept.contains("9100"), "{kept}");
    }
}

#[test]
fn doors_that_are_opened_beside_each_other_all_stand_in_the_one_file_of_nftables() {
    const DOORS: [(&str, u16); 8] = [
        ("a", 9100),
        ("b", 9101),
        ("c", 9102),
        ("d", 9103),
        ("e", 9104),
        ("f", 9105),
        ("g", 9106),
        ("h", 9107),
    ];
    // Given a host with rules of its own in nftables' file, and steps that do not wait for each other,
    let house = SHEDS[2].house();
    let before = house.picture();
    let plan = || {
        let steps = DOORS.map(|(id, port)| {
            Wants::step(id, &[], move || {
                vec![Effect::FirewallRule(FirewallRule::tcp(port))]
            })
        });
        Plan::new("node", "Node", steps.into()).unwrap()
    };
    // when they run at once,
    let (host, plan_at_once) = (house.host(None), plan());
    let at_once = aami_install::Options {
        parallel: DOORS.len(),
        ..crate::house::options()
    };
    let installer = Installer::new(&host, &plan_at_once, at_once).unwrap();
    assert_eq!(installer.run(Mode::Fresh).unwrap().failure(), None);
    // then none was written over by another,
    let file = house.read("etc/nftables.conf");
    for (_, port) in DOORS {
        let stands = file.contains(&format!("tcp dport {port} accept"));
        assert!(stands, "{port} is closed after the next boot:\n{file}");
    }
    // and all of them are taken back.
    house.uninstall(&plan());
    house.picture().must_be(&before, "every door is closed again");
}

#[test]
fn a_rule_open_only_until_the_next_boot_becomes_permanent_and_is_so_again() {
    let house = SHEDS[0].house();
    std::fs::write(house.memory().join("firewalld"), "port=22/tcp\nport=9100/tcp\n").unwrap();
    let before = house.picture();
    let plan = || {
        let step = Wants::step("firewall", &[], || {
            vec![Effect::FirewallRule(FirewallRule::tcp(9100))]
        });
        Plan::new("node", "Node", vec![step]).unwrap()
    };
    house.install(&plan());
    assert!(
        house
            .read("etc/firewalld/zones/public.xml")
            .contains("port=9100/tcp")
    );
    house.uninstall(&plan());
    house
        .picture()
        .must_be(&before, "only the permanent half was ours");
}

#[test]
fn containers_follow_their_file_and_their_volumes_stay_unless_owned() {
    let house = APT.house();
    let wanted = |compose: &'static str| {
        let step = Wants::step("stack", &[], move || {
            let file = path("/opt/compose.yaml");
            vec![
                Effect::file(file.clone(), Content::bytes(compose), 0o600, None),
                Effect::ContainerProject(ContainerProject::new("aami", file)),
            ]
        });
        Plan::new("stack", "Stack", vec![step]).unwrap()
    };
    house.install(&wanted(toolshed::COMPOSE));
    // When the file loses a service, its container goes; the other is not made anew.
    let report = house.install(&wanted(
        "services:\n  prometheus:\n    image: prometheus\nvolumes:\n  data:\n",
    ));
    assert_eq!(report.executed.len(), 2, "{:?}", report.executed);
    let tools = house.picture().tools.join("\n");
    assert!(
        !tools.contains("grafana") && tools.contains("prometheus"),
        "{tools}"
    );
    // When it is taken back, its data stays and is named.
    let report = house.uninstall(&wanted(toolshed::COMPOSE));
    assert_eq!(report.left, ["the volumes of aami stay: aami_data"]);
    assert_eq!(
        house.picture().tools.last().map(String::as_str),
        Some("port=22/tcp").map(|_| "firewalld port=22/tcp")
    );
    assert!(house.picture().tools.contains(&"volume aami_data".to_owned()));
}

#[test]
fn containers_are_made_anew_where_a_file_they_read_changed_or_was_edited_and_only_then() {
    // Given containers that read a file which another step writes,
    let house = APT.house();
    let wanted = |text: &'static str| {
        let read = || path("/opt/prometheus.yml");
        let steps = vec![
            Wants::step("configure", &[], move || {
                vec![Effect::file(read(), Content::bytes(text), 0o644, None)]
            }),
            Wants::step("stack", &["configure"], move || {
                let file = path("/opt/compose.yaml");
                let project = ContainerProject::new("aami", file.clone()).reading([read()]);
                let compose = Content::bytes(toolshed::COMPOSE);
                vec![
                    Effect::file(file, compose, 0o600, None),
                    Effect::ContainerProject(project),
                ]
            }),
        ];
        Plan::new("stack", "Stack", steps).unwrap()
    };
    let made = || -> u64 {
        let engine = std::fs::read(house.memory().join("docker.json")).unwrap();
        let engine: serde_json::Value = serde_json::from_slice(&engine).unwrap();
        engine["made"].as_u64().unwrap()
    };
    house.install(&wanted("a"));
    let each = made();
    // when nothing changes, then they stay;
    house.install(&wanted("a"));
    assert_eq!(made(), each);
    // when the file is to hold something else, then they are made anew, for nothing else has them read it again.
    house.install(&wanted("b"));
    assert_eq!(made(), 2 * each);
    // When it was edited, they may have been started again since: mending it makes them anew,
    let mend = || {
        house.write("opt/prometheus.yml", "edited", 0o644);
        let report = house.run_as(&wanted("b"), Mode::Repair, None).unwrap();
        assert_eq!(report.failure(), None);
    };
    mend();
    assert_eq!(made(), 3 * each);
    // also where an earlier version did not note what they read.
    let receipt = "var/lib/aami/install/default/stack/receipt.json";
    let mut earlier: serde_json::Value = serde_json::from_str(&house.read(receipt)).unwrap();
    for record in earlier["effects"].as_array_mut().unwrap() {
        let record = record.as_object_mut().unwrap();
        record.retain(|name, _| !["inputs", "made_with"].contains(&name.as_str()));
    }
    house.write(receipt, &earlier.to_string(), 0o600);
    mend();
    assert_eq!(made(), 4 * each);
    house.install(&wanted("b"));
    assert_eq!(made(), 4 * each);
}

#[test]
fn each_way_containers_do_not_come_up_has_its_own_word() {
    let cases = [
        (
            "services:\n  a:\n    image: missing\n",
            code::IMAGE_UNAVAILABLE,
            "pull access denied",
        ),
        (
            "services:\n  a:\n    image: dies\n",
            code::PROJECT_FAILED,
            "its last words",
        ),
    ];
    for (compose, wanted, telling) in cases {
        let house = APT.house();
        let before = house.picture();
        let report = house.run(&toolshed::plan_of(compose), None).unwrap();
        let (code, sentence) = report.failure().unwrap();
        assert_eq!(code, wanted, "{sentence}");
        assert!(sentence.contains(telling), "{sentence}");
        house.uninstall(&toolshed::plan());
        house.picture().must_be(&before, telling);
    }
    // An engine that does not answer is a condition of the host, not of the file; and it stops an
    // uninstall only where something may still be there.
    let house = APT.house();
    house.install(&toolshed::plan());
    std::fs::write(house.memory().join("docker.down"), "").unwrap();
    let report = house.run(&toolshed::plan(), None).unwrap();
    assert_eq!(report.failure().unwrap().0, code::CONTAINERS_UNAVAILABLE);
    let report = house.undo(&toolshed::plan(), None).unwrap();
    assert_eq!(report.failed.len(), 1, "{:?}", report.failed);
    assert_eq!(report.failed[0].code, code::CONTAINERS_UNAVAILABLE);
    std::fs::remove_file(house.memory().join("docker.down")).unwrap();
    assert_eq!(house.uninstall(&toolshed::plan()).left, Vec::<String>::new());
}

#[test]
fn no_secret_reaches_a_command_line_or_the_record() {
    let house = APT.house();
    let watch = Arc::new(CutOff::never());
    house.run(&toolshed::plan(), Some(watch.clone())).unwrap();
    let lines: Vec<String> = watch.passed().into_iter().map(|(_, subject)| subject).collect();
    assert!(lines.iter().any(|line| line.contains("--env-file")), "{lines:#?}");
    assert!(!lines.iter().any(|line| line.contains("hunter2")));
    assert!(
        !house
            .read("var/lib/aami/install/default/stack/receipt.json")
            .contains("hunter2")
    );
    assert!(
        !house
            .read("var/lib/aami/install/default/stack/log")
            .contains("hunter2")
    );
}

#[test]
fn without_the_receipt_what_carries_a_mark_is_still_taken_back() {
    for shed in SHEDS {
        let house = shed.house();
        house.install(&toolshed::plan());
        std::fs::remove_dir_all(house.real("var/lib/aami")).unwrap();
        let report = house.uninstall(&toolshed::plan());
        let tools = house.picture().tools.join("\n");
        assert!(!tools.contains("container"), "{shed:?}: {tools}");
        // firewalld keeps no comments, so there the rule may be anybody's.
        let rules = format!(
            "{tools}{}",
            std::fs::read_to_string(house.real("etc/ufw/user.rules")).unwrap_or_default()
        );
        assert_eq!(
            rules.contains("9100"),
            shed.firewall == "firewalld",
            "{shed:?}: {rules}"
        );
        // Packages carry no mark either: they stay and are named.
        assert!(installed(&house).contains("jq installed"));
        assert!(
            report
                .left
                .iter()
                .any(|why| why.starts_with("packages prerequisites")),
            "{shed:?}: {:?}",
            report.left
        );
        let _ = System::new(&house.root(), &house.memory());
        house.run_as(&toolshed::plan(), Mode::Fresh, None).unwrap();
    }
}
