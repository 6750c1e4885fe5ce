//! Why a host could not be reached, signed in to, or made to do something; and what of it may be tried again.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use aami_model::{Code, code};

/// What kind of failure it was: this decides whether trying again can help.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum ErrorClass {
    /// The login or sudo was refused. Trying again locks accounts.
    Authentication,
    /// The host's key is not the one that is trusted. Trying again can only do harm.
    HostKey,
    /// Too much was asked of the host or of a jump host at once.
    Congestion,
    /// No way there, or no such name.
    Unreachable,
    /// Nobody listens on the port.
    Refused,
    /// Nothing came within the time allowed.
    TimedOut,
    /// An established connection broke.
    Lost,
    /// The other end does not speak SSH as we do.
    Protocol,
    /// The host answers, and would not do it: no shell, no sudo, no space.
    Remote,
    /// Something on this machine: a key file, a file of known hosts, a command that is too long.
    Local,
}

impl ErrorClass {
    /// Whether the same attempt can go well a moment later.
    ///
    /// A command may have run before its connection was [`Lost`](Self::Lost): see
    /// [`SshError::command_may_have_run`].
    pub const fn may_retry(self) -> bool {
        match self {
            Self::Congestion | Self::Unreachable | Self::Refused | Self::TimedOut | Self::Lost => true,
            Self::Authentication | Self::HostKey | Self::Protocol | Self::Remote | Self::Local => false,
        }
    }

    /// One word for summaries, e.g. `host-key`.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Authentication => "authentication",
            Self::HostKey => "host-key",
            Self::Congestion => "congestion",
            Self::Unreachable => "unreachable",
            Self::Refused => "refused",
            Self::TimedOut => "timed-out",
            Self::Lost => "lost",
            Self::Protocol => "protocol",
            Self::Remote => "remote",
            Self::Local => "local",
        }
    }
}

/// What was waited for when the time was up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Waiting {
    /// A TCP connection.
    Connect,
    /// The greeting.
    Greeting,
    /// The key exchange, after the greeting.
    Keys,
    /// An answer to a login.
    Login,
    /// A new channel on a connection that stands.
    Channel,
    /// sudo, before the command began.
    Sudo,
    /// The login shell, before the command began.
    Shell,
    /// The command's end. It was ended.
    Command,
}

impl Waiting {
    const fn sentence(self) -> &'static str {
        match self {
            Self::Connect => "no TCP connection",
            Self::Greeting => "connected, but no SSH greeting",
            Self::Keys => "connected and greeted, but no key exchange",
            Self::Login => "no answer to the login",
            Self::Channel => "no new channel",
            Self::Sudo => "sudo neither ran the command nor refused",
            Self::Shell => "the login shell did not begin the command",
            Self::Command => "the command did not end and was ended",
        }
    }
}

/// A key that is known for a host, and where that stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KnownKey {
    /// The file.
    pub file: PathBuf,
    /// The line, from 1.
    pub line: usize,
    /// The key's type, e.g. `ssh-ed25519`.
    pub kind: String,
    /// `SHA256:...`.
    pub fingerprint: String,
}

/// Why something over SSH failed. The texts name addresses and keys, never the host's name: who prints it says
/// which host it is about.
#[derive(Debug, Clone, thiserror::Error)]
pub enum SshError {
    /// No way there, or no such name.
    #[error("{endpoint} cannot be reached: {why}")]
    Unreachable {
        /// Address and port.
        endpoint: String,
        /// The system's words.
        why: String,
    },
    /// Nobody listens.
    #[error("{endpoint} refuses connections: nothing listens there")]
    Refused {
        /// Address and port.
        endpoint: String,
    },
    /// Nothing came in time.
    #[error("{} within {}", .waiting.sentence(), seconds(.after))]
    TimedOut {
        /// What was waited for.
        waiting: Waiting,
        /// For how long.
        after: Duration,
    },
    /// The other end closed before it said anything, or has no room.
    #[error("the host takes no more connections at the moment: {why}")]
    Congested {
        /// What it did.
        why: String,
    },
    /// An established connection broke.
    #[error("the connection was lost: {why}")]
    Lost {
        /// What ended it.
        why: String,
        /// Whether a command had been sent by then.
        began: bool,
    },
    /// Not SSH, or not as we speak it.
    #[error("{endpoint} does not speak SSH as AAMI does: {why}")]
    Protocol {
        /// Address and port.
        endpoint: String,
        /// What is wrong.
        why: String,
    },
    /// Another key is known.
    #[error(
        "the host key of {name} has changed: known is {} {} ({}:{}), offered is {kind} {offered}",
        .known.kind, .known.fingerprint, .known.file.display(), .known.line
    )]
    HostKeyChanged {
        /// Under which name it is known.
        name: String,
        /// What is known.
        known: Box<KnownKey>,
        /// The type of the offered key.
        kind: String,
        /// The fingerprint of the offered key.
        offered: String,
    },
    /// No key is known, and none may be learned.
    #[error("the host key of {name} is not known: it offers {kind} {offered}")]
    HostKeyUnknown {
        /// Under which name it was looked for.
        name: String,
        /// The type of the offered key.
        kind: String,
        /// Its fingerprint.
        offered: String,
    },
    /// The key, or the authority that signed it, stands on a list of revoked ones.
    #[error("the host key {offered} of {name} is revoked ({}:{line})", .file.display())]
    HostKeyRevoked {
        /// The host.
        name: String,
        /// The fingerprint.
        offered: String,
        /// Where it is revoked.
        file: PathBuf,
        /// The line.
        line: usize,
    },
    /// A host certificate that is worth nothing.
    #[error("the host certificate of {name} is not valid: {why}")]
    HostCertificate {
        /// The host.
        name: String,
        /// What is wrong with it.
        why: String,
    },
    /// The files of known hosts cannot be read or written.
    #[error("{}: {source}", .file.display())]
    KnownHosts {
        /// The file.
        file: PathBuf,
        /// The system's words.
        source: Arc<std::io::Error>,
    },
    /// The login was refused.
    #[error("{user} may not sign in: {why}")]
    Authentication {
        /// Who.
        user: String,
        /// What was tried, and what the host accepts.
        why: String,
    },
    /// A private key cannot be used.
    #[error("{}: {why}", .file.display())]
    Key {
        /// The file.
        file: PathBuf,
        /// What is wrong with it.
        why: String,
    },
    /// A jump host failed.
    #[error("jump host {hop}: {source}")]
    Jump {
        /// Its name.
        hop: String,
        /// What happened there.
        source: Box<Self>,
    },
    /// A jump host leads nowhere else.
    #[error("it forwards no connections: {why}")]
    Forwarding {
        /// Its words.
        why: String,
    },
    /// The login shell ran something else.
    #[error("the login shell did not run the command{}", in_its_words(.said))]
    NoShell {
        /// What came instead, shortened.
        said: String,
    },
    /// sudo did not run the command.
    #[error("{refusal}{}", in_its_words(.said))]
    Sudo {
        /// Why.
        refusal: SudoRefusal,
        /// sudo's own words, shortened.
        said: String,
    },
    /// An uploaded file did not arrive whole, or could not be placed.
    #[error("{path} could not be placed: {why}")]
    Upload {
        /// The path on the host.
        path: String,
        /// What happened.
        why: String,
    },
    /// A command that cannot be sent, or a local file that cannot be read.
    #[error("{why}")]
    Local {
        /// What is wrong.
        why: String,
    },
}

/// Why sudo did not run a command.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SudoRefusal {
    /// The password was wrong. It was tried once.
    #[error("sudo does not accept the password")]
    WrongPassword,
    /// The same password was wrong on another host, and right on none: it was not sent to this one.
    #[error("sudo on another host does not accept the password, so it was not sent to this one")]
    WrongElsewhere,
    /// It wants one, and the host's key is not the one that is known: it gets none.
    #[error("sudo asks for a password, and gets none while the host shows another key than the known one")]
    Distrusted,
    /// It wants one, and none may be given.
    #[error("sudo asks for a password")]
    PasswordNeeded,
    /// There is none.
    #[error("there is no sudo")]
    Missing,
    /// The user may not.
    #[error("sudo does not allow it")]
    Forbidden,
    /// `requiretty`.
    #[error("sudo wants a terminal (requiretty)")]
    Terminal,
    /// It said something else.
    #[error("sudo did not run the command")]
    Other,
}

impl SshError {
    /// What kind of failure it is.
    pub fn class(&self) -> ErrorClass {
        match self {
            Self::Unreachable { .. } => ErrorClass::Unreachable,
            Self::Refused { .. } => ErrorClass::Refused,
            Self::TimedOut { waiting, .. } => match waiting {
                Waiting::Sudo | Waiting::Shell => ErrorClass::Remote,
                _ => ErrorClass::TimedOut,
            },
            Self::Congested { .. } => ErrorClass::Congestion,
            Self::Lost { .. } => ErrorClass::Lost,
            Self::Protocol { .. } => ErrorClass::Protocol,
            Self::HostKeyChanged { .. }
            | Self::HostKeyUnknown { .. }
            | Self::HostKeyRevoked { .. }
            | Self::HostCertificate { .. } => ErrorClass::HostKey,
            Self::Authentication { .. } => ErrorClass::Authentication,
            Self::Jump { source, .. } => source.class(),
            Self::Sudo { refusal, .. } => match refusal {
                SudoRefusal::WrongPassword
                | SudoRefusal::WrongElsewhere
                | SudoRefusal::Distrusted
                | SudoRefusal::PasswordNeeded => ErrorClass::Authentication,
                SudoRefusal::Missing
                | SudoRefusal::Forbidden
                | SudoRefusal::Terminal
                | SudoRefusal::Other => ErrorClass::Remote,
            },
            Self::Forwarding { .. } | Self::NoShell { .. } | Self::Upload { .. } => ErrorClass::Remote,
            Self::KnownHosts { .. } | Self::Key { .. } | Self::Local { .. } => ErrorClass::Local,
        }
    }

    /// Its entry in the registry.
    pub fn code(&self) -> Code {
        match self {
            Self::Unreachable { .. } => code::SSH_UNREACHABLE,
            Self::Refused { .. } => code::SSH_REFUSED,
            Self::TimedOut { waiting, .. } => match waiting {
                Waiting::Command => code::SSH_COMMAND_TIMEOUT,
                Waiting::Sudo => code::SUDO_REFUSED,
                Waiting::Shell => code::SSH_NO_SHELL,
                Waiting::Connect | Waiting::Greeting | Waiting::Keys | Waiting::Login | Waiting::Channel => {
                    code::SSH_TIMEOUT
                }
            },
            Self::Congested { .. } => code::SSH_BUSY,
            Self::Lost { .. } => code::SSH_CONNECTION_LOST,
            Self::Protocol { .. } => code::SSH_NOT_SSH,
            Self::HostKeyChanged { .. } => code::SSH_HOST_KEY_CHANGED,
            Self::HostKeyUnknown { .. } => code::SSH_HOST_KEY_UNKNOWN,
            Self::HostKeyRevoked { .. } => code::SSH_HOST_KEY_REVOKED,
            Self::HostCertificate { .. } => code::SSH_HOST_CERTIFICATE_INVALID,
            Self::KnownHosts { .. } => code::SSH_KNOWN_HOSTS_UNUSABLE,
            Self::Authentication { .. } => code::SSH_AUTHENTICATION_FAILED,
            Self::Key { .. } => code::SSH_KEY_UNUSABLE,
            Self::Jump { source, .. } => source.code(),
            Self::Forwarding { .. } => code::SSH_FORWARDING_FORBIDDEN,
            Self::NoShell { .. } => code::SSH_NO_SHELL,
            Self::Sudo { refusal, .. } => match refusal {
                SudoRefusal::WrongPassword | SudoRefusal::WrongElsewhere => code::SUDO_PASSWORD_WRONG,
                SudoRefusal::Distrusted => code::SSH_HOST_KEY_CHANGED,
                SudoRefusal::PasswordNeeded => code::SUDO_PASSWORD_NEEDED,
                SudoRefusal::Missing => code::SUDO_MISSING,
                SudoRefusal::Forbidden | SudoRefusal::Other => code::SUDO_REFUSED,
                SudoRefusal::Terminal => code::SUDO_NEEDS_TERMINAL,
            },
            Self::Upload { .. } => code::SSH_UPLOAD_FAILED,
            Self::Local { .. } => code::SSH_LOCAL,
        }
    }

    /// Whether the command may have run, wholly or in part, although it failed: then only what can be done twice
    /// may be tried again.
    pub fn command_may_have_run(&self) -> bool {
        match self {
            Self::Lost { began, .. } => *began,
            Self::TimedOut { waiting, .. } => matches!(waiting, Waiting::Command),
            _ => false,
        }
    }
}

/// `10 s`, `0.5 s`.
fn seconds(time: &Duration) -> String {
    format!("{} s", time.as_secs_f64())
}

fn in_its_words(text: &str) -> String {
    if text.is_empty() {
        String::new()
    } else {
        format!("; it said: {text}")
    }
}
