//! What a command line says about telemetry. Both programs that install have the same flags for it.

use std::path::PathBuf;
use std::sync::Arc;

use aami_api::client::Trust;
use aami_install::Installer;
use aami_install::host::Clock;
use aami_install::render::Origin;

use super::{Destination, Protocol, Telemetry, TelemetryError};
use crate::download::{Credential, Proxies};

/// Where numbers shall go; nowhere, unless somebody says so.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Wishes {
    /// `--remote-write`: a Prometheus or whatever else takes remote write, with its path.
    pub remote_write: Option<String>,
    /// `--remote-write-credential-file`.
    pub remote_write_credential: Option<PathBuf>,
    /// `--otlp`: a collector.
    pub otlp: Option<String>,
    /// `--otlp-credential-file`.
    pub otlp_credential: Option<PathBuf>,
    /// `--telemetry-ca-file`: whose certificates to believe in place of the system's.
    pub ca: Option<PathBuf>,
}

impl std::fmt::Debug for Wishes {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // An address may hold a password.
        f.debug_struct("Wishes")
            .field("remote_write", &self.remote_write.is_some())
            .field("otlp", &self.otlp.is_some())
            .finish_non_exhaustive()
    }
}

impl Wishes {
    /// The destinations, their credentials read.
    ///
    /// Fails where a file cannot be read.
    pub fn destinations(&self) -> Result<Vec<Destination>, TelemetryError> {
        let trust = match &self.ca {
            None => Trust::System,
            Some(path) => {
                Trust::Only(
                    std::fs::read_to_string(path).map_err(|source| TelemetryError::CaFile {
                        path: path.clone(),
                        source,
                    })?,
                )
            }
        };
        [
            (
                Protocol::RemoteWrite,
                &self.remote_write,
                &self.remote_write_credential,
            ),
            (Protocol::Otlp, &self.otlp, &self.otlp_credential),
        ]
        .into_iter()
        .filter_map(|(protocol, url, credential)| Some((protocol, url.clone()?, credential)))
        .map(|(protocol, url, credential)| {
            Ok(Destination {
                protocol,
                url,
                trust: trust.clone(),
                credential: credential.as_deref().map(Credential::from_file).transpose()?,
            })
        })
        .collect()
    }

    /// Starts telling, and lets it read the run of `installer`; where the run before was cut off, it is told as
    /// well. The first is what [`Telemetry::finish`] is for.
    ///
    /// Fails as [`Self::destinations`] and [`Telemetry::start`] do, before anything is begun.
    pub fn start<'a>(
        &self,
        installer: Installer<'a>,
        origin: &Origin,
        proxies: &Proxies,
        clock: &Arc<dyn Clock>,
    ) -> Result<(Telemetry, Installer<'a>), TelemetryError> {
        let telemetry = Telemetry::start(self.destinations()?, origin, proxies, clock)?;
        if !telemetry.pushers.is_empty() {
            telemetry.backfill(&installer.cut_off());
        }
        let installer = telemetry.attach(installer);
        Ok((telemetry, installer))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_goes_anywhere_unless_somebody_says_where() {
        assert_eq!(Wishes::default().destinations().unwrap().len(), 0);
    }

    #[test]
    fn each_address_has_a_credential_of_its_own() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("credential");
        std::fs::write(&file, "canary\n").unwrap();
        let wishes = Wishes {
            remote_write: Some("https://user:canary@a/api/v1/write".into()),
            otlp: Some("https://b".into()),
            otlp_credential: Some(file),
            ..Wishes::default()
        };
        let destinations = wishes.destinations().unwrap();
        let shown = format!("{wishes:?} {destinations:?}");
        assert!(!shown.contains("canary"), "{shown}");
        let with: Vec<bool> = destinations.iter().map(|to| to.credential.is_some()).collect();
        assert_eq!(with, [false, true]);
    }

    #[test]
    fn a_file_that_cannot_be_read_is_named() {
        let wishes = Wishes {
            otlp: Some("https://b".into()),
            otlp_credential: Some("/no/such/file".into()),
            ..Wishes::default()
        };
        let error = wishes.destinations().unwrap_err().to_string();
        assert!(error.contains("/no/such/file"), "{error}");
    }
}
