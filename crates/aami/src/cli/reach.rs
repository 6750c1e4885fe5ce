//! Which control plane is asked, and with which key.
//!
//! What is named on the command line comes first, then `AAMI_SERVER` and `AAMI_API_KEY`, then `server:` of the
//! configuration, then what a control plane on this machine left in its data folder: `admin.key`, `address` and
//! `tls/ca.pem`. What was found and not named is said on standard error, so nobody acts on the wrong fleet
//! unawares. Whether a control plane is asked at all, or a fleet that a file declares, `fleet/mode.rs` decides.

use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use aami_api::client::{Client, Pin, Settings, Trust, pinned_ca};
use aami_config::config::Server;
use aami_model::code;
use aami_model::secret::{Secret, SecretKind};
use clap::Args;

use super::failure::Failure;
use super::surroundings::{SERVER_DATA, Surroundings};

/// The file in a data folder that names the control plane's address.
pub(crate) const ADDRESS_FILE: &str = "address";
/// The file in a data folder that holds the first admin key.
pub(crate) const ADMIN_KEY: &str = "admin.key";
/// Where a control plane on this machine is, unless it says otherwise.
const USUAL: &str = "http://127.0.0.1:8080";

/// How long one request may take.
const TIMEOUT: Duration = Duration::from_secs(30);

/// Under what these flags stand in a help.
pub(crate) const HEADING: &str = "Control plane";

#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = HEADING)]
pub(crate) struct Reach {
    /// Address of the control plane [AAMI_SERVER; else the one on this machine]
    #[arg(long, global = true, value_name = "URL")]
    pub(crate) server: Option<String>,
    /// File that holds an API key [AAMI_API_KEY holds the key itself; else admin.key of this machine]
    #[arg(long, global = true, value_name = "FILE")]
    pub(crate) key_file: Option<PathBuf>,
    /// Data folder of a control plane on this machine, for its admin.key and address
    #[arg(long, global = true, value_name = "DIR")]
    pub(crate) data_dir: Option<PathBuf>,
    /// CA certificate of the control plane, PEM [the system's]
    #[arg(long, global = true, value_name = "FILE", conflicts_with = "pin")]
    pub(crate) ca_file: Option<PathBuf>,
    /// Pin of the control plane's key, sha256//...
    #[arg(long, global = true, value_name = "PIN")]
    pub(crate) pin: Option<Pin>,
    /// Configuration of the fleet; where it names no `server:`, nodes are reached by SSH [/etc/aami/config.yaml]
    #[arg(long, global = true, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
    /// Folder that stands for /: everything of this machine lies below it
    #[arg(long, global = true, value_name = "DIR", hide = true)]
    pub(crate) root: Option<PathBuf>,
}

/// A client, and what to say about how it was found.
#[derive(Debug)]
pub(crate) struct Reached {
    pub(crate) client: Client,
    pub(crate) notes: Vec<String>,
}

/// A key, and where it came from.
struct Key {
    secret: Secret,
    from: String,
    /// The data folder it lay in, if it was found there.
    folder: Option<PathBuf>,
    open_to_others: bool,
}

impl Reach {
    /// Where a control plane of this machine may keep its data.
    fn folders(&self, surroundings: &Surroundings) -> Vec<PathBuf> {
        match (&self.data_dir, &self.root) {
            (Some(folder), _) => vec![folder.clone()],
            // Another system's control plane; the user's own, of `aami up`, is none of its.
            (None, Some(root)) => (surroundings.data_folders().iter())
                .filter(|folder| folder.starts_with(SERVER_DATA))
                .map(|folder| root.join(folder.strip_prefix("/").unwrap_or(folder)))
                .collect(),
            (None, None) => surroundings.data_folders(),
        }
    }

    /// Whether the command line or the environment speaks of a control plane.
    pub(crate) fn names_one(&self, surroundings: &Surroundings) -> bool {
        self.server.is_some()
            || self.key_file.is_some()
            || self.data_dir.is_some()
            || surroundings.server.is_some()
            || surroundings.api_key.is_some()
    }

    /// Whether a control plane of this machine left its key, be it one this user may not read.
    pub(crate) fn finds_one(&self, surroundings: &Surroundings) -> bool {
        let is_there =
            |folder: &PathBuf| !matches!(read_key(&folder.join(ADMIN_KEY), None), Err(KeyProblem::Missing));
        self.folders(surroundings).iter().any(is_there)
    }

    /// Finds address, key and trust, what the configuration says among them. Nothing is sent yet, except one
    /// handshake where a pin was given.
    pub(crate) fn connect(
        &self,
        surroundings: &Surroundings,
        configured: Option<&Server>,
    ) -> Result<Reached, Failure> {
        let folders = self.folders(surroundings);
        let named = self.server.as_ref().or(surroundings.server.as_ref());
        // Its key and certificate are for the control plane it names, and for no other.
        let plain = |url: &str| url.trim_end_matches('/').to_owned();
        let is_named =
            |configured: &&Server| named.is_none_or(|named| plain(named) == plain(&configured.url));
        let configured = configured.filter(is_named);
        let key = self.key(surroundings, &folders, configured)?;
        let named = named.or(configured.map(|configured| &configured.url));
        // The folder whose control plane is meant: the one the key is from, else the one that was named.
        let folder = key.folder.as_ref().or(self.data_dir.as_ref());
        let local = folder.and_then(|folder| read_address(folder));
        let server = match (named, &local) {
            (Some(named), _) => plain(named),
            (None, Some(local)) => local.clone(),
            (None, None) => USUAL.to_owned(),
        };
        let mut notes = Vec::new();
        if self.key_file.is_none() && self.data_dir.is_none() && key.folder.is_some() {
            // A key lying about here is for the control plane here; sent to another it would be stolen.
            if !is_this_machine(&server) && local.as_deref() != Some(server.as_str()) {
                return Err(Failure::found_with(
                    code::UNAUTHENTICATED,
                    format!(
                        "no key was named for {server}, and the one in {} is this machine's own",
                        key.from
                    ),
                    "Name a key with --key-file or AAMI_API_KEY.",
                ));
            }
        }
        let is_said = self.server.is_some() || surroundings.server.is_some();
        if !is_said || key.folder.is_some() {
            notes.push(format!("aami: asking {server} with the key in {}", key.from));
        }
        if key.open_to_others {
            notes.push(format!(
                "aami: {} can be read by others; `chmod 600` it",
                key.from
            ));
        }
        let settings = Settings {
            trust: self.trust(&server, folder.map(PathBuf::as_path), configured)?,
            timeout: TIMEOUT,
            ..Settings::new(server)
        };
        let client = Client::new(&settings)?.with_bearer(key.secret.reveal());
        Ok(Reached { client, notes })
    }

    fn key(
        &self,
        surroundings: &Surroundings,
        folders: &[PathBuf],
        configured: Option<&Server>,
    ) -> Result<Key, Failure> {
        if let Some(file) = &self.key_file {
            return read_key(file, None).map_err(|why| unreadable(file, &why));
        }
        if let Some(text) = &surroundings.api_key {
            let from = "AAMI_API_KEY".to_owned();
            let secret = parse_key(text)
                .map_err(|why| Failure::found(code::KEY_FILE_UNREADABLE, format!("AAMI_API_KEY {why}")))?;
            return Ok(Key {
                secret,
                from,
                folder: None,
                open_to_others: false,
            });
        }
        if let Some(file) = configured.and_then(|configured| configured.key_file.as_ref()) {
            return read_key(file, None).map_err(|why| unreadable(file, &why));
        }
        let mut hidden = None;
        for folder in folders {
            let file = folder.join(ADMIN_KEY);
            match read_key(&file, Some(folder)) {
                Ok(key) => return Ok(key),
                Err(KeyProblem::Missing) => {}
                Err(why) => hidden = hidden.or(Some(unreadable(&file, &why))),
            }
        }
        Err(hidden.unwrap_or_else(|| {
            let places: Vec<String> = folders
                .iter()
                .map(|folder| folder.join(ADMIN_KEY).display().to_string())
                .collect();
            Failure::found_with(
                code::UNAUTHENTICATED,
                format!("no API key was named, and none is in {}", places.join(" or ")),
                "Name one with --key-file or AAMI_API_KEY, and the control plane with --server.",
            )
        }))
    }

    fn trust(
        &self,
        server: &str,
        folder: Option<&Path>,
        configured: Option<&Server>,
    ) -> Result<Trust, Failure> {
        let read = |path: &Path| {
            fs::read_to_string(path).map_err(|source| Failure::File {
                path: path.to_owned(),
                doing: "read",
                source,
            })
        };
        if let Some(file) = &self.ca_file {
            return Ok(Trust::Only(read(file)?));
        }
        if let Some(pin) = self.pin {
            return Ok(Trust::Only(pinned_ca(server, pin, TIMEOUT)?));
        }
        if let Some(file) = configured.and_then(|configured| configured.ca_file.as_ref()) {
            return Ok(Trust::Only(read(file)?));
        }
        if let Some(pin) = configured.and_then(|configured| configured.pin.as_ref()) {
            let pin = pin
                .parse()
                .map_err(|error| Failure::invalid(format!("server.pin: {error}")))?;
            return Ok(Trust::Only(pinned_ca(server, pin, TIMEOUT)?));
        }
        match folder.map(|folder| folder.join("tls/ca.pem")) {
            Some(own) if own.exists() => Ok(Trust::Only(read(&own)?)),
            _ => Ok(Trust::System),
        }
    }
}

/// Why a file gives no key.
enum KeyProblem {
    Missing,
    System(io::Error),
    Content(String),
}

fn unreadable(file: &Path, why: &KeyProblem) -> Failure {
    let file = file.display();
    Failure::found(
        code::KEY_FILE_UNREADABLE,
        match why {
            KeyProblem::Missing => format!("the key file {file} does not exist"),
            KeyProblem::System(error) => format!("the key file {file} cannot be read: {error}"),
            KeyProblem::Content(why) => format!("the key file {file} {why}"),
        },
    )
}

fn read_key(file: &Path, folder: Option<&Path>) -> Result<Key, KeyProblem> {
    let problem = |error: io::Error| match error.kind() {
        io::ErrorKind::NotFound => KeyProblem::Missing,
        _ => KeyProblem::System(error),
    };
    let text = fs::read_to_string(file).map_err(problem)?;
    let mode = fs::metadata(file).map_err(problem)?.permissions().mode();
    Ok(Key {
        secret: parse_key(&text).map_err(KeyProblem::Content)?,
        from: file.display().to_string(),
        folder: folder.map(Path::to_owned),
        open_to_others: mode & 0o077 != 0,
    })
}

fn parse_key(text: &str) -> Result<Secret, String> {
    match Secret::parse(text) {
        Ok(secret) if secret.kind() == SecretKind::ApiKey => Ok(secret),
        Ok(secret) => Err(format!("holds {}, not an API key", secret.kind().name())),
        Err(why) => Err(format!("holds no API key: {why}")),
    }
}

fn read_address(folder: &Path) -> Option<String> {
    let text = fs::read_to_string(folder.join(ADDRESS_FILE)).ok()?;
    Some(text.trim().trim_end_matches('/').to_owned()).filter(|text| !text.is_empty())
}

/// Whether an address means the machine that asks.
pub(crate) fn is_this_machine(server: &str) -> bool {
    let Ok(uri) = server.parse::<http::Uri>() else {
        return false;
    };
    let host = uri.host().unwrap_or_default().trim_matches(['[', ']']);
    host == "localhost" || host.parse::<std::net::IpAddr>().is_ok_and(|ip| ip.is_loopback())
}

#[cfg(test)]
mod tests;
