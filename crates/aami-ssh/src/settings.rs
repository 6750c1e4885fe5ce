//! How long things may take, and how many at once.

use std::time::Duration;

/// Limits of every connection. The defaults suit a fleet on a local network.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// From the name's lookup to the end of the key exchange: for the TCP connection, the greeting and the keys together,
    /// as OpenSSH's `ConnectTimeout`. Behind a jump host it begins once that has been reached.
    pub connect_timeout: Duration,
    /// For the login. Time spent asking a person for a passphrase does not count.
    pub login_timeout: Duration,
    /// How long a [`Command`](crate::Command) without a limit of its own may run.
    pub command_timeout: Duration,
    /// How long sudo may take until the command begins.
    pub sudo_timeout: Duration,
    /// How long is waited for a process to end after it was asked to, before it is killed.
    pub kill_after: Duration,
    /// After this silence the other end is asked whether it is there; [`Self::keepalive_misses`] times unanswered,
    /// the connection is lost.
    pub keepalive: Duration,
    /// See [`Self::keepalive`].
    pub keepalive_misses: usize,
    /// How many targets share one connection to a jump host at a time; the next ones wait their turn.
    pub channels_per_jump: usize,
    /// How long a target waits for its turn at a jump host.
    pub jump_wait: Duration,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            connect_timeout: Duration::from_secs(10),
            login_timeout: Duration::from_secs(20),
            command_timeout: Duration::from_secs(300),
            sudo_timeout: Duration::from_secs(30),
            kill_after: Duration::from_secs(5),
            keepalive: Duration::from_secs(15),
            keepalive_misses: 3,
            channels_per_jump: 64,
            jump_wait: Duration::from_secs(120),
        }
    }
}
