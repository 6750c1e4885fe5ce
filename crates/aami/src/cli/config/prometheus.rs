//! `aami config prometheus`.

use std::fs;
use std::path::{Path, PathBuf};

use aami_api::key::CreateKey;
use aami_model::Exit;
use aami_model::access::Scope;
use aami_monitor::prometheus::Configuration;
use clap::Args;

use crate::cli::failure::Failure;
use crate::cli::reach::Reach;
use crate::cli::secret::{self, written};
use crate::cli::session::Session;

/// Print a prometheus.yml that finds every node, or write it together with its key
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  aami config prometheus --public-url https://aami.example:8080 > prometheus.yml
  sudo aami config prometheus --write /etc/prometheus --public-url https://aami.example:8080")]
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
            .or_else(|| ca.as_ref().map(|_| "aami-ca.pem".to_owned()));
        let configuration = Configuration {
            ca_file,
            alertmanagers: self.alertmanager,
            rule_files: self.rules,
            itself: Some(self.itself),
            ..Configuration::new(
                status.cluster,
                url,
                self.credentials_file.as_deref().unwrap_or("aami.key"),
                usize::try_from(status.targets).unwrap_or(usize::MAX),
            )
        };
        let text = configuration.render()?;
        match self.write {
            None => session.screen.write(&text)?,
            Some(folder) => write(session, &folder, &text, ca.as_deref())?,
        }
        Ok(Exit::Ok)
    }
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
    new("prometheus.yml", text)?;
    if let Some(ca) = ca {
        new("aami-ca.pem", ca)?;
    }
    let key = session.client.create_key(&CreateKey {
        name: "prometheus".to_owned(),
        scopes: vec![Scope::Discovery],
        ..CreateKey::default()
    })?;
    let path = folder.join("aami.key");
    secret::save(&path, &key.key)?;
    session.screen.note(&format!(
        "aami: wrote {}; the key in {} belongs to whoever runs Prometheus (`chown prometheus: {}`)",
        folder.join("prometheus.yml").display(),
        path.display(),
        path.display()
    ));
    Ok(())
}
