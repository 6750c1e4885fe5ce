//! Where the numbers of an installation go besides: the same flags in both programs that install.

use std::path::PathBuf;

use aami_plans::telemetry::Wishes;
use clap::Args;

/// What the command line says about telemetry.
#[derive(Clone, Default, Args)]
#[command(next_help_heading = "Telemetry")]
pub(crate) struct TelemetryFlags {
    /// Also tell the run's metrics by Prometheus remote write, e.g. https://prometheus:9090/api/v1/write; never
    /// holds the install up
    #[arg(long, value_name = "URL")]
    remote_write: Option<String>,
    /// A file with what that address wants to see: a token, or user:password
    #[arg(long, value_name = "FILE", requires = "remote_write")]
    remote_write_credential_file: Option<PathBuf>,
    /// Also tell them to an OpenTelemetry collector by OTLP over HTTP, e.g. https://collector:4318
    #[arg(long, value_name = "URL")]
    otlp: Option<String>,
    /// A file with what that address wants to see: a token, or user:password
    #[arg(long, value_name = "FILE", requires = "otlp")]
    otlp_credential_file: Option<PathBuf>,
    /// Whose certificates to believe there, PEM [the system's]
    #[arg(long, value_name = "FILE")]
    telemetry_ca_file: Option<PathBuf>,
}

/// An address may hold a password.
impl std::fmt::Debug for TelemetryFlags {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TelemetryFlags").finish_non_exhaustive()
    }
}

impl TelemetryFlags {
    pub(crate) fn wishes(&self) -> Wishes {
        Wishes {
            remote_write: self.remote_write.clone(),
            remote_write_credential: self.remote_write_credential_file.clone(),
            otlp: self.otlp.clone(),
            otlp_credential: self.otlp_credential_file.clone(),
            ca: self.telemetry_ca_file.clone(),
        }
    }
}
