//! Which agent an install script brings: its version, where it is downloaded from, and what it must be.
//!
//! What it must be is never taken from where it is downloaded: it is configured, or computed from the file that lies in
//! `dist/`.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use aami_model::code;

use super::super::dist::checksum;
use crate::app::{App, Refusal};
use crate::config::{ARCHITECTURES, folder};

const VERSION: &str = env!("CARGO_PKG_VERSION");

/// A version of the agent, for every architecture it is there for.
#[derive(Debug, Clone)]
pub(in crate::http) struct Agent {
    /// As it was asked for or configured.
    pub(in crate::http) version: String,
    builds: BTreeMap<&'static str, Build>,
}

/// The agent for one architecture.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::http) struct Build {
    pub(in crate::http) url: String,
    /// SHA-256, lower-case hex.
    pub(in crate::http) sha256: String,
}

impl Agent {
    /// The version that was asked for, else the configured one, else this program's own.
    ///
    /// Fails when what was asked for is no version, or one of which nobody said what it must be.
    pub(in crate::http) async fn find(app: &Arc<App>, wanted: Option<&str>) -> Result<Self, Refusal> {
        let configured = app.config.releases.default_version.as_deref();
        let version = wanted.or(configured).unwrap_or(VERSION);
        let release = folder(version)
            .ok_or_else(|| Refusal::invalid("daemonVersion", "it is a version such as 1.0.0 or v1.0.0"))?;
        let mut builds = BTreeMap::new();
        for arch in ARCHITECTURES {
            if let Some(build) = build(app, release, arch).await? {
                builds.insert(arch, build);
            }
        }
        if builds.is_empty() {
            return Err(Refusal::new(
                code::AGENT_VERSION_MISSING,
                format!("this control plane has no agent {release}, and no checksum of one"),
            ));
        }
        Ok(Self {
            version: version.to_owned(),
            builds,
        })
    }

    /// The agent for an architecture.
    pub(in crate::http) fn build(&self, arch: &str) -> Option<&Build> {
        self.builds.get(arch)
    }

    /// The one to name where only one can be: the node's own, else amd64's, else whichever there is.
    pub(in crate::http) fn for_node(&self, arch: Option<&str>) -> Option<&Build> {
        let own = arch.and_then(|arch| self.build(arch));
        own.or_else(|| self.builds.values().next())
    }
}

async fn build(app: &Arc<App>, release: &str, arch: &'static str) -> Result<Option<Build>, Refusal> {
    let releases = &app.config.releases;
    let configured = releases.checksums.get(&(release.to_owned(), arch.to_owned()));
    let held = held(app, release, arch);
    let url = match (&releases.base_url, &held) {
        (Some(base), _) => format!("{base}/{release}/{arch}/aami-agent"),
        (None, Some((path, _))) => format!("{}/dist/{path}", app.reach.public_url),
        (None, None) => return Ok(None),
    };
    let sha256 = match (configured, held) {
        (Some(sum), _) => sum.clone(),
        (None, Some((_, file))) => checksum(app, file).await?,
        (None, None) => return Ok(None),
    };
    Ok(Some(Build { url, sha256 }))
}

/// The file in `dist/`, with its path below it. What was built here goes with this program and is no release: another
/// web server does not have it.
fn held(app: &App, release: &str, arch: &str) -> Option<(String, PathBuf)> {
    let is_own = release == VERSION && app.config.releases.base_url.is_none();
    let own = is_own.then(|| format!("{arch}/aami-agent"));
    own.into_iter()
        .chain([format!("{release}/{arch}/aami-agent")])
        .map(|path| {
            let file = app.config.dist_dir().join(&path);
            (path, file)
        })
        .find(|(_, file)| file.is_file())
}
