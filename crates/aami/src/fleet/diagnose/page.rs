//! An exporter's page, fetched as Prometheus would and from whoever answers: no redirect is followed, no more is read
//! than a page may be long, and all of it ends when its time is up.

use std::collections::BTreeSet;
use std::io::Read as _;
use std::net::SocketAddr;
use std::time::{Duration, Instant, SystemTime};

use aami_model::exporter::{Exporter, ExporterKind};

use super::text::{Reader, Seen};

/// No page is longer: some 400,000 samples.
pub(crate) const LONGEST: u64 = 64 * 1024 * 1024;
/// How much is read at once.
const PIECE: usize = 64 * 1024;
/// How much is shown of what no page is.
const SHOWN: u64 = 300;

/// What came back.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Fetched {
    /// A page, or something that stands in its place.
    Page(Page),
    /// Another status than 200.
    Status {
        /// Which.
        status: u16,
        /// Where it sends whoever asks.
        redirect: Option<String>,
        /// Its first words.
        said: String,
    },
    /// It was not at its end in time.
    Slow {
        /// After so long.
        after: Duration,
        /// So much had come by then.
        bytes: u64,
    },
    /// It is no HTTP, or broke off.
    Broken(String),
}

/// A page.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Page {
    /// How long it took.
    pub(crate) took: Duration,
    /// How long it is, or how much was read of one that is too long.
    pub(crate) bytes: u64,
    /// Whether it goes on.
    pub(crate) is_too_long: bool,
    /// What it says it is.
    pub(crate) kind: String,
    /// What stands in it.
    pub(crate) seen: Seen,
    /// By how much the host's clock is ahead of this machine's, in seconds.
    pub(crate) ahead: Option<f64>,
}

/// What the series of an exporter begin with.
pub(crate) const fn prefix(kind: ExporterKind) -> &'static str {
    match kind {
        ExporterKind::NodeExporter => "node_",
        ExporterKind::DcgmExporter => "DCGM_FI_",
        ExporterKind::AllSmi => "all_smi_",
        ExporterKind::Aami => "aami_",
        ExporterKind::Custom => "",
    }
}

/// Fetches the page of an exporter and looks for these series in it.
pub(crate) fn fetch(
    at: SocketAddr,
    exporter: &Exporter,
    wanted: &BTreeSet<String>,
    within: Duration,
) -> Fetched {
    let agent = ureq::Agent::config_builder()
        .proxy(None)
        .max_redirects(0)
        .http_status_as_error(false)
        .user_agent("aami-diagnose")
        .timeout_global(Some(within))
        .build()
        .new_agent();
    let url = format!("http://{at}{}", exporter.metrics_path);
    let (begun, asked) = (Instant::now(), SystemTime::now());
    let request = agent.get(&url).header("Accept", "text/plain;version=0.0.4");
    let ended = |bytes: u64, why: String| match begun.elapsed() >= within {
        true => Fetched::Slow {
            after: begun.elapsed(),
            bytes,
        },
        false => Fetched::Broken(why.chars().filter(|c| !c.is_control()).take(200).collect()),
    };
    let answer = match request.call() {
        Ok(answer) => answer,
        Err(error) => return ended(0, error.to_string()),
    };
    let header = |name: &str| -> Option<String> {
        let value = answer.headers().get(name)?.to_str().ok()?;
        Some(value.chars().take(200).collect())
    };
    let (status, kind, redirect) = (
        answer.status().as_u16(),
        header("content-type").unwrap_or_default(),
        header("location"),
    );
    let mut body = answer.into_body().into_reader();
    if status != 200 {
        let mut said = Vec::new();
        // What cannot be read is not shown.
        let _ = body.take(SHOWN).read_to_end(&mut said);
        let said = String::from_utf8_lossy(&said);
        return Fetched::Status {
            status,
            redirect,
            said: said.chars().filter(|c| !c.is_control()).collect(),
        };
    }
    let mut reader = Reader::new(wanted, prefix(exporter.kind));
    let mut piece = vec![0; PIECE];
    let mut bytes = 0;
    while bytes <= LONGEST {
        match body.read(&mut piece) {
            Ok(0) => break,
            Ok(length) => {
                bytes += length as u64;
                if !reader.take(&piece[..length]) {
                    break;
                }
            }
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
            Err(error) => return ended(bytes, error.to_string()),
        }
        // One that drips is asked no longer than one that is silent.
        if begun.elapsed() >= within {
            return ended(bytes, String::new());
        }
    }
    let took = begun.elapsed();
    let seen = reader.end();
    // It wrote the time down somewhere in between.
    let middle = asked.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default() + took / 2;
    Fetched::Page(Page {
        took,
        bytes,
        is_too_long: bytes > LONGEST,
        kind,
        ahead: seen.time.map(|time| time - middle.as_secs_f64()),
        seen,
    })
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;
    use std::net::{TcpListener, TcpStream};
    use std::thread::JoinHandle;

    use super::*;

    /// Somebody who answers one question in this way.
    fn answering(answer: impl FnOnce(&mut TcpStream) + Send + 'static) -> (SocketAddr, JoinHandle<()>) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let thread = std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let _ = stream.read(&mut [0; 4096]);
            answer(&mut stream);
        });
        (address, thread)
    }

    fn asked(at: SocketAddr, within: Duration) -> Fetched {
        let exporter = Exporter::new(ExporterKind::NodeExporter, at.port());
        fetch(at, &exporter, &BTreeSet::from(["node_load1".to_owned()]), within)
    }

    const PATIENT: Duration = Duration::from_secs(30);
    const SHORT: Duration = Duration::from_millis(400);

    #[test]
    fn a_page_says_how_long_it_is_what_stands_in_it_and_what_time_it_is_there() {
        let (at, thread) = answering(|stream| {
            let body = "node_load1 1\nnode_time_seconds 12\n";
            write!(
                stream,
                "HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{body}",
                body.len()
            )
            .unwrap();
        });
        let Fetched::Page(page) = asked(at, PATIENT) else {
            panic!("it is a page");
        };
        thread.join().unwrap();
        assert_eq!((page.bytes, page.seen.samples, page.seen.own), (34, 2, 2));
        assert!(page.seen.found.contains("node_load1") && page.ahead.unwrap() < -1e6);
    }

    #[test]
    fn whoever_has_no_end_is_left() {
        // Given one that never ends, and one that says a byte now and then,
        let endless = |stream: &mut TcpStream| {
            let _ = stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n");
            let line = [b"#".repeat(60_000), b"\n".to_vec()].concat();
            while stream.write_all(&line).is_ok() {}
        };
        let drip = |stream: &mut TcpStream| {
            let _ = stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n#");
            while stream.write_all(b"#").is_ok() {
                std::thread::sleep(Duration::from_millis(20));
            }
        };
        let (at, thread) = answering(endless);
        match asked(at, PATIENT) {
            Fetched::Page(page) => assert!(page.is_too_long && page.bytes < LONGEST + 1024 * 1024),
            other => assert!(matches!(other, Fetched::Slow { .. }), "{other:?}"),
        }
        thread.join().unwrap();
        let (at, thread) = answering(drip);
        let begun = Instant::now();
        assert!(matches!(asked(at, SHORT), Fetched::Slow { .. }));
        assert!(begun.elapsed() < PATIENT, "{:?}", begun.elapsed());
        thread.join().unwrap();
        // One that takes the question and says nothing at all.
        let (at, thread) = answering(|stream| {
            let _ = stream.read(&mut [0; 16]);
        });
        assert!(matches!(asked(at, SHORT), Fetched::Slow { .. }));
        thread.join().unwrap();
    }

    #[test]
    fn what_is_no_page_is_told_and_no_redirect_is_followed() {
        let (at, thread) = answering(|stream| {
            let _ = stream.write_all(
                b"HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:1/\r\nContent-Length: 0\r\n\r\n",
            );
        });
        let Fetched::Status { status, redirect, .. } = asked(at, PATIENT) else {
            panic!("it is no page");
        };
        thread.join().unwrap();
        assert_eq!((status, redirect.as_deref()), (302, Some("http://127.0.0.1:1/")));
        let (at, thread) = answering(|stream| {
            let _ = stream.write_all(b"SSH-2.0-OpenSSH_9.2p1\r\n\r\n");
        });
        assert!(matches!(asked(at, PATIENT), Fetched::Broken(_)));
        thread.join().unwrap();
    }
}
