//! Telling the numbers of a run to those who keep numbers: Prometheus remote write, and OTLP.
//!
//! Commands say where in [`Wishes`], and [`Wishes::start`] does the rest. [`Telemetry::start`] makes one pusher a destination, each with a thread of its own and a bounded queue;
//! [`Telemetry::attach`] lets them read the run's events; [`Telemetry::finish`] waits a little for what is left
//! and says what came of it. Nothing here ever holds up a run or fails it: where nobody listens yet, samples
//! wait with the time at which they were true, and are told once the destination is up. When there are too
//! many, the oldest go, counted.
//!
//! Nothing is sent anywhere unless somebody named the address.

mod otlp;
mod pusher;
mod queue;
mod remote_write;
mod sending;
mod standing;
mod wishes;

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use aami_api::client::{ClientError, Trust};
use aami_install::Installer;
use aami_install::host::Clock;
use aami_install::render::Origin;
use aami_model::run::RunEvent;
use aami_model::{Code, code};

pub use pusher::Delivered;
pub use wishes::Wishes;

use self::pusher::Pusher;
use self::sending::Sending;
use crate::download::{Credential, CredentialError, Proxies};

/// How long a run waits at its end for what is left to be told.
pub const PATIENCE: Duration = Duration::from_secs(5);

/// How samples are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Protocol {
    /// Prometheus remote write 1.0: protobuf in snappy blocks.
    /// <https://prometheus.io/docs/specs/prw/remote_write_spec/>
    RemoteWrite,
    /// OTLP over HTTP, in its JSON encoding. <https://opentelemetry.io/docs/specs/otlp/>
    Otlp,
}

impl Protocol {
    /// What people call it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::RemoteWrite => "remote write",
            Self::Otlp => "OTLP",
        }
    }
}

/// Where samples go.
#[derive(Clone)]
pub struct Destination {
    /// How they are written.
    pub protocol: Protocol,
    /// `http://` or `https://`. An OTLP address without a path means `/v1/metrics` there, as the environment
    /// variable `OTEL_EXPORTER_OTLP_ENDPOINT` does.
    pub url: String,
    /// Whose certificates to believe.
    pub trust: Trust,
    /// Shown to that address alone.
    pub credential: Option<Credential>,
}

impl fmt::Debug for Destination {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // An address may hold a password.
        f.debug_struct("Destination")
            .field("protocol", &self.protocol)
            .finish_non_exhaustive()
    }
}

/// Why a destination cannot be used. The message holds no password.
#[derive(Debug, thiserror::Error)]
pub enum TelemetryError {
    /// Not an address to send to.
    #[error("the {} address is not http:// or https:// with a host", .0.name())]
    Address(Protocol),
    /// A secret in the open.
    #[error(
        "the {} address is plain HTTP to another machine: the credential could be read on the way; use https://",
        .0.name()
    )]
    CredentialInTheOpen(Protocol),
    /// A proxy that cannot be understood.
    #[error("the proxy for the {} address cannot be understood", .0.name())]
    Proxy(Protocol),
    /// A file that holds no credential.
    #[error(transparent)]
    Credential(#[from] CredentialError),
    /// The file with the certificates to believe cannot be read.
    #[error("{} cannot be read", .path.display())]
    CaFile {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// Certificates that cannot be used.
    #[error("the certificates for the {} address cannot be used", .0.name())]
    Certificates(Protocol, #[source] Box<ClientError>),
}

impl TelemetryError {
    /// The code a command ends with.
    pub fn code(&self) -> Code {
        match self {
            Self::CredentialInTheOpen(_) => code::SERVER_NOT_TRUSTED,
            Self::Certificates(_, source) => source.code(),
            Self::Address(_) | Self::Proxy(_) | Self::Credential(_) | Self::CaFile { .. } => code::INVALID,
        }
    }
}

/// All pushers of one run.
#[derive(Debug)]
pub struct Telemetry {
    pushers: Vec<Pusher>,
}

impl Telemetry {
    /// Starts a pusher for each destination; nothing is sent before the first event. `clock` says when a state
    /// that lasts is told again.
    ///
    /// Fails where an address, a certificate or a proxy cannot be used. Whether somebody answers is found out
    /// later, and fails nothing.
    pub fn start(
        destinations: Vec<Destination>,
        origin: &Origin,
        proxies: &Proxies,
        clock: &Arc<dyn Clock>,
    ) -> Result<Self, TelemetryError> {
        let pushers = destinations
            .into_iter()
            .map(|destination| {
                let sending = Sending::new(destination, proxies)?;
                Ok(Pusher::start(sending, origin.clone(), clock.clone()))
            })
            .collect::<Result<_, TelemetryError>>()?;
        Ok(Self { pushers })
    }

    /// Hands over what happened in an earlier run on this host that was cut off, oldest first, so that its
    /// steps are told as well. What a destination finds too old is passed over.
    pub fn backfill<'a>(&self, events: impl IntoIterator<Item = &'a RunEvent>) {
        for event in events {
            for pusher in &self.pushers {
                pusher.take(event);
            }
        }
    }

    /// Lets every pusher read the events of a run.
    #[must_use]
    pub fn attach<'a>(&self, installer: Installer<'a>) -> Installer<'a> {
        self.pushers
            .iter()
            .fold(installer, |installer, pusher| installer.sink(pusher.sink()))
    }

    /// Ends: waits at most `patience` for what is left, all destinations together.
    pub fn finish(self, patience: Duration) -> Vec<Delivered> {
        let until = std::time::Instant::now() + patience;
        for pusher in &self.pushers {
            pusher.close();
        }
        self.pushers
            .into_iter()
            .map(|pusher| pusher.finish(until.saturating_duration_since(std::time::Instant::now())))
            .collect()
    }
}
