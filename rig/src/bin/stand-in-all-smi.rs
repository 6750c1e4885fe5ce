//! Stands where all-smi would: it takes the same arguments (`api --port N`), listens everywhere as it does, and serves a
//! page in all-smi's own format, without a GPU. Nothing in it knows AAMI.
#![allow(clippy::print_stderr)]

use std::net::{Ipv4Addr, SocketAddr};
use std::process::ExitCode;

/// Metrics in all-smi's format.
const METRICS: &str = include_str!("../../../crates/aami-monitor/tests/it/fixtures/all_smi_metrics.txt");

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let served = match words.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
        ["api", "--port", port] => port
            .parse()
            .map_err(|_| format!("invalid value '{port}' for '--port <PORT>'"))
            .map(|port| SocketAddr::from((Ipv4Addr::UNSPECIFIED, port)))
            .and_then(|address| rig::exporter::serve(address, || Ok(METRICS.to_owned()))),
        other => Err(format!("unexpected argument: {}", other.join(" "))),
    };
    match served {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            eprintln!("error: {why}");
            ExitCode::FAILURE
        }
    }
}
