//! Rules of the configuration in the folder that Prometheus reads. How they get there, and back out, is `aami-plans`'
//! room `rules`; here is whose they are and when.

mod listed;

use std::path::Path;
use std::time::Duration;

use aami_config::Config;
use aami_inventory::SystemCommands;
use aami_model::code;
use aami_model::rule_file::RuleFile;
use aami_plans::rules::{self, Judged, Owner, Placed, RulesError, Seen, Site};

pub(crate) use aami_plans::rules::Applied;

use super::{FileFleet, Settings, change, targets, write};
use crate::cli::failure::Failure;
use crate::fleet::alerts::{Alertmanager, PresetsWanted};
use crate::fleet::engines::Engine;
use crate::fleet::monitor;

/// How long another program may take for what it is told.
const TOLD: Duration = Duration::from_secs(30);

impl From<RulesError> for Failure {
    fn from(error: RulesError) -> Self {
        match error {
            RulesError::File { path, doing, source } => Self::File { path, doing, source },
            error => match error.hint() {
                Some(hint) => Self::found_with(error.code(), error.to_string(), hint),
                None => Self::found(error.code(), error.to_string()),
            },
        }
    }
}

/// Presets in the words of the trait; answers what an operator should know.
pub(super) fn apply(fleet: &FileFleet, wanted: &PresetsWanted) -> Result<Vec<String>, Failure> {
    if let Some(group) = &wanted.group {
        return Err(Failure::found_with(
            code::NEEDS_CONTROL_PLANE,
            format!("the preset is to be for the group {group} alone, and this is a file fleet"),
            "Apply it to all nodes, or write rules of your own that name a label (`alerts.custom`). A control plane keeps \
             rules for groups.",
        ));
    }
    let nobody = "there is no promtool on this machine, so the rules were not judged beforehand";
    let mut remarks = Vec::new();
    if wanted.dry {
        let (files, judged) = fleet.judge_presets(&wanted.presets)?;
        remarks.extend((judged == Judged::Nobody).then(|| nobody.to_owned()));
        remarks.extend(
            files
                .iter()
                .map(|rules| format!("{} would be written", rules.name)),
        );
        return Ok(remarks);
    }
    let (applied, judged) = fleet.apply_presets(&wanted.presets)?;
    remarks.extend((judged == Judged::Nobody).then(|| nobody.to_owned()));
    match applied {
        Applied::Waiting(why) => remarks.push(format!(
            "the rules are in place and wait for Prometheus, which was not told: {why}"
        )),
        Applied::Loaded(failing) => {
            remarks.extend((failing.iter()).map(|rule| format!("loaded, and cannot be evaluated: {rule}")));
        }
    }
    Ok(remarks)
}

/// The Alertmanager beside it; there is one.
pub(super) fn alertmanager(fleet: &FileFleet, prometheus: Option<&str>) -> Result<Alertmanager, Failure> {
    match prometheus {
        None => fleet.alertmanager(),
        Some(name) => Err(Failure::found_with(
            code::NEEDS_CONTROL_PLANE,
            format!("--prometheus {name}: only a control plane knows several"),
            "Leave it out: the configuration names the port of its one Alertmanager.",
        )),
    }
}

impl FileFleet {
    /// Adds presets to the configuration and brings rules to what it then says. Where Prometheus does not take them, or
    /// the configuration cannot be written, configuration and rules are as before.
    pub(crate) fn apply_presets(&self, names: &[String]) -> Result<(Applied, Judged), Failure> {
        let _held = write::hold(&self.place.config)?;
        let settings = self.read()?;
        let after = self.with_presets(&settings, names)?;
        let files = monitor::rules(after.config())?;
        // The configuration comes last: what it names is what holds.
        self.with_site(after.config(), |site| {
            let placed = site.apply(&files)?;
            match change::put(self, &settings, &after) {
                Ok(()) => Ok(placed.keep()?),
                Err(error) => {
                    taken_back(placed);
                    Err(error)
                }
            }
        })
    }

    /// What would be judged and placed for these presets beside those that are there.
    pub(crate) fn judge_presets(&self, names: &[String]) -> Result<(Vec<RuleFile>, Judged), Failure> {
        let after = self.with_presets(&self.read()?, names)?;
        let files = monitor::rules(after.config())?;
        let judged = self.with_site(after.config(), |site| {
            site.look()?;
            Ok(site.judge(&files)?)
        })?;
        Ok((files, judged))
    }

    /// Brings rules to what the configuration says, and Prometheus to them. Nothing where both are there already.
    ///
    /// Fails as applying a preset does: with rules that are none, or that Prometheus does not take.
    pub(crate) fn rules_as_configured(&self) -> Result<Option<Applied>, Failure> {
        let _held = write::hold(&self.place.config)?;
        let settings = self.read()?;
        let files = monitor::rules(settings.config())?;
        self.with_site(settings.config(), |site| match site.seen(&files)? {
            Seen::Loaded(_) => Ok(None),
            Seen::Waiting(why) => Ok(Some(Applied::Waiting(why))),
            Seen::Otherwise(_) => Ok(Some(site.apply(&files)?.keep()?.0)),
        })
    }

    /// The rules name the nodes, which were changed: brings them to what the configuration says now, where rules of it
    /// are in place. The nodes are changed whatever comes of it; answers what an operator should know.
    pub(super) fn rules_follow(&self, config: &Config) -> Option<String> {
        let follow = || -> Result<(), Failure> {
            let files = monitor::rules(config)?;
            self.with_site(config, |site| {
                if !site.is_in_use()? || matches!(site.seen(&files)?, Seen::Loaded(_) | Seen::Waiting(_)) {
                    return Ok(());
                }
                site.apply(&files)?.keep()?;
                Ok(())
            })
        };
        let failure = follow().err()?;
        let mut why = failure.to_string();
        if let Some(source) = std::error::Error::source(&failure) {
            why = format!("{why}: {source}");
        }
        Some(format!(
            "the alert rules still know the nodes from before: {why}. Mend that, then run `aami alerts apply-preset` \
             again."
        ))
    }

    fn with_presets(&self, settings: &Settings, names: &[String]) -> Result<Settings, Failure> {
        self.edited(settings, |document, _| {
            names
                .iter()
                .try_for_each(|name| document.add_preset(name).map(drop))
        })
    }

    /// The folder of rules, and the Prometheus that reads it, as a configuration names them.
    fn with_site<T>(
        &self,
        config: &Config,
        use_it: impl FnOnce(&Site<'_>) -> Result<T, Failure>,
    ) -> Result<T, Failure> {
        let cluster = &config.cluster.name;
        let file = targets::named(&self.place);
        let follows = |earlier: &Owner| match earlier {
            Owner::Configuration {
                file: theirs,
                cluster: named,
            } => {
                // The cluster may have another name now; or the file was moved.
                *theirs == file || (is_gone(&self.place.path(theirs)) && named == cluster)
            }
            Owner::Server { .. } | Owner::Agent { .. } => false,
        };
        let commands = SystemCommands {
            limit: TOLD,
            ..SystemCommands::default()
        };
        use_it(&Site {
            folder: self.place.path(monitor::RULES),
            owner: Owner::Configuration {
                file: file.clone(),
                cluster: cluster.clone(),
            },
            follows: &follows,
            prometheus: Engine::here(config.prometheus.port),
            commands: &commands,
            installed: self.place.path(rules::INSTALLED),
            unit: self.place.is_system().then_some(rules::UNIT),
        })
    }
}

/// What went wrong before is what is told; what goes wrong here stands in the log.
fn taken_back(placed: Placed<'_>) {
    if let Err(error) = placed.take_back() {
        tracing::error!(%error, "the rules that were there before could not be put back");
    }
}

/// Whether a file is surely not there.
pub(super) fn is_gone(path: &Path) -> bool {
    matches!(path.try_exists(), Ok(false))
}
