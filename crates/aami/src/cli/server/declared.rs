//! The same installation without a control plane: a declared fleet says what Prometheus, Alertmanager and Grafana are
//! told. `aami init` is its command.

use std::path::PathBuf;
use std::sync::Arc;

use aami_config::Config;
use aami_install::{Host, HostPath, Installer};
use aami_model::{Exit, code};
use aami_plans::stack::{Given, Note, Part, Render, Rendered};
use clap::Parser;

use super::chosen::Chosen;
use super::install::Install;
use super::{build, options_for};
use crate::cli::failure::Failure;
use crate::cli::offline::OfflineFlags;
use crate::cli::output::Manner;
use crate::cli::surroundings::Surroundings;
use crate::fleet::monitor;

/// What is asked for.
#[derive(Debug, Clone, Default)]
pub(crate) struct Asked {
    /// Which of prometheus, alertmanager and grafana; all where absent.
    pub(crate) components: Option<Vec<String>>,
    /// A web server that carries them.
    pub(crate) mirror: Option<String>,
    /// A folder that carries them.
    pub(crate) components_dir: Option<PathBuf>,
    /// A bundle.
    pub(crate) offline: OfflineFlags,
    /// Show the plan and change nothing.
    pub(crate) dry_run: bool,
    /// Skip preflight checks.
    pub(crate) skip_preflight: bool,
    /// Look at everything again and mend what is broken.
    pub(crate) repair: bool,
    /// Show more.
    pub(crate) verbose: bool,
    /// Speak JSON lines.
    pub(crate) json: bool,
    /// How much is said, and whether in colour.
    pub(crate) manner: Manner,
}

/// What takes the place of a control plane.
pub(super) struct Declared {
    config: Arc<Config>,
    /// Makes what the parts are told.
    pub(super) render: Box<Render>,
}

/// The words of the other command, whose flags these are.
#[derive(Parser)]
#[command(no_binary_name = true)]
struct Line {
    #[command(flatten)]
    install: Install,
}

/// Installs what a declared fleet needs on this machine.
pub(crate) fn install(asked: Asked, config: Config, surroundings: &Surroundings) -> Result<Exit, Failure> {
    let mut words = vec!["--unattended".to_owned()];
    for (flag, is_set) in [
        ("--dry-run", asked.dry_run),
        ("--skip-preflight", asked.skip_preflight),
        ("--repair", asked.repair),
        ("--verbose", asked.verbose),
        ("--json", asked.json),
    ] {
        words.extend(is_set.then(|| flag.to_owned()));
    }
    words.extend(
        asked
            .components
            .map(|names| format!("--components={}", names.join(","))),
    );
    words.extend(asked.mirror.map(|url| format!("--mirror={url}")));
    words.extend(
        asked
            .components_dir
            .map(|dir| format!("--components-dir={}", dir.display())),
    );
    let line = Line::try_parse_from(words).map_err(|error| Failure::invalid(error.to_string()))?;
    let mut install = line.install;
    install.offline = asked.offline;
    install.manner = asked.manner;
    let config = Arc::new(config);
    let fleet = Arc::clone(&config);
    let declared = Declared {
        config,
        render: Box::new(move |parts| render(&fleet, parts).map_err(told)),
    };
    install.carry_out(surroundings, Some(declared))
}

/// Tells how the installation went where this machine's own exporter serves it: that came after the others.
pub(crate) fn tell() -> Result<(), Failure> {
    let host = Host::system().map_err(Failure::Runtime)?;
    let (stack, _) = build::look(&host)?;
    let session = stack.session();
    Installer::new(&host, stack.plan(), options_for(session.wishes()))?
        .textfile(session.layout().textfile.clone(), build::hostname())
        .tell();
    Ok(())
}

/// A failure as a step tells it.
fn told(failure: Failure) -> (aami_model::Code, String) {
    let code = failure.code().unwrap_or(code::STEP_FAILED);
    let places: Vec<String> = std::iter::once(failure.to_string())
        .chain(failure.places().iter().cloned())
        .collect();
    (code, places.join("; "))
}

fn render(config: &Config, parts: &[Part]) -> Result<Rendered, Failure> {
    let prometheus = monitor::prometheus(config, parts.contains(&Part::Alertmanager)).render()?;
    let alertmanager = monitor::alertmanager(config)?
        .render(monitor::SECRETS)
        .map_err(|error| Failure::found(code::FLEET_INVALID, format!("notifications: {error}")))?;
    Ok(Rendered {
        prometheus,
        alertmanager,
    })
}

impl Declared {
    /// What the configuration says of the programs, and that there is no control plane.
    pub(super) fn choose(&self, host: &Host, chosen: &mut Chosen) -> Result<(), Failure> {
        if Note::read(host).is_some_and(|note| note.wishes.control_plane) {
            return Err(Failure::found_with(
                code::STACK_ELSEWHERE,
                "a server with a control plane is installed here already",
                "It keeps its nodes itself: `aami config import` moves this fleet into it. `aami server uninstall` takes \
                 it back.",
            ));
        }
        let config = &self.config;
        let wishes = &mut chosen.wishes;
        wishes.control_plane = false;
        for (part, port) in [
            (Part::Prometheus, config.prometheus.port),
            (Part::Alertmanager, config.alertmanager.port),
            (Part::Grafana, config.grafana.port),
        ] {
            wishes.ports.insert(part, port);
        }
        wishes.retention = Some(config.prometheus.retention.as_str().to_owned());
        let storage = config.prometheus.storage_path.display().to_string();
        let usual = wishes.data_dir.join(Part::Prometheus.name());
        let storage = HostPath::new(&storage).map_err(|error| {
            Failure::found(code::FLEET_INVALID, format!("prometheus.storage_path: {error}"))
        })?;
        wishes.prometheus_data = Some(storage).filter(|storage| usual.as_ref() != Ok(storage));
        if let Some(password) = &config.grafana.admin_password {
            chosen.grafana_password = Some(Given::new(monitor::revealed(password)?));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_asked_for_is_what_the_other_command_understands() {
        for words in [
            vec!["--unattended"],
            vec![
                "--unattended",
                "--dry-run",
                "--json",
                "--components=prometheus,grafana",
            ],
            vec!["--unattended", "--mirror=https://mirror.example", "--repair"],
            vec![
                "--unattended",
                "--components-dir=/srv/components",
                "--skip-preflight",
                "--verbose",
            ],
        ] {
            assert!(Line::try_parse_from(&words).is_ok(), "{words:?}");
        }
    }
}
