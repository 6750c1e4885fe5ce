//! Stands where NVIDIA's dcgm-exporter would: it takes the same arguments (`-a`, `-f`), reads the same file of
//! counters, and serves one series for each of them, without a GPU: 0, unless `/etc/stand-in-gpu` says otherwise with a
//! line `COUNTER VALUE`, read anew each time it is asked. Nothing in it knows AAMI.
#![allow(clippy::print_stderr)]

use std::fmt::Write as _;
use std::net::SocketAddr;
use std::process::ExitCode;

/// What the GPU that is not there would say.
const FIXTURE: &str = "/etc/stand-in-gpu";

fn main() -> ExitCode {
    match serve() {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            eprintln!("{why}");
            ExitCode::FAILURE
        }
    }
}

fn serve() -> Result<(), String> {
    let (mut address, mut counters) = (
        ":9400".to_owned(),
        "/etc/dcgm-exporter/default-counters.csv".to_owned(),
    );
    let mut arguments = std::env::args().skip(1);
    while let Some(argument) = arguments.next() {
        let value = arguments
            .next()
            .ok_or_else(|| format!("{argument} needs a value"))?;
        match argument.as_str() {
            "-a" => address = value,
            "-f" => counters = value,
            other => return Err(format!("flag provided but not defined: {other}")),
        }
    }
    let text = std::fs::read_to_string(&counters).map_err(|error| format!("{counters}: {error}"))?;
    metrics(&text)?;
    // Go's form for "everywhere".
    let address = match address.strip_prefix(':') {
        Some(port) => format!("[::]:{port}"),
        None => address,
    };
    let address: SocketAddr = address.parse().map_err(|error| format!("{address}: {error}"))?;
    rig::exporter::serve(address, || metrics(&text))
}

/// One series for each counter. A line that dcgm-exporter would not take ends the program, as it does there.
fn metrics(counters: &str) -> Result<String, String> {
    let mut text = String::new();
    let fixture = std::fs::read_to_string(FIXTURE).unwrap_or_default();
    let says = |name: &str| {
        let mut lines = fixture.lines().filter_map(|line| line.split_once(' '));
        lines
            .find(|(counter, _)| *counter == name)
            .map_or("0", |(_, value)| value)
    };
    for line in counters.lines().map(str::trim) {
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let fields: Vec<&str> = line.splitn(3, ',').map(str::trim).collect();
        let [name, kind, help] = fields.as_slice() else {
            return Err(format!("malformed CSV record: {line}"));
        };
        if !name.starts_with("DCGM_") || help.contains(',') {
            return Err(format!("malformed CSV record: {line}"));
        }
        match *kind {
            "label" => {}
            "gauge" | "counter" => {
                let labels =
                    "gpu=\"0\",UUID=\"GPU-0\",pci_bus_id=\"00000000:18:00.0\",modelName=\"stand-in\"";
                let _ = write!(
                    text,
                    "# HELP {name} {help}\n# TYPE {name} {kind}\n{name}{{{labels}}} {}\n",
                    says(name)
                );
            }
            other => return Err(format!("could not find Prometheus metric type {other}")),
        }
    }
    Ok(text)
}
