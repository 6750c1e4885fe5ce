use aami_install::HostPath;

use super::*;

fn service(part: Part, writes: &[&str]) -> Service {
    let path = |text: &str| HostPath::new(text).unwrap();
    Service::plain(
        part,
        path(&format!("/opt/aami/{}-1/{}", part.name(), part.programs()[0])),
        &["--flag=$x"],
        writes.iter().map(|text| path(text)).collect(),
    )
}

#[test]
fn the_compose_file_is_what_an_operator_would_write() {
    let services = [
        service(
            Part::ControlPlane,
            &["/var/lib/aami/server", "/var/lib/aami/targets"],
        ),
        service(Part::Prometheus, &["/var/lib/aami/prometheus"]),
    ];
    let golden = include_str!("golden.yaml");
    assert_eq!(render(&services, "/etc/aami"), golden);
    assert_eq!(
        env("debian:12-slim", &services, |part| Ok(
            (part == Part::Prometheus).then_some((990, 980))
        ))
        .unwrap(),
        "AAMI_IMAGE=debian:12-slim\nAAMI_SERVER_USER=\nAAMI_PROMETHEUS_USER=990:980\n"
    );
}
