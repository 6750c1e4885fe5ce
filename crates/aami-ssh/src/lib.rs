//! SSH: to one host, and to many at once.
//!
//! - [`Host`] is where to connect to and as whom; [`ssh_config`] makes one from `~/.ssh/config`.
//! - [`Client::connect`] opens a [`Connection`]: over its jump hosts, judging every host key by [`Trust`] and
//!   signing in with [`Identities`]. One client shares the connections to jump hosts among all its targets.
//! - [`Connection::run`] runs a [`Command`] there, whatever the login shell is and whatever its start files print;
//!   [`Connection::upload`] places a file.
//! - [`fanout`] does that on many hosts.
//! - [`SshError::class`] says what may be tried again: a refused login and a wrong host key never.
//!
//! It knows SSH and nothing of nodes, plans or configuration. It prints nothing, asks through [`Ask`], and reads
//! only the files it is told of; russh stays behind these types.

mod client;
mod command;
mod connection;
mod endings;
mod error;
pub mod fanout;
mod host;
mod identities;
mod jumps;
mod settings;
pub mod ssh_config;
mod trust;

pub use client::Client;
pub use command::{Capture, Chunk, Command, Exit, Output, Sink, Stdin, Stream, quote};
pub use connection::{Connection, Upload, Uploaded};
pub use error::{ErrorClass, KnownKey, SshError, SudoRefusal, Waiting};
pub use host::{AgentSocket, Host, Sudo};
pub use identities::{Ask, Identities, Passphrase, Question, Silent};
pub use settings::Settings;
pub use trust::{HostKeyPolicy, Known, Trust};
