//! A component that no catalogue pins: it is known by its publisher's own list, over TLS that this machine trusts, or
//! it is not placed. One node on its own becomes one with a real node_exporter that way, and says what it does.

use std::fs;
use std::io::{BufRead as _, BufReader, ErrorKind, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::Arc;
use std::time::Duration;

use rustls::pki_types::PrivateKeyDer;
use rustls::{ServerConfig, ServerConnection, StreamOwned};
use sha2::{Digest as _, Sha256};

use crate::command_line::refused;

const AGENT: &str = env!("CARGO_BIN_EXE_aami-agent");
const ARCH: &str = if cfg!(target_arch = "aarch64") {
    "arm64"
} else {
    "amd64"
};

/// What a publisher answers a path with.
#[derive(Clone)]
enum Answer {
    Page(&'static str, Vec<u8>),
    Moved(String),
}

/// A publisher's web server, which speaks TLS with a certificate for `localhost`.
struct Publisher {
    base: String,
    /// Who believes this believes it.
    ca: String,
}

impl Publisher {
    fn with(answers: Vec<(&'static str, Answer)>) -> Self {
        let made = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
        let key = PrivateKeyDer::try_from(made.signing_key.serialize_der()).unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![made.cert.der().clone()], key)
            .unwrap();
        let config = Arc::new(config);
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let base = format!("https://localhost:{}", listener.local_addr().unwrap().port());
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                // Whoever does not believe the certificate hangs up.
                let _ = answer(stream, &config, &answers);
            }
        });
        Self {
            base,
            ca: made.cert.pem(),
        }
    }
}

fn answer(stream: TcpStream, config: &Arc<ServerConfig>, answers: &[(&str, Answer)]) -> std::io::Result<()> {
    stream.set_read_timeout(Some(Duration::from_secs(10)))?;
    let connection = ServerConnection::new(config.clone()).map_err(std::io::Error::other)?;
    let mut tls = StreamOwned::new(connection, stream);
    let mut head = Vec::new();
    let mut byte = [0];
    while !head.ends_with(b"\r\n\r\n") {
        tls.read_exact(&mut byte)?;
        head.push(byte[0]);
    }
    let head = String::from_utf8_lossy(&head).into_owned();
    let path = head.split(' ').nth(1).unwrap_or_default();
    let found = answers.iter().find(|(known, _)| *known == path);
    match found.map(|(_, answer)| answer) {
        Some(Answer::Page(kind, bytes)) => {
            // Where it ends is where the connection does: a publisher may well not say how long it is.
            write!(
                tls,
                "HTTP/1.1 200 OK\r\ncontent-type: {kind}\r\nconnection: close\r\n\r\n"
            )?;
            tls.write_all(bytes)?;
        }
        Some(Answer::Moved(to)) => write!(
            tls,
            "HTTP/1.1 302 Found\r\nlocation: {to}\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"
        )?,
        None => tls.write_all(b"HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\nconnection: close\r\n\r\n")?,
    }
    tls.conn.send_close_notify();
    tls.flush()
}

/// A folder that carries one component, and one that stands for the host.
struct Stage {
    folder: tempfile::TempDir,
    file: String,
}

impl Stage {
    /// A stage whose catalogue has node_exporter in `file` and names `list` for its sum.
    fn with(file: &str, bytes: &[u8], list: &str) -> Self {
        let stage = Self {
            folder: tempfile::tempdir().unwrap(),
            file: file.to_owned(),
        };
        fs::create_dir(stage.root()).unwrap();
        fs::create_dir(stage.components()).unwrap();
        fs::write(stage.components().join(file), bytes).unwrap();
        let inside = file.trim_end_matches(".tar.gz");
        let catalogue = format!(
            "format = 1\n[[component]]\nname = \"node_exporter\"\nversion = \"1\"\nkind = \"exporter\"\n\
             license = \"Apache-2.0\"\nports = [9100]\narchive = \"tar.gz\"\n[component.build.{ARCH}]\n\
             file = \"{file}\"\nchecksums_url = \"{list}\"\n\
             programs = {{ node_exporter = \"{inside}/node_exporter\" }}\n"
        );
        fs::write(stage.components().join("components.toml"), catalogue).unwrap();
        stage
    }

    fn root(&self) -> PathBuf {
        self.folder.path().join("root")
    }

    fn components(&self) -> PathBuf {
        self.folder.path().join("components")
    }

    /// The bootstrap of a node on its own, on a machine that trusts the authority `ca` alone.
    fn command(&self, ca: &str) -> Command {
        let trusted = self.folder.path().join("trusted.pem");
        fs::write(&trusted, ca).unwrap();
        let mut command = Command::new(AGENT);
        command
            .args(["bootstrap", "--standalone", "--foreground", "--unattended"])
            .args(["--address", "127.0.0.1", "--until-stdin-closes", "--root"])
            .arg(self.root())
            .arg("--components")
            .arg(self.components())
            // The usual one may be another story's.
            .args(["--port", &free_port().to_string()])
            .env_clear()
            .env("SSL_CERT_FILE", trusted);
        command
    }

    /// Begins it, with its input open.
    fn started(&self, ca: &str, more: &[&str]) -> Child {
        let mut command = self.command(ca);
        command.args(more).stdin(Stdio::piped());
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        command.spawn().unwrap()
    }

    /// Runs it to its end; its input stays open until then.
    fn bootstrap(&self, ca: &str) -> Output {
        let mut child = self.started(ca, &[]);
        let stdin = child.stdin.take();
        let mut output = Vec::new();
        child.stdout.take().unwrap().read_to_end(&mut output).unwrap();
        drop(stdin);
        let mut ended = child.wait_with_output().unwrap();
        ended.stdout = output;
        ended
    }

    /// Runs it until it says that the node is there, then ends it. What it said.
    fn becomes_a_node(&self, ca: &str, more: &[&str]) -> String {
        let mut child = self.started(ca, more);
        let stdin = child.stdin.take();
        let mut said = String::new();
        for line in BufReader::new(child.stdout.take().unwrap())
            .lines()
            .map_while(Result::ok)
        {
            said.push_str(&line);
            said.push('\n');
            if line.starts_with("Prometheus scrapes it") {
                break;
            }
        }
        drop(stdin);
        let ended = child.wait_with_output().unwrap();
        let complaints = String::from_utf8_lossy(&ended.stderr);
        assert_eq!(ended.status.code(), Some(0), "{said}{complaints}");
        said + &complaints
    }

    /// Files below the folder that stands for the host.
    fn files(&self) -> Vec<PathBuf> {
        fn walk(folder: &Path, found: &mut Vec<PathBuf>) {
            for entry in fs::read_dir(folder).unwrap() {
                let path = entry.unwrap().path();
                if path.is_dir() {
                    walk(&path, found);
                } else {
                    found.push(path);
                }
            }
        }
        let mut found = Vec::new();
        walk(&self.root(), &mut found);
        found
    }

    /// Nothing that could be run, nor any part of the archive, is there; and what is there goes again.
    #[track_caller]
    fn nothing_is_placed(&self) {
        for path in self.files() {
            let mode = path.symlink_metadata().unwrap().permissions().mode();
            assert_eq!(mode & 0o111, 0, "{} can be run", path.display());
            let is_part = fs::read(&path).unwrap() == fs::read(self.components().join(&self.file)).unwrap();
            assert!(!is_part, "{} is the archive", path.display());
        }
        let output = Command::new(AGENT)
            .args(["uninstall", "--root"])
            .arg(self.root())
            .env_clear()
            .stdin(Stdio::null())
            .output()
            .unwrap();
        refused(&output, 0, "");
        assert_eq!(self.files(), Vec::<PathBuf>::new());
    }
}

fn sum(bytes: &[u8]) -> String {
    data_encoding::HEXLOWER.encode(&Sha256::digest(bytes))
}

fn text(text: String) -> Answer {
    Answer::Page("text/plain", text.into_bytes())
}

#[test]
fn a_list_that_does_not_vouch_for_the_file_places_nothing() {
    const FILE: &str = "x-1.tar.gz";
    const BYTES: &[u8] = b"\x1f\x8bnot the archive that was meant";
    let (good, other) = (sum(BYTES), sum(b"another"));
    // Where nobody must be sent on to.
    let plain = TcpListener::bind("127.0.0.1:0").unwrap();
    plain.set_nonblocking(true).unwrap();
    let in_the_open = format!("http://{}/good", plain.local_addr().unwrap());
    let page = b"<!DOCTYPE html>\n<title>Sign in to Hotel WiFi</title>".to_vec();
    let publisher = Publisher::with(vec![
        ("/good", text(format!("{good}  {FILE}\n"))),
        ("/wrong", text(format!("{other}  {FILE}\n"))),
        ("/absent", text(format!("{good}  y-1.tar.gz\n"))),
        ("/short", text(format!("{}  {FILE}\n", &good[..40]))),
        ("/both", text(format!("{good}  {FILE}\n{other}  {FILE}\n"))),
        ("/empty", text(String::new())),
        ("/page", Answer::Page("text/html", page)),
        ("/huge", text("0".repeat(2 * 1024 * 1024))),
        ("/bytes", Answer::Page("text/plain", vec![0xff; 64])),
        ("/moved", Answer::Moved(in_the_open.clone())),
    ]);
    let stranger = Publisher::with(vec![("/good", text(format!("{good}  {FILE}\n")))]);
    let at = |path: &str| format!("{}{path}", publisher.base);

    for (list, exit, code, word) in [
        (at("/wrong"), 10, "CHECKSUM_MISMATCH", other.as_str()),
        (at("/absent"), 1, "DOWNLOAD_FAILED", FILE),
        (at("/short"), 1, "DOWNLOAD_FAILED", FILE),
        (at("/both"), 1, "DOWNLOAD_FAILED", FILE),
        (at("/empty"), 1, "DOWNLOAD_FAILED", FILE),
        (at("/page"), 10, "NOT_A_PROGRAM", "Sign in to Hotel WiFi"),
        (at("/huge"), 1, "DOWNLOAD_FAILED", "larger than"),
        (at("/bytes"), 10, "NOT_A_PROGRAM", "not UTF-8"),
        (at("/nowhere"), 1, "DOWNLOAD_FAILED", "does not exist"),
        (at("/moved"), 1, "DOWNLOAD_FAILED", "https only"),
        (in_the_open, 2, "CATALOGUE_INVALID", "must be https://"),
        // The same list of somebody whom this machine does not know.
        (
            format!("{}/good", stranger.base),
            10,
            "SERVER_NOT_TRUSTED",
            "certificate",
        ),
    ] {
        let stage = Stage::with(FILE, BYTES, &list);
        let said = refused(&stage.bootstrap(&publisher.ca), exit, &format!("code: {code} ("));
        assert!(said.contains(word) && said.contains("hint: "), "{list}: {said}");
        assert!(
            !said.contains("--ca-file"),
            "there is no such flag for this: {said}"
        );
        stage.nothing_is_placed();
    }
    let asked = plain.accept().unwrap_err();
    assert_eq!(asked.kind(), ErrorKind::WouldBlock, "the plain address was asked");
}

pub(crate) fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap().port()
}

#[test]
fn a_list_in_any_form_that_publishers_use_does_and_verbose_shows_what_was_changed() {
    let packed = rig::Packed::node_exporter().unwrap();
    let (file, bytes) = (packed.file_name(), fs::read(&packed.path).unwrap());
    let sum = sum(&bytes);
    let publisher = Publisher::with(vec![
        (
            "/SHA256SUMS",
            text(format!("{}  other\n{sum} *./{file}\n", "0".repeat(64))),
        ),
        ("/CHECKSUM", text(format!("SHA256 ({file}) = {sum}\r\n"))),
        ("/x.sha256", text(format!("{sum}\n"))),
    ]);
    for (path, more) in [
        ("/SHA256SUMS", &["--verbose"][..]),
        ("/CHECKSUM", &[]),
        ("/x.sha256", &[]),
    ] {
        // Given a catalogue that pins nothing, when a node is made of it,
        let stage = Stage::with(&file, &bytes, &format!("{}{path}", publisher.base));
        let said = stage.becomes_a_node(&publisher.ca, more);
        // then it says on whose word,
        assert!(
            said.contains("the publisher's own list was used"),
            "{path}: {said}"
        );
        assert!(said.contains("SHA-256 verified"), "{path}: {said}");
        let is_program = |path: &PathBuf| path.ends_with("node_exporter");
        assert!(
            stage.files().iter().any(is_program),
            "{path}: {:?}",
            stage.files()
        );
        // and each change to the host is named where more was asked for, and only there.
        let changes: Vec<&str> = said
            .lines()
            .filter(|line| line.starts_with("changed: "))
            .collect();
        assert_eq!(!changes.is_empty(), more == ["--verbose"], "{said}");
        if more == ["--verbose"] {
            assert!(
                changes.iter().any(|line| line.contains("/node_exporter")),
                "{changes:#?}"
            );
        }
    }
}
