//! The daemon's own metrics, served to this machine, or to whoever scrapes a node without a control plane. Where the port cannot be had, that is said and nothing else
//! changes.

use std::fmt::Write as _;
use std::io::{self, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::Ordering;
use std::sync::{Arc, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use aami_model::finding::Severity;
use aami_xid::counters::Counters;

use super::state::Shared;

/// How long one question and its answer may take.
const PATIENCE: Duration = Duration::from_secs(2);
/// No question is longer.
const LONGEST: usize = 4096;
/// How many are answered at once: as many can keep a thread each from its work, for a moment.
const AT_ONCE: usize = 4;

/// Serves them from a thread of its own.
pub(super) fn serve(shared: &Arc<Shared>, address: SocketAddr) {
    let listener = match TcpListener::bind(address) {
        Ok(listener) => listener,
        Err(error) => {
            shared.say(&format!("its metrics are not served: {address}: {error}"));
            return;
        }
    };
    let listener = Arc::new(listener);
    for _ in 0..AT_ONCE {
        let (answering, listener) = (shared.clone(), listener.clone());
        let serve = move || {
            for stream in listener.incoming() {
                match stream {
                    // Who asks slowly delays nobody but other askers.
                    Ok(stream) => {
                        let _ = answer(&answering, stream);
                    }
                    // Too many open files, say: not a reason to spin.
                    Err(_) => thread::park_timeout(Duration::from_millis(200)),
                }
            }
        };
        if let Err(error) = thread::Builder::new().name("metrics".to_owned()).spawn(serve) {
            shared.say(&format!("its metrics are not served as they should be: {error}"));
            return;
        }
    }
}

fn answer(shared: &Shared, mut stream: TcpStream) -> io::Result<()> {
    let deadline = Instant::now() + PATIENCE;
    stream.set_write_timeout(Some(PATIENCE))?;
    let mut request = Vec::new();
    let mut buffer = [0_u8; 1024];
    while !request.windows(4).any(|end| end == b"\r\n\r\n") {
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() || request.len() >= LONGEST {
            return Ok(());
        }
        stream.set_read_timeout(Some(left))?;
        match stream.read(&mut buffer)? {
            0 => return Ok(()),
            n => request.extend_from_slice(&buffer[..n]),
        }
    }
    let (status, body) = if request.starts_with(b"GET /metrics ") || request.starts_with(b"GET /metrics?") {
        ("200 OK", text(shared))
    } else {
        ("404 Not Found", "The metrics are at /metrics.\n".to_owned())
    };
    let head = format!(
        "HTTP/1.1 {status}\r\nContent-Type: text/plain; version=0.0.4; charset=utf-8\r\nContent-Length: {}\r\n\
         Connection: close\r\n\r\n",
        body.len()
    );
    stream.write_all(head.as_bytes())?;
    stream.write_all(body.as_bytes())
}

/// In Prometheus' text format.
fn text(shared: &Shared) -> String {
    let vitals = &shared.vitals;
    let mut text = format!(
        "# HELP aami_agent_info The agent that runs here.\n# TYPE aami_agent_info gauge\naami_agent_info{{version=\"{}\"}} 1\n",
        aami_model::version::own()
    );
    if shared.has_uplink {
        uplink(&mut text, shared);
    }
    let mut put = |name: &str, kind: &str, help: &str, value: u64| put(&mut text, name, kind, help, value);
    put(
        "aami_agent_kernel_records_lost_total",
        "counter",
        "Records of the kernel's log that were overwritten before they could be read.",
        vitals.records_lost.load(Ordering::Relaxed),
    );
    if let Some(expected) = shared.gpus_expected {
        put(
            "aami_agent_gpus_expected",
            "gauge",
            "GPUs this node enrolled with.",
            expected.into(),
        );
    }
    if vitals.is_gpus_known.load(Ordering::Relaxed) {
        put(
            "aami_agent_gpus_usable",
            "gauge",
            "GPUs of that vendor that can be used now.",
            vitals.gpus_visible.load(Ordering::Relaxed),
        );
    }
    xids(
        &mut text,
        &shared.xids.lock().unwrap_or_else(PoisonError::into_inner),
    );
    text
}

fn put(text: &mut String, name: &str, kind: &str, help: &str, value: u64) {
    let _ = write!(
        text,
        "# HELP {name} {help}\n# TYPE {name} {kind}\n{name} {value}\n"
    );
}

/// How the connection with the control plane stands, where there is one.
fn uplink(text: &mut String, shared: &Shared) {
    let vitals = &shared.vitals;
    let spool = shared.spool();
    let (bytes, reports) = (spool.bytes(), spool.len());
    drop(spool);
    let mut put = |name: &str, kind: &str, help: &str, value: u64| put(text, name, kind, help, value);
    let connections = vitals.connections.load(Ordering::Relaxed);
    let is_connected = vitals.is_connected.load(Ordering::Relaxed);
    put(
        "aami_agent_connected",
        "gauge",
        "Whether the control plane hears this node.",
        is_connected.into(),
    );
    put(
        "aami_agent_refused",
        "gauge",
        "Whether the control plane said no, so that it is asked rarely.",
        vitals.is_refused.load(Ordering::Relaxed).into(),
    );
    put(
        // Not the control plane's name: whoever scrapes both would add each reconnect up twice.
        "aami_agent_own_reconnects_total",
        "counter",
        "Connections of this agent after its first.",
        connections.saturating_sub(1),
    );
    put(
        "aami_agent_spool_bytes",
        "gauge",
        "Reports that wait for the control plane, in bytes.",
        bytes,
    );
    put(
        "aami_agent_spool_reports",
        "gauge",
        "Reports that wait for the control plane.",
        u64::try_from(reports).unwrap_or(u64::MAX),
    );
    put(
        "aami_agent_spool_failures_total",
        "counter",
        "Reports that the disk refused.",
        vitals.spool_failures.load(Ordering::Relaxed),
    );
}

fn xids(text: &mut String, counters: &Counters) {
    for (is_sxid, name) in [(false, "xid"), (true, "sxid")] {
        let of_kind = || counters.series().filter(move |series| series.is_sxid == is_sxid);
        let _ = write!(
            text,
            "# HELP aami_{name}_total Lines of the kernel's log, by code and device.\n# TYPE aami_{name}_total counter\n"
        );
        for series in of_kind() {
            let (code, pci, count) = (series.code, series.pci.in_sysfs(), series.count);
            let _ = writeln!(text, "aami_{name}_total{{code=\"{code}\",pci=\"{pci}\"}} {count}");
        }
        let _ = write!(
            text,
            "# HELP aami_{name}_last_seen_timestamp_seconds When the last such line was written.\n\
             # TYPE aami_{name}_last_seen_timestamp_seconds gauge\n"
        );
        for series in of_kind() {
            for (severity, word) in [
                (Severity::Info, "info"),
                (Severity::Warning, "warning"),
                (Severity::Critical, "critical"),
            ] {
                let Some(at) = series.last(severity) else { continue };
                let (code, pci) = (series.code, series.pci.in_sysfs());
                let seconds = at.millis() / 1000;
                let _ = writeln!(
                    text,
                    "aami_{name}_last_seen_timestamp_seconds{{code=\"{code}\",pci=\"{pci}\",severity=\"{word}\"}} {seconds}"
                );
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use aami_model::Timestamp;
    use aami_xid::Event;

    use super::*;

    #[test]
    fn counters_stand_at_zero_before_anything_happened_and_say_when_it_did() {
        let mut counters = Counters::default();
        counters.know("0000:3b:00.0".parse().unwrap());
        let mut text = String::new();
        xids(&mut text, &counters);
        assert!(
            text.contains("aami_xid_total{code=\"79\",pci=\"0000:3b:00.0\"} 0\n"),
            "{text}"
        );
        assert!(!text.contains("last_seen_timestamp_seconds{"), "{text}");
        let line = "NVRM: Xid (PCI:0000:3b:00): 79, pid=1, name=x, GPU has fallen off the bus.";
        counters.count(&Event::of_line(line).unwrap(), Timestamp::from_millis(5_000));
        let mut text = String::new();
        xids(&mut text, &counters);
        assert!(
            text.contains("aami_xid_total{code=\"79\",pci=\"0000:3b:00.0\"} 1\n"),
            "{text}"
        );
        assert!(text.contains("severity=\"critical\"} 5\n"), "{text}");
    }

    #[test]
    fn a_switch_has_counters_of_its_own() {
        let mut counters = Counters::default();
        counters.know_switch("0000:05:00.0".parse().unwrap());
        let mut text = String::new();
        xids(&mut text, &counters);
        let zero = "aami_sxid_total{code=\"12028\",pci=\"0000:05:00.0\"} 0\n";
        assert!(text.contains(zero) && !text.contains("aami_xid_total{"), "{text}");
        let line = "nvidia-nvswitch3: SXid (PCI:0000:05:00.0): 12028, Non-fatal, Link 32 x";
        counters.count(&Event::of_line(line).unwrap(), Timestamp::from_millis(7_000));
        let mut text = String::new();
        xids(&mut text, &counters);
        let one = "aami_sxid_total{code=\"12028\",pci=\"0000:05:00.0\"} 1\n";
        let seen = "aami_sxid_last_seen_timestamp_seconds{code=\"12028\",pci=\"0000:05:00.0\",severity=\"critical\"} 7\n";
        assert!(text.contains(one) && text.contains(seen), "{text}");
    }
}
