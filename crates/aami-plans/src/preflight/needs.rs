//! What an installation needs of a machine: the places it writes, the programs it runs, the ports it
//! listens on and the hosts it fetches from. Everything that is checked follows from here.

use aami_inventory::distribution::Family;
use ureq::http::Uri;

use super::request::{Choice, Mode, Request, Runtime};
use super::road::{Expect, Target};
use super::room::Room;

/// A folder that will be written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// Its path.
    pub path: String,
    /// What goes there.
    pub what: &'static str,
    /// Bytes that the installation itself writes.
    pub bytes: u64,
    /// Whether programs are run from there.
    pub programs: bool,
}

/// A program that is needed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Program {
    /// Its name.
    pub name: &'static str,
    /// What for.
    pub what: &'static str,
    /// Whether nothing works without it.
    pub required: bool,
}

/// A port that will be listened on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Port {
    /// The port.
    pub port: u16,
    /// By what.
    pub what: &'static str,
    /// The variable of the compose runtime that moves it, or the flag of a node.
    pub moved_by: &'static str,
    /// Whether others than this machine must reach it.
    pub public: bool,
    /// Why it has no meaning here.
    pub skipped: Option<&'static str>,
}

const MIB: u64 = 1 << 20;
/// Where downloads lie while they are judged, and a server's data unless it is told otherwise.
const DOWNLOADS: &str = "/var/lib/aami";
/// What a server writes of its own before anybody measured anything: the first database of Grafana, what nodes download.
const FIRST_DATA: u64 = 64 * MIB;
/// And Prometheus: two segments of its log.
const FIRST_SAMPLES: u64 = 256 * MIB;
/// The registry that names of images without a host mean.
pub(crate) const DOCKER_HUB: &str = "https://registry-1.docker.io/v2/";
/// Who publishes what is installed: exporters and Prometheus, Grafana, and the image of containers.
const PUBLISHERS: [(&str, &str); 3] = [
    ("github.com", "https://github.com/"),
    ("dl.grafana.com", "https://dl.grafana.com/"),
    ("docker.io", DOCKER_HUB),
];
/// Hosts that people look for in a report.
pub(super) const KNOWN_HOSTS: [&str; 2] = ["docker.io", "ghcr.io"];
/// Where units of systemd are written.
pub(super) const UNITS: &str = "/etc/systemd/system";

/// The folders that will be written.
pub fn places(request: &Request, choice: &Choice) -> Vec<Place> {
    let place = |path: &str, what, mib: u64, programs| Place {
        path: path.to_owned(),
        what,
        bytes: mib * MIB,
        programs,
    };
    let mut places = match choice.mode {
        Mode::Server => of_server(request),
        // Two versions of two exporters, and room to unpack one.
        Mode::Node => vec![
            place(&request.data_dir, "data", 16, false),
            place(&request.install_dir, "programs", 200, true),
        ],
    };
    places.extend([
        place("/etc/aami", "configuration", 1, false),
        place("/tmp", "temporary files", 1, false),
        place("/run", "the installer's lock", 1, false),
    ]);
    if choice.mode == Mode::Node {
        places.push(place(
            "/var/lib/node_exporter",
            "what checks leave for the exporter",
            1,
            false,
        ));
        places.push(place("/usr/local/bin", "links to programs", 1, false));
    }
    match choice.runtime {
        Runtime::Systemd => places.push(place(UNITS, "units", 1, false)),
        Runtime::Compose => {
            let images = if request.has_images { 1 } else { 4096 };
            places.push(place("/var/lib/docker", "container images", images, false));
        }
    }
    places
}

/// What is large on a server: programs once they are unpacked, what is fetched meanwhile, and data.
fn of_server(request: &Request) -> Vec<Place> {
    let room = request.room.unwrap_or_else(Room::usual);
    let place = |path: &str, what, bytes, programs| Place {
        path: path.to_owned(),
        what,
        bytes,
        programs,
    };
    let programs = place(&request.install_dir, "programs", room.programs, true);
    let elsewhere = request.prometheus_data.as_deref();
    let data = FIRST_DATA + if elsewhere.is_some() { 0 } else { FIRST_SAMPLES };
    let mut places = if request.data_dir == DOWNLOADS {
        let bytes = data.saturating_add(room.downloads);
        vec![place(DOWNLOADS, "data and downloads", bytes, false), programs]
    } else {
        vec![
            place(&request.data_dir, "data", data, false),
            programs,
            place(DOWNLOADS, "downloads", room.downloads, false),
        ]
    };
    places.extend(elsewhere.map(|path| place(path, "Prometheus' data", FIRST_SAMPLES, false)));
    places
}

/// The programs that are run.
pub fn programs(choice: &Choice) -> Vec<Program> {
    let program = |name, what, required| Program { name, what, required };
    let mut programs = Vec::new();
    if choice.runtime == Runtime::Systemd {
        programs.push(program("systemctl", "services", true));
        for name in ["useradd", "groupadd", "usermod", "userdel"] {
            programs.push(program(name, "users that services run as", true));
        }
    }
    programs.push(program(
        "curl",
        "the one line that installs, and health checks by hand",
        false,
    ));
    programs
}

/// The package that carries a program on distributions of a family.
pub fn package(program: &str, family: Family) -> Option<&'static str> {
    match (program, family) {
        ("useradd" | "groupadd" | "usermod" | "userdel", Family::Debian) => Some("passwd"),
        ("useradd" | "groupadd" | "usermod" | "userdel", Family::Suse) => Some("shadow"),
        ("useradd" | "groupadd" | "usermod" | "userdel", _) => Some("shadow-utils"),
        ("systemctl", _) => Some("systemd"),
        ("curl", _) => Some("curl"),
        ("sudo", _) => Some("sudo"),
        ("docker", Family::Debian) => Some("docker.io"),
        ("time", Family::Debian) => Some("systemd-timesyncd"),
        ("time", _) => Some("chrony"),
        _ => None,
    }
}

/// The command that installs a package on distributions of a family.
pub fn install_command(package: &str, family: Family) -> Option<Vec<&str>> {
    match family {
        Family::Debian => Some(vec!["sudo", "apt-get", "install", "-y", package]),
        Family::RedHat => Some(vec!["sudo", "dnf", "install", "-y", package]),
        Family::Suse => Some(vec!["sudo", "zypper", "install", "-y", package]),
        Family::Other => None,
    }
}

/// The ports that will be listened on, and those people look for that will not be.
pub fn ports(request: &Request, choice: &Choice, vendors: Vendors) -> Vec<Port> {
    let port = |port, what, moved_by, public| Port {
        port,
        what,
        moved_by,
        public,
        skipped: None,
    };
    let unused = |port, what, why| Port {
        port,
        what,
        moved_by: "",
        public: false,
        skipped: Some(why),
    };
    match choice.mode {
        Mode::Server => vec![
            port(8080, "the control plane", "--server-port", true),
            port(9090, "Prometheus", "--prometheus-port", false),
            port(9093, "Alertmanager", "--alertmanager-port", false),
            port(3000, "Grafana", "--grafana-port", false),
            unused(
                5432,
                "PostgreSQL",
                "no PostgreSQL is installed: the store is a file",
            ),
            unused(6379, "Redis", "no Redis is needed"),
        ],
        Mode::Node => {
            let gpu = |is_there, number, what, why| {
                if is_there {
                    port(number, what, "", true)
                } else {
                    unused(number, what, why)
                }
            };
            let exporter = request.port.unwrap_or(9100);
            vec![
                port(exporter, "node_exporter", "--port", true),
                gpu(
                    vendors.nvidia,
                    9400,
                    "dcgm-exporter",
                    "no NVIDIA GPU is on the PCI bus",
                ),
                gpu(
                    vendors.other,
                    9401,
                    "all-smi",
                    "no GPU of AMD or Intel is on the PCI bus",
                ),
            ]
        }
    }
}

/// Whose GPUs there are.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Vendors {
    /// NVIDIA's.
    pub nvidia: bool,
    /// AMD's or Intel's.
    pub other: bool,
}

/// The hosts that something is asked of or fetched from. A mirror stands for all publishers.
pub fn targets(request: &Request, choice: &Choice) -> Vec<Target> {
    let target = |key: &str, url: String, expect, required| {
        let address: Option<Uri> = url.parse().ok();
        let proxy = address.and_then(|uri| request.proxies.for_address(&uri).map(str::to_owned));
        Target {
            key: key.to_owned(),
            trust: if expect == Expect::ControlPlane {
                request.trust.clone()
            } else {
                aami_api::client::Trust::System
            },
            url,
            proxy,
            expect,
            required,
        }
    };
    let mut targets = Vec::new();
    if let (Mode::Node, Some(server)) = (choice.mode, &request.server) {
        let url = format!("{}/api/v1/health", server.trim_end_matches('/'));
        targets.push(target("server", url, Expect::ControlPlane, true));
    }
    if let Some(mirror) = &request.mirror {
        let url = format!("{}/components.toml", mirror.trim_end_matches('/'));
        targets.push(target("mirror", url, Expect::File, true));
        return targets;
    }
    let required = choice.mode == Mode::Server;
    let publisher = |key: &str, url: &str| target(key, url.to_owned(), Expect::Anything, required);
    match &request.publishers {
        Some(known) => {
            let named = |url: &str| PUBLISHERS.iter().find(|(_, known)| *known == url);
            let key = |url| named(url).map_or_else(|| host_of(url), |(key, _)| key);
            targets.extend(known.iter().map(|url| publisher(key(url), url)));
        }
        None => {
            let publishers: &[(&str, &str)] = match (choice.mode, choice.runtime) {
                // The control plane carries what its nodes need.
                (Mode::Node, _) if request.server.is_some() => &[],
                (Mode::Node, _) => &PUBLISHERS[..1],
                (Mode::Server, Runtime::Systemd) => &PUBLISHERS[..2],
                (Mode::Server, Runtime::Compose) => &PUBLISHERS,
            };
            targets.extend(publishers.iter().map(|(key, url)| publisher(key, url)));
        }
    }
    targets
}

/// What stands between the slashes of an address.
fn host_of(url: &str) -> &str {
    url.split('/').nth(2).unwrap_or(url)
}

/// Units of ours that nothing may have blocked.
pub fn units(choice: &Choice) -> &'static [&'static str] {
    match (choice.mode, choice.runtime) {
        (Mode::Node, _) => &crate::units::NODE,
        (Mode::Server, Runtime::Systemd) => &[
            "aami-server.service",
            "aami-prometheus.service",
            "aami-alertmanager.service",
            "aami-grafana.service",
        ],
        (Mode::Server, Runtime::Compose) => &["docker.service"],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn images_that_are_there_take_no_room_again() {
        let choice = Choice {
            mode: Mode::Server,
            mode_because: None,
            runtime: Runtime::Compose,
            runtime_because: None,
        };
        let needed = |has_images| {
            let request = Request {
                has_images,
                ..Request::new(Mode::Server)
            };
            let all = places(&request, &choice);
            let images = all.into_iter().find(|place| place.what == "container images");
            images.map(|place| place.bytes / MIB)
        };
        assert_eq!((needed(false), needed(true)), (Some(4096), Some(1)));
    }
}
