//! `aami bundle create`: everything a site without internet installs from, in one file.

mod plan;

use std::fs;
use std::path::{Path, PathBuf};

use aami_model::{Exit, Timestamp};
use aami_plans::bundle::create::{Contents, Item};
use aami_plans::bundle::{BundleError, Form, gather};
use aami_plans::release::signer::Signer;
use clap::Args;
use serde::Serialize;

use super::{Watch, size};
use crate::cli::failure::Failure;
use crate::cli::output::Manner;
use crate::cli::screen::{Format, Screen};
use crate::cli::secret::{make_folder, written};
use crate::cli::surroundings::Surroundings;
use crate::cli::table::Table;
use plan::{Plan, show};

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
