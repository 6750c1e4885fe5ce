//! A container engine with compose in front: `docker`, `docker compose`, `docker-compose`. Its
//! containers, networks and volumes are one document in the memory.
//!
//! Of a compose file it reads the names below `services:` and `volumes:`, and what a service calls its
//! container; an image named `missing` cannot be pulled, one named `dies` ends at once.

use std::collections::BTreeSet;
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::system::Answer;
use crate::digest::Digest;

#[derive(Debug, Clone, Serialize, Deserialize)]
struct Container {
    id: String,
    /// As its service calls it; empty where it leaves that to compose.
    name: String,
    project: String,
    service: String,
    hash: String,
    state: String,
}

#[derive(Debug, Clone, Default, Serialize, Deserialize)]
struct Engine {
    containers: Vec<Container>,
    networks: BTreeSet<String>,
    volumes: BTreeSet<String>,
    /// How many containers were ever made.
    made: u32,
}

/// What the compose file says of one service.
struct Service {
    name: String,
    text: String,
}

impl Service {
    /// What it calls its container.
    fn container(&self) -> &str {
        let after = self.text.split_once("container_name: ").map(|(_, after)| after);
        after
            .and_then(|text| text.split_whitespace().next())
            .unwrap_or_default()
    }
}

fn services(text: &str) -> Vec<Service> {
    let mut services: Vec<Service> = Vec::new();
    for line in section(text, "services:") {
        match line.strip_prefix("  ") {
            Some(name) if !name.starts_with(' ') => services.push(Service {
                name: name.trim_end_matches(':').to_owned(),
                text: String::new(),
            }),
            _ => {
                if let Some(service) = services.last_mut() {
                    service.text.push_str(line);
                }
            }
        }
    }
    services
}

fn section<'a>(text: &'a str, title: &'a str) -> impl Iterator<Item = &'a str> {
    let after = text.lines().skip_while(move |line| *line != title).skip(1);
    after.take_while(|line| line.starts_with(' '))
}

fn after<'a>(args: &[&'a str], option: &str) -> Option<&'a str> {
    let at = args.iter().position(|arg| *arg == option)?;
    args.get(at + 1).copied()
}

fn load(memory: &Path) -> Engine {
    std::fs::read(memory.join("docker.json"))
        .ok()
        .and_then(|bytes| serde_json::from_slice(&bytes).ok())
        .unwrap_or_default()
}

impl Engine {
    fn store(&self, memory: &Path) {
        let stored = std::fs::write(
            memory.join("docker.json"),
            serde_json::to_vec_pretty(self).unwrap_or_default(),
        );
        assert!(stored.is_ok(), "the test's engine: {stored:?}");
    }
}

/// What the engine holds, one line each, for pictures.
pub(super) fn picture(memory: &Path) -> Vec<String> {
    let engine = load(memory);
    let containers = engine.containers.iter().map(|one| {
        format!(
            "container {} {} {} {}",
            one.project, one.service, one.hash, one.state
        )
    });
    let networks = engine.networks.iter().map(|name| format!("network {name}"));
    let volumes = engine.volumes.iter().map(|name| format!("volume {name}"));
    containers.chain(networks).chain(volumes).collect()
}

pub(super) fn run(memory: &Path, program: &str, args: &[&str]) -> Answer {
    if memory.join("docker.down").exists() {
        return Answer::failed(
            1,
            "Cannot connect to the Docker daemon at unix:///var/run/docker.sock. Is the docker daemon running?",
        );
    }
    let (program, args) = match (program, args) {
        ("docker", ["compose", rest @ ..]) => ("docker-compose", rest),
        other => other,
    };
    let mut engine = load(memory);
    let answer = if program == "docker-compose" {
        compose(&mut engine, args)
    } else {
        docker(&mut engine, args)
    };
    if answer.0 == 0 {
        engine.store(memory);
    }
    answer
}

fn compose(engine: &mut Engine, args: &[&str]) -> Answer {
    if args.first() == Some(&"version") {
        return Answer::said("2.20.0\n");
    }
    let project = after(args, "--project-name").unwrap_or_default().to_owned();
    let Some(Ok(text)) = after(args, "--file").map(std::fs::read_to_string) else {
        return Answer::failed(14, "Error: no configuration file provided: not found");
    };
    let variables = after(args, "--env-file").map(std::fs::read).transpose();
    let Ok(variables) = variables else {
        return Answer::failed(1, "Error: couldn't find env file");
    };
    let hash = |service: &Service| {
        let mut bytes = service.text.clone().into_bytes();
        bytes.extend(variables.clone().unwrap_or_default());
        Digest::of(&bytes).to_string()
    };
    let services = services(&text);
    if args.contains(&"config") {
        let line = |service: &Service| format!("{} {}\n", service.name, hash(service));
        return Answer::said(services.iter().map(line).collect::<String>());
    }
    if args.contains(&"down") {
        engine.containers.retain(|one| one.project != project);
        engine.networks.remove(&format!("{project}_default"));
        return Answer::done();
    }
    if !args.contains(&"up") {
        return Answer::failed(1, format!("unknown command {args:?}"));
    }
    if let Some(service) = services
        .iter()
        .find(|service| service.text.contains("image: missing"))
    {
        return Answer::failed(
            18,
            format!(
                "Error response from daemon: pull access denied for missing ({})",
                service.name
            ),
        );
    }
    engine.networks.insert(format!("{project}_default"));
    for volume in section(&text, "volumes:") {
        engine
            .volumes
            .insert(format!("{project}_{}", volume.trim().trim_end_matches(':')));
    }
    engine
        .containers
        .retain(|one| one.project != project || services.iter().any(|service| service.name == one.service));
    for service in &services {
        let known = engine
            .containers
            .iter_mut()
            .find(|one| one.project == project && one.service == service.name);
        let state = if service.text.contains("image: dies") {
            "exited"
        } else {
            "running"
        };
        match known {
            Some(known) if known.hash == hash(service) && !args.contains(&"--force-recreate") => {
                state.clone_into(&mut known.state);
            }
            known => {
                engine.made += 1;
                let made = Container {
                    id: format!("{:012x}", engine.made),
                    name: service.container().to_owned(),
                    project: project.clone(),
                    service: service.name.clone(),
                    hash: hash(service),
                    state: state.to_owned(),
                };
                match known {
                    Some(known) => *known = made,
                    None => engine.containers.push(made),
                }
            }
        }
    }
    Answer::done()
}

fn docker(engine: &mut Engine, args: &[&str]) -> Answer {
    let filters: Vec<&str> = args
        .windows(2)
        .filter(|pair| pair[0] == "--filter")
        .map(|pair| pair[1])
        .collect();
    let label = |name: &str| {
        let of = |filter: &&str| {
            filter
                .strip_prefix("label=com.docker.compose.")?
                .strip_prefix(name)?
                .strip_prefix('=')
                .map(str::to_owned)
        };
        filters.iter().find_map(of)
    };
    let (project, service) = (label("project").unwrap_or_default(), label("service"));
    let ids: Vec<&str> = args.iter().copied().filter(|arg| arg.len() == 12).collect();
    let of_project = |names: &BTreeSet<String>| -> String {
        let of = names
            .iter()
            .filter(|name| name.starts_with(&format!("{project}_")));
        of.map(|name| format!("{name}\n")).collect()
    };
    match args {
        ["version", ..] => Answer::said("24.0.7\n"),
        ["ps", rest @ ..] => {
            let of = engine.containers.iter().filter(|one| {
                one.project == project && service.as_ref().is_none_or(|service| one.service == *service)
            });
            let quiet = rest.contains(&"--quiet");
            Answer::said(
                of.map(|one| match quiet {
                    true => format!("{}\n", one.id),
                    false => format!("{}\t{}\t{}\tFalse\n", one.service, one.hash, one.state),
                })
                .collect::<String>(),
            )
        }
        ["inspect", format, name] => match engine.containers.iter().find(|one| one.name == *name) {
            None => Answer::failed(1, format!("Error: No such object: {name}")),
            Some(one) if format.contains(".State.Running") => {
                Answer::said(format!("{}\n", one.state == "running"))
            }
            Some(one) => Answer::said(format!("{}\n", one.id)),
        },
        ["stop", rest @ ..] => {
            let is_meant = |one: &&mut Container| {
                rest.contains(&one.id.as_str()) || (!one.name.is_empty() && rest.contains(&one.name.as_str()))
            };
            let of = engine.containers.iter_mut().filter(is_meant);
            of.for_each(|one| "exited".clone_into(&mut one.state));
            Answer::done()
        }
        ["rm", ..] => {
            engine.containers.retain(|one| !ids.contains(&one.id.as_str()));
            Answer::done()
        }
        ["volume", "ls", ..] => Answer::said(of_project(&engine.volumes)),
        ["volume", "rm", name] => {
            engine.volumes.remove(*name);
            Answer::done()
        }
        ["network", "ls", ..] => Answer::said(of_project(&engine.networks)),
        ["network", "rm", names @ ..] => {
            engine.networks.retain(|name| !names.contains(&name.as_str()));
            Answer::done()
        }
        ["logs", ..] => Answer::said("its last words\n"),
        other => Answer::failed(1, format!("docker: {other:?} is not a docker command.")),
    }
}
