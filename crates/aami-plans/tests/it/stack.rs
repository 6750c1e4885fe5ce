//! The stack plan on a temporary host with doubles of systemd and the account tools, killed at every boundary
//! and told about in every other way. Real services are the rig's.

mod alone;
mod broken;
pub(crate) mod called_off;
mod declared;
mod former;
mod ground;
pub(crate) mod house;
mod kill;
mod missing;
mod released;
mod roads;
mod room;
mod secrets;
mod stays;

use aami_install::Mode;
use aami_model::run::{RunEvent, RunEventKind};
use aami_plans::stack::Part;

use house::House;

#[test]
fn a_server_is_installed_and_a_second_run_has_nothing_to_do() {
    // Given a host and a folder with every component,
    let house = House::new();
    // when the plan is run,
    let (report, missing) = house.install();
    // then every part runs, and nothing is missing,
    assert_eq!(missing, Vec::<String>::new());
    assert!(report.wrote);
    let running: Vec<String> = house.units().into_iter().map(|unit| unit.unit).collect();
    for part in Part::ALL {
        assert!(
            running.iter().any(|unit| unit == part.unit()),
            "{part}: {running:?}"
        );
    }
    assert_eq!(house.link("usr/local/bin/aami"), "/opt/aami/0.1.0/aami");
    assert_eq!(house.read("etc/aami/secrets/first-token"), "aami_token\n");
    assert_eq!(house.mode("etc/aami/secrets/first-token"), 0o600);
    assert_eq!(house.mode("etc/aami/secrets/grafana-admin-password"), 0o600);
    // Grafana runs from its own folder, whole, with what it is provisioned with,
    let unit = house.read("etc/systemd/system/aami-grafana.service");
    let command = "ExecStart=/opt/aami/grafana-1.0.0/bin/grafana server --config=/etc/aami/grafana.ini \
                   --homepath=/opt/aami/grafana-1.0.0\n";
    assert!(
        unit.contains(command) && unit.contains("ReadWritePaths=/var/lib/aami/grafana\n"),
        "{unit}"
    );
    assert_eq!(house.read("opt/aami/grafana-1.0.0/public/index.html"), "<html>");
    assert!(
        house
            .read("etc/aami/grafana/datasources/aami.yaml")
            .contains("http://127.0.0.1:9090")
    );
    assert!(house.exists("etc/aami/grafana/json/aami-installation.json"));
    // Prometheus comes back where somebody on this machine asked it to quit.
    let unit = house.read("etc/systemd/system/aami-prometheus.service");
    assert!(unit.contains("\nRestart=always\n"), "{unit}");
    // The control plane brings Prometheus its rules: none lie where an operator's are.
    assert!(!house.exists("etc/aami/rules/aami-installation.yaml"));
    assert!(
        house
            .read("etc/aami/server.yaml")
            .contains("prometheus_rules: \"/var/lib/aami/targets/rules\"\n")
    );
    assert!(
        house
            .read("var/lib/aami/server/dist/amd64/components.toml")
            .contains("node_exporter")
    );
    // and once more changes nothing, whichever way it is asked for.
    let picture = house.picture();
    for mode in [Mode::Fresh, Mode::Resume, Mode::Repair] {
        let (report, _) = house.run(mode, None).unwrap();
        assert_eq!(report.failure(), None);
        assert!(
            !report.wrote && report.executed.is_empty(),
            "{mode:?}: {:?}",
            report.executed
        );
    }
    house.picture().must_be(&picture, "four runs");
}

/// What the control plane was told of each run: how each step stood in the end.
fn told(house: &House) -> Vec<Vec<(String, bool)>> {
    let told = house.told.lock().unwrap();
    let ends = |events: &Vec<RunEvent>| {
        let ended = events.iter().filter_map(|event| match &event.kind {
            RunEventKind::StepCompleted { step, .. } => Some((step.clone(), true)),
            RunEventKind::StepFailed { step, .. } => Some((step.clone(), false)),
            _ => None,
        });
        ended.collect()
    };
    assert!(told.iter().all(|(host, _)| host == "server-1"), "{told:?}");
    told.iter().map(|(_, events)| ends(events)).collect()
}

#[test]
fn the_control_plane_is_told_of_its_own_installation() {
    // Given a host on which no control plane has ever answered, and one that does not come up,
    let house = House::new();
    house.unwell.lock().unwrap().push(Part::ControlPlane);
    let (report, _) = house.run(Mode::Fresh, None).unwrap();
    assert!(report.failure().is_some());
    assert!(told(&house).is_empty());
    // when it does and another part does not, then it is told which step failed, from the beginning of the run;
    house.unwell.lock().unwrap().clear();
    house.unwell.lock().unwrap().push(Part::Grafana);
    let (report, _) = house.run(Mode::Fresh, None).unwrap();
    assert!(report.failure().is_some());
    let first = told(&house);
    assert!(
        first[0].contains(&("health_checks".to_owned(), false)),
        "{first:?}"
    );
    let starts = |run: usize| house.told.lock().unwrap()[run].1[0].kind.clone();
    assert!(matches!(starts(0), RunEventKind::RunStarted { plan, .. } if plan == "stack"));
    // once all is well, it is told that every step holds,
    house.unwell.lock().unwrap().clear();
    house.install();
    let second = told(&house);
    assert!(second.len() == 2 && second[1].len() == 7, "{second:?}");
    assert!(second[1].iter().all(|(_, held)| *held), "{second:?}");
    // and of a run with nothing to do it is told nothing.
    house.install();
    assert_eq!(told(&house).len(), 2);
}

#[test]
fn a_dry_run_names_exactly_what_a_run_does_and_writes_nothing() {
    let house = House::new();
    let before = house.picture();
    let planned = house.dry_run();
    house.picture().must_be(&before, "a dry run");
    let planned: Vec<String> = planned
        .steps
        .iter()
        .flat_map(|step| &step.effects)
        .map(|effect| effect.effect.to_string())
        .collect();
    let (report, _) = house.install();
    let mut done: Vec<String> = report.executed.iter().map(ToString::to_string).collect();
    let mut planned = planned;
    done.sort();
    planned.sort();
    assert_eq!(done, planned);
}

#[test]
fn the_status_of_an_installed_server_needs_no_component_at_hand() {
    let house = House::new();
    house.install();
    std::fs::remove_dir_all(house.components()).unwrap();
    let report = house.status();
    assert!(report.is_healthy(), "{:#?}", report.steps);
}

#[test]
fn an_active_firewall_is_opened_for_nodes_alone_and_closed_again() {
    // Given a host whose ufw is active and lets ssh in,
    let house = House::new();
    for folder in ["usr/sbin", "etc/ufw"] {
        std::fs::create_dir_all(house.real(folder)).unwrap();
    }
    house.write("usr/sbin/ufw", "");
    std::fs::set_permissions(
        house.real("usr/sbin/ufw"),
        std::os::unix::fs::PermissionsExt::from_mode(0o755),
    )
    .unwrap();
    house.write("etc/ufw/ufw.conf", "ENABLED=yes\n");
    house.write("etc/ufw/user.rules", "22/tcp comment 'ssh'\n");
    let before = house.picture();
    // when the server is installed, then its port is open and no other,
    house.install();
    let rules = house.read("etc/ufw/user.rules");
    assert!(rules.contains("8080/tcp") && !rules.contains("9090"), "{rules}");
    // and uninstalling closes it.
    house.uninstall(true);
    house.picture().must_be(&before, "opened and closed");
}
