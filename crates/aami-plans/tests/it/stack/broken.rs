//! What is broken is named, mended, and nothing else is touched.

use std::collections::BTreeSet;
use std::os::unix::fs::{PermissionsExt, symlink};

use aami_install::Mode;
use aami_install::executor::StepStanding;
use aami_model::code;
use aami_plans::stack::Part;

use super::house::{House, path};

/// A way to break an installed server, the steps whose status is not well then, that of the damage first, and the
/// words it is named with. The others say what follows from it: what is to be started again, who does not answer.
struct Break {
    what: &'static str,
    steps: &'static [&'static str],
    named: &'static str,
    by: fn(&House),
}

fn delete(house: &House, file: &str) {
    std::fs::remove_file(house.real(file)).unwrap();
}

fn change(house: &House, file: &str, from: &str, to: &str) {
    let text = house.read(file);
    assert!(text.contains(from), "{file} has no {from:?}:\n{text}");
    house.write(file, &text.replace(from, to));
}

fn chmod(house: &House, file: &str, mode: u32) {
    std::fs::set_permissions(house.real(file), PermissionsExt::from_mode(mode)).unwrap();
}

const BREAKS: &[Break] = &[
    Break {
        what: "a program is deleted",
        steps: &["download"],
        named: "/opt/aami/prometheus-1.0.0/prometheus: missing",
        by: |house| delete(house, "opt/aami/prometheus-1.0.0/prometheus"),
    },
    Break {
        what: "a program is replaced",
        steps: &["download"],
        named: "/opt/aami/0.1.0/aami: holds something else",
        by: |house| house.write("opt/aami/0.1.0/aami", "#!/bin/sh\n"),
    },
    Break {
        what: "a program cannot be executed",
        steps: &["download"],
        named: "/opt/aami/grafana-1.0.0: bin/grafana: mode 0644",
        by: |house| chmod(house, "opt/aami/grafana-1.0.0/bin/grafana", 0o644),
    },
    Break {
        what: "a page is deleted",
        steps: &["download"],
        named: "/opt/aami/grafana-1.0.0: public/index.html: missing",
        by: |house| delete(house, "opt/aami/grafana-1.0.0/public/index.html"),
    },
    Break {
        what: "a folder of pages is deleted",
        steps: &["download"],
        named: "/opt/aami/grafana-1.0.0: public: missing, and 1 more",
        by: |house| std::fs::remove_dir_all(house.real("opt/aami/grafana-1.0.0/public")).unwrap(),
    },
    Break {
        what: "Grafana's own defaults are edited",
        steps: &["download"],
        named: "/opt/aami/grafana-1.0.0: conf/defaults.ini: holds something else",
        by: |house| house.write("opt/aami/grafana-1.0.0/conf/defaults.ini", "[mine]\n"),
    },
    Break {
        what: "a data folder is open to all",
        steps: &["download"],
        named: "/var/lib/aami/server: mode 0777",
        by: |house| chmod(house, "var/lib/aami/server", 0o777),
    },
    Break {
        what: "a configuration is edited",
        steps: &["configure"],
        named: "/etc/aami/prometheus.yml: holds something else",
        by: |house| house.write("etc/aami/prometheus.yml", "scrape_configs: []\n"),
    },
    Break {
        what: "a password is open to all",
        steps: &["configure"],
        named: "/etc/aami/secrets/grafana-admin-password: mode 0644",
        by: |house| chmod(house, "etc/aami/secrets/grafana-admin-password", 0o644),
    },
    Break {
        what: "a unit file is edited",
        steps: &["start_services"],
        named: "aami-alertmanager.service: holds something else",
        by: |house| {
            house.write(
                "etc/systemd/system/aami-alertmanager.service",
                "[Service]\nExecStart=/x\n",
            )
        },
    },
    Break {
        what: "a unit is masked",
        steps: &["start_services", "health_checks"],
        named: "aami-grafana.service",
        by: |house| {
            let host = house.host(None);
            host.units.as_ref().unwrap().stop(Part::Grafana.unit()).unwrap();
            delete(house, "etc/systemd/system/aami-grafana.service");
            symlink("/dev/null", house.real("etc/systemd/system/aami-grafana.service")).unwrap();
        },
    },
    Break {
        what: "a unit is stopped",
        steps: &["start_services", "health_checks"],
        named: "aami-prometheus.service: is inactive",
        by: |house| {
            let host = house.host(None);
            host.units
                .as_ref()
                .unwrap()
                .stop(Part::Prometheus.unit())
                .unwrap();
        },
    },
    Break {
        what: "a unit is disabled",
        steps: &["start_services"],
        named: "aami-server.service: is disabled",
        by: |house| {
            let host = house.host(None);
            host.units
                .as_ref()
                .unwrap()
                .enable(Part::ControlPlane.unit(), false)
                .unwrap();
        },
    },
    Break {
        what: "the link is gone",
        steps: &["finalize"],
        named: "/usr/local/bin/aami: missing",
        by: |house| delete(house, "usr/local/bin/aami"),
    },
    Break {
        what: "the link leads to another version",
        steps: &["finalize"],
        named: "/usr/local/bin/aami: links to /opt/aami/0.0.9/aami",
        by: |house| {
            delete(house, "usr/local/bin/aami");
            symlink("/opt/aami/0.0.9/aami", house.real("usr/local/bin/aami")).unwrap();
        },
    },
    Break {
        what: "a unit runs another version",
        steps: &["start_services"],
        named: "aami-prometheus.service: holds something else",
        by: |house| {
            change(
                house,
                "etc/systemd/system/aami-prometheus.service",
                "prometheus-1.0.0",
                "prometheus-0.9.0",
            )
        },
    },
    Break {
        what: "Prometheus is moved to another port",
        steps: &["start_services"],
        named: "aami-prometheus.service: holds something else",
        by: |house| {
            change(
                house,
                "etc/systemd/system/aami-prometheus.service",
                ":9090",
                ":9099",
            )
        },
    },
    Break {
        what: "the control plane is moved to another port",
        steps: &["configure"],
        named: "/etc/aami/server.yaml: holds something else",
        by: |house| change(house, "etc/aami/server.yaml", ":8080", ":8090"),
    },
    Break {
        what: "Grafana is moved to another port",
        steps: &["configure"],
        named: "/etc/aami/grafana.ini: holds something else",
        by: |house| {
            change(
                house,
                "etc/aami/grafana.ini",
                "http_port = 3000",
                "http_port = 3001",
            )
        },
    },
];

#[test]
fn each_thing_that_breaks_is_named_mended_and_left_alone_afterwards() {
    for broken in BREAKS {
        let house = House::new();
        house.install();
        let whole = house.picture();
        (broken.by)(&house);
        let status = house.status();
        let is_well = |standing: &StepStanding| {
            matches!(standing, StepStanding::Holds | StepStanding::NotApplicable(_))
        };
        let named: Vec<_> = (status.steps.iter())
            .filter(|step| !is_well(&step.standing))
            .collect();
        let steps: Vec<&str> = named.iter().map(|step| step.id.as_str()).collect();
        // Exactly what is broken, and what follows from it.
        assert_eq!(steps, broken.steps, "{}: {named:#?}", broken.what);
        let step = named.iter().find(|step| step.id == broken.steps[0]).unwrap();
        let StepStanding::Missing(why) = &step.standing else {
            panic!("{}: {:?}", broken.what, step.standing);
        };
        assert!(why.contains(broken.named), "{}: {why}", broken.what);
        // One thing, or a unit and its file.
        let things: BTreeSet<_> = (step.amiss.iter())
            .map(|one| one.effect.subject.rsplit('/').next())
            .collect();
        assert_eq!(things.len(), 1, "{}: {:#?}", broken.what, step.amiss);
        let (report, missing) = house.run(Mode::Repair, None).unwrap();
        let failure = report.failure().map(|(code, why)| format!("{code}: {why}"));
        assert_eq!((failure, missing), (None, Vec::new()), "{}", broken.what);
        for kept in [
            "etc/aami/prometheus.yml",
            "etc/systemd/system/aami-alertmanager.service",
            "etc/systemd/system/aami-grafana.service",
            "etc/systemd/system/aami-prometheus.service",
            "etc/aami/server.yaml",
            "etc/aami/grafana.ini",
            "opt/aami/0.1.0/aami",
            "usr/local/bin/aami",
            "opt/aami/grafana-1.0.0/conf/defaults.ini",
        ] {
            // An edit is kept beside what is mended; it is not the plan's.
            let _ = std::fs::remove_file(house.real(&format!("{kept}.aami-kept")));
        }
        house.picture().must_be(&whole, broken.what);
        let (again, _) = house.run(Mode::Repair, None).unwrap();
        assert!(!again.wrote, "{}: {:#?}", broken.what, again.executed);
    }
}

#[test]
fn a_service_that_does_not_answer_is_named_with_its_last_words() {
    let house = House::new();
    house.unwell.lock().unwrap().push(Part::Alertmanager);
    let (report, _) = house.run(Mode::Fresh, None).unwrap();
    let (failed, sentence) = report.failure().unwrap();
    assert_eq!(failed, code::STACK_UNHEALTHY);
    assert!(
        sentence.starts_with(
            "Alertmanager did not answer within 60 s: http://127.0.0.1:9093/-/ready: connection refused"
        ) && sentence.contains("its last words: Started aami-alertmanager.service."),
        "{sentence}"
    );
    assert!(
        !house.exists("etc/aami/secrets/first-token"),
        "no token before all is well"
    );
    // Well again, the same command completes it.
    house.unwell.lock().unwrap().clear();
    house.install();
    assert!(house.exists("etc/aami/secrets/first-token"));
}

#[test]
fn what_the_operator_made_of_alertmanagers_file_is_left() {
    let house = House::new();
    house.install();
    house.write("etc/aami/alertmanager.yml", "route: {receiver: pager}\n");
    assert!(house.status().is_healthy());
    let (report, _) = house.run(Mode::Repair, None).unwrap();
    assert!(!report.wrote, "{:?}", report.executed);
    assert_eq!(
        house.read("etc/aami/alertmanager.yml"),
        "route: {receiver: pager}\n"
    );
}

#[test]
fn something_else_in_the_place_of_a_folder_is_named() {
    let house = House::new();
    house.write("var/lib/aami", "a file of somebody's");
    let (report, _) = house.run(Mode::Fresh, None).unwrap();
    let (_, sentence) = report.failure().unwrap();
    assert!(sentence.contains(path("/var/lib/aami").as_str()), "{sentence}");
    assert_eq!(house.read("var/lib/aami"), "a file of somebody's");
}
