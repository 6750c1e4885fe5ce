//! What a preflight says of a machine that was made up: the documented report to the letter, and every fault at once.
//!
//! Real faults on real nodes are the rig's; here is what each of them is said like.

mod machine;

use aami_plans::preflight::fix::{self, Fix};
use aami_plans::preflight::{Detail, Fault, Report, Room, Runtime, Sizes, json, text};
use serde_json::Value;

use machine::{GB, Machine};

/// The report of the document, but for three lines: nothing is fetched from ghcr.io, no PostgreSQL is installed, and
/// Grafana's port is moved by a flag.
const DOCUMENTED: &str = "\
AAMI Preflight Check v1.0
=========================

Mode: Server Installation

System Requirements
  [✓] OS: Ubuntu 22.04 LTS (supported)
  [✓] CPU: 8 cores (minimum: 2)
  [✓] RAM: 32GB (minimum: 4GB)
  [✓] Disk: 150GB free (minimum: 20GB)

Software Dependencies
  [✓] Docker: 24.0.5 (minimum: 20.10)
  [✓] Docker Compose: v2.20.2 (minimum: v2.0)
  [✓] curl: 7.81.0

Network Connectivity
  [✓] DNS: working
  [✓] docker.io: reachable

Port Availability
  [✓] Port 8080: available
  [✓] Port 9090: available
  [✗] Port 3000: in use by 'grafana' (PID: 1234)

Permissions
  [✓] sudo: available
  [✓] Docker socket: accessible

━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━
Result: 1 issue found

ERRORS:
  [✗] Port 3000 is already in use by process 'grafana' (PID: 1234)
      Fix: Stop the service with 'sudo systemctl stop grafana-server'

Run with --fix to attempt automatic fixes.
Exit code: 1
";

/// The same for programs.
const DOCUMENTED_JSON: &str = r#"{
  "version": "1.0",
  "mode": "server",
  "timestamp": "2026-11-20T10:30:00.000Z",
  "passed": false,
  "checks": {
    "system": {
      "passed": true,
      "os": {"value": "Ubuntu 22.04 LTS", "passed": true},
      "cpu": {"value": 8, "minimum": 2, "passed": true},
      "ram_gb": {"value": 32, "minimum": 4, "passed": true},
      "disk_gb": {"value": 150, "minimum": 20, "passed": true}
    },
    "software": {
      "passed": true,
      "docker": {"value": "24.0.5", "minimum": "20.10", "passed": true},
      "docker_compose": {"value": "2.20.2", "minimum": "2.0", "passed": true}
    },
    "network": {"passed": true},
    "ports": {
      "passed": false,
      "8080": {"available": true},
      "3000": {"available": false, "process": "grafana", "pid": 1234}
    },
    "permissions": {"passed": true}
  },
  "errors": [
    {
      "category": "ports",
      "code": "PORT_IN_USE",
      "message": "Port 3000 is in use by grafana (PID: 1234)",
      "fix_command": "sudo systemctl stop grafana-server"
    }
  ]
}"#;

/// The machine of the document, with the Grafana that is in the way.
fn documented() -> Report {
    Machine::of_the_example()
        .held(3000, 1234, "grafana", "grafana-server.service")
        .server(Runtime::Compose, |_| {})
}

/// Asserts that `ours` has everything that `wanted` has, at the same place.
#[track_caller]
fn has(ours: &Value, wanted: &Value, place: &str) {
    match wanted {
        Value::Object(members) => {
            for (name, wanted) in members {
                has(&ours[name], wanted, &format!("{place}.{name}"));
            }
        }
        Value::Array(items) => {
            for (at, wanted) in items.iter().enumerate() {
                has(&ours[at], wanted, &format!("{place}[{at}]"));
            }
        }
        wanted => assert_eq!(ours, wanted, "{place}"),
    }
}

#[test]
fn the_report_is_the_documented_one() {
    let report = documented();

    let shown = text(&report, Detail::Usual, true);
    // Every line of the document stands there, in its order.
    let mut rest = shown.lines();
    for wanted in DOCUMENTED.lines().filter(|line| !line.is_empty()) {
        assert!(
            rest.any(|line| line == wanted),
            "no {wanted:?}, or not there, in\n{shown}"
        );
    }
    insta::assert_snapshot!("for_people", shown);
    insta::assert_snapshot!("verbose", text(&report, Detail::Verbose, true));

    let told = json(&report);
    let value: Value = serde_json::from_str(&told).unwrap();
    has(&value, &serde_json::from_str(DOCUMENTED_JSON).unwrap(), "report");
    insta::assert_snapshot!("for_programs", told);
    assert_eq!(report.exit_code(), 1);
}

#[test]
fn what_is_not_said_otherwise_is_said_by_verbose_and_nothing_but_errors_by_quiet() {
    let broken = documented();
    let of = |report: &Report, detail| text(report, detail, true);
    // Given a report with an error and a warning, quiet says the error with what to do, and nothing else,
    assert_eq!(
        of(&broken, Detail::Quiet),
        "ERRORS:\n  [✗] Port 3000 is already in use by process 'grafana' (PID: 1234)\n      \
         Fix: Stop the service with 'sudo systemctl stop grafana-server'\n      \
         Or: Use another port for Grafana with --grafana-port\n      \
         Code: PORT_IN_USE (AAMI-P-0012; docs/explain says more)\n"
    );
    // verbose everything that is said usually, and more beside it,
    let (usual, verbose) = (of(&broken, Detail::Usual), of(&broken, Detail::Verbose));
    let mut rest = verbose.lines();
    for line in usual.lines() {
        assert!(rest.any(|other| other == line), "{line:?} is not in\n{verbose}");
    }
    for more in [
        "      measured 8, limit 2, from /proc/cpuinfo",
        "  [-] ghcr.io: skipped: nothing is fetched from there",
        "  [✓] Open files: 524288 (minimum: 4096)",
    ] {
        assert!(
            verbose.lines().any(|line| line == more) && !usual.contains(more),
            "{more}"
        );
    }
    // and of a machine that is as it should be, quiet says nothing at all.
    let well = Machine::of_the_example().server(Runtime::Compose, |_| {});
    assert_eq!((of(&well, Detail::Quiet).as_str(), well.exit_code()), ("", 0));
    let usual = of(&well, Detail::Usual);
    assert!(
        usual.ends_with("Result: no issues found\n\nExit code: 0\n"),
        "{usual}"
    );
}

/// The codes of what is wrong, as programs are told them.
fn codes(report: &Report, list: &str) -> Vec<String> {
    let told: Value = serde_json::from_str(&json(report)).unwrap();
    let issues = told[list].as_array().unwrap();
    issues
        .iter()
        .map(|issue| issue["code"].as_str().unwrap().to_owned())
        .collect()
}

#[test]
fn every_fault_is_said_at_once() {
    // Given a machine with a fault in every category,
    let mut machine = Machine::of_the_example().held(3000, 1234, "grafana", "grafana-server.service");
    machine.file("/proc/cpuinfo", "processor\t: 0\n");
    machine.says("docker version --format {{.Server.Version}}", 0, "19.03.15\n");
    machine.away.insert("github.com", Fault::Refused);
    machine.file("/etc/passwd.lock", "");
    machine.file("/sys/fs/selinux/enforce", "1");
    machine.ahead = 600;
    // when it is looked at,
    let report = machine.server(Runtime::Compose, |_| {});
    // then all of them are said, in every form,
    let wrong = [
        "CPU_TOO_FEW",
        "DOCKER_TOO_OLD",
        "CONNECTION_REFUSED",
        "PORT_IN_USE",
        "ACCOUNTS_LOCKED",
    ];
    assert_eq!(codes(&report, "errors"), wrong);
    let warned = codes(&report, "warnings");
    for code in ["FOREIGN_INSTALL", "CLOCK_SKEW", "SELINUX_ENFORCING"] {
        assert!(warned.iter().any(|one| one == code), "{code}: {warned:?}");
    }
    for detail in [Detail::Usual, Detail::Quiet, Detail::Verbose] {
        let shown = text(&report, detail, true);
        for code in wrong {
            assert!(shown.contains(&format!("Code: {code} (")), "{code}:\n{shown}");
        }
    }
    assert!(text(&report, Detail::Usual, true).contains("Result: 5 issues found\n"));
    // and letting one pass leaves the others.
    let report = machine.server(Runtime::Compose, |request| {
        request.ignored = vec![aami_model::code::CPU_TOO_FEW];
    });
    assert_eq!(codes(&report, "errors"), wrong[1..]);
    assert_eq!(
        (codes(&report, "ignored").as_slice(), report.exit_code()),
        (&["CPU_TOO_FEW".to_owned()][..], 1)
    );
}

#[test]
fn a_profile_of_apparmor_is_said_where_it_confines_what_we_run() {
    let machine = Machine::of_the_example();
    let warned = || codes(&machine.server(Runtime::Systemd, |_| {}), "warnings");
    // Given a kernel that enforces profiles of others alone, nothing is said;
    machine.file("/sys/module/apparmor/parameters/enabled", "Y\n");
    let profiles = "/sys/kernel/security/apparmor/profiles";
    machine.file(
        profiles,
        "/usr/bin/man (enforce)\ndocker-default (enforce)\nprometheus (complain)\n",
    );
    assert_eq!(warned(), Vec::<String>::new());
    // of one for a program of ours, that;
    for ours in [
        "/opt/aami/prometheus-3.5.0/prometheus",
        "node_exporter",
        "/usr/sbin/grafana",
    ] {
        machine.file(profiles, &format!("/usr/bin/man (enforce)\n{ours} (enforce)\n"));
        let report = machine.server(Runtime::Systemd, |_| {});
        assert_eq!(codes(&report, "warnings"), ["APPARMOR_ENFORCING"]);
        let shown = text(&report, Detail::Usual, true);
        assert!(
            shown.contains(&format!("enforces the profile {ours}: ")),
            "{shown}"
        );
    }
    // and nothing where AppArmor is off.
    machine.file("/sys/module/apparmor/parameters/enabled", "N\n");
    assert_eq!(warned(), Vec::<String>::new());
}

#[test]
fn who_may_not_use_docker_without_sudo_is_named_and_can_be_let_in() {
    // Given Docker, and somebody behind sudo,
    let machine = Machine::of_the_example();
    let looks = |user: &str| {
        let user = Some(user.to_owned());
        machine.server(Runtime::Compose, |request| request.user = user)
    };
    // who is not in its group, then that is said and can be mended;
    machine.file("/etc/group", "root:x:0:\ndocker:x:998:ops\n");
    let report = looks("anna");
    assert_eq!(
        (codes(&report, "warnings"), report.exit_code()),
        (vec!["DOCKER_DENIED".to_owned()], 0)
    );
    let wanted = fix::wanted(&report);
    let join = Fix::JoinGroup {
        user: "anna".to_owned(),
        group: "docker".to_owned(),
    };
    assert_eq!(wanted.iter().map(|(fix, _)| fix).collect::<Vec<_>>(), [&join]);
    // who is, or is root, is not named.
    for user in ["ops", "root"] {
        assert_eq!(codes(&looks(user), "warnings"), Vec::<String>::new(), "{user}");
    }
}

#[test]
fn a_daemon_that_has_the_proxy_is_believed_whoever_gave_it() {
    let mut machine = Machine::of_the_example();
    let info = "docker info --format {{.HTTPSProxy}}";
    let warned = |machine: &Machine| {
        let report = machine.server(Runtime::Compose, |request| {
            request.proxies.https = Some("http://proxy:3128".to_owned());
        });
        codes(&report, "warnings")
    };
    machine.says(info, 0, "\n");
    assert_eq!(warned(&machine), ["PROXY_NOT_FOR_SERVICES"]);
    // Not in the unit's Environment=, as a file of its own gives it.
    machine.says(info, 0, "http://xxxxx:xxxxx@proxy:3128\n");
    assert_eq!(warned(&machine), Vec::<String>::new());
}

/// The sentences about room, as an installer has them.
fn room(machine: &Machine, room: Option<Room>) -> Vec<String> {
    let report = machine.server(Runtime::Systemd, |request| {
        request.sizes = Sizes::Written;
        request.room = room;
    });
    report.errors().map(|check| check.message.clone()).collect()
}

#[test]
fn room_is_needed_for_what_programs_unpack_to() {
    let mut machine = Machine::of_the_example();
    // Given a mount that an archive of Grafana has room on and Grafana has not,
    machine.free.insert("/opt", GB);
    // then that is said before anything is fetched,
    let said = room(&machine, None);
    assert!(
        matches!(said.as_slice(), [one] if one.starts_with("/opt/aami is needed for programs, and /opt has 953 MiB free of 1")),
        "{said:?}"
    );
    // and not where Grafana is left out.
    let without = Room::of_itself(64 << 20)
        .and(320_000_000, false)
        .and(80_000_000, false);
    assert_eq!(room(&machine, Some(without)), Vec::<String>::new());
}

#[test]
fn places_that_share_a_mount_share_its_room() {
    let mut machine = Machine::of_the_example();
    // Given a mount with room for programs, and for what is fetched, and not for both,
    machine.free.insert("/", 1_700_000_000);
    // then it is said once, with what will lie there.
    let said = room(&machine, None);
    let [one] = said.as_slice() else {
        panic!("{said:?}");
    };
    assert!(one.starts_with("/ has 1621 MiB free of "), "{one}");
    for part in ["/opt/aami (", "/var/lib/aami ("] {
        assert!(one.contains(part), "{one}");
    }
    // Each on a mount of its own has room.
    machine.free.insert("/opt", 1_700_000_000);
    assert_eq!(room(&machine, None), Vec::<String>::new());
}

#[test]
fn the_data_of_prometheus_is_looked_at_where_it_really_lies() {
    let mut machine = Machine::of_the_example();
    let looked = |machine: &Machine, sizes| {
        machine.server(Runtime::Systemd, |request| {
            request.sizes = sizes;
            request.prometheus_data = Some("/metrics/prometheus".to_owned());
        })
    };
    // Given a large mount of its own for the data of Prometheus, and a small one for the rest,
    machine.free.insert("/metrics", 100 * GB);
    machine.free.insert("/", 4 * GB);
    // then it is the large one that is compared with what a server should have,
    let report = looked(&machine, Sizes::Recommended);
    let disk = report.checks.iter().find(|check| check.key == "disk_gb").unwrap();
    assert_eq!(disk.members["mount"], "/metrics");
    assert!(report.passed(), "{}", text(&report, Detail::Usual, true));
    // and where that mount is full, it is named before anything is fetched, whatever the others have.
    machine.free.insert("/metrics", 100_000_000);
    machine.free.insert("/", 100 * GB);
    let report = looked(&machine, Sizes::Written);
    let said: Vec<_> = report.errors().map(|check| check.message.as_str()).collect();
    let [one] = said.as_slice() else {
        panic!("{said:?}");
    };
    let expected =
        "/metrics/prometheus is needed for Prometheus' data, and /metrics has 95 MiB free of 256 MiB";
    assert!(one.starts_with(expected), "{one}");
}
