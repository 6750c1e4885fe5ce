//! Exporters that somebody else runs on this node: looked for on the ports they usually have, on loopback alone, and
//! told to the control plane, which offers them to its operator. Nothing is ever enabled by itself.
//!
//! What answers on a port is a stranger: it has a moment to answer, and only as much of its answer is read as tells
//! what it is.

use std::io::{self, Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use aami_api::link::{FoundExporter, Told};
use aami_model::exporter::ExporterKind;

use super::state::Shared;

/// How often it is looked.
const EVERY: Duration = Duration::from_secs(600);
/// How long one port may take, from connecting to the last byte that is read.
const PATIENCE: Duration = Duration::from_secs(2);
/// An exporter says what it is within so many bytes.
const ENOUGH: usize = 256 * 1024;

/// A port that an exporter usually has, and how its metrics begin.
struct Known {
    port: u16,
    kind: ExporterKind,
    name: &'static str,
    metrics: &'static str,
}

const fn known(port: u16, kind: ExporterKind, name: &'static str, metrics: &'static str) -> Known {
    Known {
        port,
        kind,
        name,
        metrics,
    }
}

/// Where it is looked; the ports are those of the exporters' own documentation
/// (<https://github.com/prometheus/prometheus/wiki/Default-port-allocations>).
const KNOWN: [Known; 13] = [
    known(9100, ExporterKind::NodeExporter, "node_exporter", "node_"),
    known(9400, ExporterKind::DcgmExporter, "dcgm-exporter", "DCGM_FI_"),
    known(9401, ExporterKind::AllSmi, "all-smi", "all_smi_"),
    // Its own default, which is Prometheus' as well.
    known(9090, ExporterKind::AllSmi, "all-smi", "all_smi_"),
    known(5000, ExporterKind::Custom, "amd-device-metrics-exporter", "gpu_"),
    known(9835, ExporterKind::Custom, "nvidia_gpu_exporter", "nvidia_smi_"),
    known(9633, ExporterKind::Custom, "smartctl_exporter", "smartctl_"),
    known(9290, ExporterKind::Custom, "ipmi_exporter", "ipmi_"),
    known(9315, ExporterKind::Custom, "infiniband_exporter", "infiniband_"),
    known(9256, ExporterKind::Custom, "process-exporter", "namedprocess_"),
    known(9558, ExporterKind::Custom, "systemd_exporter", "systemd_"),
    known(9323, ExporterKind::Custom, "docker", "engine_daemon_"),
    known(8080, ExporterKind::Custom, "cadvisor", "container_"),
];

/// What was found last, and when it is looked again.
#[derive(Debug, Default)]
pub(super) struct Watch {
    next: Duration,
    /// Whether it was wanted when it was looked last.
    wanted: Option<bool>,
    /// What did not answer when it was looked last, and did before: it is given one more look.
    missed: Vec<u16>,
}

impl Watch {
    /// Looks, when it is time to, or it was just told whether to look at all.
    pub(super) fn turn(&mut self, shared: &Shared) {
        self.look(shared, &KNOWN);
    }

    fn look(&mut self, shared: &Shared, known: &[Known]) {
        let wanted = shared.memory.noted().config.discover.unwrap_or(true);
        let now = shared.now();
        if now < self.next && self.wanted == Some(wanted) {
            return;
        }
        self.next = now + EVERY;
        self.wanted = Some(wanted);
        let before = shared.memory.noted().found.clone();
        let found = if wanted {
            let others = known
                .iter()
                .filter(|known| !shared.own_ports.contains(&known.port));
            let seen: Vec<FoundExporter> = others
                .filter(|known| is_there(SocketAddr::from((Ipv4Addr::LOCALHOST, known.port)), known.metrics))
                .map(|known| FoundExporter {
                    exporter: known.kind,
                    name: known.name.to_owned(),
                    port: known.port,
                })
                .collect();
            self.settled(seen, &before)
        } else {
            Vec::new()
        };
        if found == before {
            return;
        }
        let what = Told::Discovered {
            exporters: found.clone(),
        };
        if shared.report(shared.wall(), what).is_ok() {
            // Where it cannot be noted, the next start tells it again.
            let _ = shared.memory.change(|noted| noted.found = found);
        }
    }

    /// What counts as there: what was seen, and what is missed for the first time.
    fn settled(&mut self, mut seen: Vec<FoundExporter>, before: &[FoundExporter]) -> Vec<FoundExporter> {
        let gone: Vec<&FoundExporter> = before.iter().filter(|one| !seen.contains(one)).collect();
        let mut missed = Vec::new();
        let mut kept = Vec::new();
        for one in gone {
            if !self.missed.contains(&one.port) {
                missed.push(one.port);
                kept.push(one.clone());
            }
        }
        self.missed = missed;
        seen.extend(kept);
        seen.sort_by_key(|one| one.port);
        seen
    }
}

/// Whether what answers at an address serves metrics that begin so.
fn is_there(address: SocketAddr, metrics: &str) -> bool {
    let deadline = Instant::now() + PATIENCE;
    fetch(address, deadline, |text| {
        text.lines().any(|line| line.starts_with(metrics))
    })
    .unwrap_or(false)
}

/// Fetches `/metrics` until `is_enough` of what came, or it ends; answers whether it was enough.
fn fetch(address: SocketAddr, deadline: Instant, is_enough: impl Fn(&str) -> bool) -> io::Result<bool> {
    let left = || {
        deadline
            .saturating_duration_since(Instant::now())
            .max(Duration::from_millis(1))
    };
    let mut stream = TcpStream::connect_timeout(&address, left())?;
    stream.set_write_timeout(Some(left()))?;
    // 1.0: it ends with the connection, and comes in one piece.
    let request = format!(
        "GET /metrics HTTP/1.0\r\nHost: {address}\r\nAccept: text/plain\r\nConnection: close\r\n\r\n"
    );
    stream.write_all(request.as_bytes())?;
    let mut answer = Vec::new();
    let mut buffer = vec![0_u8; 16 * 1024];
    while answer.len() < ENOUGH && Instant::now() < deadline {
        stream.set_read_timeout(Some(left()))?;
        let read = match stream.read(&mut buffer) {
            Ok(0) => break,
            Ok(read) => read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(error),
        };
        answer.extend_from_slice(&buffer[..read]);
        let text = String::from_utf8_lossy(&answer);
        let Some((head, body)) = text.split_once("\r\n\r\n") else {
            continue;
        };
        let is_ok = head.lines().next().is_some_and(|line| line.contains(" 200"));
        if !is_ok {
            return Ok(false);
        }
        // The last line may not have come whole.
        let whole = body.rfind('\n').map_or("", |end| &body[..end]);
        if is_enough(whole) {
            return Ok(true);
        }
    }
    Ok(false)
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;
    use std::thread;

    use super::*;

    /// Somebody who answers one request with these bytes, then holds the connection until the asker goes.
    fn somebody(answer: Vec<u8>) -> SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let _ = stream.read(&mut [0_u8; 1024]);
            let _ = stream.write_all(&answer);
            let _ = stream.read(&mut [0_u8; 16]);
        });
        address
    }

    /// Somebody who answers everybody with these bytes.
    fn serves(answer: Vec<u8>) -> SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        thread::spawn(move || {
            for mut stream in listener.incoming().flatten() {
                let _ = stream.read(&mut [0_u8; 1024]);
                let _ = stream.write_all(&answer);
            }
        });
        address
    }

    fn metrics(body: &str) -> Vec<u8> {
        format!("HTTP/1.0 200 OK\r\nContent-Type: text/plain\r\n\r\n{body}").into_bytes()
    }

    #[test]
    fn an_exporter_is_known_by_its_metrics_and_nothing_else_by_its_port() {
        assert!(is_there(
            somebody(metrics(
                "# HELP x y\n# TYPE x gauge\nsmartctl_version 1\nother 2\n"
            )),
            "smartctl_"
        ));
        for stranger in [
            metrics("# smartctl_ is not here\nnode_load1 1\nlast\n"),
            b"HTTP/1.1 404 Not Found\r\n\r\nsmartctl_version 1\nx\n".to_vec(),
            b"HTTP/1.1 302 Found\r\nLocation: http://169.254.169.254/\r\n\r\nsmartctl_x 1\nx\n".to_vec(),
            b"SSH-2.0-OpenSSH_9.2\r\n".to_vec(),
            vec![0xff; 100],
        ] {
            let begun = Instant::now();
            assert!(!is_there(somebody(stranger), "smartctl_"));
            assert!(begun.elapsed() < PATIENCE + Duration::from_secs(2));
        }
    }

    #[test]
    fn somebody_who_sends_without_end_or_nothing_at_all_is_left_in_time() {
        let begun = Instant::now();
        assert!(!is_there(somebody(Vec::new()), "node_"));
        assert!(!is_there(somebody(metrics(&"x 1\n".repeat(1_000_000))), "node_"));
        assert!(begun.elapsed() < PATIENCE * 2 + Duration::from_secs(3));
        // Nobody listens there any more.
        let gone = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        assert!(!is_there(gone, "node_"));
    }

    #[test]
    fn what_is_missed_once_is_still_there_and_twice_is_gone() {
        let one = |port| FoundExporter {
            exporter: ExporterKind::Custom,
            name: "x".to_owned(),
            port,
        };
        let mut watch = Watch::default();
        let before = [one(9290), one(9633)];
        let now = watch.settled(vec![one(9633)], &before);
        assert_eq!(now, before);
        let now = watch.settled(vec![one(9633)], &now);
        assert_eq!(now, [one(9633)]);
        // Back in between, it begins anew.
        let now = watch.settled(vec![one(9290), one(9633)], &now);
        assert_eq!(now.len(), 2);
        assert_eq!(watch.settled(vec![one(9290)], &now).len(), 2);
    }

    #[test]
    fn what_is_found_is_told_once_and_silence_is_told_as_soon_as_it_is_wanted() {
        // Given a node beside whose own exporter somebody else's answers,
        let folder = tempfile::tempdir().unwrap();
        let mut shared = super::super::state::stage(folder.path());
        let (own, other) = (
            serves(metrics("node_load1 1\nx\n")),
            serves(metrics("smartctl_version 1\nx\n")),
        );
        shared.own_ports = vec![own.port()];
        let known = [
            known(own.port(), ExporterKind::NodeExporter, "node_exporter", "node_"),
            known(
                other.port(),
                ExporterKind::Custom,
                "smartctl_exporter",
                "smartctl_",
            ),
        ];
        let told = || -> Vec<Vec<u16>> {
            let text = std::fs::read_to_string(folder.path().join("spool/reports.jsonl")).unwrap();
            let told = text
                .lines()
                .filter_map(|line| match serde_json::from_str(line).ok()? {
                    aami_api::link::Up::Report(report) => match report.what {
                        Told::Discovered { exporters } => {
                            Some(exporters.iter().map(|one| one.port).collect())
                        }
                        _ => None,
                    },
                    _ => None,
                });
            told.collect()
        };
        // when it is looked, then that one is told, and not again with the next turn;
        let mut watch = Watch::default();
        watch.look(&shared, &known);
        watch.look(&shared, &known);
        assert_eq!(told(), [vec![other.port()]]);
        // nor after a restart.
        Watch::default().look(&shared, &known);
        assert_eq!(told().len(), 1);
        // When nobody wants to know any more, then that is over at once,
        let discover = |wanted| shared.memory.change(|noted| noted.config.discover = Some(wanted));
        discover(false).unwrap();
        watch.look(&shared, &known);
        assert_eq!(told(), [vec![other.port()], vec![]]);
        // and so it is when it is wanted again.
        discover(true).unwrap();
        watch.look(&shared, &known);
        assert_eq!(told().last(), Some(&vec![other.port()]));
    }
}
