//! Step 2: folders, users, this program, and the components, each of which may be missing.

use std::io;
use std::sync::Arc;

use aami_install::effect::{PlaceTree, Placement};
use aami_install::{Content, Effect, Host, NotAHostPath, Owner, Probe, Step, StepContext, StepError, Survey};
use aami_inventory::Arch;
use aami_model::code::{self, Code};
use aami_model::run::StepOutcome;

use super::super::config::broken;
use super::super::part::Part;
use super::super::place::{SECRETS, account, folder, ground, missing_parents, owner, targets_owner};
use super::super::session::{AGENT, NODE_EXPORTER, Session};
use super::super::wishes::Note;
use super::super::{Purpose, dist, fetch, folders};
use super::needs;
use crate::release::PublicKey;

/// Step 2.
pub(super) struct Download(pub(super) Arc<Session>);

impl Download {
    /// What has to be there before anything else: users, folders, and a note of what was chosen.
    fn foundation(&self, survey: &Survey<'_>) -> Result<Vec<Effect>, StepError> {
        let (session, layout) = (&self.0, &self.0.layout);
        let host = survey.host();
        if session.options.purpose == Purpose::Install {
            folders::fit(survey, session.wishes(), layout)?;
        }
        let mut effects = Vec::new();
        let parts = session.parts()?;
        for part in &parts {
            effects.extend(account(*part)?);
        }
        effects.extend(missing_parents(host, &layout.configuration)?);
        effects.push(folder(&layout.configuration));
        effects.extend(self.mirror_credential());
        for path in [&layout.install, &layout.data] {
            effects.extend(missing_parents(host, path)?);
            effects.push(ground(path));
        }
        let note = session.note()?;
        let text = note
            .text()
            .map_err(|error| StepError::new(code::STEP_FAILED, format!("the note: {error}")))?;
        let path = Note::path().map_err(broken)?;
        effects.push(Effect::file(
            path,
            Content::bytes(text),
            0o644,
            Some(Owner::root()),
        ));
        for part in &parts {
            let data = layout.data_of(*part).map_err(broken)?;
            effects.push(Effect::directory(data, 0o700, Some(owner(*part))));
        }
        effects.push(Effect::directory(
            layout.targets.clone(),
            0o755,
            Some(targets_owner(session.wishes())),
        ));
        if session.wishes().control_plane {
            effects.push(folder(&layout.release));
            effects.extend(self.release_key()?);
        }
        Ok(effects)
    }

    /// What the mirror wants to see, kept so that nobody has to name it to a later run. The file says which mirror it is
    /// for, since a run may end before the note says so.
    fn mirror_credential(&self) -> Vec<Effect> {
        let (session, layout) = (&self.0, &self.0.layout);
        if !session.wishes().mirror_credential {
            return Vec::new();
        }
        let content = match session.mirror_credential() {
            Some((mirror, credential)) => Content::bytes(credential.kept_for(mirror)),
            None => Content::once(|_| {
                Err(io::Error::new(
                    io::ErrorKind::NotFound,
                    "what the mirror wants to see is gone; name it with --mirror-credential-file",
                ))
            }),
        };
        let owner = || Some(Owner::root());
        vec![
            Effect::directory(layout.secrets.clone(), SECRETS, owner()),
            Effect::file(layout.mirror_credential.clone(), content, 0o600, owner()),
        ]
    }

    /// What nodes update from: files of a release, each in its folder.
    fn released(&self) -> Result<Vec<Effect>, StepError> {
        let dist = &self.0.layout.dist;
        let named = |error: NotAHostPath| StepError::new(code::RELEASE_DAMAGED, error.to_string());
        let mut effects = Vec::new();
        for (name, content) in self.0.released()? {
            let path = dist.join(&name).map_err(named)?;
            let mut folders = vec![folder(dist)];
            let above = name.match_indices('/').map(|(at, _)| dist.join(&name[..at]));
            for path in above {
                folders.push(folder(&path.map_err(named)?));
            }
            let is_new = |wanted: &Effect| !effects.iter().any(|known: &Effect| known.key() == wanted.key());
            folders.retain(is_new);
            effects.append(&mut folders);
            effects.push(Effect::file(path, content, 0o644, Some(Owner::root())));
        }
        Ok(effects)
    }

    /// Who signs releases, for nodes that enrol; nothing where it was installed from none.
    fn release_key(&self) -> Result<Vec<Effect>, StepError> {
        let Some(line) = &self.0.wishes().release_key else {
            return Ok(Vec::new());
        };
        let dist = &self.0.layout.dist;
        let path = dist.join("minisign.pub").map_err(broken)?;
        let text = Content::bytes(PublicKey::file_of(line));
        Ok(vec![
            folder(dist),
            Effect::file(path, text, 0o644, Some(Owner::root())),
        ])
    }

    /// This program, as it is, where a control plane runs from it.
    fn itself(&self) -> Result<Option<Effect>, StepError> {
        if !self.0.wishes().control_plane {
            return Ok(None);
        }
        let path = self.0.layout.release.join("aami").map_err(broken)?;
        Ok(Some(Effect::binary(path, self.0.itself()?, Some(Owner::root()))))
    }

    /// A component's programs, or all of its folder where they need that.
    fn component(&self, host: &Host, part: Part) -> Result<Vec<Effect>, StepError> {
        let session = &self.0;
        let (component, build) = session.component(part.name(), session.options.arch)?;
        let place = session
            .layout
            .component(part.name(), &component.version)
            .map_err(|error| StepError::new(code::CATALOGUE_INVALID, error.to_string()))?;
        if let Some(tree) = &build.tree {
            let archive = fetch::tree(session, host, (&component, &build), part.programs()[0]);
            let owner = Some(Owner::root());
            return Ok(vec![Effect::PlaceTree(PlaceTree::new(
                place, archive, tree, owner,
            ))]);
        }
        let mut effects = vec![folder(&place)];
        for (number, program) in part.programs().iter().enumerate() {
            if number > 0 && !build.programs.contains_key(*program) {
                continue;
            }
            let path = place.join(program).map_err(broken)?;
            let content = fetch::program(session, host, (&component, &build), program);
            effects.push(Effect::binary(path, content, Some(Owner::root())));
        }
        Ok(effects)
    }

    /// Agents and exporters for the nodes, by processor; nothing where no control plane hands them out.
    fn for_nodes(&self, host: &Host) -> Result<Vec<(String, Vec<Effect>)>, StepError> {
        let session = &self.0;
        let mut all = Vec::new();
        if !session.wishes().control_plane {
            return Ok(all);
        }
        let dist = &session.layout.dist;
        for arch in Arch::ALL {
            let own = arch == session.options.arch;
            let agent = match dist::agent(session, host, arch) {
                Ok(agent) => agent,
                Err(error) if is_missing(error.code()) => {
                    if own {
                        session.miss(
                            AGENT,
                            &format!("{error}; nodes cannot be enrolled until it is there"),
                        );
                    }
                    continue;
                }
                Err(error) => return Err(error),
            };
            let place = session.layout.dist_of(arch).map_err(broken)?;
            let mut effects = vec![folder(dist), folder(&place)];
            let path = place.join(AGENT).map_err(broken)?;
            effects.push(Effect::binary(path, agent, Some(Owner::root())));
            all.push((AGENT.to_owned(), effects));
            // Nodes that find no exporter here ask its publisher.
            if let Ok((component, build)) = session.component(NODE_EXPORTER, arch) {
                let content = fetch::whole(session, host, (&component, &build), arch);
                let path = place
                    .join(&build.file)
                    .map_err(|error| StepError::new(code::CATALOGUE_INVALID, error.to_string()))?;
                let catalogue = place.join("components.toml").map_err(broken)?;
                let text = Content::bytes(dist::catalogue(&component, &build, arch));
                let effects = vec![
                    Effect::file(path, content, 0o644, Some(Owner::root())),
                    Effect::WriteFile(Placement::new(catalogue, text, 0o644, Some(Owner::root()))),
                ];
                all.push((NODE_EXPORTER.to_owned(), effects));
            }
        }
        let released = self.released()?;
        if !released.is_empty() {
            all.push(("release".to_owned(), released));
        }
        Ok(all)
    }

    /// What this host lacks and no source is known to have, with why.
    fn unknown(&self) -> Result<Option<String>, StepError> {
        let session = &self.0;
        for part in Part::FOREIGN {
            if !session.wishes().wants(part) {
                continue;
            }
            match session.component(part.name(), session.options.arch) {
                Err(error) if is_missing(error.code()) => {
                    return Ok(Some(format!("{}: {error}", part.name())));
                }
                Err(error) => return Err(error),
                Ok(_) => {}
            }
        }
        Ok(None)
    }

    /// Performs what belongs to one thing. That it cannot be had is noted and stops nothing; a file that is not
    /// what it should be does.
    fn attempt(
        &self,
        context: &mut StepContext<'_>,
        name: &str,
        effects: Result<Vec<Effect>, StepError>,
    ) -> Result<StepOutcome, StepError> {
        match effects.and_then(|effects| context.perform(&effects)) {
            Err(error) if is_missing(error.code()) => {
                self.0.miss(name, &error.to_string());
                // Of what nobody has, nothing has come.
                if error.code() != code::COMPONENT_MISSING {
                    context.do_without();
                }
                Ok(StepOutcome::AlreadySo)
            }
            other => other,
        }
    }
}

/// Whether a failure means that something cannot be had now, and maybe later.
pub(crate) fn is_missing(code: Code) -> bool {
    [
        code::COMPONENT_MISSING,
        code::DOWNLOAD_FAILED,
        code::PROXY_AUTH,
        code::PROXY_REFUSED,
        code::PROXY_UNREACHABLE,
    ]
    .contains(&code)
}

impl Step for Download {
    fn id(&self) -> &str {
        "download"
    }

    fn title(&self) -> String {
        match self.0.wishes().control_plane {
            true => format!("Downloading AAMI {}", self.0.wishes().version),
            false => "Downloading components".to_owned(),
        }
    }

    fn needs(&self) -> Vec<String> {
        needs(&["preflight"])
    }

    fn desired(&self, survey: &Survey<'_>) -> Result<Vec<Effect>, StepError> {
        let host = survey.host();
        let mut effects = self.foundation(survey)?;
        effects.extend(self.itself()?);
        for part in self
            .0
            .parts()?
            .into_iter()
            .filter(|part| *part != Part::ControlPlane)
        {
            effects.extend(self.component(host, part)?);
        }
        for (name, more) in self.for_nodes(host)? {
            if !self.0.is_missing(&name) {
                effects.extend(more);
            }
        }
        Ok(effects)
    }

    fn probe(&self, survey: &Survey<'_>) -> Result<Probe, StepError> {
        let probe = survey.probe(&self.desired(survey)?)?;
        if probe != Probe::Holds {
            return Ok(probe);
        }
        let missing = match self.unknown()? {
            Some(why) => Some(why),
            None => self.0.missing().get(AGENT).map(|why| format!("{AGENT}: {why}")),
        };
        Ok(missing.map_or(Probe::Holds, Probe::Missing))
    }

    fn apply(&self, context: &mut StepContext<'_>) -> Result<StepOutcome, StepError> {
        let host = context.host();
        let mut effects = self.foundation(&context.survey())?;
        effects.extend(self.itself()?);
        let mut outcomes = vec![context.perform(&effects)?];
        if self.0.wishes().control_plane {
            context.note(format!(
                "AAMI {} at {}",
                self.0.wishes().version,
                self.0.layout.release
            ));
        }
        for part in Part::FOREIGN
            .into_iter()
            .filter(|part| self.0.wishes().wants(*part))
        {
            let effects = self.component(host, part);
            outcomes.push(self.attempt(context, part.name(), effects)?);
        }
        for (name, effects) in self.for_nodes(host)? {
            outcomes.push(self.attempt(context, &name, Ok(effects))?);
        }
        for (name, why) in self.0.missing() {
            context.warn(format!("{name} is missing: {why}"));
        }
        Ok(if outcomes.contains(&StepOutcome::Changed) {
            StepOutcome::Changed
        } else {
            StepOutcome::AlreadySo
        })
    }
}
