//! An exporter that its publisher offers as a container image alone.
//!
//! The container is run by a unit of ours in the foreground of its runtime's client, so that it is started,
//! watched and taken back like every other exporter. What runs inside is no prisoner: it is root with `CAP_SYS_ADMIN`
//! beside what its runtime gives every container, the GPUs and the host's network, so that whoever takes it over is close
//! to owning the node. Of the host's files it has those it reads, read-only. Docker's client, which is what the unit
//! runs, needs no rights but the way to Docker's socket; Podman makes the container itself, and its unit is bounded by
//! nothing.

use aami_install::{Host, HostPath};
use serde::{Deserialize, Serialize};

use crate::components::{Archive, Component, Kind};
use crate::node::unit::Hardening;

/// A program that runs containers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Runtime {
    /// Docker.
    Docker,
    /// Podman.
    Podman,
}

/// Where each of them has its program.
const PLACES: [(Runtime, &str); 4] = [
    (Runtime::Docker, "/usr/bin/docker"),
    (Runtime::Docker, "/usr/local/bin/docker"),
    (Runtime::Podman, "/usr/bin/podman"),
    (Runtime::Podman, "/usr/local/bin/podman"),
];

/// The container an exporter runs in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Container {
    /// Who runs it.
    pub(crate) runtime: Runtime,
    /// Its program.
    pub(crate) program: String,
    /// The image, with its digest.
    pub(crate) image: String,
}

/// How a unit runs it.
pub(crate) struct Run {
    pub(crate) program: String,
    pub(crate) arguments: Vec<String>,
    /// What is run before, and may fail: a container of that name that a crash left behind is removed.
    pub(crate) before: String,
    pub(crate) hardening: Hardening,
}

impl Container {
    /// A container of `image` on this host; `None` where nothing runs containers.
    pub(crate) fn on(host: &Host, image: &str) -> Option<Self> {
        let (runtime, program) = PLACES.into_iter().find(|(_, program)| {
            let path = HostPath::new(*program);
            path.is_ok_and(|path| host.root.outside(&path).is_file())
        })?;
        Some(Self {
            runtime,
            program: program.to_owned(),
            image: image.to_owned(),
        })
    }

    /// What stands for the catalogue's entry: an image has no file.
    pub(crate) fn component(&self, name: &str) -> Component {
        let last = self.image.rsplit('/').next().unwrap_or_default();
        let (named, digest) = last.split_once('@').unwrap_or((last, ""));
        let short: String = digest.chars().take("sha256:".len() + 12).collect();
        let version = named.split_once(':').map_or(short.as_str(), |(_, tag)| tag);
        Component {
            name: name.to_owned(),
            version: version.to_owned(),
            kind: Kind::Exporter,
            license: "see the image".to_owned(),
            homepage: None,
            ports: Vec::new(),
            arguments: Vec::new(),
            unpacked: None,
            archive: Archive::None,
            builds: std::collections::BTreeMap::new(),
        }
    }

    /// The image without a tag: the digest decides, and not every Podman takes both.
    fn by_digest(&self) -> String {
        let Some((named, digest)) = self.image.split_once('@') else {
            return self.image.clone();
        };
        let last = named.rfind('/').unwrap_or_default();
        let end = named[last..].find(':').map_or(named.len(), |at| last + at);
        format!("{}@{digest}", &named[..end])
    }

    /// The command line that runs it. It shares the host's network, since it is reached at the host's address,
    /// and has the one capability more that DCGM's profiling metrics need.
    pub(crate) fn run(&self, name: &str, arguments: &[String], mounts: &[&HostPath]) -> Run {
        let name = format!("aami-{}", name.replace('_', "-"));
        let mut all: Vec<String> = ["run", "--rm", "--name", &name, "--network", "host"]
            .map(str::to_owned)
            .to_vec();
        all.extend(["--cap-add", "SYS_ADMIN"].map(str::to_owned));
        all.extend(
            match self.runtime {
                Runtime::Docker => ["--gpus", "all"],
                // The container device interface (nvidia-ctk cdi generate).
                Runtime::Podman => ["--device", "nvidia.com/gpu=all"],
            }
            .map(str::to_owned),
        );
        for path in mounts {
            all.extend(["--volume".to_owned(), format!("{path}:{path}:ro")]);
        }
        all.push(self.by_digest());
        all.extend_from_slice(arguments);
        Run {
            program: self.program.clone(),
            arguments: all,
            before: format!("{} rm --force {name}", self.program),
            hardening: match self.runtime {
                // Docker's client only speaks to a socket.
                Runtime::Docker => Hardening::Client,
                // Podman makes the container itself, out of this unit's own rights.
                Runtime::Podman => Hardening::None,
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_container_gets_the_gpus_the_network_and_its_files_read_only() {
        let folder = tempfile::tempdir().unwrap();
        let host = Host::folder(folder.path()).unwrap();
        let digest = format!("sha256:{}", "0a".repeat(32));
        let image = &format!("mirror.example.com:5000/k8s/dcgm-exporter:4.5.3-4.8.2@{digest}");
        assert_eq!(Container::on(&host, image), None, "nothing runs containers here");

        std::fs::create_dir_all(folder.path().join("usr/bin")).unwrap();
        std::fs::write(folder.path().join("usr/bin/docker"), "").unwrap();
        let container = Container::on(&host, image).unwrap();
        assert_eq!(container.component("dcgm_exporter").version, "4.5.3-4.8.2");
        let untagged = Container {
            image: format!("nvcr.io/nvidia/dcgm-exporter@{digest}"),
            ..container.clone()
        };
        assert_eq!(untagged.component("dcgm_exporter").version, "sha256:0a0a0a0a0a0a");
        assert_eq!(untagged.by_digest(), untagged.image);

        let counters = HostPath::new("/etc/aami/dcgm-counters.csv").unwrap();
        let run = container.run("dcgm_exporter", &["-a".into(), ":9400".into()], &[&counters]);
        assert_eq!(
            run.arguments.join(" "),
            format!(
                "run --rm --name aami-dcgm-exporter --network host --cap-add SYS_ADMIN \
                 --gpus all --volume /etc/aami/dcgm-counters.csv:/etc/aami/dcgm-counters.csv:ro \
                 mirror.example.com:5000/k8s/dcgm-exporter@{digest} -a :9400"
            )
        );
        assert_eq!(run.before, "/usr/bin/docker rm --force aami-dcgm-exporter");
    }
}
