//! With what one signs in: keys of an agent, key files, passwords.
//!
//! Shared by all connections of a client, so that a passphrase or a password is asked for once however many hosts there
//! are.
//! What is asked for is kept in memory that is wiped when the client goes.

mod key_file;
mod password;

use std::collections::HashMap;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use zeroize::Zeroizing;

pub(crate) use key_file::KeyFile;
use password::Password;
pub(crate) use password::{Account, Lending, Lent, Opens};

/// A secret that a person gave. It is wiped when it is dropped, and debug output hides it.
#[derive(Clone)]
pub struct Passphrase(Arc<Zeroizing<String>>);

impl Passphrase {
    /// Takes a secret.
    pub fn new(text: String) -> Self {
        Self(Arc::new(Zeroizing::new(text)))
    }

    /// The secret itself, to be used and never shown.
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Passphrase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("(hidden)")
    }
}

/// What a person is asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Question {
    /// The passphrase of a key file.
    Passphrase {
        /// The file.
        file: PathBuf,
        /// How many answers were wrong before.
        wrong: u32,
    },
    /// The password of a login.
    Password {
        /// Who signs in.
        user: String,
        /// Where, if it is for this host alone; otherwise it is for all hosts this user signs in to.
        host: Option<String>,
    },
    /// What a host wants to know. The words are the host's: show them as such.
    Challenge {
        /// Where.
        host: String,
        /// Its question.
        prompt: String,
        /// Whether the answer may be seen.
        echo: bool,
    },
    /// The password that sudo wants, on this host and all others this user signs in to.
    Sudo {
        /// Whose.
        user: String,
        /// Where, if it is for this host alone.
        host: Option<String>,
    },
}

/// Asks a person. It may take its time; nobody else is asked meanwhile.
pub trait Ask: Send + Sync {
    /// Asks, and waits for the answer; none means that there is none.
    fn ask(&self, question: &Question) -> Option<Passphrase>;
}

/// Asks nobody: for scripts, where there is no terminal.
#[derive(Debug, Clone, Copy, Default)]
pub struct Silent;

impl Ask for Silent {
    fn ask(&self, _: &Question) -> Option<Passphrase> {
        None
    }
}

/// With what one signs in.
pub struct Identities {
    agent: Option<PathBuf>,
    files: Vec<PathBuf>,
    ask: Arc<dyn Ask>,
    /// One question at a time.
    asking: Arc<tokio::sync::Mutex<()>>,
    loaded: Mutex<HashMap<PathBuf, Arc<KeyFile>>>,
    passwords: Mutex<HashMap<Account, Arc<Password>>>,
    given: Option<Passphrase>,
}

impl fmt::Debug for Identities {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Identities")
            .field("agent", &self.agent)
            .field("files", &self.files)
            .finish_non_exhaustive()
    }
}

impl Identities {
    /// Asks this one where something is missing.
    pub fn new(ask: Arc<dyn Ask>) -> Self {
        Self {
            agent: None,
            files: Vec::new(),
            ask,
            asking: Arc::default(),
            loaded: Mutex::default(),
            passwords: Mutex::default(),
            given: None,
        }
    }

    /// The agent at this socket, as `SSH_AUTH_SOCK` names it.
    pub fn agent(mut self, socket: Option<PathBuf>) -> Self {
        self.agent = socket;
        self
    }

    /// Key files for hosts that name none of their own; those that do not exist are passed over.
    pub fn files(mut self, files: Vec<PathBuf>) -> Self {
        self.files = files;
        self
    }

    /// The usual key files of a home folder, in OpenSSH's order.
    pub fn usual_files(home: &Path) -> Vec<PathBuf> {
        ["id_rsa", "id_ecdsa", "id_ecdsa_sk", "id_ed25519", "id_ed25519_sk"]
            .into_iter()
            .map(|name| home.join(".ssh").join(name))
            .collect()
    }

    /// The password for sudo, known beforehand: nobody is asked for it.
    pub fn sudo_password(mut self, password: Option<Passphrase>) -> Self {
        self.given = password;
        self
    }

    /// The agent's socket, where there is an agent.
    pub(crate) fn agent_socket(&self) -> Option<&Path> {
        self.agent.as_deref()
    }

    /// The key files for a host: its own, or else the usual ones that exist.
    pub(crate) fn keys_of(&self, own: &[PathBuf]) -> Vec<Arc<KeyFile>> {
        let files = if own.is_empty() { &self.files } else { own };
        let mut loaded = self.loaded.lock().unwrap_or_else(PoisonError::into_inner);
        files
            .iter()
            .filter(|path| !own.is_empty() || path.exists())
            .map(|path| {
                Arc::clone(
                    loaded
                        .entry(path.clone())
                        .or_insert_with(|| Arc::new(KeyFile::at(path))),
                )
            })
            .collect()
    }

    /// The password of an account: asked for once, whatever the answer is, and tried by one host before all others.
    pub(crate) async fn lend(&self, account: &Account) -> Lending {
        let password = {
            let mut passwords = self.passwords.lock().unwrap_or_else(PoisonError::into_inner);
            Arc::clone(passwords.entry(account.clone()).or_default())
        };
        let (user, host) = (account.user.clone(), account.host.clone());
        let question = match account.opens {
            Opens::Login => Question::Password { user, host },
            Opens::Sudo => Question::Sudo { user, host },
        };
        let ask = async {
            match (&self.given, account.opens) {
                (Some(given), Opens::Sudo) => Some(given.clone()),
                _ => self.ask(question).await,
            }
        };
        password.lend(ask).await
    }

    /// Asks a person, who answers in a thread of its own.
    pub(crate) async fn ask(&self, question: Question) -> Option<Passphrase> {
        let _asking = self.asking.lock().await;
        let ask = Arc::clone(&self.ask);
        tokio::task::spawn_blocking(move || ask.ask(&question))
            .await
            .ok()
            .flatten()
    }
}
