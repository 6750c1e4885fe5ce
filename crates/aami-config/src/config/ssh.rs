//! `ssh:`.

use std::path::PathBuf;
use std::time::Duration;

use crate::jump::ProxyJump;
use crate::secret::SecretValue;
use crate::section::{choice, section};

section! {
    /// How nodes are reached over SSH.
    pub struct Ssh {
        /// Who to log in as.
        user: String, default "root", Text::user();
        /// The private key to log in with; beside it the agent and the usual keys of `~/.ssh` are tried.
        key: Option<PathBuf>, optional, FilePath::existing();
        /// The TCP port of the SSH servers.
        port: u16, default "22", Port;
        /// The hosts to go through, `[user@]host[:port]`, several with commas between.
        proxy_jump: Option<ProxyJump>, optional, Jump;
        /// Nodes spoken to at the same time.
        max_parallel: u32, default "50", Number::between(1, 10_000);
        /// How long a connection may take until the keys are exchanged, in seconds or as a duration (`1m30s`).
        connect_timeout: Duration, default "10", Seconds::between(1, 3_600);
        /// How long a command may take, in seconds or as a duration (`1h`).
        command_timeout: Duration, default "300", Seconds::between(1, 86_400);
        /// What is tried again, and how often.
        retry: Retry, section;
        /// Which host keys are believed: `strict` only known ones, `accept-new` also those of hosts never seen
        /// before, `off` every one.
        host_key_policy: HostKeyPolicy, default "accept-new", Choice::<HostKeyPolicy>::KIND;
        /// The file of known host keys; `~/.ssh/known_hosts` where nothing is given.
        known_hosts: Option<PathBuf>, optional, FilePath::any();
        /// Whether what `~/.ssh/config` says of a host holds where this file says nothing.
        use_ssh_config: bool, default "true", Bool;
        /// Whether the keys of a running SSH agent are tried.
        use_agent: bool, default "true", Bool;
        /// How to become root on a node.
        sudo: Sudo, section;
    }
}

section! {
    /// What is tried again. Refused passwords and keys, and host keys that changed, never are.
    pub struct Retry {
        /// Attempts in all.
        max_attempts: u32, default "3", Number::between(1, 100);
        /// The wait before the second attempt, in seconds or as a duration; it doubles each time.
        backoff_base: Duration, default "2", Seconds::between(0, 3_600);
        /// The longest wait between two attempts, in seconds or as a duration.
        backoff_max: Duration, default "30", Seconds::between(0, 3_600);
    }
}

section! {
    /// How to become root on a node.
    pub struct Sudo {
        /// `auto` uses sudo for everybody but root, `always` for root as well, `never` not at all.
        mode: SudoMode, default "auto", Choice::<SudoMode>::KIND;
        /// The password sudo asks for, usually a variable: `${SUDO_PASSWORD}`. It goes to sudo's standard input.
        password: Option<SecretValue>, optional, Secret::text();
    }
}

choice! {
    /// Which host keys are believed.
    pub enum HostKeyPolicy {
        /// Only those that known_hosts names.
        Strict = "strict",
        /// Also those of hosts never seen before; they are written down.
        AcceptNew = "accept-new",
        /// Every one: whoever stands in between is not noticed.
        Off = "off",
    }
}

choice! {
    /// When sudo is used.
    pub enum SudoMode {
        /// For everybody but root.
        Auto = "auto",
        /// Always.
        Always = "always",
        /// Never.
        Never = "never",
    }
}
