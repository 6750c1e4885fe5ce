//! The control plane that was just started, asked with the admin key it left on this machine.

use std::path::PathBuf;
use std::time::Duration;

use aami_api::client::{Client, ClientError, Settings};
use aami_api::key::CreateKey;
use aami_api::run::OpenRun;
use aami_api::token::CreateToken;
use aami_install::StepError;
use aami_model::access::Scope;
use aami_model::code;
use aami_model::run::RunEvent;
use aami_model::secret::Secret;

/// What Prometheus' key is called.
const KEY: &str = "prometheus beside the control plane";
/// What the first token is called.
const TOKEN: &str = "first";
/// How long one request may take.
const TIMEOUT: Duration = Duration::from_secs(10);

/// A key file is one short line.
const LONGEST: u64 = 4096;

/// A bootstrap token, and what to paste on a node.
#[derive(Clone)]
pub struct FirstToken {
    /// The token.
    pub token: String,
    /// The one line.
    pub one_line: String,
}

/// How many nodes the first token enrols, and for how long.
#[derive(Debug, Clone, Copy)]
pub struct TokenWish {
    /// Nodes.
    pub max_uses: u32,
    /// How long it lasts.
    pub ttl: Duration,
}

/// What the plan asks of the control plane it started. A value, so that a test can kill a run at every
/// boundary without one.
pub trait ControlPlane: Send + Sync {
    /// A new key that allows discovery alone; older ones made by this plan are revoked.
    fn discovery_key(&self) -> Result<String, StepError>;

    /// Whether the control plane takes this key.
    fn takes(&self, key: &str) -> Result<bool, StepError>;

    /// A new bootstrap token.
    fn token(&self, wish: TokenWish) -> Result<FirstToken, StepError>;

    /// Takes what happened in a run on the host called `host`, so that it stands among the others.
    fn tell(&self, host: &str, events: Vec<RunEvent>) -> Result<(), StepError>;
}

/// The real one, by its API over loopback.
pub struct Api {
    server: String,
    admin_key: PathBuf,
}

impl Api {
    /// The control plane at `server`, which leaves its admin key in the file `admin_key`.
    pub fn new(server: impl Into<String>, admin_key: impl Into<PathBuf>) -> Self {
        Self {
            server: server.into(),
            admin_key: admin_key.into(),
        }
    }

    fn client(&self) -> Result<Client, StepError> {
        let settings = Settings {
            timeout: TIMEOUT,
            ..Settings::new(self.server.clone())
        };
        Client::new(&settings).map_err(refused)
    }

    fn admin(&self) -> Result<Client, StepError> {
        let unusable = |why: String| {
            let file = self.admin_key.display();
            StepError::new(
                code::KEY_FILE_UNREADABLE,
                format!("the control plane's admin key {file}: {why}"),
            )
        };
        // The folder is the control plane's: what lies there is a small file, or nothing to read.
        let meta = std::fs::symlink_metadata(&self.admin_key).map_err(|error| unusable(error.to_string()))?;
        if !meta.is_file() || meta.len() > LONGEST {
            return Err(unusable("is no key file".to_owned()));
        }
        let text = std::fs::read_to_string(&self.admin_key).map_err(|error| unusable(error.to_string()))?;
        let key = Secret::parse(&text).map_err(|why| unusable(why.to_string()))?;
        Ok(self.client()?.with_bearer(key.reveal()))
    }
}

impl ControlPlane for Api {
    fn discovery_key(&self) -> Result<String, StepError> {
        let client = self.admin()?;
        let older = client.keys().map_err(refused)?;
        let created = client
            .create_key(&CreateKey {
                name: KEY.to_owned(),
                scopes: vec![Scope::Discovery],
                ..CreateKey::default()
            })
            .map_err(refused)?;
        for key in older.items.iter().filter(|key| key.name == KEY) {
            client
                .delete(&format!("/api/v1/keys/{}", key.id))
                .map_err(refused)?;
        }
        Ok(created.key)
    }

    fn takes(&self, key: &str) -> Result<bool, StepError> {
        let asked = self
            .client()?
            .with_bearer(key)
            .get::<serde_json::Value>("/api/v1/sd/prometheus");
        match asked {
            Ok(_) => Ok(true),
            Err(ClientError::Refused(problem)) if matches!(problem.status, 401 | 403) => Ok(false),
            Err(error) => Err(refused(error)),
        }
    }

    fn token(&self, wish: TokenWish) -> Result<FirstToken, StepError> {
        let created = self
            .admin()?
            .create_token(&CreateToken {
                name: TOKEN.to_owned(),
                max_uses: Some(wish.max_uses),
                ttl_seconds: Some(wish.ttl.as_secs()),
                ..CreateToken::default()
            })
            .map_err(refused)?;
        Ok(FirstToken {
            token: created.token,
            one_line: created.one_line,
        })
    }

    fn tell(&self, host: &str, events: Vec<RunEvent>) -> Result<(), StepError> {
        let hostname = host
            .parse()
            .map_err(|error| StepError::new(code::HOSTNAME_INVALID, format!("{host:?}: {error}")))?;
        let opened = self
            .admin()?
            .open_run(&OpenRun { hostname, org: None })
            .map_err(refused)?;
        let run = self.client()?.with_bearer(&opened.credential);
        run.report(&opened.id, events).map(drop).map_err(refused)
    }
}

fn refused(error: ClientError) -> StepError {
    StepError::new(error.code(), format!("the control plane: {error}"))
}
