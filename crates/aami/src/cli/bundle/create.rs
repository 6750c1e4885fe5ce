//! `aami bundle create`: everything a site without internet installs from, in one file.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use aami_inventory::Arch;
use aami_model::{Exit, Timestamp};
use aami_monitor::presets::{self, Preset};
use aami_monitor::{dashboard, rules};
use aami_plans::bundle::create::{AGENT, Contents, Item};
use aami_plans::bundle::gather::{self, Choice, Left, OwnProgram};
use aami_plans::bundle::{BundleError, Form, Kind};
use aami_plans::download::{Access, Credential, Downloader, Settings};
use aami_plans::obtain::{self, Mirror, Source};
use aami_plans::release::signer::Signer;
use aami_plans::release::{self, Demand, Release};
use clap::Args;
use serde::Serialize;

use super::{Watch, size};
use crate::cli::failure::Failure;
use crate::cli::offline;
use crate::cli::output::Manner;
use crate::cli::random::random;
use crate::cli::screen::{Format, Screen};
use crate::cli::secret::{make_folder, written};
use crate::cli::surroundings::Surroundings;
use crate::cli::table::Table;
use crate::cli::trusted;

/// This program's version, which is the bundle's.
const VERSION: &str = env!("CARGO_PKG_VERSION");
/// The largest key file.
const LARGEST_KEY: u64 = 4096;

/// Make an offline bundle: programs, components, dashboards and rules in one file
#[derive(Debug, Args)]
#[command(after_help = "\
The same contents and key make the same bytes; SOURCE_DATE_EPOCH, where it is set, is noted as the time it was made.
A bundle without --key has no signature, and is installed from only by those who say that they take one without.

Examples:
  aami bundle create --key ~/bundle.key
  aami bundle create --output site.tar.gz --arch amd64,arm64 --from target/dist --key ~/bundle.key
  aami bundle create --components node_exporter,prometheus --mirror https://mirror.example.com/aami --dry-run")]
pub(crate) struct Create {
    /// The file to write; its name says how: .tar.zst, .tar.gz
    #[arg(long, value_name = "FILE", default_value = "aami-offline.tar.zst")]
    output: PathBuf,
    /// The processors it is for, amd64 and arm64, with commas [this machine's]
    #[arg(long, value_name = "LIST", value_delimiter = ',')]
    arch: Vec<String>,
    /// The components to take along, with commas [all that can be had]
    #[arg(long, value_name = "LIST", value_delimiter = ',')]
    components: Option<Vec<String>>,
    /// A web server that carries the components, in place of their publishers
    #[arg(long, value_name = "URL", value_parser = aami_plans::mirror_address)]
    mirror: Option<String>,
    /// A file with what the mirror wants to see: a token, or user:password
    #[arg(long, value_name = "FILE", requires = "mirror")]
    mirror_credential_file: Option<PathBuf>,
    /// A folder that carries components and a components.toml, or programs as ARCH/aami and ARCH/aami-agent, or both
    #[arg(long, value_name = "DIR")]
    from: Option<PathBuf>,
    /// A release folder to take programs and components from; it is verified first
    #[arg(long, value_name = "DIR", requires = "public_key")]
    release: Option<PathBuf>,
    /// Who has to have signed the release: a minisign public key, or a file with one
    #[arg(long, value_name = "KEY", requires = "release")]
    public_key: Option<String>,
    /// The secret key that signs the bundle, as `aami bundle new-key` makes it
    #[arg(long, value_name = "FILE")]
    key: Option<PathBuf>,
    /// Show what would go in, and fetch and write nothing
    #[arg(long)]
    dry_run: bool,
    /// Form of what is said of it; --output names the file
    #[arg(short = 'o', value_name = "FORM", default_value = "table")]
    form: Format,
    #[command(flatten)]
    manner: Manner,
}

/// What was made, to programs.
#[derive(Serialize)]
struct Shown<'a> {
    bundle: &'a Path,
    version: &'static str,
    architectures: Vec<&'static str>,
    files: usize,
    size: u64,
    sha256: String,
    /// The public key of whoever signed it.
    signed_by: Option<String>,
}

/// What would go in, to programs.
#[derive(Serialize)]
struct Planned {
    path: String,
    version: String,
    from: String,
}

/// Everything that was decided before anything is fetched.
struct Plan {
    architectures: BTreeSet<Arch>,
    programs: Vec<OwnProgram>,
    texts: Vec<Item>,
    choices: Vec<Choice>,
    left: Vec<Left>,
    sources: Vec<Source>,
    downloader: Downloader,
}

impl Create {
    pub(crate) const fn format(&self) -> Format {
        self.form
    }

    pub(crate) fn run(self, surroundings: &Surroundings) -> Result<Exit, Failure> {
        let form = Form::of_name(&self.output).ok_or_else(|| {
            Failure::invalid(format!(
                "--output {}: a bundle's name ends in .tar.zst or .tar.gz",
                self.output.display()
            ))
        })?;
        let created = created(surroundings)?;
        let signer = self.key.as_deref().map(signer).transpose()?;
        let plan = self.plan(surroundings)?;
        let mut screen = self.manner.screen(self.form, surroundings);
        for left in &plan.left {
            screen.note(&format!("left out: {}: {}", left.name, left.why));
        }
        if self.dry_run {
            show(&mut screen, &plan)?;
            return Ok(Exit::Ok);
        }
        let mut watch = Watch::new("packing", self.manner.shows_progress())?;
        let architectures = plan.architectures.clone();
        let items = gathered(plan, surroundings, &mut watch, &mut screen)?;
        let contents = Contents::new(VERSION, created, architectures, items)?;
        let made = contents.write(&self.output, form, signer.as_ref(), &mut watch.told())?;
        watch.end();
        if signer.is_none() {
            screen.note(
                "warning: it has no signature; whoever installs from it cannot tell it from one that somebody else \
                 made (make a key with `aami bundle new-key FILE`, and sign with --key FILE)",
            );
        }
        let shown = Shown {
            bundle: &self.output,
            version: VERSION,
            architectures: (made.manifest.architectures.iter())
                .map(|arch| arch.name())
                .collect(),
            files: made.manifest.entries.len(),
            size: made.size,
            sha256: made.sha256.to_string(),
            signed_by: signer.map(|signer| signer.public()),
        };
        let line = format!(
            "{}: AAMI {VERSION} for {}, {} files, {}, SHA-256 {}{}",
            self.output.display(),
            made.manifest.architecture_names(),
            shown.files,
            size(shown.size),
            shown.sha256,
            (shown.signed_by.as_ref()).map_or_else(String::new, |key| format!(", signed by {key}")),
        );
        screen.show(&shown, |_| Table::of_sentence(line))?;
        Ok(Exit::Ok)
    }

    fn plan(&self, surroundings: &Surroundings) -> Result<Plan, Failure> {
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

/// Everything that goes in, fetched and summed.
fn gathered(
    plan: Plan,
    surroundings: &Surroundings,
    watch: &mut Watch,
    screen: &mut Screen,
) -> Result<Vec<Item>, Failure> {
    let cache = surroundings.cache.as_ref().map(|cache| cache.join("aami/bundle"));
    let cache = cache.ok_or_else(|| Failure::invalid("there is no home folder to keep downloads in"))?;
    make_folder(&cache).map_err(written(&cache))?;
    let mut items = Vec::new();
    for program in &plan.programs {
        // One that was left by an older build is as good a program as any: who makes the bundle can tell.
        let (name, arch, path) = (program.name, program.arch.name(), program.path.display());
        screen.note(&format!("{name} for {arch}: {path}"));
        items.push(program.item(VERSION)?);
    }
    items.push(gather::script(VERSION, &items));
    items.extend(plan.texts);
    let mut got = Vec::new();
    for choice in plan.choices {
        let what = format!(
            "{} {} for {}",
            choice.component.name,
            choice.component.version,
            choice.arch.name()
        );
        let one = choice.obtain(
            &plan.downloader,
            &plan.sources,
            &cache,
            &mut watch.downloading(&what),
        );
        watch.end();
        let one = one.map_err(called_off)?;
        screen.note(&format!(
            "{what}: {}, SHA-256 verified, from {}",
            size(one.item.entry.size),
            one.item.entry.source
        ));
        got.push(one);
    }
    items.push(gather::catalogue(VERSION, &got));
    items.extend(got.into_iter().map(|one| one.item));
    Ok(items)
}

/// A download that Ctrl-C ended is not one that failed.
fn called_off(error: BundleError) -> Failure {
    use aami_plans::download::DownloadError;
    use aami_plans::obtain::ObtainError;

    match error {
        BundleError::Obtain(ObtainError::Download(DownloadError::CalledOff)) => BundleError::CalledOff.into(),
        other => other.into(),
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

/// When it was made, where the environment says so.
fn created(surroundings: &Surroundings) -> Result<Option<Timestamp>, Failure> {
    let Some(text) = surroundings.variables.get("SOURCE_DATE_EPOCH") else {
        return Ok(None);
    };
    let millis = text
        .parse::<u32>()
        .ok()
        .map(|seconds| i64::from(seconds).saturating_mul(1000));
    let millis = millis.ok_or_else(|| {
        Failure::invalid(format!(
            "SOURCE_DATE_EPOCH={text} is no number of seconds since 1970"
        ))
    })?;
    Ok(Some(Timestamp::from_millis(millis)))
}

fn signer(path: &Path) -> Result<Signer, Failure> {
    let refused = |why: String| BundleError::SecretKey {
        path: path.to_owned(),
        why,
    };
    let meta = fs::metadata(path).map_err(|error| refused(error.to_string()))?;
    if !meta.is_file() || meta.len() > LARGEST_KEY {
        return Err(refused("it is not a key's file".to_owned()).into());
    }
    let text = fs::read_to_string(path).map_err(|error| refused(error.to_string()))?;
    Ok(Signer::read(&text).map_err(|error| refused(error.to_string()))?)
}

/// What would go in.
fn show(screen: &mut Screen, plan: &Plan) -> Result<(), Failure> {
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
