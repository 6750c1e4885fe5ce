//! The exporters beside node_exporter: which ones a host shall have, and how each is set up.
//!
//! A host has the one that fits its GPUs, and those its operator asked for; what its operator removed stays away.
//! That wish is kept on the host, so that every later run knows it.

mod wish;

use std::collections::BTreeSet;
use std::sync::Arc;

use aami_install::{Effect, Host, StepError, Survey};
use aami_inventory::gpu::Vendor;
use aami_model::code;
use aami_model::exporter::ExporterKind;
use serde::Serialize;

use super::exporter::{Container, Setup};
use super::session::Session;
use super::unit::Hardening;
use super::{Form, Purpose, installed};
use crate::components::{Kind, is_pinned_image};
use crate::place::host_path;
use crate::units;

pub use wish::Change;
pub(crate) use wish::Wish;
use wish::is_free;

/// Where dcgm-exporter reads what to export.
const COUNTERS: &str = "/etc/aami/dcgm-counters.csv";
/// The user that exporters of the site's own run as.
const USER: &str = "aami-exporter";
/// One exporter beside node_exporter.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Extra {
    /// NVIDIA's own.
    Dcgm,
    /// For GPUs of every vendor.
    AllSmi,
    /// One that a site's catalogue brings, by its name there.
    Custom(String),
}

impl Extra {
    /// By its name in the catalogue.
    pub(crate) fn named(name: &str) -> Self {
        match name {
            "dcgm_exporter" => Self::Dcgm,
            "all_smi" => Self::AllSmi,
            other => Self::Custom(other.to_owned()),
        }
    }

    /// Its name in the catalogue.
    pub(crate) fn component(&self) -> &str {
        match self {
            Self::Dcgm => "dcgm_exporter",
            Self::AllSmi => "all_smi",
            Self::Custom(name) => name,
        }
    }

    /// What it is registered as.
    pub(crate) const fn kind(&self) -> ExporterKind {
        match self {
            Self::Dcgm => ExporterKind::DcgmExporter,
            Self::AllSmi => ExporterKind::AllSmi,
            Self::Custom(_) => ExporterKind::Custom,
        }
    }

    /// All that this host shall have.
    pub(crate) fn wanted(session: &Session, host: &Host) -> Result<Vec<Self>, StepError> {
        if let Purpose::Look(_) | Purpose::Update(_) = session.options.purpose {
            return Ok(Self::installed(session, host));
        }
        let wish = Wish::now(session, host)?;
        let mut wanted: BTreeSet<Self> = wish.also.iter().map(|name| Self::named(name)).collect();
        if let Purpose::Exporters { .. } = session.options.purpose {
            wanted.extend(Self::installed(session, host));
        } else if !session.options.skip_gpu {
            let vendor = session.inventory()?.gpus.vendor();
            wanted.extend(vendor.map(|vendor| match vendor {
                Vendor::Nvidia => Self::Dcgm,
                Vendor::Amd | Vendor::Intel => Self::AllSmi,
            }));
        }
        wanted.retain(|extra| !wish.without.contains(extra.component()));
        Ok(wanted.into_iter().collect())
    }

    /// Those that are there by our own notes.
    pub(crate) fn installed(session: &Session, host: &Host) -> Vec<Self> {
        let files = host.root.list(&session.layout.agent).ok().flatten();
        let mut found: Vec<Self> = files
            .unwrap_or_default()
            .iter()
            .filter_map(|file| installed::exporter_of(file))
            .filter(|name| *name != "node_exporter")
            .filter(|name| installed::read::<installed::Exporter>(host, &session.layout, name).is_some())
            .map(Self::named)
            .collect();
        found.sort();
        found
    }

    /// How it is set up here: as it was installed, or as the catalogue has it.
    pub(crate) fn setup(&self, session: &Session, host: &Host) -> Result<Setup, StepError> {
        let setup = match self {
            Self::Dcgm => Self::dcgm(session, host)?,
            Self::AllSmi => Setup {
                component: "all_smi".to_owned(),
                program: "all-smi".to_owned(),
                unit: units::ALL_SMI.to_owned(),
                user: "root",
                description: "all-smi, installed by AAMI".to_owned(),
                hardening: Hardening::Devices,
                // It takes a port and no address.
                is_local: session.bind_address()?.is_loopback(),
                // Its own default is Prometheus' port.
                arguments: vec!["api".to_owned(), "--port".to_owned(), "9401".to_owned()],
                folders: Vec::new(),
                files: Vec::new(),
                port: 9401,
                expected: "all_smi_",
                container: None,
                door: None,
            },
            Self::Custom(name) => Self::custom(name, session, host)?,
        };
        setup.settled(session, host)
    }

    /// Reading a GPU's state needs root beside its device nodes.
    fn dcgm(session: &Session, host: &Host) -> Result<Setup, StepError> {
        let port = 9400;
        let counters = host_path(COUNTERS)?;
        // The folder is the site's as well; it is made where it is not there, and goes when it is empty.
        let folders = counters.parent().into_iter().collect();
        Ok(Setup {
            component: "dcgm_exporter".to_owned(),
            program: "dcgm-exporter".to_owned(),
            unit: units::DCGM_EXPORTER.to_owned(),
            user: "root",
            description: "NVIDIA dcgm-exporter, installed by AAMI".to_owned(),
            hardening: Hardening::Devices,
            is_local: false,
            arguments: vec![
                "-a".to_owned(),
                session.listen(port)?,
                "-f".to_owned(),
                COUNTERS.to_owned(),
            ],
            folders,
            files: vec![(counters, include_str!("dcgm-counters.csv"))],
            port,
            expected: "DCGM_FI_",
            container: Self::image(session, host, "dcgm_exporter")?,
            door: None,
        })
    }

    /// The container that stands in where the catalogue offers no build for this host.
    fn image(session: &Session, host: &Host, name: &str) -> Result<Option<Container>, StepError> {
        if session.options.form == Form::Foreground {
            return Ok(None);
        }
        // What the operator names now stands above what is installed, or a wrong digest could never be put right.
        if let Some(image) = &session.options.dcgm_image {
            let container = Container::on(host, image);
            return container.map(Some).ok_or_else(|| {
                StepError::new(
                    code::TOOL_MISSING,
                    "there is neither Docker nor Podman to run the image of --dcgm-image",
                )
            });
        }
        // What is looked at was installed in the way its note says.
        if session.installed(host, name).is_some() {
            return Ok(None);
        }
        if let Purpose::Look(_) | Purpose::Update(_) = session.options.purpose {
            return Ok(None);
        }
        if let Some(kept) = session.kept(host, name) {
            return Ok(kept.container);
        }
        let catalogue = session.catalogue()?;
        if let Some(image) = catalogue.image(name) {
            return Ok(Container::on(host, image));
        }
        if catalogue.build(name, session.inventory()?.arch).is_ok() {
            return Ok(None);
        }
        // The image that an earlier run was told by its digest.
        let kept = installed::read::<installed::Exporter>(host, &session.layout, name);
        let kept = kept.and_then(|kept| kept.container);
        Ok(kept.filter(|kept| is_pinned_image(&kept.image)))
    }

    /// One of the site's own: whatever its catalogue says of it, with next to no rights.
    fn custom(name: &str, session: &Session, host: &Host) -> Result<Setup, StepError> {
        is_free(name)?;
        let (component, build) = session.component(host, name)?;
        let no_exporter = |why: &str| {
            StepError::new(
                code::CATALOGUE_INVALID,
                format!("{name} of the catalogue {why}, so it cannot be run as an exporter"),
            )
        };
        if component.kind != Kind::Exporter {
            return Err(no_exporter("is no exporter"));
        }
        let port = *component
            .ports
            .first()
            .ok_or_else(|| no_exporter("names no port"))?;
        let program = build.programs.keys().next();
        let program = program.ok_or_else(|| no_exporter("names no program"))?.clone();
        let shown = port.to_string();
        let arguments = component.arguments.iter();
        Ok(Setup {
            component: name.to_owned(),
            program,
            // As the catalogue spells it, after a word that none of our own units begins with.
            unit: format!("aami-exporter-{name}.service"),
            user: USER,
            description: format!("{name}, installed by AAMI"),
            hardening: Hardening::Tight,
            is_local: false,
            arguments: arguments.map(|text| text.replace("{port}", &shown)).collect(),
            folders: Vec::new(),
            files: Vec::new(),
            port,
            expected: "",
            container: None,
            door: None,
        })
    }

    /// Whether somebody else's installation of it answers already; then it is registered as it is.
    pub(crate) fn is_elsewhere(
        &self,
        setup: &Setup,
        session: &Arc<Session>,
        survey: &Survey<'_>,
    ) -> Result<bool, StepError> {
        // What answers on a custom one's port could be anything.
        if matches!(self, Self::Custom(_)) || !setup.answers(session)? {
            return Ok(false);
        }
        Ok(!is_ours(setup, survey)?)
    }
}

/// Whether its unit is one that we brought up. Where the record of that is lost, its file is there.
fn is_ours(setup: &Setup, survey: &Survey<'_>) -> Result<bool, StepError> {
    let unit = aami_install::effect::UnitState::up(&setup.unit, []);
    let file = host_path(&format!("/etc/systemd/system/{}", setup.unit))?;
    Ok(survey.record(&Effect::UnitState(unit).key()).is_some() || survey.host().root.outside(&file).exists())
}

/// One exporter in a list.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Listed {
    /// Its name, as `exporters install` takes it.
    pub name: String,
    /// Where it serves.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub port: Option<u16>,
    /// Its version, where it is ours.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// `installed`, `elsewhere` (somebody else's answers), `removed` (not wanted here) or `available`.
    pub standing: &'static str,
    /// Whether it answers now.
    pub answers: bool,
}

/// node_exporter, what is installed beside it, and what could be.
pub(crate) fn listed(session: &Session, host: &Host) -> Result<Vec<Listed>, StepError> {
    let wish = Wish::kept(session, host);
    let mut names: BTreeSet<String> = ["dcgm_exporter", "all_smi"].map(str::to_owned).into();
    let ours = Extra::installed(session, host);
    names.extend(ours.iter().map(|extra| extra.component().to_owned()));
    names.extend(wish.without.iter().chain(&wish.also).cloned());
    let answers = |port: u16, expected: &str| -> Result<bool, StepError> {
        let near = session.near(port)?;
        Ok(super::local::metrics(near).is_ok_and(|text| text.contains(expected)))
    };
    let mut all = Vec::new();
    if let Some(note) = installed::read::<installed::Exporter>(host, &session.layout, "node_exporter") {
        all.push(Listed {
            name: "node_exporter".to_owned(),
            port: Some(note.port),
            version: Some(note.component.version),
            standing: "installed",
            answers: answers(note.port, "node_exporter_build_info")?,
        });
    }
    for name in names {
        let extra = Extra::named(&name);
        let (usual, expected) = match &extra {
            Extra::Dcgm => (Some(9400), "DCGM_FI_"),
            Extra::AllSmi => (Some(9401), "all_smi_"),
            Extra::Custom(_) => (None, ""),
        };
        let note = installed::read::<installed::Exporter>(host, &session.layout, &name);
        let port = note.as_ref().map(|note| note.port).or(usual);
        let answers = port.map_or(Ok(false), |port| answers(port, expected))?;
        let standing = match (&note, answers) {
            (Some(_), _) => "installed",
            (None, true) => "elsewhere",
            (None, false) if wish.without.contains(&name) => "removed",
            (None, false) => "available",
        };
        all.push(Listed {
            name,
            port,
            version: note.map(|note| note.component.version),
            standing,
            answers,
        });
    }
    Ok(all)
}
