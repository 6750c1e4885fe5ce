//! The same parts as containers of one compose project.
//!
//! Every container runs the program this plan verified and placed, out of one base image that brings no
//! more than a C library, on the host's own network: addresses, ports, folders, users and configurations
//! are those of the other runtime, and no image of a program has to be trusted or mirrored beside it.

use std::fmt::Write as _;
use std::sync::Arc;

use aami_install::effect::{ContainerProject, Placement};
use aami_install::{Content, Effect, EffectError, Host, Mark, Owner, StepError};

use super::config::broken;
use super::part::Part;
use super::service::Service;
use super::session::Session;

/// The project's name.
pub(crate) const PROJECT: &str = "aami";

/// What has to hold for all parts to run: the files first, then the project.
pub(crate) fn effects(session: &Arc<Session>, host: &Host) -> Result<Vec<Effect>, StepError> {
    let layout = session.layout();
    let services = session
        .parts()?
        .into_iter()
        .map(|part| Service::of(session, part))
        .collect::<Result<Vec<_>, _>>()?;
    let file = layout.configuration.join("compose.yaml").map_err(broken)?;
    let variables = layout.configuration.join(".env").map_err(broken)?;
    let text = render(&services, layout.configuration.as_str());
    let compose = Placement::new(file.clone(), Content::bytes(text), 0o644, Some(Owner::root()));
    let env = Content::bytes(env(&session.wishes().image, &services, |part| {
        numbers(host, part)
    })?);
    let env = Placement::new(variables.clone(), env, 0o600, Some(Owner::root()));
    let inputs = services.iter().flat_map(|service| {
        let program = std::iter::once(service.program.clone());
        program.chain(service.inputs.iter().cloned())
    });
    let project = ContainerProject::new(PROJECT, file)
        .env_file(variables)
        .reading(inputs.collect::<Vec<_>>());
    Ok(vec![
        Effect::WriteFile(compose.marked(Mark::Hash)),
        Effect::WriteFile(env.marked(Mark::Hash)),
        Effect::ContainerProject(project),
    ])
}

/// The compose file. Its variables are in [`env`].
fn render(services: &[Service], configuration: &str) -> String {
    let mut text = "services:\n".to_owned();
    for service in services {
        let part = service.part;
        let name = part.name();
        let words: Vec<String> = service.command.iter().map(|word| scalar(word)).collect();
        let _ = write!(
            text,
            "  {name}:\n    image: \"${{AAMI_IMAGE}}\"\n    container_name: {}\n    user: \"${{AAMI_{}_USER}}\"\n    \
             network_mode: host\n    restart: unless-stopped\n    read_only: true\n    cap_drop: [ALL]\n    \
             security_opt: [\"no-new-privileges:true\"]\n    tmpfs: [/tmp]\n    entrypoint: [{}]\n    volumes:\n",
            part.container(),
            name.to_ascii_uppercase(),
            words.join(", "),
        );
        let read = [service.home.as_str(), configuration].map(|path| format!("{path}:{path}:ro"));
        let written = service.writes.iter().map(|path| format!("{path}:{path}"));
        // The list of targets is read by Prometheus, whoever writes it.
        let lists = (part == Part::Prometheus)
            .then(|| {
                service
                    .targets
                    .as_ref()
                    .map(ToString::to_string)
                    .or_else(|| targets_of(services))
            })
            .flatten()
            .map(|path| format!("{path}:{path}:ro"));
        for volume in read.into_iter().chain(written).chain(lists) {
            let _ = writeln!(text, "      - {}", scalar(&volume));
        }
        if part != Part::ControlPlane && services.iter().any(|one| one.part == Part::ControlPlane) {
            let _ = writeln!(text, "    depends_on: [{}]", Part::ControlPlane.name());
        }
    }
    text
}

fn targets_of(services: &[Service]) -> Option<String> {
    let server = services
        .iter()
        .find(|service| service.part == Part::ControlPlane)?;
    server.writes.get(1).map(ToString::to_string)
}

/// The variables: the image, and as which numbers each part runs.
fn env(
    image: &str,
    services: &[Service],
    numbers: impl Fn(Part) -> Result<Option<(u32, u32)>, StepError>,
) -> Result<String, StepError> {
    let mut text = format!("AAMI_IMAGE={image}\n");
    for service in services {
        let numbers = numbers(service.part)?;
        // Not known before the users are made, as in a dry run.
        let numbers = numbers.map_or_else(String::new, |(uid, gid)| format!("{uid}:{gid}"));
        let name = service.part.name().to_ascii_uppercase();
        let _ = writeln!(text, "AAMI_{name}_USER={numbers}");
    }
    Ok(text)
}

fn numbers(host: &Host, part: Part) -> Result<Option<(u32, u32)>, StepError> {
    let accounts = host.accounts();
    let user = accounts.user(part.user()).map_err(EffectError::from)?;
    let group = accounts.group(part.user()).map_err(EffectError::from)?;
    Ok(user.zip(group).map(|(user, group)| (user.uid, group.gid)))
}

/// A JSON text is a YAML text; `$` is doubled, since compose would look for a variable.
fn scalar(text: &str) -> String {
    serde_json::Value::from(text.replace('$', "$$")).to_string()
}

#[cfg(test)]
#[path = "compose/tests.rs"]
mod tests;
