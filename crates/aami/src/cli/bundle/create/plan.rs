//! What goes into a bundle, decided before anything is fetched.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use aami_inventory::Arch;
use aami_monitor::presets::{self, Preset};
use aami_monitor::{dashboard, rules};
use aami_plans::bundle::Kind;
use aami_plans::bundle::create::{AGENT, Item};
use aami_plans::bundle::gather::{self, Choice, Left, OwnProgram};
use aami_plans::download::{Access, Credential, Downloader, Settings};
use aami_plans::obtain::{self, Mirror, Source};
use aami_plans::release::{self, Demand, Release};
use serde::Serialize;

use super::{Create, VERSION};
use crate::cli::failure::Failure;
use crate::cli::offline;
use crate::cli::random::random;
use crate::cli::screen::Screen;
use crate::cli::surroundings::Surroundings;
use crate::cli::table::Table;
use crate::cli::trusted;

/// What would go in, to programs.
#[derive(Serialize)]
struct Planned {
    path: String,
    version: String,
    from: String,
}

/// Everything that was decided before anything is fetched.
pub(super) struct Plan {
    pub(super) architectures: BTreeSet<Arch>,
    pub(super) programs: Vec<OwnProgram>,
    pub(super) texts: Vec<Item>,
    pub(super) choices: Vec<Choice>,
    pub(super) left: Vec<Left>,
    pub(super) sources: Vec<Source>,
    pub(super) downloader: Downloader,
}

impl Create {
    pub(super) fn plan(&self, surroundings: &Surroundings) -> Result<Plan, Failure> {
        let architectures = architectures(&self.arch)?;
        let release = self.released()?;
        let programs = self.programs(&architectures)?;
        let sources = self.sources(release.as_ref())?;
        let downloader = Downloader::new(Settings::new(surroundings.proxies.clone(), random));
        let catalogue = obtain::catalogue(&sources, &downloader)?;
        let names = self.components.as_ref().map(|names| {
            let names = names.iter().map(|name| name.trim().to_owned());
            names.filter(|name| !name.is_empty()).collect::<Vec<_>>()
        });
        let (choices, left) = gather::choose(&catalogue, names.as_deref(), &architectures)?;
        Ok(Plan {
            texts: texts()?,
            architectures,
            programs,
            choices,
            left,
            sources,
            downloader,
        })
    }

    /// The release that is named, after its signature and every file that is there were found right.
    fn released(&self) -> Result<Option<Release>, Failure> {
        let (Some(folder), Some(key)) = (&self.release, &self.public_key) else {
            return Ok(None);
        };
        trusted::check(folder)?;
        let key = crate::cli::release::key(key)?;
        let demand = Demand {
            key: &key,
            version: Some(VERSION),
            partial: true,
        };
        Ok(Some(release::verify(folder, demand)?))
    }

    /// Both programs for each processor: of the folders that are named, where a build leaves them, or beside this
    /// program and it itself. One that somebody else could have put there is refused: it would run as root elsewhere.
    fn programs(&self, architectures: &BTreeSet<Arch>) -> Result<Vec<OwnProgram>, Failure> {
        let itself = std::env::current_exe().map_err(Failure::Runtime)?;
        let beside = itself.parent();
        let built = beside.and_then(Path::parent).map(|target| target.join("dist"));
        let named = [self.release.clone(), self.from.clone(), built];
        let folders: Vec<PathBuf> = named.into_iter().flatten().collect();
        let mut files = vec![itself.clone()];
        files.extend(beside.map(|folder| folder.join(AGENT)));
        let programs = gather::programs(architectures, &folders, &files)?;
        for program in &programs {
            trusted::check(&program.path)?;
        }
        Ok(programs)
    }

    /// The folders and the mirror where they are named, and then nothing else; otherwise each publisher.
    fn sources(&self, release: Option<&Release>) -> Result<Vec<Source>, Failure> {
        let mut sources = Vec::new();
        if let Some(folder) = &self.from {
            let below = folder.join("components");
            sources.extend(below.is_dir().then_some(Source::Folder(below)));
            sources.push(Source::Folder(folder.clone()));
        }
        if let Some(url) = &self.mirror {
            let credential = self.mirror_credential_file.as_deref().map(Credential::from_file);
            let credential = credential
                .transpose()
                .map_err(|error| Failure::invalid(error.to_string()))?;
            let access = Access {
                credential,
                ..Access::default()
            };
            let url = url.clone();
            sources.push(Source::Mirror(Mirror { url, access }));
        }
        // What the release's list does not name is not the release's, and verifying would have refused it.
        let carried = release.and_then(|release| release.file("components/components.toml"));
        let carried = carried.filter(|(catalogue, _)| catalogue.is_file());
        let carried = carried.and_then(|(catalogue, _)| Some(catalogue.parent()?.to_owned()));
        sources.extend(carried.map(Source::Folder));
        // A folder of programs alone carries no components.
        let is_only_programs = |source: &Source| match source {
            Source::Folder(folder) => !folder.join("components.toml").is_file(),
            Source::Mirror(_) | Source::Publisher => false,
        };
        if self.mirror.is_none() && sources.iter().all(is_only_programs) {
            sources.push(Source::Publisher);
        }
        Ok(sources)
    }
}

/// Dashboards and rules, as this program has them.
fn texts() -> Result<Vec<Item>, Failure> {
    let mut items: Vec<Item> = dashboard::all()
        .iter()
        .map(|one| gather::text(VERSION, Kind::Dashboard, &one.file_name(), one.render()))
        .collect();
    let rules = |file: &str, text: String| gather::text(VERSION, Kind::Rules, file, text);
    let broken = |error: &dyn std::error::Error| Failure::invalid(error.to_string());
    let texts = rules::texts().map_err(|error| broken(&error))?;
    items.extend(
        rules::FILES
            .into_iter()
            .zip(texts)
            .map(|(file, text)| rules(file, text)),
    );
    let all: Vec<&Preset> = presets::all().iter().collect();
    let files = presets::render(&all, &[], &presets::Options::default()).map_err(|error| broken(&error))?;
    items.extend(files.into_iter().map(|file| rules(&file.name, file.text)));
    Ok(items)
}

fn architectures(names: &[String]) -> Result<BTreeSet<Arch>, Failure> {
    if names.is_empty() {
        return Ok([offline::arch()?].into());
    }
    let known = |name: &String| {
        let known = Arch::parse(name.trim());
        known.ok_or_else(|| Failure::invalid(format!("--arch {name}: AAMI is built for amd64 and arm64")))
    };
    names.iter().map(known).collect()
}

/// What would go in.
pub(super) fn show(screen: &mut Screen, plan: &Plan) -> Result<(), Failure> {
    let mut planned = Vec::new();
    let mut goes_in = |path: String, version: &str, from: String| {
        planned.push(Planned {
            path,
            version: version.to_owned(),
            from,
        });
    };
    for program in &plan.programs {
        let path = format!("{}/{}", program.arch.name(), program.name);
        goes_in(path, VERSION, program.path.display().to_string());
    }
    for choice in &plan.choices {
        let from = choice.build.url.as_deref().unwrap_or("the folder or mirror");
        goes_in(choice.path(), &choice.component.version, from.to_owned());
    }
    for item in &plan.texts {
        goes_in(
            item.entry.path.clone(),
            &item.entry.version,
            "this program".to_owned(),
        );
    }
    for path in ["components/components.toml", "install.sh"] {
        goes_in(path.to_owned(), VERSION, "made for the bundle".to_owned());
    }
    screen.show(&planned, |_| {
        let mut table = Table::new(&["PATH", "VERSION", "FROM"], "nothing");
        for one in &planned {
            table.row([one.path.clone(), one.version.clone(), one.from.clone()]);
        }
        table
    })
}
