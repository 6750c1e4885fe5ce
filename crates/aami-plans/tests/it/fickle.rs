//! A mirror that works, until from some file on it does not: with or without TLS, on a loopback port of its own.

use std::collections::BTreeSet;
use std::io::{BufRead as _, BufReader, Read, Write};
use std::net::TcpListener;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use aami_api::client::Trust;
use aami_plans::download::Access;
use aami_plans::obtain::Mirror;
use rustls::pki_types::PrivatePkcs8KeyDer;
use rustls::{ServerConfig, ServerConnection, StreamOwned};

/// What is wrong with it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    /// It hangs up before it says anything.
    HangsUp,
    /// It hangs up in the middle of a file.
    Drops,
    /// It falls silent in the middle of a file.
    Stalls,
    /// It sends whoever asks to a host whose name nobody knows.
    NameGone,
    /// Somebody else answers, whose certificate nobody has vouched for.
    Stranger,
    /// It answers with this status.
    Says(u16),
}

/// When something is wrong with it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Trouble {
    pub(crate) fault: Fault,
    /// From the file on that has this in its name.
    pub(crate) since: &'static str,
    /// With so many answers.
    pub(crate) times: u32,
}

/// A question: the path, and from which byte on.
type Asked = (String, usize);

#[derive(Default)]
struct Mind {
    trouble: Option<Trouble>,
    /// Whether the file was asked for with which it begins.
    has_begun: bool,
    asked: Vec<Asked>,
    shown: BTreeSet<String>,
}

/// The mirror. Its thread ends with the process.
pub(crate) struct Fickle {
    pub(crate) mirror: Mirror,
    mind: Arc<Mutex<Mind>>,
}

impl Fickle {
    /// One that carries what lies in `folder`.
    pub(crate) fn of(folder: PathBuf, is_encrypted: bool) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let mind = Arc::new(Mutex::new(Mind::default()));
        let ((ours, ca), (strangers, _)) = (identity(), identity());
        let known = mind.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let (folder, known) = (folder.clone(), known.clone());
                let (ours, strangers) = (ours.clone(), strangers.clone());
                // One that is stalled keeps nobody else waiting.
                std::thread::spawn(move || {
                    let Ok(stream) = stream else { return };
                    let _ = stream.set_read_timeout(Some(Duration::from_secs(10)));
                    // Whoever asks may be gone by now.
                    let _ = if is_encrypted {
                        let is_stranger = is_at_fault(&known, Fault::Stranger);
                        let connection = ServerConnection::new(if is_stranger { strangers } else { ours });
                        answer(StreamOwned::new(connection.unwrap(), stream), &folder, &known)
                    } else {
                        answer(stream, &folder, &known)
                    };
                });
            }
        });
        let (scheme, trust) = match is_encrypted {
            true => ("https", Trust::Only(ca)),
            false => ("http", Trust::System),
        };
        let access = Access {
            trust,
            credential: None,
        };
        let url = format!("{scheme}://127.0.0.1:{port}");
        Self {
            mirror: Mirror { url, access },
            mind,
        }
    }

    /// Something is wrong with it from now on, or no longer.
    pub(crate) fn has(&self, trouble: Option<Trouble>) {
        let mut mind = self.mind.lock().unwrap();
        (mind.trouble, mind.has_begun) = (trouble, false);
        mind.asked.clear();
    }

    /// From which bytes on a file was asked for, since it was last told how it is.
    pub(crate) fn asked(&self, file: &str) -> Vec<usize> {
        let mind = self.mind.lock().unwrap();
        let of_it = mind.asked.iter().filter(|(path, _)| path.contains(file));
        of_it.map(|(_, from)| *from).collect()
    }

    /// Everything it was ever shown as an `Authorization`.
    pub(crate) fn shown(&self) -> BTreeSet<String> {
        self.mind.lock().unwrap().shown.clone()
    }
}

/// Whether this is wrong now.
fn is_at_fault(mind: &Mutex<Mind>, fault: Fault) -> bool {
    let mind = mind.lock().unwrap();
    mind.has_begun && mind.trouble.is_some_and(|trouble| trouble.fault == fault)
}

impl Mind {
    /// Takes a question; answers what is wrong with its answer.
    fn hears(&mut self, path: &str, from: usize) -> Option<Fault> {
        self.asked.push((path.to_owned(), from));
        let trouble = self.trouble.as_mut()?;
        let begins = !self.has_begun && path.contains(trouble.since);
        self.has_begun |= begins;
        if !self.has_begun || trouble.times == 0 {
            return None;
        }
        trouble.times -= 1;
        Some(trouble.fault)
    }
}

fn answer(
    mut stream: impl Read + Write,
    folder: &std::path::Path,
    mind: &Mutex<Mind>,
) -> std::io::Result<()> {
    let (mut path, mut from) = (String::new(), 0);
    let mut lines = BufReader::new(&mut stream);
    loop {
        let mut line = String::new();
        if lines.read_line(&mut line)? == 0 || line.trim().is_empty() {
            break;
        }
        if let Some(first) = line.strip_prefix("GET /") {
            first.split(' ').next().unwrap_or_default().clone_into(&mut path);
        }
        if let Some((name, value)) = line.split_once(':')
            && name.eq_ignore_ascii_case("authorization")
        {
            mind.lock().unwrap().shown.insert(value.trim().to_owned());
        }
        let line = line.trim().to_ascii_lowercase();
        if let Some(range) = line.strip_prefix("range: bytes=") {
            from = range.trim_end_matches('-').parse().unwrap_or(0);
        }
    }
    if path.is_empty() {
        return Ok(());
    }
    let fault = mind.lock().unwrap().hears(&path, from);
    match fault {
        Some(Fault::HangsUp) => return Ok(()),
        Some(Fault::NameGone) => {
            return head(
                &mut stream,
                "302 Found",
                &format!("location: http://gone.invalid/{path}\r\n"),
                0,
            );
        }
        Some(Fault::Says(status)) => {
            return head(&mut stream, &format!("{status} So"), "retry-after: 1\r\n", 0);
        }
        // A connection that was made before the other one took its place is cut.
        Some(Fault::Stranger) => return Ok(()),
        Some(Fault::Drops | Fault::Stalls) | None => {}
    }
    let Ok(bytes) = std::fs::read(folder.join(&path)) else {
        return head(&mut stream, "404 Not Found", "", 0);
    };
    let rest = bytes.get(from..).unwrap_or_default();
    let range = format!(
        "content-range: bytes {from}-{}/{}\r\n",
        bytes.len().saturating_sub(1),
        bytes.len()
    );
    let (status, range) = match from {
        0 => ("200 OK", ""),
        _ => ("206 Partial Content", range.as_str()),
    };
    head(&mut stream, status, range, rest.len())?;
    if fault.is_none() {
        stream.write_all(rest)?;
        return stream.flush();
    }
    stream.write_all(&rest[..rest.len() / 2])?;
    stream.flush()?;
    if fault == Some(Fault::Stalls) {
        // Until whoever asked hangs up.
        let _ = stream.read(&mut [0]);
    }
    Ok(())
}

fn head(stream: &mut impl Write, status: &str, headers: &str, length: usize) -> std::io::Result<()> {
    write!(
        stream,
        "HTTP/1.1 {status}\r\n{headers}content-length: {length}\r\nconnection: close\r\n\r\n"
    )?;
    stream.flush()
}

/// A certificate for this machine's own address, and the authority that vouches for it.
fn identity() -> (Arc<ServerConfig>, String) {
    let mut parameters = rcgen::CertificateParams::new(Vec::<String>::new()).unwrap();
    parameters.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    let ca = rcgen::CertifiedIssuer::self_signed(parameters, rcgen::KeyPair::generate().unwrap()).unwrap();
    let key = rcgen::KeyPair::generate().unwrap();
    let leaf = rcgen::CertificateParams::new(vec!["127.0.0.1".to_owned()])
        .unwrap()
        .signed_by(&key, &ca)
        .unwrap();
    let key = PrivatePkcs8KeyDer::from(key.serialize_der());
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![leaf.der().clone()], key.into())
        .unwrap();
    (Arc::new(config), ca.pem())
}
