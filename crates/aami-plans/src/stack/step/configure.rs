//! Step 3: a configuration for each part, and the passwords that are made here.

use std::io;
use std::sync::Arc;

use aami_install::HostPath;
use aami_install::effect::Placement;
use aami_install::host::Random;
use aami_install::{Content, Effect, Mark, Owner, Probe, Step, StepContext, StepError, Survey};
use aami_model::run::StepOutcome;
use aami_monitor::{alertmanager, grafana};

use super::super::config::{self, broken};
use super::super::part::Part;
use super::super::place::{SECRETS, folder, owner, reader};
use super::super::session::Session;
use super::needs;

/// Step 3.
pub(super) struct Configure(pub(super) Arc<Session>);

impl Configure {
    fn effects(&self) -> Result<Vec<Effect>, StepError> {
        let (session, layout) = (&self.0, &self.0.layout);
        let wishes = session.wishes();
        let parts = session.parts()?;
        let has = |part| parts.contains(&part);
        let beside: Vec<Part> = Part::FOREIGN.into_iter().filter(|part| has(*part)).collect();
        let file = |part| layout.file_of(part).map_err(broken);
        // Secrets lie in a folder that others may pass and not list.
        let mut effects = vec![Effect::directory(
            layout.secrets.clone(),
            SECRETS,
            Some(Owner::root()),
        )];
        if wishes.own_certificate {
            effects.extend(self.certificate()?);
        }
        if !wishes.control_plane {
            effects.extend(self.declared(&beside)?);
            return Ok(effects);
        }
        effects.push(text(
            file(Part::ControlPlane)?,
            config::server(wishes, layout, &beside)?,
            Owner::root(),
            0o644,
        ));
        if has(Part::Prometheus) {
            // What the control plane has for it, the control plane brings there.
            effects.push(folder(&layout.rules));
            effects.push(text(
                file(Part::Prometheus)?,
                config::prometheus(wishes, layout, has(Part::Alertmanager))?,
                reader(Part::Prometheus),
                0o640,
            ));
        }
        if has(Part::Alertmanager) {
            let first = Content::bytes(config::alertmanager()?);
            let path = file(Part::Alertmanager)?;
            let owner = Some(reader(Part::Alertmanager));
            effects.push(Effect::WriteFile(
                Placement::new(path, first, 0o640, owner).for_the_operator(),
            ));
        }
        if has(Part::Grafana) {
            effects.extend(self.grafana(has(Part::Prometheus), has(Part::Alertmanager))?);
        }
        Ok(effects)
    }

    /// What the parts are told where a declared fleet is all there is. Rules are not among it: they change often, and
    /// whoever changes them judges, places and loads them.
    fn declared(&self, parts: &[Part]) -> Result<Vec<Effect>, StepError> {
        let layout = &self.0.layout;
        let has = |part| parts.contains(&part);
        let mut effects = vec![folder(&layout.rules)];
        if has(Part::Grafana) {
            effects.extend(self.grafana(has(Part::Prometheus), has(Part::Alertmanager))?);
        }
        let Some(render) = &self.0.options.render else {
            return Ok(effects);
        };
        let rendered = render(parts).map_err(|(code, message)| StepError::new(code, message))?;
        if has(Part::Prometheus) {
            let path = layout.file_of(Part::Prometheus).map_err(broken)?;
            effects.push(text(path, rendered.prometheus, reader(Part::Prometheus), 0o640));
        }
        if has(Part::Alertmanager) {
            // The secrets first: what reads them is started or told to read again only when they are there.
            for secret in rendered.alertmanager.secrets {
                let path = HostPath::new(&secret.path).map_err(broken)?;
                let content = Content::bytes(secret.content);
                let owner = Some(reader(Part::Alertmanager));
                effects.push(Effect::file(path, content, alertmanager::MODE, owner));
            }
            let path = layout.file_of(Part::Alertmanager).map_err(broken)?;
            let routes = rendered.alertmanager.text;
            effects.push(text(path, routes, reader(Part::Alertmanager), alertmanager::MODE));
        }
        Ok(effects)
    }

    fn grafana(&self, prometheus: bool, alertmanager: bool) -> Result<Vec<Effect>, StepError> {
        let (session, layout) = (&self.0, &self.0.layout);
        let wishes = session.wishes();
        let below = |name: &str| layout.provisioning.join(name).map_err(broken);
        let given = session.options.grafana_password.clone();
        // Made once: Grafana takes it at its first start and keeps its own from then on.
        let password = Content::once(move |random| match &given {
            Some(password) => Ok(password.reveal().as_bytes().to_vec()),
            None => made(random),
        });
        let configuration = layout.file_of(Part::Grafana).map_err(broken)?;
        let mut effects = vec![
            Effect::file(
                layout.grafana_password.clone(),
                password,
                0o600,
                Some(owner(Part::Grafana)),
            ),
            folder(&layout.provisioning),
        ];
        for name in grafana::FOLDERS {
            effects.push(folder(&below(name)?));
        }
        for file in config::provisioned(wishes, layout, prometheus, alertmanager)? {
            let path = below(&file.path)?;
            effects.push(if file.path.ends_with(".json") {
                // JSON has no comments to say whose it is.
                Effect::file(path, Content::bytes(file.text), 0o644, Some(Owner::root()))
            } else {
                text(path, file.text, Owner::root(), 0o644)
            });
        }
        let ini = Placement::new(
            configuration,
            Content::bytes(config::grafana(wishes, layout)?),
            0o640,
            Some(reader(Part::Grafana)),
        );
        effects.push(Effect::WriteFile(ini.marked(Mark::Semicolon)));
        Ok(effects)
    }

    /// The operator's certificate and key, where the control plane may read them.
    fn certificate(&self) -> Result<Vec<Effect>, StepError> {
        let layout = &self.0.layout;
        let mut effects = vec![folder(&layout.tls)];
        let given = self.0.options.certificate.as_ref();
        let pair = [
            (
                "server.crt",
                given.map(|pair| pair.chain.clone()),
                0o644,
                Owner::root(),
            ),
            (
                "server.key",
                given.map(|pair| pair.key.reveal().to_owned()),
                0o600,
                owner(Part::ControlPlane),
            ),
        ];
        for (name, pem, mode, owner) in pair {
            let path = layout.tls.join(name).map_err(broken)?;
            // Where none is given now, the one of an earlier run stays.
            let content = match pem {
                Some(pem) => Content::bytes(pem),
                None => Content::once(|_| {
                    Err(io::Error::new(
                        io::ErrorKind::NotFound,
                        "the certificate is gone; name it with --tls-cert and --tls-key",
                    ))
                }),
            };
            effects.push(Effect::file(path, content, mode, Some(owner)));
        }
        Ok(effects)
    }
}

/// A text file with a first line that says whose it is.
fn text(path: HostPath, content: String, owner: Owner, mode: u32) -> Effect {
    Effect::WriteFile(Placement::new(path, Content::bytes(content), mode, Some(owner)).marked(Mark::Hash))
}

/// A password of 24 letters and digits (about 120 bits), from the host's random source.
fn made(random: &dyn Random) -> io::Result<Vec<u8>> {
    const ALPHABET: &[u8; 32] = b"abcdefghijkmnpqrstuvwxyz23456789";
    let mut bytes = [0; 24];
    random.fill(&mut bytes)?;
    Ok(bytes
        .iter()
        .map(|byte| ALPHABET[usize::from(byte % 32)])
        .collect())
}

impl Step for Configure {
    fn id(&self) -> &str {
        "configure"
    }

    fn title(&self) -> String {
        "Configuring environment".to_owned()
    }

    fn needs(&self) -> Vec<String> {
        needs(&["download"])
    }

    fn desired(&self, _: &Survey<'_>) -> Result<Vec<Effect>, StepError> {
        self.effects()
    }

    fn probe(&self, survey: &Survey<'_>) -> Result<Probe, StepError> {
        survey.probe(&self.effects()?)
    }

    fn apply(&self, context: &mut StepContext<'_>) -> Result<StepOutcome, StepError> {
        let outcome = context.perform(&self.effects()?)?;
        if outcome == StepOutcome::Changed {
            context.note(format!("Configuration in {}", self.0.layout.configuration));
            if self.0.parts()?.contains(&Part::Grafana) {
                context.note(format!(
                    "Grafana's password in {}",
                    self.0.layout.grafana_password
                ));
            }
        }
        Ok(outcome)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Counting;

    impl Random for Counting {
        fn fill(&self, bytes: &mut [u8]) -> io::Result<()> {
            for (n, byte) in bytes.iter_mut().enumerate() {
                *byte = u8::try_from(n * 11 % 256).unwrap_or(0);
            }
            Ok(())
        }
    }

    #[test]
    fn a_password_is_24_characters_nobody_mistakes() {
        let password = String::from_utf8(made(&Counting).unwrap()).unwrap();
        assert_eq!(password.len(), 24);
        assert!(
            password
                .chars()
                .all(|c| c.is_ascii_alphanumeric() && !"loO01".contains(c)),
            "{password}"
        );
    }
}
