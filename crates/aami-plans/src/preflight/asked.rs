//! What somebody asks on a command line, read into a [`Request`]: the same in every program that has the command.

use std::path::PathBuf;

use aami_api::client::Trust;
use aami_install::{HostPath, NotAHostPath};
use aami_model::Code;
use ureq::http::Uri;

use super::request::{Mode, Request, Runtime};
use crate::download::Proxies;

/// The flags of a preflight, as they were typed, and what the environment adds.
#[derive(Debug, Clone)]
pub struct Asked {
    /// What the program that asks usually installs.
    pub usual: Mode,
    /// `--mode`.
    pub mode: Option<Mode>,
    /// `--runtime`, where it is not left to the facts.
    pub runtime: Option<Runtime>,
    /// `--server`.
    pub server: Option<String>,
    /// The server of the environment: it is used, and decides no mode.
    pub usual_server: Option<String>,
    /// `--ca-file`.
    pub ca_file: Option<PathBuf>,
    /// `--mirror`.
    pub mirror: Option<String>,
    /// `--data-dir`, which a server has.
    pub data_dir: Option<String>,
    /// `--install-dir`, the same.
    pub install_dir: Option<String>,
    /// `--port`.
    pub port: Option<u16>,
    /// `--skip-gpu`.
    pub skip_gpu: bool,
    /// `--ignore`, each time it was given.
    pub ignore: Vec<String>,
    /// Proxies of the environment.
    pub proxies: Proxies,
    /// Who will use the machine, where root was reached through sudo.
    pub user: Option<String>,
}

/// Why nothing can be looked at.
#[derive(Debug, thiserror::Error)]
pub enum Unreadable {
    /// No address.
    #[error("the address {0:?} must be http:// or https:// and a host")]
    Address(String),
    /// A folder that is none.
    #[error(transparent)]
    Folder(#[from] NotAHostPath),
    /// A choice that a node does not have.
    #[error("{0} is a server's: a node keeps its programs in /opt/aami and its data in /var/lib/aami")]
    NotANodes(&'static str),
    /// A code that nobody knows.
    #[error("--ignore {0:?}: there is no such code; each is ignored by its own name")]
    Code(String),
}

impl Asked {
    /// Reads it. Fails where something was typed that can mean nothing; a CA that cannot be used is one of the things
    /// that are found.
    pub fn request(self) -> Result<Request, Unreadable> {
        let is_node = self.mode == Some(Mode::Node);
        let server = self.server.or_else(|| self.usual_server.filter(|_| is_node));
        for url in server.iter().chain(&self.mirror) {
            check_address(url)?;
        }
        let folders = [
            ("--data-dir", &self.data_dir),
            ("--install-dir", &self.install_dir),
        ];
        let mut named = false;
        for (flag, folder) in folders {
            let Some(folder) = folder else { continue };
            // A control plane to reach is a node's, unless somebody says that a server is meant.
            if is_node || (self.mode.is_none() && server.is_some()) {
                return Err(Unreadable::NotANodes(flag));
            }
            HostPath::new(folder)?;
            named = true;
        }
        let codes = self.ignore.iter().map(|name| {
            let known = Code::find(name.trim()).copied();
            known.ok_or_else(|| Unreadable::Code(name.chars().take(80).collect()))
        });
        let (trust, ca_problem) = self.ca_file.map_or((Trust::System, None), trust);
        let usual = Request::new(self.usual);
        Ok(Request {
            mode: self.mode,
            names_folders: named,
            runtime: self.runtime,
            ignored: codes.collect::<Result<_, _>>()?,
            server,
            mirror: self.mirror,
            trust,
            ca_problem,
            proxies: self.proxies,
            data_dir: self.data_dir.unwrap_or(usual.data_dir),
            install_dir: self.install_dir.unwrap_or(usual.install_dir),
            port: self.port,
            skip_gpu: self.skip_gpu,
            user: self.user,
            ..Request::new(self.usual)
        })
    }
}

fn trust(path: PathBuf) -> (Trust, Option<String>) {
    let problem = match std::fs::read_to_string(&path) {
        Ok(pem) if pem.contains("-----BEGIN CERTIFICATE-----") => return (Trust::Only(pem), None),
        Ok(_) => format!("{} holds no PEM certificate", path.display()),
        Err(error) => format!("{}: {error}", path.display()),
    };
    (Trust::System, Some(problem))
}

fn check_address(url: &str) -> Result<(), Unreadable> {
    let parsed: Result<Uri, _> = url.parse();
    let is_good = parsed.is_ok_and(|uri| {
        matches!(uri.scheme_str(), Some("http" | "https")) && uri.host().is_some_and(|host| !host.is_empty())
    });
    if is_good {
        return Ok(());
    }
    Err(Unreadable::Address(url.chars().take(200).collect()))
}

#[cfg(test)]
mod tests {
    use aami_model::code;

    use super::*;

    fn asked() -> Asked {
        Asked {
            usual: Mode::Server,
            mode: None,
            runtime: None,
            server: None,
            usual_server: Some("https://control:8080".into()),
            ca_file: None,
            mirror: None,
            data_dir: None,
            install_dir: None,
            port: None,
            skip_gpu: false,
            ignore: Vec::new(),
            proxies: Proxies::default(),
            user: None,
        }
    }

    #[test]
    fn the_environments_server_is_a_nodes_and_decides_no_mode() {
        assert_eq!(asked().request().unwrap().server, None);
        let node = Asked {
            mode: Some(Mode::Node),
            ..asked()
        };
        assert_eq!(
            node.request().unwrap().server.as_deref(),
            Some("https://control:8080")
        );
        let named = Asked {
            server: Some("https://other:8080".into()),
            ..asked()
        };
        assert_eq!(
            named.request().unwrap().server.as_deref(),
            Some("https://other:8080")
        );
    }

    #[test]
    fn what_means_nothing_is_refused() {
        let wrong = [
            Asked {
                mirror: Some("ftp://mirror".into()),
                ..asked()
            },
            Asked {
                data_dir: Some("var".into()),
                ..asked()
            },
            Asked {
                ignore: vec!["NO_SUCH_CODE".into()],
                ..asked()
            },
        ];
        for asked in wrong {
            assert!(asked.clone().request().is_err(), "{asked:?}");
        }
        let ignoring = Asked {
            ignore: vec![" CLOCK_SKEW".into()],
            ..asked()
        };
        assert_eq!(ignoring.request().unwrap().ignored, [code::CLOCK_SKEW]);
    }

    #[test]
    fn folders_that_are_named_are_a_servers() {
        let named = || Asked {
            usual: Mode::Node,
            install_dir: Some("/srv/aami".into()),
            ..asked()
        };
        let request = named().request().unwrap();
        assert!(request.names_folders && request.install_dir == "/srv/aami");
        assert_eq!(request.data_dir, "/var/lib/aami");
        let node = Asked {
            mode: Some(Mode::Node),
            ..named()
        };
        let refused = node.request().unwrap_err().to_string();
        assert!(
            refused.contains("--install-dir") && refused.contains("/opt/aami"),
            "{refused}"
        );
    }

    #[test]
    fn a_ca_that_cannot_be_used_is_found_and_not_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("ca.pem");
        let look = || {
            let ca_file = Some(path.clone());
            Asked { ca_file, ..asked() }.request().unwrap().ca_problem
        };
        assert!(look().is_some_and(|why| why.contains("ca.pem")));
        std::fs::write(&path, "no certificate").unwrap();
        assert!(look().is_some_and(|why| why.contains("no PEM certificate")));
        std::fs::write(&path, "-----BEGIN CERTIFICATE-----\n").unwrap();
        assert_eq!(look(), None);
    }
}
