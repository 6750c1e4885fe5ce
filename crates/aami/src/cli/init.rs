//! `aami init`: the configuration of a fleet, then the programs that watch it, on this machine.

pub(super) mod local;

use std::fs;
use std::io;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};

use aami_model::{Exit, code};
use clap::Args;

use super::failure::Failure;
use super::offline::OfflineFlags;
use super::output::Manner;
use super::screen::{Format, Screen};
use super::secret::written;
use super::server::declared::{self, Asked};
use super::surroundings::Surroundings;
use crate::fleet::{Applied, FileFleet, Place, monitor};

/// The configuration as it is first written.
const FIRST: &str = include_str!("init/config.yaml");
/// Where the cluster's name stands in it.
const CLUSTER: &str = "@CLUSTER@";
/// What a cluster is called until somebody says otherwise.
const USUAL_CLUSTER: &str = "my-gpu-cluster";
/// The exporter that tells of this machine itself.
const NODE_EXPORTER: &str = "node_exporter";
/// Who loads rules.
const PROMETHEUS: &str = "prometheus";

/// Make this machine the one that watches a GPU cluster over SSH: its configuration, then Prometheus and the like
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  sudo aami init
  sudo aami init --cluster hall-3 --components prometheus,alertmanager
  sudo aami init --offline aami-offline.tar.zst
  aami init --no-install --config ~/fleet.yaml

A configuration that is there stays as it is; running it again adds what is missing. A component that cannot be had is
named, the others run, and the command ends with 7. `aami server uninstall` takes the programs back; with --purge-data
also what they wrote, and the configuration.

Then: `aami nodes add`, `aami nodes test --all`, `aami nodes install --all`, `aami status`.")]
pub(crate) struct Init {
    /// The cluster's name in a new configuration [my-gpu-cluster]
    #[arg(long, value_name = "NAME")]
    cluster: Option<String>,
    /// Which of prometheus, alertmanager, grafana and node_exporter to install, with commas [all]
    #[arg(long, value_name = "LIST", value_delimiter = ',')]
    components: Option<Vec<String>>,
    /// A web server that carries them, in place of their publishers
    #[arg(long, value_name = "URL", value_parser = aami_plans::mirror_address, conflicts_with = "offline")]
    mirror: Option<String>,
    /// A folder that carries them, and a components.toml that names them
    #[arg(long, value_name = "DIR", conflicts_with = "offline")]
    components_dir: Option<PathBuf>,
    /// Write the configuration and its folders, and install nothing
    #[arg(long, conflicts_with_all = ["components", "mirror", "offline", "components_dir", "repair"])]
    no_install: bool,
    /// The configuration [/etc/aami/config.yaml]
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Folder that stands for /: everything of this machine lies below it
    #[arg(long, value_name = "DIR", hide = true)]
    root: Option<PathBuf>,
    /// Show what would be done, and change nothing
    #[arg(long)]
    dry_run: bool,
    /// Look at everything again and mend what is broken
    #[arg(long)]
    repair: bool,
    /// Skip preflight checks (not recommended)
    #[arg(long)]
    skip_preflight: bool,
    /// Ask nothing; nothing is asked anyway
    #[arg(long, short)]
    yes: bool,
    /// Show more
    #[arg(long, short)]
    verbose: bool,
    /// Speak JSON lines
    #[arg(long)]
    pub(crate) json: bool,
    #[command(flatten)]
    offline: OfflineFlags,
    #[command(flatten)]
    manner: Manner,
}

impl Init {
    /// The form in which a failure is told.
    pub(crate) const fn format(&self) -> Format {
        if self.json { Format::Json } else { Format::Table }
    }

    pub(crate) fn run(self, surroundings: &Surroundings) -> Result<Exit, Failure> {
        let place = Place::new(self.root.as_deref(), self.config.as_deref(), surroundings);
        let mut screen = self.manner.screen(self.format(), surroundings);
        let installs = !self.no_install && place.is_system();
        // Before anything is written: half of it would be no help.
        if installs && !self.dry_run && !rustix::process::geteuid().is_root() {
            return Err(Failure::found_with(
                code::NOT_ROOT,
                code::NOT_ROOT.sentence,
                "Run it with sudo; --no-install --config FILE needs no root and writes a configuration alone.",
            ));
        }
        let programs = self.programs()?;
        if installs {
            // Whatever is wrong with it is said before anything is written.
            self.offline.open()?;
        }
        self.configure(&place, installs, &mut screen)?;
        if !installs {
            if !self.no_install {
                screen.note("aami: nothing is installed below another root");
                if !self.dry_run {
                    let quiet = self.manner.screen(Format::Table, surroundings);
                    FileFleet::new(place, quiet).lists_as_configured()?;
                }
            }
            return Ok(Exit::Ok);
        }
        self.install(programs, &place, &mut screen, surroundings)
    }

    /// The programs that are asked for, and whether this machine's own exporter is among them.
    fn programs(&self) -> Result<(Option<Vec<String>>, bool), Failure> {
        let Some(names) = &self.components else {
            return Ok((None, true));
        };
        let names: Vec<String> = (names.iter())
            .map(|name| name.trim().to_owned())
            .filter(|name| !name.is_empty())
            .collect();
        let known = [PROMETHEUS, "alertmanager", "grafana", NODE_EXPORTER];
        if let Some(stranger) = names.iter().find(|name| !known.contains(&name.as_str())) {
            return Err(Failure::invalid(format!(
                "--components: {stranger:?} is none of {}",
                known.join(", ")
            )));
        }
        let (own, programs): (Vec<String>, _) = names.into_iter().partition(|name| name == NODE_EXPORTER);
        Ok((Some(programs), !own.is_empty()))
    }

    /// Folders and a first configuration. What is there stays as it is.
    fn configure(&self, place: &Place, installs: bool, screen: &mut Screen) -> Result<(), Failure> {
        let path = place.config.display().to_string();
        let is_there = fs::symlink_metadata(&place.config).is_ok();
        if is_there {
            // One that cannot be read is no ground to install on.
            place.read()?;
            screen.note(&format!("aami: {path} is there and stays as it is"));
        }
        let text = FIRST.replace(CLUSTER, &quoted(self.cluster.as_deref().unwrap_or(USUAL_CLUSTER)));
        // A name that cannot be one is said before it is written.
        place.parse(text.as_bytes().to_vec())?;
        if self.dry_run {
            if !is_there {
                screen.show_one(&made(&path), &format!("Would create {path}"))?;
            }
            return Ok(());
        }
        let mut folders = vec![place.config.parent().map(Path::to_owned).unwrap_or_default()];
        // A configuration that lies elsewhere is nobody's reason to make folders here, and what is installed makes its
        // own, for its own users.
        if !installs && (self.config.is_none() || !self.no_install) {
            folders.extend(
                [
                    "/var/lib/aami/prometheus",
                    "/var/lib/aami/grafana",
                    "/var/lib/aami/targets",
                ]
                .map(|path| place.path(path)),
            );
        }
        for folder in folders
            .iter()
            .filter(|folder| !folder.as_os_str().is_empty() && !folder.is_dir())
        {
            fs::DirBuilder::new()
                .recursive(true)
                .mode(0o755)
                .create(folder)
                .map_err(written(folder))?;
        }
        if !is_there {
            create(&place.config, &text)?;
            screen.show_one(&made(&path), &format!("Created {path}"))?;
        }
        Ok(())
    }

    fn install(
        self,
        (programs, own): (Option<Vec<String>>, bool),
        place: &Place,
        screen: &mut Screen,
        surroundings: &Surroundings,
    ) -> Result<Exit, Failure> {
        // In a dry run there may be none yet.
        let settings = match place.read()? {
            Some(settings) => settings,
            None => place.usual()?,
        };
        // Rules that nobody could load and secrets that are not there are told before anything is installed.
        monitor::rules(settings.config())?;
        monitor::alertmanager(settings.config())?;
        let wants_any = programs.as_ref().is_none_or(|names| !names.is_empty());
        let has_prometheus =
            (programs.as_ref()).is_none_or(|names| names.iter().any(|name| name == PROMETHEUS));
        let dry = self.dry_run;
        let (mirror, folder, offline) = (
            self.mirror.clone(),
            self.components_dir.clone(),
            self.offline.clone(),
        );
        let mut outcome = Ok(Exit::Ok);
        if wants_any {
            let asked = Asked {
                components: programs,
                mirror: self.mirror,
                components_dir: self.components_dir,
                offline: self.offline,
                dry_run: self.dry_run,
                skip_preflight: self.skip_preflight,
                repair: self.repair,
                verbose: self.verbose,
                json: self.json,
                manner: self.manner.clone(),
            };
            outcome = declared::install(asked, settings.read.config, surroundings);
        }
        // Something that is missing of the others is no reason to leave out the rest.
        let goes_on = match &outcome {
            Ok(_) => true,
            Err(failure) => failure.code() == Some(code::STACK_INCOMPLETE),
        };
        if !goes_on || dry {
            if own && dry {
                screen.note("aami: node_exporter would be installed on this machine, too");
            }
            return outcome;
        }
        let fleet = FileFleet::new(place.clone(), self.manner.screen(Format::Table, surroundings));
        // Its labels and addresses may have been edited by hand.
        let mut done = vec![fleet.lists_as_configured().map(|()| String::new())];
        if own {
            let installed = local::Source::of(mirror.as_deref(), folder.as_deref(), &offline)
                .and_then(|source| local::install(&source, &fleet, surroundings));
            done.push(match installed {
                Ok(told) => Ok(told.to_owned()),
                Err(failure) => Err(incomplete(&failure)),
            });
            // Its folder is there by now. That nothing can be told there stops nothing.
            if let Err(failure) = declared::tell() {
                screen.note(&format!(
                    "aami: how the installation went is not told in numbers: {failure}"
                ));
            }
        }
        if wants_any {
            done.push(load_rules(&fleet, has_prometheus));
        }
        for one in done {
            match (one, &outcome) {
                (Ok(told), _) if told.is_empty() => {}
                (Ok(told), _) => screen.note(&format!("aami: {told}")),
                // Told with what is missing besides.
                (Err(failure), Err(_)) => screen.note(&format!("aami: {failure}")),
                (Err(failure), Ok(_)) => outcome = Err(failure),
            }
        }
        outcome
    }
}

/// Brings rules to what the configuration says, and Prometheus to them. Says what is worth a word.
fn load_rules(fleet: &FileFleet, has_prometheus: bool) -> Result<String, Failure> {
    Ok(match fleet.rules_as_configured()? {
        Some(Applied::Waiting(why)) if has_prometheus => {
            format!("the rules of alerts are in place, and Prometheus has not loaded them: {why}")
        }
        Some(Applied::Loaded(failing)) if !failing.is_empty() => {
            format!("Prometheus cannot evaluate some rules: {}", failing.join("; "))
        }
        Some(Applied::Waiting(_) | Applied::Loaded(_)) | None => String::new(),
    })
}

/// This machine's exporter could not be had.
fn incomplete(failure: &Failure) -> Failure {
    Failure::found_with(
        code::STACK_INCOMPLETE,
        format!("{NODE_EXPORTER} on this machine could not be had ({failure}); everything else is installed"),
        "Make it available and run the same command again, or leave it out with --components.",
    )
}

/// What was made, for programs.
fn made(path: &str) -> serde_json::Value {
    serde_json::json!({ "type": "created", "path": path })
}

/// A name as YAML has it, whatever is in it.
fn quoted(name: &str) -> String {
    let plain = !name.is_empty()
        && name.starts_with(|c: char| c.is_ascii_alphabetic())
        && name
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || "-_.".contains(c))
        && !["true", "false", "null", "yes", "no", "on", "off"].contains(&name.to_ascii_lowercase().as_str());
    if plain {
        name.to_owned()
    } else {
        // A JSON text is a YAML text.
        serde_json::Value::from(name).to_string()
    }
}

/// Writes a file that is not there yet, for its owner alone: whole, or not at all.
fn create(path: &Path, text: &str) -> Result<(), Failure> {
    use std::io::Write as _;

    let folder = match path.parent() {
        Some(parent) if parent != Path::new("") => parent,
        _ => Path::new("."),
    };
    let put = || -> io::Result<()> {
        // Readable for its owner alone, and gone again where it cannot be written whole.
        let mut draft = tempfile::Builder::new().prefix(".config.").tempfile_in(folder)?;
        draft.write_all(text.as_bytes())?;
        draft.as_file().sync_all()?;
        draft.persist_noclobber(path).map_err(|error| error.error)?;
        fs::File::open(folder)?.sync_all()
    };
    put().map_err(written(path))
}

#[cfg(test)]
mod tests;
