//! A compose project: containers as a compose file describes them, up and as the file wants them.
//!
//! Taking it back removes containers and networks. Volumes hold data: they stay and are named, but for
//! those a project that says so made itself.

mod docker;

use std::collections::BTreeMap;
use std::time::Duration;

use aami_model::code;

use super::unit::digest_of;
use super::{EffectError, Scene, Standing};
use crate::digest::Digest;
use crate::path::HostPath;
use crate::receipt::{Before, Record, Recorded};
use crate::step::{StepError, Voice};
use crate::undo::Undone;
use docker::Docker;

/// A compose project that shall run.
#[derive(Debug, Clone)]
pub struct ContainerProject {
    /// Its name, `[a-z0-9][a-z0-9_-]*`.
    pub name: String,
    /// The folder relative paths in the file start from.
    pub folder: HostPath,
    /// The compose file.
    pub file: HostPath,
    /// The file variables in the compose file come from; the place for secrets.
    pub env_file: Option<HostPath>,
    /// Files that containers read beside those two; when one changes, they are made anew.
    pub inputs: Vec<HostPath>,
    /// How long coming up may take, images included.
    pub deadline: Duration,
    /// Whether the volumes it makes go with it when it is taken back.
    pub owns_volumes: bool,
}

/// What is not as a project's file wants it.
enum Amiss {
    Itself(String),
    /// It may be right again when its files are.
    ItsFiles(String),
}

/// What is known only after a project came up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct CameUp {
    /// The digest of the files it was brought up with.
    pub(crate) with: Digest,
    /// The digest of what containers read beside compose's own, when they were made.
    pub(crate) made_with: Option<Digest>,
    /// The configuration hash each service's container carries.
    pub(crate) hashes: BTreeMap<String, String>,
}

impl ContainerProject {
    /// The project `name` of the compose file at `file`, relative paths starting from its folder; ten
    /// minutes to come up; its volumes stay.
    pub fn new(name: impl Into<String>, file: HostPath) -> Self {
        Self {
            name: name.into(),
            folder: file.parent().unwrap_or_else(HostPath::root),
            file,
            env_file: None,
            inputs: Vec::new(),
            deadline: Duration::from_secs(600),
            owns_volumes: false,
        }
    }

    /// With variables from this file.
    #[must_use]
    pub fn env_file(mut self, path: HostPath) -> Self {
        self.env_file = Some(path);
        self
    }

    /// With files its containers read.
    #[must_use]
    pub fn reading(mut self, inputs: impl IntoIterator<Item = HostPath>) -> Self {
        self.inputs.extend(inputs);
        self
    }

    /// With another deadline for coming up.
    #[must_use]
    pub const fn within(mut self, deadline: Duration) -> Self {
        self.deadline = deadline;
        self
    }

    /// Whose volumes go when it is taken back, where it made them.
    #[must_use]
    pub const fn owning_volumes(mut self) -> Self {
        self.owns_volumes = true;
        self
    }

    pub(super) fn detail(&self) -> String {
        let volumes = if self.owns_volumes {
            ", owns its volumes"
        } else {
            ""
        };
        format!("from {}{volumes}", self.file)
    }

    pub(super) fn record(&self) -> Recorded {
        Recorded::ContainerProject {
            name: self.name.clone(),
            folder: self.folder.clone(),
            file: self.file.clone(),
            env_file: self.env_file.clone(),
            owns_volumes: self.owns_volumes,
            came_up_with: None,
            inputs: self.inputs.clone(),
            made_with: None,
            hashes: BTreeMap::new(),
        }
    }

    /// Its record, where it came up before: with what, says whether its containers have to be made anew. `is_written` says
    /// whether a file is about to be written.
    pub(crate) fn foresee(
        &self,
        record: Option<&Record>,
        is_written: impl Fn(&HostPath) -> bool,
    ) -> Option<Recorded> {
        let known = came_up(record)?;
        let mut recorded = self.record();
        if let Recorded::ContainerProject {
            came_up_with,
            made_with,
            hashes,
            ..
        } = &mut recorded
        {
            (*came_up_with, *made_with) = (Some(known.with), known.made_with);
            *hashes = known.hashes;
        }
        recorded.forget_start(is_written);
        Some(recorded)
    }

    /// Every file that decides what runs.
    pub(crate) fn files(&self) -> Vec<HostPath> {
        let mut files = vec![self.file.clone()];
        files.extend(self.env_file.clone());
        files.extend(self.inputs.clone());
        files
    }

    fn check(&self) -> Result<(), EffectError> {
        let fits =
            |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || matches!(byte, b'-' | b'_');
        let name = self.name.as_bytes();
        if (1..=63).contains(&name.len()) && name[0].is_ascii_alphanumeric() && name.iter().all(|b| fits(*b))
        {
            return Ok(());
        }
        Err(EffectError::Refused {
            code: code::INVALID,
            what: format!("the compose project {:?}", self.name),
            complaint: "a project's name is a-z, 0-9, - and _, beginning with a letter or digit".into(),
        })
    }

    pub(super) fn inspect(&self, scene: Scene<'_>) -> Result<Standing, EffectError> {
        self.check()?;
        let Some(docker) = Docker::of(scene.host)? else {
            let before = Before::Project {
                existed: false,
                volumes: Vec::new(),
            };
            return Ok(Standing::due("no container engine answers", before));
        };
        let containers = docker.containers(&self.name)?;
        let before = Before::Project {
            existed: !containers.is_empty(),
            volumes: docker.volumes(&self.name)?,
        };
        Ok(match self.amiss(scene, &docker, &containers)? {
            None => Standing::Holds,
            Some(Amiss::Itself(because)) => Standing::due(because, before),
            Some(Amiss::ItsFiles(because)) => Standing::following(because, before),
        })
    }

    /// What is not as the file wants it.
    fn amiss(
        &self,
        scene: Scene<'_>,
        docker: &Docker<'_>,
        containers: &[docker::Container],
    ) -> Result<Option<Amiss>, EffectError> {
        let itself = |because: String| Ok(Some(Amiss::Itself(because)));
        let files = |because: String| Ok(Some(Amiss::ItsFiles(because)));
        for file in std::iter::once(&self.file).chain(&self.env_file) {
            if scene.host.root.digest(file)?.is_none() {
                return files(format!("{file} is missing"));
            }
        }
        let wanted = match docker.wanted(self) {
            // Its file may be about to be written anew.
            Err(EffectError::Refused { code, complaint, .. }) if code != code::CONTAINERS_UNAVAILABLE => {
                return files(format!("compose cannot read {}: {complaint}", self.file));
            }
            wanted => wanted?,
        };
        let known = came_up(scene.record);
        let now = digest_of(scene, &self.files())?;
        for (service, hash) in &wanted {
            // Of a service with several containers, the one that is not right.
            let mut own = containers.iter().filter(|one| one.service == *service);
            let wrong = own
                .clone()
                .find(|one| one.state != "running" || one.hash != *hash);
            let Some(container) = wrong.or_else(|| own.next()) else {
                return itself(format!("{service} has no container"));
            };
            if container.state != "running" {
                return itself(format!("{service} is {}", container.state));
            }
            // Some versions of compose tell another hash than they give to containers: one that came
            // up with these very files is right too.
            let as_it_came_up = known
                .as_ref()
                .is_some_and(|known| known.with == now && known.hashes.get(service) == Some(&container.hash));
            if container.hash != *hash && !as_it_came_up {
                return files(format!("{service} runs with another configuration"));
            }
        }
        if let Some(extra) = containers.iter().find(|one| !wanted.contains_key(&one.service)) {
            return files(format!("{} is not in the file any more", extra.service));
        }
        Ok(match known {
            Some(known) if known.with != now => Some(Amiss::ItsFiles(
                "a file it reads changed since it came up".to_owned(),
            )),
            // A run of ours was cut off: bringing up what is up changes nothing, and tells.
            None if scene.record.is_some() => {
                Some(Amiss::Itself("what it came up with is not known".to_owned()))
            }
            _ => None,
        })
    }

    /// The standing of a project that holds now, when one of its files is about to change.
    pub(crate) fn due_with_its_files(&self, scene: Scene<'_>) -> Result<Standing, EffectError> {
        let before = match Docker::of(scene.host)? {
            Some(docker) => Before::Project {
                existed: true,
                volumes: docker.volumes(&self.name)?,
            },
            None => Before::Unknown,
        };
        Ok(Standing::following("a file it reads is about to change", before))
    }

    pub(super) fn apply(&self, scene: Scene<'_>, voice: &Voice<'_>) -> Result<CameUp, StepError> {
        let Some(docker) = Docker::of(scene.host)? else {
            return Err(docker::unavailable(scene.host, &self.name).into());
        };
        let (with, made_with) = (digest_of(scene, &self.files())?, digest_of(scene, &self.inputs)?);
        // compose sees changes of its own file, not of what containers read. Earlier versions did not note that apart.
        let anew = came_up(scene.record).is_some_and(|known| match known.made_with {
            Some(known) => known != made_with,
            None => known.with != with,
        });
        voice.check()?;
        docker.up(self, anew)?;
        let containers = docker.containers(&self.name)?;
        let wanted = docker.wanted(self)?;
        for service in wanted.keys() {
            let state = containers
                .iter()
                .find(|one| one.service == *service)
                .map_or("missing", |one| one.state.as_str());
            if state != "running" {
                return Err(EffectError::Refused {
                    code: code::PROJECT_FAILED,
                    what: format!("the compose project {}", self.name),
                    complaint: format!(
                        "{service} is {state} after it came up; its last words: {}",
                        docker.last_words(&self.name, service)
                    ),
                }
                .into());
            }
        }
        let hashes = containers
            .into_iter()
            .map(|one| (one.service, one.hash))
            .collect();
        Ok(CameUp {
            with,
            made_with: Some(made_with),
            hashes,
        })
    }
}

fn came_up(record: Option<&Record>) -> Option<CameUp> {
    match record.map(|record| &record.effect) {
        Some(Recorded::ContainerProject {
            came_up_with: Some(with),
            made_with,
            hashes,
            ..
        }) => Some(CameUp {
            with: *with,
            made_with: *made_with,
            hashes: hashes.clone(),
        }),
        _ => None,
    }
}

/// Takes a project down. Its volumes stay and are named, but for those it owns and made.
pub(super) fn undo(scene: Scene<'_>, recorded: &Recorded, before: &Before) -> Result<Undone, EffectError> {
    let Recorded::ContainerProject {
        name,
        folder,
        file,
        env_file,
        owns_volumes,
        ..
    } = recorded
    else {
        return Ok(Undone::Gone);
    };
    let (existed, kept) = match before {
        Before::Project { existed, volumes } => (*existed, Some(volumes)),
        _ => (false, None),
    };
    if existed {
        return Ok(Undone::Left(format!(
            "the compose project {name} was there before AAMI and stays up"
        )));
    }
    let Some(docker) = Docker::of(scene.host)? else {
        if docker::is_gone(scene.host)? {
            return Ok(Undone::Gone);
        }
        return Err(docker::unavailable(scene.host, name));
    };
    if scene.host.root.digest(file)?.is_some() && !docker.containers(name)?.is_empty() {
        let project = ContainerProject {
            folder: folder.clone(),
            env_file: env_file.clone(),
            ..ContainerProject::new(name, file.clone())
        };
        // What the file no longer knows is swept up below.
        docker.down(&project)?;
    }
    docker.sweep(name)?;
    let mut left = Vec::new();
    for volume in docker.volumes(name)? {
        let made = kept.is_some_and(|kept| !kept.contains(&volume));
        if *owns_volumes && made {
            docker.remove_volume(&volume)?;
        } else if made || kept.is_none() {
            left.push(volume);
        }
    }
    Ok(if left.is_empty() {
        Undone::Gone
    } else {
        Undone::Left(format!("the volumes of {name} stay: {}", left.join(" ")))
    })
}
