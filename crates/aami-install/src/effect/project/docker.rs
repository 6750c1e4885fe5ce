//! Docker and its compose: `docker compose` (version 2) or `docker-compose` (either version), and the
//! labels compose gives to what it makes.

use std::collections::BTreeMap;
use std::time::Duration;

use aami_model::code;

use super::super::EffectError;
use super::super::tool::{change, is_there, is_well, look, refused, said};
use super::ContainerProject;
use crate::host::{Command, Host, Output};

/// How long containers may take to end before they are stopped hard, and all of that together.
const GRACE: &str = "20";
const DOWN: Duration = Duration::from_secs(180);

/// A container of a project.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Container {
    pub(super) service: String,
    pub(super) hash: String,
    /// `running`, `exited`, `restarting`, ...
    pub(super) state: String,
}

/// An engine that answers, with a compose in front of it.
pub(super) struct Docker<'a> {
    host: &'a Host,
    compose: &'static [&'static str],
}

/// No engine, told as people know it.
pub(super) fn unavailable(host: &Host, name: &str) -> EffectError {
    let what = format!("the compose project {name}");
    let failed = |complaint: String| EffectError::Refused {
        code: code::CONTAINERS_UNAVAILABLE,
        what: what.clone(),
        complaint,
    };
    match look(host, ["docker", "version", "--format", "{{.Server.Version}}"]) {
        Ok(output) if is_well(&output) => {
            failed("neither `docker compose` nor `docker-compose` is on this host".into())
        }
        Ok(output) => failure(&what, &output),
        Err(error) => failed(error.to_string()),
    }
}

/// Whether there is no engine that could hold anything of ours.
pub(super) fn is_gone(host: &Host) -> Result<bool, EffectError> {
    Ok(!is_there(host, "docker")? && !is_there(host, "dockerd")?)
}

fn failure(what: &str, output: &Output) -> EffectError {
    let said = said(output);
    let has = |words: &[&str]| words.iter().any(|word| said.contains(word));
    let code = if has(&[
        "Cannot connect to the Docker daemon",
        "Couldn't connect to Docker",
        "Error while fetching server API version",
        "permission denied while trying to connect",
    ]) {
        code::CONTAINERS_UNAVAILABLE
    } else if has(&["no space left on device"]) {
        code::DISK_FULL
    } else if has(&["port is already allocated", "address already in use"]) {
        code::PORT_IN_USE
    } else if has(&[
        "pull access denied",
        "manifest unknown",
        "No such image",
        "manifest for",
        "failed to resolve reference",
        // The engine quotes its request to the registry, and what came of it.
        "Get \"http",
        "Head \"http",
        "dial tcp",
    ]) {
        code::IMAGE_UNAVAILABLE
    } else {
        code::PROJECT_FAILED
    };
    let telling = [
        "Error",
        "ERROR",
        "error",
        "denied",
        "Cannot",
        "Get \"http",
        "Head \"http",
    ];
    refused(code, what, output, &telling)
}

impl<'a> Docker<'a> {
    /// The engine of `host`; `None` where none answers. Only looks.
    pub(super) fn of(host: &'a Host) -> Result<Option<Self>, EffectError> {
        if !is_there(host, "docker")? {
            return Ok(None);
        }
        let server = look(host, ["docker", "version", "--format", "{{.Server.Version}}"])?;
        if !is_well(&server) {
            return Ok(None);
        }
        let plugin = look(host, ["docker", "compose", "version", "--short"])?;
        let compose: &[&str] = if is_well(&plugin) {
            &["docker", "compose"]
        } else if is_there(host, "docker-compose")? {
            &["docker-compose"]
        } else {
            return Ok(None);
        };
        Ok(Some(Self { host, compose }))
    }

    fn compose(&self, project: &ContainerProject, verb: &[&str]) -> Vec<String> {
        let outside = |path| self.host.root.outside(path).display().to_string();
        let mut argv: Vec<String> = self.compose.iter().map(|word| (*word).to_owned()).collect();
        argv.extend(["--project-name".to_owned(), project.name.clone()]);
        argv.extend(["--project-directory".to_owned(), outside(&project.folder)]);
        argv.extend(["--file".to_owned(), outside(&project.file)]);
        if let Some(env) = &project.env_file {
            argv.extend(["--env-file".to_owned(), outside(env)]);
        }
        argv.extend(verb.iter().map(|word| (*word).to_owned()));
        argv
    }

    fn ask(&self, argv: &[&str], what: &str) -> Result<String, EffectError> {
        let output = look(self.host, argv.iter().copied())?;
        if is_well(&output) {
            Ok(output.text())
        } else {
            Err(failure(what, &output))
        }
    }

    fn act(&self, argv: Vec<String>, deadline: Duration, what: &str) -> Result<(), EffectError> {
        let output = change(self.host, &Command::change(argv).within(deadline))?;
        if is_well(&output) {
            Ok(())
        } else {
            Err(failure(what, &output))
        }
    }

    fn listed(&self, argv: &[&str], name: &str) -> Result<Vec<String>, EffectError> {
        let filter = format!("label=com.docker.compose.project={name}");
        let mut argv = argv.to_vec();
        argv.extend(["--filter", &filter]);
        let text = self.ask(&argv, &format!("the compose project {name}"))?;
        let lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
        Ok(lines.map(str::to_owned).collect())
    }

    /// The project's containers, but for those somebody ran once by `compose run`.
    pub(super) fn containers(&self, name: &str) -> Result<Vec<Container>, EffectError> {
        let format = "{{.Label \"com.docker.compose.service\"}}\t{{.Label \"com.docker.compose.config-hash\"}}\t\
                      {{.State}}\t{{.Label \"com.docker.compose.oneoff\"}}";
        let lines = self.listed(&["docker", "ps", "--all", "--no-trunc", "--format", format], name)?;
        let read = |line: &String| {
            let mut parts = line.split('\t');
            let (service, hash, state) = (parts.next()?, parts.next()?, parts.next()?);
            (parts.next() != Some("True")).then(|| Container {
                service: service.to_owned(),
                hash: hash.to_owned(),
                state: state.to_owned(),
            })
        };
        Ok(lines.iter().filter_map(read).collect())
    }

    /// The project's volumes.
    pub(super) fn volumes(&self, name: &str) -> Result<Vec<String>, EffectError> {
        let mut volumes = self.listed(&["docker", "volume", "ls", "--quiet"], name)?;
        volumes.sort();
        Ok(volumes)
    }

    /// What the file wants: each service with the hash of its configuration.
    pub(super) fn wanted(&self, project: &ContainerProject) -> Result<BTreeMap<String, String>, EffectError> {
        let argv = self.compose(project, &["config", "--hash=*"]);
        let argv: Vec<&str> = argv.iter().map(String::as_str).collect();
        let text = self.ask(&argv, &format!("the compose file {}", project.file))?;
        let pair = |line: &str| {
            let (service, hash) = line.trim().split_once(' ')?;
            Some((service.to_owned(), hash.trim().to_owned()))
        };
        Ok(text.lines().filter_map(pair).collect())
    }

    /// Brings the project up; `anew` makes every container again.
    pub(super) fn up(&self, project: &ContainerProject, anew: bool) -> Result<(), EffectError> {
        let mut verb = vec!["up", "--detach", "--remove-orphans"];
        verb.extend(anew.then_some("--force-recreate"));
        let argv = self.compose(project, &verb);
        self.act(
            argv,
            project.deadline,
            &format!("the compose project {}", project.name),
        )
    }

    /// Takes it down, volumes kept.
    pub(super) fn down(&self, project: &ContainerProject) -> Result<(), EffectError> {
        let argv = self.compose(project, &["down", "--remove-orphans", "--timeout", GRACE]);
        let what = format!("the compose project {}", project.name);
        match self.act(argv, DOWN, &what) {
            // A file that compose cannot read (somebody edited it) must not keep us from sweeping up.
            Err(EffectError::Refused { code, .. }) if code != code::CONTAINERS_UNAVAILABLE => Ok(()),
            ended => ended,
        }
    }

    /// Removes every container and network that still carries the project's label.
    pub(super) fn sweep(&self, name: &str) -> Result<(), EffectError> {
        let what = format!("the compose project {name}");
        let containers = self.listed(&["docker", "ps", "--all", "--quiet"], name)?;
        let with = |words: &[&str], ids: Vec<String>| -> Vec<String> {
            words.iter().map(|word| (*word).to_owned()).chain(ids).collect()
        };
        if !containers.is_empty() {
            let stop = with(&["docker", "stop", "--time", GRACE], containers.clone());
            self.act(stop, DOWN, &what)?;
            // Volumes without a name go with the container they were made for.
            self.act(
                with(&["docker", "rm", "--force", "--volumes"], containers),
                DOWN,
                &what,
            )?;
        }
        let networks = self.listed(&["docker", "network", "ls", "--quiet"], name)?;
        if !networks.is_empty() {
            self.act(with(&["docker", "network", "rm"], networks), DOWN, &what)?;
        }
        Ok(())
    }

    pub(super) fn remove_volume(&self, volume: &str) -> Result<(), EffectError> {
        let argv = ["docker", "volume", "rm", volume].map(str::to_owned).to_vec();
        self.act(argv, DOWN, &format!("the volume {volume}"))
    }

    /// The last lines a service wrote, on one line.
    pub(super) fn last_words(&self, name: &str, service: &str) -> String {
        let service = format!("label=com.docker.compose.service={service}");
        let argv = ["docker", "ps", "--all", "--quiet", "--filter", &service];
        let id = self
            .listed(&argv, name)
            .ok()
            .and_then(|ids| ids.into_iter().next());
        let logs = id.and_then(|id| look(self.host, ["docker", "logs", "--tail", "5", &id]).ok());
        logs.map(|logs| logs.complaint()).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::Ended;

    #[test]
    fn what_engines_complain_about_has_a_name() {
        // As docker 20.10 and docker-compose 1.29 word it.
        let cases = [
            (
                "Cannot connect to the Docker daemon at unix:///var/run/docker.sock. Is the docker daemon running?",
                code::CONTAINERS_UNAVAILABLE,
            ),
            (
                "docker.errors.DockerException: Error while fetching server API version: ('Connection aborted.', \
                 FileNotFoundError(2, 'No such file or directory'))",
                code::CONTAINERS_UNAVAILABLE,
            ),
            (
                "Pulling a (box:)...\nGet \"https://registry-1.docker.io/v2/\": dial tcp: lookup registry-1.docker.io on \
                 [::1]:53: read udp [::1]:58303->[::1]:53: read: connection refused",
                code::IMAGE_UNAVAILABLE,
            ),
            (
                "Error response from daemon: driver failed programming external connectivity on endpoint x: Bind for \
                 0.0.0.0:9090 failed: port is already allocated",
                code::PORT_IN_USE,
            ),
            (
                "yaml: line 3: mapping values are not allowed",
                code::PROJECT_FAILED,
            ),
        ];
        for (text, wanted) in cases {
            let output = Output {
                ended: Ended::Status(1),
                stdout: Vec::new(),
                stderr: text.as_bytes().to_vec(),
            };
            assert_eq!(failure("the project", &output).code(), wanted, "{text}");
        }
    }
}
