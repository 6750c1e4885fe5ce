//! `aami config prometheus`.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use aami_api::key::{CreateKey, CreatedKey};
use aami_model::Exit;
use aami_model::access::Scope;
use aami_monitor::prometheus::Configuration;
use clap::Args;
use http::Method;

use crate::cli::dry::Change;
use crate::cli::each::Done;
use crate::cli::failure::Failure;
use crate::cli::reach::Reach;
use crate::cli::secret::{self, written};
use crate::cli::session::Session;

/// The files that are written.
const YML: &str = "prometheus.yml";
const CA: &str = "aami-ca.pem";
const KEY: &str = "aami.key";

/// Print a prometheus.yml that finds every node, or write it together with its key
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  aami config prometheus --public-url https://aami.example:8080 > prometheus.yml
  sudo aami config prometheus --write /etc/prometheus --public-url https://aami.example:8080
  aami config prometheus --write /etc/prometheus --dry-run")]
pub(crate) struct Prometheus {
    /// Write prometheus.yml, aami.key (a new key that allows discovery alone) and aami-ca.pem here; existing
    /// files are never overwritten
    #[arg(long, value_name = "DIR")]
    write: Option<PathBuf>,
    /// Where Prometheus reaches the control plane [where this command reaches it]
    #[arg(long, value_name = "URL")]
    public_url: Option<String>,
    /// File with the key, as Prometheus sees it [aami.key beside prometheus.yml]
    #[arg(long, value_name = "FILE", conflicts_with = "write")]
    credentials_file: Option<String>,
    /// File with the CA, as Prometheus sees it [aami-ca.pem beside prometheus.yml, where this command was
    /// given one]
    #[arg(long, value_name = "FILE", conflicts_with = "write")]
    prometheus_ca_file: Option<String>,
    /// HOST:PORT of an Alertmanager; may be repeated
    #[arg(long, value_name = "ADDRESS")]
    alertmanager: Vec<String>,
    /// Rule files, `*` allowed; may be repeated
    #[arg(long, value_name = "GLOB")]
    rules: Vec<String>,
    /// HOST:PORT at which Prometheus scrapes itself
    #[arg(long, value_name = "ADDRESS", default_value = "localhost:9090")]
    itself: String,
    /// Say what --write would do, and do nothing
    #[arg(long, requires = "write")]
    dry_run: bool,
}

impl Prometheus {
    pub(super) fn run(self, session: &mut Session, reach: &Reach) -> Result<Exit, Failure> {
        let status = session.client.status()?;
        let url = self
            .public_url
            .unwrap_or_else(|| session.client.server().to_owned());
        let ca = match &reach.ca_file {
            Some(file) => Some(fs::read_to_string(file).map_err(|source| Failure::File {
                path: file.clone(),
                doing: "read",
                source,
            })?),
            None => None,
        };
        let ca_file = self
            .prometheus_ca_file
            .or_else(|| ca.as_ref().map(|_| CA.to_owned()));
        let configuration = Configuration {
            ca_file,
            alertmanagers: self.alertmanager,
            rule_files: self.rules,
            itself: Some(self.itself),
            ..Configuration::new(
                status.cluster,
                url,
                self.credentials_file.as_deref().unwrap_or(KEY),
                usize::try_from(status.targets).unwrap_or(usize::MAX),
            )
        };
        let text = configuration.render()?;
        match self.write {
            None => session.screen.write(&text)?,
            Some(folder) if self.dry_run => would_write(session, &folder, ca.is_some())?,
            Some(folder) => write(session, &folder, &text, ca.as_deref())?,
        }
        Ok(Exit::Ok)
    }
}

/// The key that Prometheus asks with.
fn key() -> CreateKey {
    CreateKey {
        name: "prometheus".to_owned(),
        scopes: vec![Scope::Discovery],
        ..CreateKey::default()
    }
}

/// Says which files would be written. One that is there is the failure it would be.
fn would_write(session: &mut Session, folder: &Path, has_ca: bool) -> Result<(), Failure> {
    let wanted = key();
    for name in [Some(YML), has_ca.then_some(CA), Some(KEY)].into_iter().flatten() {
        let path = folder.join(name);
        if path.symlink_metadata().is_ok() {
            return Err(written(&path)(io::ErrorKind::AlreadyExists.into()));
        }
        let done = match name {
            KEY => {
                let change = Change::new(Method::POST, "/api/v1/keys", &wanted);
                let line = format!(
                    "a key for discovery alone would be made, and saved in {}",
                    path.display()
                );
                change.would(path.display(), line)?
            }
            _ => Done::would(path.display(), format!("{} would be written", path.display())),
        };
        session.screen.show_one(&done, &done.line())?;
    }
    Ok(())
}

/// Writes the files, the key last: it is made only when everything else stands.
fn write(session: &mut Session, folder: &Path, text: &str, ca: Option<&str>) -> Result<(), Failure> {
    fs::create_dir_all(folder).map_err(written(folder))?;
    let new = |name: &str, text: &str| {
        let path = folder.join(name);
        let made = fs::File::create_new(&path)
            .and_then(|mut file| std::io::Write::write_all(&mut file, text.as_bytes()));
        made.map_err(written(&path))
    };
    new(YML, text)?;
    if let Some(ca) = ca {
        new(CA, ca)?;
    }
    let wanted = key();
    let key: CreatedKey = Change::new(Method::POST, "/api/v1/keys", &wanted).send(session)?;
    let path = folder.join(KEY);
    secret::save(&path, &key.key)?;
    session.screen.note(&format!(
        "aami: wrote {}; the key in {} belongs to whoever runs Prometheus (`chown prometheus: {}`)",
        folder.join(YML).display(),
        path.display(),
        path.display()
    ));
    Ok(())
}
