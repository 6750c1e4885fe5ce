//! Who this node is: where it is enrolled, and the credential it made. Neither is ever repeated in a message. A node
//! without a control plane has neither.

use std::fs::File;
use std::io::{self, Read as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use aami_model::secret::{Secret, SecretKind};
use aami_plans::node::{Enrolment, Form, Layout};

use super::Options;
use super::wire::Road;

/// No credential is longer.
const LONGEST: u64 = 4096;

/// Why the daemon cannot run.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Unusable {
    /// There is no enrolment.
    #[error("this machine is not enrolled with a control plane")]
    NotEnrolled,
    /// The credential is not there, is not one, or others can read it.
    #[error("{path}: {why}")]
    Credential {
        /// Its file.
        path: PathBuf,
        /// What is wrong with it; never what it holds.
        why: String,
    },
    /// Another daemon serves this node.
    #[error("another aami-agent daemon is at work on this node")]
    Locked,
    /// The host does not give what it needs.
    #[error("{0}")]
    Host(String),
}

/// How it speaks to its control plane.
pub(super) struct Uplink {
    pub(super) road: Road,
    pub(super) credential: Secret,
}

/// Who this node is.
pub(super) struct Identity {
    pub(super) hostname: String,
    /// The way to its control plane; none where it stands on its own.
    pub(super) uplink: Option<Uplink>,
    /// How many GPUs it enrolled with.
    pub(super) gpus: Option<u32>,
    pub(super) gpu_vendor: Option<String>,
    /// Where the exporters are that it told of.
    pub(super) own_ports: Vec<u16>,
    /// Where it keeps what is its own.
    pub(super) folder: PathBuf,
    pub(super) form: Form,
    pub(super) cluster: String,
}

/// Reads it.
pub(super) fn read(options: &Options) -> Result<Identity, Unusable> {
    let host = |error: &dyn std::fmt::Display| Unusable::Host(error.to_string());
    let layout = Layout::of(options.form, &options.cluster).map_err(|error| host(&error))?;
    let below = |path: &aami_install::HostPath| options.root.join(path.as_str().trim_start_matches('/'));
    let enrolment = Enrolment::read(&options.root, options.form, &options.cluster)
        .map_err(|error| host(&error))?
        .ok_or(Unusable::NotEnrolled)?;
    let uplink = |server: &String| -> Result<Uplink, Unusable> {
        let credential = credential(&below(&layout.credential))?;
        let uri: ureq::http::Uri = server.parse().map_err(|_| Unusable::NotEnrolled)?;
        let road = Road {
            server: server.trim_end_matches('/').to_owned(),
            trust: enrolment.trust.clone(),
            proxy: options.proxies.for_address(&uri).map(str::to_owned),
        };
        Ok(Uplink { road, credential })
    };
    Ok(Identity {
        hostname: enrolment.hostname.clone(),
        uplink: enrolment.server.as_ref().map(uplink).transpose()?,
        gpus: enrolment.gpus(),
        gpu_vendor: enrolment.gpu_vendor().map(str::to_owned),
        own_ports: enrolment.exporter_ports(),
        folder: below(&layout.agent),
        form: options.form,
        cluster: options.cluster.clone(),
    })
}

/// A node's credential from a file that nobody else can read.
fn credential(path: &Path) -> Result<Secret, Unusable> {
    let unusable = |why: &dyn std::fmt::Display| Unusable::Credential {
        path: path.to_owned(),
        why: why.to_string(),
    };
    let read = || -> io::Result<(u32, String)> {
        let file = File::open(path)?;
        let mode = file.metadata()?.mode();
        let mut text = String::new();
        file.take(LONGEST).read_to_string(&mut text)?;
        Ok((mode, text))
    };
    let (mode, text) = read().map_err(|error| unusable(&error))?;
    if mode & 0o077 != 0 {
        return Err(unusable(
            &"others than its owner may read it; its mode must be 0600",
        ));
    }
    match Secret::parse(&text) {
        Ok(secret) if secret.kind() == SecretKind::NodeCredential => Ok(secret),
        Ok(secret) => Err(unusable(&format!(
            "it holds {}, not a node's credential",
            secret.kind().name()
        ))),
        Err(error) => Err(unusable(&error)),
    }
}

#[cfg(test)]
impl Identity {
    /// A node whose own folder is this one.
    pub(super) fn on_stage(folder: &Path) -> Self {
        Self {
            hostname: "gpu-01".to_owned(),
            uplink: Some(Uplink {
                road: Road {
                    server: "http://127.0.0.1:9".to_owned(),
                    trust: aami_api::client::Trust::System,
                    proxy: None,
                },
                credential: Secret::from_random(SecretKind::NodeCredential, "n1", [7; 20]),
            }),
            gpus: None,
            gpu_vendor: None,
            own_ports: Vec::new(),
            folder: folder.to_owned(),
            form: Form::Foreground,
            cluster: "main".to_owned(),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn a_credential_is_a_nodes_and_its_owners_alone() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("credential");
        let good = Secret::from_random(SecretKind::NodeCredential, "n1", [7; 20]);
        let key = Secret::from_random(SecretKind::ApiKey, "n1", [7; 20]);
        assert!(credential(&path).is_err());
        for (text, mode, is_good) in [
            (good.reveal(), 0o600, true),
            (good.reveal(), 0o644, false),
            (key.reveal(), 0o600, false),
            ("hunter2", 0o600, false),
            ("", 0o600, false),
        ] {
            fs::write(&path, text).unwrap();
            fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
            match credential(&path) {
                Ok(_) => assert!(is_good),
                Err(error) => {
                    assert!(!is_good, "{error}");
                    assert!(text.is_empty() || !error.to_string().contains(text), "{error}");
                }
            }
        }
    }
}
