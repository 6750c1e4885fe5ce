//! What is broken is named, mended, and nothing else is touched.

use std::os::unix::fs::{PermissionsExt, symlink};

use aami_install::Mode;
use aami_install::executor::StepStanding;
use aami_model::code;
use aami_plans::stack::Part;

use super::house::{House, path};

/// A way to break an installed server, the step whose status names it, and the words it is named with.
struct Break {
    what: &'static str,
    step: &'static str,
    named: &'static str,
    by: fn(&House),
}

fn delete(house: &House, file: &str) {
    std::fs::remove_file(house.real(file)).unwrap();
}

fn chmod(house: &House, file: &str, mode: u32) {
    std::fs::set_permissions(house.real(file), PermissionsExt::from_mode(mode)).unwrap();
}

const BREAKS: &[Break] = &[
    Break {
        what: "a program is deleted",
        step: "download",
        named: "/opt/aami/prometheus-1.0.0/prometheus: missing",
        by: |house| delete(house, "opt/aami/prometheus-1.0.0/prometheus"),
    },
    Break {
        what: "a program is replaced",
        step: "download",
        named: "/opt/aami/0.1.0/aami: holds something else",
        by: |house| house.write("opt/aami/0.1.0/aami", "#!/bin/sh\n"),
    },
    Break {
        what: "a program cannot be executed",
        step: "download",
        named: "/opt/aami/grafana-1.0.0: bin/grafana: mode 0644",
        by: |house| chmod(house, "opt/aami/grafana-1.0.0/bin/grafana", 0o644),
    },
    Break {
        what: "a page is deleted",
        step: "download",
        named: "/opt/aami/grafana-1.0.0: public/index.html: missing",
        by: |house| delete(house, "opt/aami/grafana-1.0.0/public/index.html"),
    },
    Break {
        what: "a folder of pages is deleted",
        step: "download",
        named: "/opt/aami/grafana-1.0.0: public: missing, and 1 more",
        by: |house| std::fs::remove_dir_all(house.real("opt/aami/grafana-1.0.0/public")).unwrap(),
    },
    Break {
        what: "Grafana's own defaults are edited",
        step: "download",
        named: "/opt/aami/grafana-1.0.0: conf/defaults.ini: holds something else",
        by: |house| house.write("opt/aami/grafana-1.0.0/conf/defaults.ini", "[mine]\n"),
    },
    Break {
        what: "a data folder is open to all",
        step: "download",
        named: "/var/lib/aami/server: mode 0777",
        by: |house| chmod(house, "var/lib/aami/server", 0o777),
    },
    Break {
        what: "a configuration is edited",
        step: "configure",
        named: "/etc/aami/prometheus.yml: holds something else",
        by: |house| house.write("etc/aami/prometheus.yml", "scrape_configs: []\n"),
    },
    Break {
        what: "a password is open to all",
        step: "configure",
        named: "/etc/aami/secrets/grafana-admin-password: mode 0644",
        by: |house| chmod(house, "etc/aami/secrets/grafana-admin-password", 0o644),
    },
    Break {
        what: "a unit file is edited",
        step: "start_services",
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
        step: "start_services",
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
        step: "start_services",
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
        step: "start_services",
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
        step: "finalize",
        named: "/usr/local/bin/aami: missing",
        by: |house| delete(house, "usr/local/bin/aami"),
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
        let step = status.steps.iter().find(|step| step.id == broken.step).unwrap();
        let StepStanding::Missing(why) = &step.standing else {
            panic!("{}: {:?}", broken.what, step.standing);
        };
        assert!(why.contains(broken.named), "{}: {why}", broken.what);
        let (report, missing) = house.run(Mode::Repair, None).unwrap();
        let failure = report.failure().map(|(code, why)| format!("{code}: {why}"));
        assert_eq!((failure, missing), (None, Vec::new()), "{}", broken.what);
        for kept in [
            "etc/aami/prometheus.yml",
            "etc/systemd/system/aami-alertmanager.service",
            "etc/systemd/system/aami-grafana.service",
            "opt/aami/0.1.0/aami",
            "opt/aami/grafana-1.0.0/conf/defaults.ini",
        ] {
            // An edit is kept beside what is mended; it is not the plan's.
            let _ = std::fs::remove_file(house.real(&format!("{kept}.aami-kept")));
        }
        house.picture().must_be(&whole, broken.what);
        assert!(!house.run(Mode::Repair, None).unwrap().0.wrote, "{}", broken.what);
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
