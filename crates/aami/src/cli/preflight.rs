//! `aami preflight`: would an installation work on this machine?

use std::io::{BufRead as _, IsTerminal as _, Write as _};
use std::path::PathBuf;

use aami_install::Host;
use aami_inventory::SystemCommands;
use aami_model::{Exit, code};
use aami_plans::preflight::command::{self, Machine, Talk, Wishes};
use aami_plans::preflight::{Asked, Detail, Mode, Request, Runtime, Unreadable};
use clap::{Args, ValueEnum};

use super::failure::Failure;
use super::output::Colours;
use super::screen::Format;
use super::server::as_installed;
use super::surroundings::Surroundings;

/// Check this machine before anything is installed, and mend what can be mended
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  aami preflight --mode server
  aami preflight --mode node --server https://config.example.com
  aami preflight --mode server --fix
  aami preflight --mode server --fix --dry-run
  aami preflight --mode node --json

Exit codes: 0 no issues, 1 issues found, 2 usage.")]
pub(crate) struct Preflight {
    /// What will be installed [default: what the facts say]
    #[arg(long, value_name = "MODE")]
    mode: Option<Wanted>,
    /// What a server's services run as
    #[arg(long, value_name = "RUNTIME", default_value = "auto")]
    runtime: RunAs,
    /// The control plane a node will enrol with [env: AAMI_SERVER]
    #[arg(long, value_name = "URL")]
    server: Option<String>,
    /// The control plane's CA certificate, PEM
    #[arg(long, value_name = "FILE")]
    ca_file: Option<PathBuf>,
    /// A web server that carries the components, in place of their publishers
    #[arg(long, value_name = "URL")]
    mirror: Option<String>,
    /// Where a server's data will go [default: /var/lib/aami]
    #[arg(long, value_name = "DIR")]
    data_dir: Option<String>,
    /// Where a server's programs will go [default: /opt/aami]
    #[arg(long, value_name = "DIR")]
    install_dir: Option<String>,
    /// Where a node's node_exporter will listen [default: 9100]
    #[arg(long, value_name = "PORT", value_parser = clap::value_parser!(u16).range(1..))]
    port: Option<u16>,
    /// GPUs are of no interest
    #[arg(long)]
    skip_gpu: bool,
    /// Let what this code names pass; may be given several times
    #[arg(long, value_name = "CODE")]
    ignore: Vec<String>,
    /// Mend what can be mended: shows a plan and asks
    #[arg(long, group = "mends")]
    fix: bool,
    /// Take back what --fix did
    #[arg(long, group = "mends")]
    undo_fix: bool,
    /// Show what --fix or --undo-fix would do, and do nothing
    #[arg(long, requires = "mends")]
    dry_run: bool,
    /// Ask nothing
    #[arg(long, short)]
    yes: bool,
    /// Speak JSON
    #[arg(long)]
    json: bool,
    /// Show errors only; with --json the document is all there is
    #[arg(long)]
    quiet: bool,
    /// Show every check with its evidence
    #[arg(long, conflicts_with_all = ["json", "quiet"])]
    verbose: bool,
    #[command(flatten)]
    _colours: Colours,
}

/// A mode on the command line.
#[derive(Debug, Clone, Copy, ValueEnum)]
enum Wanted {
    /// A control plane
    Server,
    /// A monitored node
    Node,
}

/// A runtime on the command line.
#[derive(Debug, Clone, Copy, ValueEnum)]
enum RunAs {
    /// Units of systemd
    Systemd,
    /// Containers
    Compose,
    /// Whatever the machine has
    Auto,
}

impl Preflight {
    /// The form in which a failure is told.
    pub(crate) const fn format(&self) -> Format {
        if self.json { Format::Json } else { Format::Table }
    }

    pub(crate) fn run(self, surroundings: &Surroundings) -> Result<Exit, Failure> {
        let mut request = self.request(surroundings)?;
        let wishes = Wishes {
            fix: self.fix,
            yes: self.yes,
            undo: self.undo_fix,
            dry: self.dry_run,
            json: self.json,
            detail: match (self.quiet, self.verbose) {
                (true, _) => Detail::Quiet,
                (_, true) => Detail::Verbose,
                _ => Detail::Usual,
            },
        };
        let host = Host::system().map_err(|error| Failure::File {
            path: PathBuf::from("/"),
            doing: "read",
            source: error,
        })?;
        as_installed(&host, &mut request, self.data_dir.is_some());
        let commands = SystemCommands::default();
        let machine = Machine::this(&host, &commands);
        let mut talk = Terminal;
        let exit = command::run(&machine, &request, wishes, &mut talk)?;
        Ok(if exit == 0 { Exit::Ok } else { Exit::Failed })
    }

    fn request(&self, surroundings: &Surroundings) -> Result<Request, Failure> {
        let asked = Asked {
            usual: Mode::Server,
            mode: self.mode.map(|mode| match mode {
                Wanted::Server => Mode::Server,
                Wanted::Node => Mode::Node,
            }),
            runtime: match self.runtime {
                RunAs::Systemd => Some(Runtime::Systemd),
                RunAs::Compose => Some(Runtime::Compose),
                RunAs::Auto => None,
            },
            server: self.server.clone(),
            usual_server: surroundings.server.clone(),
            ca_file: self.ca_file.clone(),
            mirror: self.mirror.clone(),
            data_dir: self.data_dir.clone(),
            install_dir: self.install_dir.clone(),
            port: self.port,
            skip_gpu: self.skip_gpu,
            ignore: self.ignore.clone(),
            proxies: surroundings.proxies.clone(),
            user: surroundings.user.clone(),
        };
        let unreadable = |error: Unreadable| {
            Failure::found_with(code::INVALID, error.to_string(), "See `aami preflight --help`.")
        };
        asked.request().map_err(unreadable)
    }
}

/// This process' terminal.
struct Terminal;

impl Talk for Terminal {
    fn show(&mut self, text: &str) {
        // A closed pipe ends nothing: whoever read it has what they wanted.
        let _ = std::io::stdout().lock().write_all(text.as_bytes());
    }

    fn note(&mut self, text: &str) {
        let _ = writeln!(std::io::stderr().lock(), "{text}");
    }

    fn ask(&mut self, question: &str) -> Option<bool> {
        let mut stdin = std::io::stdin().lock();
        if !std::io::stdin().is_terminal() {
            return None;
        }
        let mut stderr = std::io::stderr().lock();
        let _ = write!(stderr, "{question} [y/N] ").and_then(|()| stderr.flush());
        let mut answer = String::new();
        stdin.read_line(&mut answer).ok()?;
        Some(matches!(answer.trim().to_ascii_lowercase().as_str(), "y" | "yes"))
    }
}
