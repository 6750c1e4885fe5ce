//! `aami server install`: this machine becomes a server.

use std::path::PathBuf;
use std::sync::Arc;

use aami_install::host::{Clock, SystemClock};
use aami_install::render::Origin;
use aami_install::{Host, HostPath, Installer, Mode, RunReport, UninstallReport};
use aami_model::run::RunStatus;
use aami_model::{Exit, code};
use aami_plans::stack::{Ran, Session, Stack, take_back_credential, take_back_former};
use aami_plans::telemetry;
use clap::{Args, ValueEnum};

use super::chosen;
use super::declared::Declared;
use super::shown::{self, How};
use super::status::Status;
use super::{build, options_for, planned, summary};
use crate::cli::duration::Seconds;
use crate::cli::failure::Failure;
use crate::cli::offline::{OfflineFlags, Unpacked};
use crate::cli::output::Manner;
use crate::cli::surroundings::Surroundings;
use crate::cli::telemetry::TelemetryFlags;

/// What the server shall run under.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum RuntimeWish {
    /// systemd where it is the init, else compose; says which and why
    Auto,
    /// Units of their own
    Systemd,
    /// Containers of one compose project
    Compose,
}

/// Install the control plane, Prometheus, Alertmanager and Grafana on this machine
#[derive(Debug, Clone, Args)]
#[command(after_help = "\
Running it again changes only what is not as it was asked for; what is not asked for again stays as it was
chosen. A component that cannot be had is named, the others run, and the command ends with 7.

Examples:
  sudo aami server install --domain aami.example.com
  sudo aami server install --unattended --mirror https://mirror.example.com/aami --components prometheus
  sudo aami server install --unattended --offline aami-offline.tar.zst --bundle-key bundle.pub
  sudo aami server install --dry-run")]
pub(crate) struct Install {
    /// The version to install: this program's own, or latest, which is the same
    #[arg(long, value_name = "VERSION")]
    pub(super) version: Option<String>,
    /// Folder for programs [/opt/aami]
    #[arg(long, value_name = "DIR")]
    pub(super) install_dir: Option<HostPath>,
    /// Folder for data [/var/lib/aami]
    #[arg(long, value_name = "DIR")]
    pub(super) data_dir: Option<HostPath>,
    /// Name nodes and people reach the control plane by [the address of the default route]
    #[arg(long, value_name = "DOMAIN")]
    pub(super) domain: Option<String>,
    /// A certificate from Let's Encrypt; comes later, the control plane speaks TLS without it
    #[arg(long)]
    pub(super) https: bool,
    /// A certificate of your own for the control plane, PEM chain; it is copied
    #[arg(long, value_name = "FILE", requires = "tls_key")]
    pub(super) tls_cert: Option<PathBuf>,
    /// Its key, PEM
    #[arg(long, value_name = "FILE", requires = "tls_cert")]
    pub(super) tls_key: Option<PathBuf>,
    /// Accepted and not used: the data lies in SQLite, no PostgreSQL is installed
    #[arg(long, value_name = "PASSWORD", hide_env_values = true)]
    pub(super) postgres_password: Option<String>,
    /// Accepted and not used, as above
    #[arg(long, value_name = "FILE", conflicts_with = "postgres_password")]
    pub(super) postgres_password_file: Option<PathBuf>,
    /// Grafana's first admin password; the process list shows it, so prefer the file [made here]
    #[arg(long, value_name = "PASSWORD", hide_env_values = true)]
    pub(super) grafana_password: Option<String>,
    /// A file that holds Grafana's first admin password
    #[arg(long, value_name = "FILE", conflicts_with = "grafana_password")]
    pub(super) grafana_password_file: Option<PathBuf>,
    /// What it runs under
    #[arg(long, value_name = "RUNTIME", value_enum)]
    pub(super) runtime: Option<RuntimeWish>,
    /// Which of prometheus, alertmanager and grafana to install, with commas [all]
    #[arg(long, value_name = "LIST", value_delimiter = ',')]
    pub(super) components: Option<Vec<String>>,
    /// Port of the control plane [8080]
    #[arg(long, value_name = "PORT", alias = "api-port", value_parser = clap::value_parser!(u16).range(1..))]
    pub(super) server_port: Option<u16>,
    /// Port of Prometheus [9090]
    #[arg(long, value_name = "PORT", value_parser = clap::value_parser!(u16).range(1..))]
    pub(super) prometheus_port: Option<u16>,
    /// Port of Alertmanager [9093]
    #[arg(long, value_name = "PORT", value_parser = clap::value_parser!(u16).range(1..))]
    pub(super) alertmanager_port: Option<u16>,
    /// Port of Grafana [3000]
    #[arg(long, value_name = "PORT", value_parser = clap::value_parser!(u16).range(1..))]
    pub(super) grafana_port: Option<u16>,
    /// Let other machines reach Prometheus, Alertmanager and Grafana, which speak plain HTTP; the first two ask
    /// for no password
    #[arg(long, value_name = "true|false", num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    pub(super) expose: Option<bool>,
    /// A web server that carries the components, in place of their publishers
    #[arg(long, value_name = "URL", conflicts_with = "offline", value_parser = aami_plans::mirror_address)]
    pub(super) mirror: Option<String>,
    /// A file with what the mirror wants to see: a token, or user:password
    #[arg(long, value_name = "FILE")]
    pub(super) mirror_credential_file: Option<PathBuf>,
    /// A release folder, as install.sh fetches it: agents for nodes, components; it is verified first
    #[arg(long, value_name = "DIR", requires = "public_key", conflicts_with = "offline")]
    pub(super) release: Option<PathBuf>,
    /// Who has to have signed the release: a minisign public key, or a file with one
    #[arg(long, value_name = "KEY", requires = "release")]
    pub(super) public_key: Option<String>,
    /// A folder that carries the components, and a components.toml that names them
    #[arg(long, value_name = "DIR", conflicts_with = "offline")]
    pub(super) components_dir: Option<PathBuf>,
    /// The image containers are made from, with --runtime compose: NAME@sha256:DIGEST
    #[arg(long, value_name = "IMAGE")]
    pub(super) image: Option<String>,
    /// The cluster's name [default]
    #[arg(long, value_name = "NAME")]
    pub(super) cluster: Option<String>,
    /// How many machines the first token enrols
    #[arg(long, value_name = "N", default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    pub(super) token_max_uses: u32,
    /// How long the first token lasts
    #[arg(long, value_name = "DURATION", default_value = "24h")]
    pub(super) token_ttl: Seconds,
    /// Show the exact plan and change nothing
    #[arg(long)]
    pub(super) dry_run: bool,
    /// Show how the server stands and change nothing
    #[arg(long, conflicts_with = "dry_run")]
    status: bool,
    /// Go on with an install that stopped or lacked something; the same command again does so, too
    #[arg(long)]
    resume: bool,
    /// Look at everything again and mend what is broken, the record of changes included
    #[arg(long, conflicts_with = "resume")]
    pub(super) repair: bool,
    /// Forget how far earlier runs came; what they changed stays recorded
    #[arg(long, conflicts_with_all = ["resume", "repair", "dry_run", "status"])]
    reset: bool,
    /// Skip preflight checks (not recommended)
    #[arg(long)]
    pub(super) skip_preflight: bool,
    /// Leave an active firewall as it is; otherwise the port nodes need is opened in it
    #[arg(long, value_name = "true|false", num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    pub(super) skip_firewall: Option<bool>,
    /// Never ask anything
    #[arg(long)]
    pub(super) unattended: bool,
    /// Show more
    #[arg(long, short)]
    verbose: bool,
    /// Speak JSON lines
    #[arg(long)]
    pub(crate) json: bool,
    #[command(flatten)]
    pub(super) offline: OfflineFlags,
    #[command(flatten)]
    telemetry: TelemetryFlags,
    #[command(flatten)]
    pub(super) manner: Manner,
}

impl Install {
    pub(crate) fn run(self, surroundings: &Surroundings) -> Result<Exit, Failure> {
        if self.status {
            let status = Status {
                json: self.json,
                manner: self.manner,
            };
            return status.run(surroundings);
        }
        self.carry_out(surroundings, None)
    }

    /// Installs; without a control plane where a declared fleet stands in its place.
    pub(super) fn carry_out(
        self,
        surroundings: &Surroundings,
        declared: Option<Declared>,
    ) -> Result<Exit, Failure> {
        let changes = !self.dry_run;
        if changes && !rustix::process::geteuid().is_root() {
            return Err(Failure::found(code::NOT_ROOT, code::NOT_ROOT.sentence));
        }
        // Whatever is wrong with it is said before anything is asked.
        let bundle = self.offline.open()?;
        let host = Host::system().map_err(Failure::Runtime)?;
        let asks = changes && !self.reset && !self.unattended && !self.json && shown::is_terminal();
        let mut chosen = chosen::choose(&self, &host, asks)?;
        if let Some(declared) = &declared {
            declared.choose(&host, &mut chosen)?;
        }
        for warning in &chosen.warnings {
            shown::warn(warning, self.json);
        }
        // Lies there until the plan has run: what is placed comes out of it.
        let bundle = bundle.map(|bundle| Unpacked::of(bundle, self.manner.shows_progress() && !self.json));
        let bundle = bundle.transpose()?;
        let stack = build::install(
            &self,
            &chosen,
            &host,
            surroundings,
            bundle.as_ref().map(Unpacked::placed),
            declared.map(|declared| declared.render),
        )?;
        let installer = Installer::new(&host, stack.plan(), options_for(&chosen.wishes))?;
        if self.reset {
            installer.reset()?;
            if !self.manner.quiet {
                shown::aside("Progress is forgotten; what was changed stays recorded.");
            }
            return Ok(Exit::Ok);
        }
        if self.dry_run {
            return planned::show(&installer.dry_run()?, self.json);
        }
        let options = options_for(&chosen.wishes);
        // Nobody comes in between what goes of an earlier installation and what is installed.
        let held = installer.hold()?;
        if let Some(former) = take_back_former(&host, &stack, &options, &held)? {
            self.say_what_stays(former);
        }
        let textfile = stack.session().layout().textfile.clone();
        let installer = installer.within(&held).textfile(textfile, build::hostname());
        let report = self.install(installer, &stack, &chosen.wishes.cluster, surroundings)?;
        match take_back_credential(&host, &stack, &options, &held) {
            Ok(former) => former.into_iter().for_each(|former| self.say_what_stays(former)),
            // The run is what counts, and the next one tries again.
            Err(error) => self.warn_of_former(&error.to_string()),
        }
        drop(held);
        self.conclude(&report, stack.session())
    }

    fn install(
        &self,
        installer: Installer<'_>,
        stack: &Stack,
        cluster: &str,
        surroundings: &Surroundings,
    ) -> Result<RunReport, Failure> {
        let mode = match (self.repair, self.resume) {
            (true, _) => Mode::Repair,
            (_, true) => Mode::Resume,
            _ => Mode::Fresh,
        };
        let how = How {
            json: self.json,
            verbose: self.verbose,
            quiet: self.manner.quiet,
            colour: self.manner.colours.on(surroundings),
        };
        let session: Arc<Session> = stack.session().clone();
        let lines = move || summary::lines(&session, shown::is_terminal());
        let installer = shown::attach(installer, stack.plan().title(), how, lines);
        let cancel = shown::cancel_on_signals()?;
        let origin = Origin {
            cluster: cluster.to_owned(),
            host: build::hostname(),
        };
        let clock: Arc<dyn Clock> = Arc::new(SystemClock::new());
        let (telemetry, installer) =
            (self.telemetry.wishes()).start(installer, &origin, &surroundings.proxies, &clock)?;
        let ran = stack.run(installer.cancelled_by(cancel), mode, &origin.host);
        for delivered in telemetry.finish(telemetry::PATIENCE) {
            if delivered.deserves_a_word() {
                shown::warn(&delivered.to_string(), self.json);
            }
        }
        let Ran { report, untold } = ran?;
        if let Some(why) = untold {
            let what = format!("how this installation went is not among the runs: {why}");
            shown::warn(&what, self.json);
        }
        Ok(report)
    }

    /// What could not be taken back of an earlier installation, and where what was edited lies.
    fn say_what_stays(&self, former: UninstallReport) {
        let left = former.left.into_iter();
        let failed = former.failed.into_iter().map(|failure| failure.message);
        let kept = (former.kept.iter()).map(|path| format!("what was edited lies at {path} now"));
        for stays in left.chain(failed).chain(kept) {
            self.warn_of_former(&stays);
        }
    }

    fn warn_of_former(&self, what: &str) {
        shown::warn(&format!("of an earlier installation: {what}"), self.json);
    }

    /// Everything after the last event: what there is now, or what to do next.
    fn conclude(&self, report: &RunReport, session: &Session) -> Result<Exit, Failure> {
        if let Some(aside) = &report.set_aside {
            let what = format!("the record of changes could not be read and lies at {aside} now");
            shown::warn(&what, self.json);
        }
        if self.verbose && !self.json {
            for effect in &report.executed {
                shown::line(&format!("changed: {effect}"));
            }
        }
        if let Some((code, sentence)) = report.failure() {
            if code == code::INTERRUPTED {
                return Err(Failure::found_with(
                    code,
                    sentence,
                    "Run the same command again to continue, or `aami server uninstall` to take it back.",
                ));
            }
            return Err(Failure::found(code, sentence));
        }
        debug_assert_eq!(report.status, RunStatus::Completed);
        if self.json {
            summary::json(session);
        } else if self.manner.quiet || self.verbose || !shown::is_terminal() {
            if !self.manner.quiet {
                shown::line("");
            }
            for line in summary::lines(session, shown::is_terminal()) {
                shown::line(&line);
            }
        }
        let missing = session.missing();
        if missing.is_empty() {
            return Ok(Exit::Ok);
        }
        let names: Vec<&str> = missing.keys().map(String::as_str).collect();
        Err(Failure::found(
            code::STACK_INCOMPLETE,
            format!(
                "{} could not be had; everything else is installed",
                names.join(", ")
            ),
        ))
    }
}
