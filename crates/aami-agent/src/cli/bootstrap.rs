//! `aami-agent bootstrap`: this machine becomes a node.

mod hidden;
mod plan;
mod plane;
pub(crate) mod signals;
mod stay;
mod token;
mod trust;

use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::Arc;

use aami_install::effect::firewall::is_network;
use aami_install::host::{Clock, SystemClock};
use aami_install::render::Origin;
use aami_install::{Installer, Mode, RunReport};
use aami_model::label::Labels;
use aami_model::run::RunStatus;
use aami_model::{Exit, code};
use aami_plans::node::{BegunRun, Foreground, Form, Node, NodeOptions, Purpose, Reporter};
use aami_plans::release::PublicKey;
use aami_plans::telemetry;
use clap::Args;

pub(crate) use plan::{Named, image, show, sources, summary_lines};
pub(crate) use stay::launcher;
pub(crate) use token::read as read_secret;

use super::failure::Failure;
use super::node::{Which, downloader, hostname, listeners, look};
use super::screen;
use super::status::Status;
use super::surroundings::Surroundings;
use super::telemetry::TelemetryFlags;

/// Make this machine a node: check, install exporters, register, verify
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  aami-agent bootstrap --server https://aami.example.com:8080 --token-file token
  aami-agent bootstrap --standalone --components ./components --labels rack=a1
  aami-agent bootstrap --repair")]
pub(crate) struct Bootstrap {
    /// The control plane's address, e.g. https://aami.example.com:8080 [env: AAMI_SERVER]
    #[arg(long, value_name = "URL")]
    server: Option<String>,
    /// Have no control plane: no token, no registration; Prometheus finds this node by its operator's own files
    #[arg(long, conflicts_with_all = ["server", "token", "token_file", "run_file", "ca_file", "pin", "plain_http"])]
    standalone: bool,
    /// The bootstrap token; the shell's history and sudo's log keep it, so prefer --token-file
    #[arg(long, value_name = "TOKEN", hide_env_values = true)]
    token: Option<String>,
    /// A file that holds the bootstrap token [env: AAMI_TOKEN_FILE]
    #[arg(long, value_name = "FILE", conflicts_with = "token")]
    token_file: Option<PathBuf>,
    /// A file with the run that the install script opened, to go on with it
    #[arg(long, value_name = "FILE", hide = true)]
    run_file: Option<PathBuf>,
    /// The control plane's CA certificate, PEM
    #[arg(long, value_name = "FILE")]
    ca_file: Option<PathBuf>,
    /// The pin of the control plane's key, sha256//...
    #[arg(long, value_name = "PIN", conflicts_with = "ca_file")]
    pin: Option<String>,
    /// Speak plain HTTP to a control plane that is not on this machine; whoever is in between can read and change all of it
    #[arg(long)]
    plain_http: bool,
    /// Where node_exporter listens [default: 9100]
    #[arg(long, value_name = "PORT", value_parser = clap::value_parser!(u16).range(1..))]
    port: Option<u16>,
    /// A label of this node; may be given several times
    #[arg(long = "labels", visible_alias = "label", value_name = "KEY=VALUE")]
    labels: Vec<String>,
    /// The address this node is scraped at [default: that of the route to the control plane; of the way out without one]
    #[arg(long, value_name = "IP")]
    address: Option<IpAddr>,
    /// A web server that carries the exporters, in place of the control plane and their publishers
    #[arg(long, value_name = "URL", value_parser = aami_plans::mirror_address)]
    mirror: Option<String>,
    /// A file with what the mirror wants to see: a token, or user:password
    #[arg(long, value_name = "FILE", requires = "mirror")]
    mirror_credential_file: Option<PathBuf>,
    /// A folder that carries the exporters, and a components.toml that names them
    #[arg(long, value_name = "DIR")]
    components: Option<PathBuf>,
    #[command(flatten)]
    which: Which,
    /// Run exporters as child processes that end with this one, everything below --root; needs no root
    #[arg(long, requires = "root")]
    foreground: bool,
    /// End when standard input is closed (foreground form)
    #[arg(long, requires = "foreground", hide = true)]
    until_stdin_closes: bool,
    /// Show the exact plan and change nothing
    #[arg(long)]
    dry_run: bool,
    /// Show how the node stands and change nothing
    #[arg(long, conflicts_with = "dry_run")]
    status: bool,
    /// Go on with an install that stopped; the same command again does so, too
    #[arg(long)]
    resume: bool,
    /// Look at everything again and mend what is broken, the record of changes included
    #[arg(long, conflicts_with = "resume")]
    repair: bool,
    /// Forget how far earlier runs came; what they changed stays recorded
    #[arg(long, conflicts_with_all = ["resume", "repair", "dry_run", "status"])]
    reset: bool,
    /// Skip preflight checks (not recommended)
    #[arg(long)]
    skip_preflight: bool,
    /// Do not touch a firewall
    #[arg(long)]
    skip_firewall: bool,
    /// Do not install a GPU exporter
    #[arg(long)]
    skip_gpu: bool,
    /// The container image to run dcgm-exporter in, by its digest: NAME@sha256:... [default: the catalogue's, if any]
    #[arg(long, value_name = "IMAGE", value_parser = plan::image)]
    dcgm_image: Option<String>,
    /// Who signs releases that the agent may be updated to: a file with a minisign public key [default: the control
    /// plane's, at the first install]
    #[arg(long, value_name = "FILE")]
    release_key: Option<PathBuf>,
    /// Run no checks
    #[arg(long)]
    skip_checks: bool,
    /// Leave no agent running that stays connected with the control plane
    #[arg(long, visible_alias = "no-agent")]
    skip_agent: bool,
    /// An address or network that exporters are scraped from, for which a firewall is opened; may be given several
    /// times [default: the control plane's; nothing is opened without one]
    #[arg(long, value_name = "ADDRESS")]
    scrape_from: Vec<String>,
    /// Register a node_exporter that is on this machine already as it is, in place of installing ours
    #[arg(long)]
    adopt: bool,
    /// Never ask anything
    #[arg(long)]
    unattended: bool,
    /// Show a line for each step also on a terminal, and at the end each change to this host
    #[arg(long, short)]
    verbose: bool,
    /// Speak JSON lines
    #[arg(long)]
    pub(crate) json: bool,
    #[command(flatten)]
    telemetry: TelemetryFlags,
}

/// Addresses and networks, each as it stands in a firewall's rule.
pub(crate) fn networks(given: &[String]) -> Result<Vec<String>, Failure> {
    if let Some(text) = given.iter().find(|text| !is_network(text)) {
        let shown: String = text.chars().take(60).collect();
        return Err(Failure::invalid(format!(
            "--scrape-from {shown:?} is neither an address nor a network such as 10.0.0.0/8"
        )));
    }
    Ok(given.to_vec())
}

impl Bootstrap {
    pub(crate) fn run(self, surroundings: &Surroundings) -> Result<Exit, Failure> {
        if self.status {
            return Status {
                which: self.which,
                json: self.json,
            }
            .run(surroundings);
        }
        if self.which.root.is_some() && !self.foreground {
            return Err(Failure::invalid("--root needs --foreground"));
        }
        if !self.dry_run {
            self.which.need_root()?;
        }
        if let Some(root) = &self.which.root {
            std::fs::create_dir_all(root).map_err(|error| Failure::file(root, &error))?;
        }
        let node = self.node(surroundings)?;
        let host = self.which.host()?;
        let installer = self.which.installer(&host, &node)?;
        if self.reset {
            installer.reset()?;
            screen::aside("Progress is forgotten; what was changed stays recorded.");
            return Ok(Exit::Ok);
        }
        if self.dry_run {
            return plan::show(&installer.dry_run()?, self.json);
        }
        let _alone = stay::alone(&self.which)?;
        let cancel = signals::cancel_on_signals()?;
        if self.until_stdin_closes {
            stay::end_with_stdin(&cancel);
        }
        let report = self.install(installer.cancelled_by(cancel.clone()), &node, surroundings)?;
        self.conclude(&report, &node);
        if report.status == RunStatus::Completed && self.foreground {
            stay::until_told(&cancel);
        }
        if let Some(foreground) = node.session().foreground() {
            foreground.stop_all();
        }
        Ok(report.exit())
    }

    fn install(
        &self,
        installer: Installer<'_>,
        node: &Node,
        surroundings: &Surroundings,
    ) -> Result<RunReport, Failure> {
        let mode = match (self.repair, self.resume) {
            (true, _) => Mode::Repair,
            (_, true) => Mode::Resume,
            _ => Mode::Fresh,
        };
        let installer = installer.sink(Reporter::new(node.session().clone()));
        let how = screen::How {
            json: self.json,
            verbose: self.verbose,
            colour: surroundings.colour,
        };
        let installer = screen::attach(installer, node.session(), node.plan().title(), how);
        let origin = Origin {
            cluster: self.which.cluster.clone(),
            host: hostname(),
        };
        let clock: Arc<dyn Clock> = Arc::new(SystemClock::new());
        let (telemetry, installer) =
            (self.telemetry.wishes()).start(installer, &origin, &surroundings.proxies, &clock)?;
        let report = installer.run(mode);
        for delivered in telemetry.finish(telemetry::PATIENCE) {
            if delivered.deserves_a_word() {
                screen::warn(&delivered.to_string(), self.json);
            }
        }
        Ok(report?)
    }

    /// Everything after the last event: what there is now, or what to do next.
    fn conclude(&self, report: &RunReport, node: &Node) {
        if let Some(aside) = &report.set_aside {
            screen::warn(
                &format!("the record of changes could not be read and lies at {aside} now"),
                self.json,
            );
        }
        if self.verbose && !self.json {
            for effect in &report.executed {
                screen::line(&format!("changed: {effect}"));
            }
        }
        match report.failure() {
            None => plan::summary(node.session(), self.json, !self.verbose && screen::is_terminal()),
            Some((code, sentence)) if self.json => screen::complain(&Failure::new(code, sentence), true),
            // The screen has said what failed and what to do.
            Some((code, sentence)) if code == code::INTERRUPTED => screen::aside(&format!(
                "{sentence}. Run the same command again to continue, or `aami-agent uninstall` to take it back."
            )),
            Some((code, _)) => screen::aside(&format!("code: {} ({})", code.symbol, code.id())),
        }
    }

    fn node(&self, surroundings: &Surroundings) -> Result<Node, Failure> {
        let enrolment = self.which.enrolment()?;
        let api = self.api(enrolment.as_ref(), surroundings)?;
        // Nobody but its operator knows where a node on its own is reached: it stays as it was said.
        let before = enrolment
            .as_ref()
            .filter(|before| api.is_none() && before.server.is_none());
        let address = self
            .address
            .or_else(|| before.and_then(|before| before.address.parse().ok()));
        let token = match &api {
            Some(api) => {
                let before = enrolment.and_then(|enrolment| enrolment.server);
                self.token(surroundings, before.as_ref() == Some(&api.server))?
            }
            None => None,
        };
        let sources = plan::sources(&plan::Named {
            api: api.as_ref(),
            mirror: self.mirror.as_deref(),
            mirror_credential: self.mirror_credential_file.as_deref(),
            components: self.components.as_deref(),
        })?;
        let is_json = self.json;
        let foreground = match self.which.form() {
            Form::Host => None,
            Form::Foreground => Some(Arc::new(Foreground::new(
                stay::launcher()?,
                Arc::new(move |name: &str, how: &str| {
                    screen::warn(&format!("{name} ended ({how}) and is started again"), is_json);
                }),
            ))),
        };
        Ok(Node::new(NodeOptions {
            purpose: Purpose::Install,
            form: self.which.form(),
            cluster: self.which.cluster.clone(),
            api,
            token,
            run: self.begun()?,
            port: self.port,
            labels: self.labels()?,
            address,
            skip_preflight: self.skip_preflight,
            skip_firewall: self.skip_firewall,
            scrape_from: networks(&self.scrape_from)?,
            adopt: self.adopt,
            skip_gpu: self.skip_gpu,
            dcgm_image: self.dcgm_image.clone(),
            skip_checks: self.skip_checks,
            skip_agent: self.skip_agent,
            proxies: surroundings.proxies.clone(),
            sources,
            downloader: downloader(surroundings.proxies.clone()),
            agent: Some(stay::launcher()?),
            release_key: self.release_key()?,
            look: Box::new(look),
            listeners: Box::new(listeners),
            foreground,
        })?)
    }

    fn token(
        &self,
        surroundings: &Surroundings,
        is_enrolled: bool,
    ) -> Result<Option<aami_model::secret::Secret>, Failure> {
        if let Some(text) = &self.token {
            let what = "the token stands on the command line, where the shell's history, the list of processes and \
                        sudo's log show it; prefer --token-file";
            screen::warn(what, self.json);
            return token::parse(text).map(Some);
        }
        if let Some(path) = self.token_file.as_ref().or(surroundings.token_file.as_ref()) {
            return token::from_file(path).map(Some);
        }
        if is_enrolled || self.dry_run || self.reset {
            return Ok(None);
        }
        let asked = if self.unattended || self.json {
            None
        } else {
            token::ask()
        };
        match asked {
            Some(token) => token.map(Some),
            None => Err(Failure::new(code::TOKEN_REQUIRED, code::TOKEN_REQUIRED.sentence)),
        }
    }

    /// The run that the script opened, where one started this program.
    fn begun(&self) -> Result<Option<BegunRun>, Failure> {
        let Some(path) = self.run_file.as_ref().filter(|_| !self.dry_run) else {
            return Ok(None);
        };
        let text = token::text_of(path)?;
        let begun = BegunRun::read(&text);
        let wrong = || {
            Failure::invalid(format!(
                "{} is not what the install script writes",
                path.display()
            ))
        };
        begun.map(Some).ok_or_else(wrong)
    }

    /// The key that releases are signed with, where one is named.
    fn release_key(&self) -> Result<Option<String>, Failure> {
        let Some(path) = &self.release_key else {
            return Ok(None);
        };
        let text = token::text_of(path)?;
        PublicKey::read(&text).map_err(|error| Failure::invalid(format!("{}: {error}", path.display())))?;
        Ok(Some(text))
    }

    fn labels(&self) -> Result<Labels, Failure> {
        let mut labels = Labels::default();
        for text in &self.labels {
            let (name, value) = text.split_once('=').ok_or_else(|| {
                Failure::invalid(format!(
                    "--labels {:?} is not KEY=VALUE",
                    text.chars().take(60).collect::<String>()
                ))
            })?;
            labels.0.insert(name.to_owned(), value.to_owned());
        }
        labels
            .check()
            .map_err(|error| Failure::invalid(format!("--labels: {error}")))?;
        Ok(labels)
    }
}
