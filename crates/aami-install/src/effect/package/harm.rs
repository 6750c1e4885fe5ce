//! What removing a package would take with it beside the package: data that nobody asked to remove.

use super::State;
use crate::effect::EffectError;
use crate::host::Host;
use crate::path::HostPath;

/// Container engines, and where their images, containers and volumes lie.
const ENGINES: [(&str, &str); 6] = [
    ("docker.io", "/var/lib/docker"),
    ("docker-ce", "/var/lib/docker"),
    ("moby-engine", "/var/lib/docker"),
    ("containerd", "/var/lib/containerd"),
    ("containerd.io", "/var/lib/containerd"),
    ("podman", "/var/lib/containers"),
];
/// Folders within folders that are looked through; what lies deeper counts as something.
const DEEPEST: usize = 16;

/// Where dpkg keeps the scripts of packages.
const SCRIPTS: &str = "/var/lib/dpkg/info";
/// A script is a page or two; a longer one is not read, and counts as harmful.
const LONGEST: u64 = 256 * 1024;
/// Words in a script that purging runs, after which more may be gone than the package's configuration
/// (docker.io's runs `nuke-graph-directory.sh /var/lib/docker`).
const HARMFUL: [&str; 14] = [
    "rm -r",
    "rm -R",
    "rm -fr",
    "rm -fR",
    "rm -f -r",
    "--recursive",
    "-delete",
    "nuke",
    "/var/lib/",
    "/var/log",
    "/srv",
    "deluser",
    "userdel",
    "delgroup",
];

/// The folder of a container engine's data where it holds anything: then the engine stays.
pub(super) fn data_of(
    host: &Host,
    package: &str,
    state: Option<State>,
) -> Result<Option<&'static str>, EffectError> {
    // What is removed already is past taking anything along but by purging, which is another question.
    if state == Some(State::Configuration) {
        return Ok(None);
    }
    let name = package.split(':').next().unwrap_or(package);
    let Some((_, folder)) = ENGINES.iter().find(|(engine, _)| *engine == name) else {
        return Ok(None);
    };
    let path = HostPath::root().below(folder.trim_start_matches('/'));
    let holds = holds_anything(&host.root.outside(&path), 0);
    Ok(holds.then_some(*folder))
}

/// Whether anything but empty folders is there. What cannot be looked into may be anything.
fn holds_anything(folder: &std::path::Path, depth: usize) -> bool {
    match std::fs::read_dir(folder) {
        Err(error) => error.kind() != std::io::ErrorKind::NotFound,
        Ok(_) if depth == DEEPEST => true,
        Ok(mut entries) => entries.any(|entry| {
            entry.is_ok_and(|entry| {
                let is_folder = entry.file_type().is_ok_and(|kind| kind.is_dir());
                !is_folder || holds_anything(&entry.path(), depth + 1)
            })
        }),
    }
}

/// Whether purging a Debian package removes its configuration and nothing more, by what its own script says. One
/// that cannot be read is not trusted.
pub(super) fn purges_cleanly(host: &Host, package: &str) -> Result<bool, EffectError> {
    let folder = HostPath::root().below(SCRIPTS.trim_start_matches('/'));
    let name = package.split(':').next().unwrap_or(package);
    let (plain, of_an_architecture) = (format!("{name}.postrm"), format!("{name}:"));
    for file in host.root.list(&folder)?.unwrap_or_default() {
        let is_its = file == plain || (file.starts_with(&of_an_architecture) && file.ends_with(".postrm"));
        if !is_its {
            continue;
        }
        let script = host.root.read(&folder.below(&file), LONGEST).ok().flatten();
        let Some(script) = script else { return Ok(false) };
        let script = String::from_utf8_lossy(&script);
        if HARMFUL.iter().any(|word| script.contains(word)) {
            return Ok(false);
        }
    }
    Ok(true)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn host(script: &str) -> (tempfile::TempDir, Host) {
        let folder = tempfile::tempdir().unwrap();
        let scripts = folder.path().join("var/lib/dpkg/info");
        std::fs::create_dir_all(&scripts).unwrap();
        std::fs::write(scripts.join("thing:amd64.postrm"), script).unwrap();
        let host = Host::folder(folder.path()).unwrap();
        (folder, host)
    }

    #[test]
    fn a_script_that_takes_more_than_configuration_is_known() {
        for (script, clean) in [
            // As debhelper writes it for a package with a unit.
            (
                "if [ \"$1\" = \"purge\" ]; then\n\tdeb-systemd-helper purge 'thing.service' >/dev/null || true\nfi\n",
                true,
            ),
            // As docker.io of Debian 12 has it.
            (
                "purge)\n\t/usr/share/docker.io/contrib/nuke-graph-directory.sh /var/lib/docker\n;;\n",
                false,
            ),
            ("purge)\n\trm -rf /opt/thing\n;;\n", false),
            ("purge)\n\tdeluser --quiet --system thing || true\n;;\n", false),
        ] {
            let (_folder, host) = host(script);
            for name in ["thing", "thing:amd64"] {
                assert_eq!(purges_cleanly(&host, name).unwrap(), clean, "{script}");
            }
            assert!(purges_cleanly(&host, "other").unwrap());
        }
    }

    #[test]
    fn an_engine_with_data_is_known_and_one_with_empty_folders_is_none() {
        let (folder, host) = host("");
        let data = folder.path().join("var/lib/docker");
        let of = |package| data_of(&host, package, Some(State::Installed)).unwrap();
        assert_eq!(of("docker.io"), None);
        std::fs::create_dir_all(data.join("volumes/models")).unwrap();
        assert_eq!(of("docker.io"), None);
        std::fs::write(data.join("volumes/models/weights"), "").unwrap();
        assert_eq!(of("docker.io"), Some("/var/lib/docker"));
        assert_eq!(of("jq"), None);
    }
}
