//! What is wrong with Docker and what it needs. None runs here: stand-ins say what the real one says.

use super::{Fault, Say, fault, placed};

pub(super) fn docker() -> Vec<Fault> {
    let stand_in = |name, code, names, file: &str| {
        let path = "/usr/local/bin/docker";
        placed(name, code, names, &format!("cp /srv/f/{file} {path}"), path).on(Say::Compose)
    };
    vec![
        fault("no Docker", "DOCKER_MISSING", "Docker", "", "").on(Say::Compose),
        stand_in(
            "Podman in Docker's place",
            "DOCKER_MISSING",
            "Podman",
            "docker-podman",
        ),
        stand_in("an old Docker", "DOCKER_TOO_OLD", "19.03.15", "docker-old"),
        stand_in(
            "a Docker daemon that is down",
            "DOCKER_NOT_RUNNING",
            "Cannot connect",
            "docker-dead",
        ),
        stand_in(
            "a Docker socket of others",
            "DOCKER_DENIED",
            "docker.sock",
            "docker-denied",
        ),
        stand_in("no Compose", "COMPOSE_MISSING", "Compose", "docker-bare"),
        stand_in("an old Compose", "COMPOSE_TOO_OLD", "1.29.2", "docker-one"),
        stand_in(
            "a Docker that does not know the proxy",
            "PROXY_NOT_FOR_SERVICES",
            "daemon",
            "docker-good",
        )
        .after("env https_proxy=http://127.0.0.1:3128")
        .warns(),
        stand_in(
            "Docker's unit masked",
            "UNIT_BLOCKED",
            "docker.service",
            "docker-good",
        )
        .and(
            "ln -s /dev/null /etc/systemd/system/docker.service && systemctl daemon-reload",
            "rm /etc/systemd/system/docker.service && systemctl daemon-reload",
        ),
        placed(
            "no room for images",
            "DISK_FULL",
            "/var/lib/docker",
            "mkdir /var/lib/docker && mount -t tmpfs -o size=1g none /var/lib/docker",
            "/var/lib/docker",
        )
        .and("", "umount /var/lib/docker")
        .on(Say::Compose),
    ]
}
