//! `aami server`: runs the control plane, or installs it on this machine and takes it back.
//!
//! Flags, `AAMI_` variables and the configuration file all follow from the server's own list of
//! settings; this file only carries what each says to it, and says where it listens.

mod build;
mod chosen;
pub(crate) mod declared;
mod flags;
mod install;
mod planned;
mod shown;
mod status;
mod summary;
mod uninstall;

use std::fs;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use aami_install::Options;
use aami_model::Exit;
use aami_plans::stack::Wishes;
use aami_server::config::{Layers, Resolved, Source};
use aami_server::{Config, Running, World};
use clap::{Args, Subcommand};

use super::failure::Failure;
use super::log::{self, LogForm};
use super::output::Colours;
use super::reach::ADDRESS_FILE;
use super::screen::{Format, Screen};
use super::secret::written;
use super::signals::Signals;
use super::surroundings::Surroundings;
use super::table::Table;
pub(crate) use build::{as_installed, hostname};
use flags::Flags;

/// Run the control plane, or install it with everything beside it
#[derive(Debug, Args)]
#[command(
    args_conflicts_with_subcommands = true,
    after_help = "\
Each setting is taken from its flag, else from its AAMI_ variable, else from the file, else the default.
The file is YAML, one setting a line, named like the flag with _ for -."
)]
pub(crate) struct Server {
    #[command(subcommand)]
    verb: Option<Verb>,
    #[command(flatten)]
    flags: Flags,
    /// Configuration file [AAMI_CONFIG]
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Show each setting, its value and where it came from, and end
    #[arg(long)]
    print_config: bool,
    /// Form of the log on standard error; AAMI_LOG=debug shows more of it [text at a terminal, else json]
    #[arg(long, value_name = "FORM")]
    log: Option<LogForm>,
    #[command(flatten)]
    colours: Colours,
}

#[derive(Debug, Subcommand)]
enum Verb {
    Install(Box<install::Install>),
    Status(status::Status),
    Uninstall(uninstall::Uninstall),
}

/// The verbs, which are commands of a person and no daemon's.
pub(crate) const VERBS: [&str; 4] = ["install", "status", "uninstall", "help"];

/// Where the memory of an installation lies.
fn options_for(wishes: &Wishes) -> Options {
    Options {
        cluster: wishes.cluster.clone(),
        ..Options::default()
    }
}

impl Server {
    /// The form in which a failure is told.
    pub(crate) const fn format(&self) -> Format {
        let json = match &self.verb {
            Some(Verb::Install(verb)) => verb.json,
            Some(Verb::Status(verb)) => verb.json,
            Some(Verb::Uninstall(verb)) => verb.json,
            None => false,
        };
        if json { Format::Json } else { Format::Table }
    }

    pub(crate) fn run(self, surroundings: &Surroundings) -> Result<Exit, Failure> {
        match self.verb {
            Some(Verb::Install(verb)) => return verb.run(surroundings),
            Some(Verb::Status(verb)) => return verb.run(surroundings),
            Some(Verb::Uninstall(verb)) => return verb.run(surroundings),
            None => {}
        }
        let resolved = self.layers(surroundings)?.resolve()?;
        let config = Config::read(&resolved);
        if self.print_config {
            Screen::new(Format::Table).write(&table(&resolved).to_string())?;
            config?;
            return Ok(Exit::Ok);
        }
        let config = config?;
        log::start(self.log, &self.colours, surroundings, "info")?;
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .enable_all()
            .build()
            .map_err(Failure::Runtime)?;
        let exit = runtime.block_on(serve(config))?;
        runtime.shutdown_background();
        Ok(exit)
    }

    fn layers(&self, surroundings: &Surroundings) -> Result<Layers, Failure> {
        let mut layers = Layers::default();
        if let Some(path) = self.config.as_ref().or(surroundings.config.as_ref()) {
            let text = fs::read_to_string(path).map_err(|error| {
                Failure::found(
                    aami_model::code::CONFIG_INVALID,
                    format!(
                        "the configuration file {} cannot be read: {error}",
                        path.display()
                    ),
                )
            })?;
            layers = layers.with_file(&text)?;
        }
        for (name, value) in &surroundings.settings {
            layers.set(Source::Env, name, value);
        }
        for (name, value) in &self.flags.given {
            layers.set(Source::Flag, name, value);
        }
        Ok(layers)
    }
}

async fn serve(config: Config) -> Result<Exit, Failure> {
    // Before anything is opened, so that a signal during the start is not lost.
    let mut signals = Signals::new()?;
    let data_dir = config.data_dir.clone();
    allow_many_connections();
    let running = Box::pin(aami_server::start(config, World::system())).await?;
    leave_address(&data_dir, &running)?;
    // Where another replica made the first key, the file is there and not here.
    if running.admin_key().exists() {
        tracing::info!(admin_key = %running.admin_key().display(), "the first admin key is in this file");
    }
    signals.stop().await;
    tracing::info!("stopping: finishing what has begun; a second signal ends at once");
    Ok(signals.finishing(running.stop()).await)
}

/// Leaves the address in the data folder, for the commands on this machine.
pub(crate) fn leave_address(data_dir: &Path, running: &Running) -> Result<(), Failure> {
    let path = data_dir.join(ADDRESS_FILE);
    let draft = data_dir.join("address.new");
    let write = || -> io::Result<()> {
        let mut file = fs::OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(true)
            .mode(0o600)
            .open(&draft)?;
        io::Write::write_all(
            &mut file,
            format!("{}\n", local_url(running.address())).as_bytes(),
        )?;
        fs::rename(&draft, &path)
    };
    write().map_err(written(&path))
}

/// How this machine itself reaches an address: over loopback plain HTTP is whole, elsewhere it has to be
/// TLS.
pub(crate) fn local_url(address: SocketAddr) -> String {
    let (scheme, ip) = match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => ("http", IpAddr::from(Ipv4Addr::LOCALHOST)),
        IpAddr::V6(ip) if ip.is_unspecified() => ("http", IpAddr::from(Ipv6Addr::LOCALHOST)),
        ip if ip.is_loopback() => ("http", ip),
        ip => ("https", ip),
    };
    format!("{scheme}://{}", SocketAddr::new(ip, address.port()))
}

fn table(resolved: &[Resolved]) -> Table {
    let mut table = Table::new(&["SETTING", "VALUE", "FROM"], "no settings");
    for one in resolved {
        let value = without_password(&one.value);
        table.row([
            one.setting.name.to_owned(),
            if value.is_empty() { "-".to_owned() } else { value },
            one.source.to_string(),
        ]);
    }
    table
}

/// A store's address may carry a password; it is not shown.
fn without_password(value: &str) -> String {
    let hidden = || {
        let (scheme, rest) = value.split_once("://")?;
        let (user, host) = rest.split_once('@')?;
        let (name, _) = user.split_once(':')?;
        Some(format!("{scheme}://{name}:(hidden)@{host}"))
    };
    hidden().unwrap_or_else(|| value.to_owned())
}

/// A login's usual limit is 1024 open files, and each connection is one; the hard limit is what the system
/// would allow. Where it cannot be raised, the control plane holds fewer connections and says so when it
/// runs out.
fn allow_many_connections() {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let now = getrlimit(Resource::Nofile);
    let most = Rlimit {
        current: now.maximum,
        ..now
    };
    if let Err(error) = setrlimit(Resource::Nofile, most) {
        tracing::warn!(%error, "the limit of open files stays as it is");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_machine_reaches_its_own_control_plane() {
        for (address, url) in [
            ("0.0.0.0:8080", "http://127.0.0.1:8080"),
            ("[::]:8080", "http://[::1]:8080"),
            ("127.0.0.2:1", "http://127.0.0.2:1"),
            ("192.0.2.7:443", "https://192.0.2.7:443"),
            ("[2001:db8::7]:443", "https://[2001:db8::7]:443"),
        ] {
            assert_eq!(local_url(address.parse().unwrap()), url);
        }
    }

    #[test]
    fn a_password_in_an_address_is_not_shown() {
        assert_eq!(
            without_password("postgres://aami:hunter2@db:5432/aami"),
            "postgres://aami:(hidden)@db:5432/aami"
        );
        assert_eq!(without_password("etcd://a:2379,b:2379"), "etcd://a:2379,b:2379");
    }
}
