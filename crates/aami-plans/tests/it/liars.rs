//! Servers that cut off, lie about lengths, stall, or answer in another's place.

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{TcpListener, TcpStream};
use std::ops::ControlFlow;
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

use aami_model::code;
use aami_plans::download::{
    Access, Backoff, DownloadError, Downloader, Format, Proxies, Settings, Verified, Wanted,
};

use crate::archives::{sum, tar_gz};

/// One answer: what is written before the connection is closed.
type Script = Box<dyn FnMut(&Asked, &mut TcpStream) + Send>;

/// What was asked.
#[derive(Debug, Clone, Default)]
struct Asked {
    head: Vec<String>,
}

impl Asked {
    fn header(&self, name: &str) -> Option<&str> {
        self.head.iter().find_map(|line| {
            let (key, value) = line.split_once(": ")?;
            key.eq_ignore_ascii_case(name).then_some(value)
        })
    }
}

/// A server that answers each connection by the next script and then is gone.
struct Liar {
    port: u16,
    asked: Arc<Mutex<Vec<Asked>>>,
    thread: Option<JoinHandle<()>>,
}

impl Liar {
    fn with(scripts: Vec<Script>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let asked = Arc::new(Mutex::new(Vec::new()));
        let heard = asked.clone();
        let thread = std::thread::spawn(move || {
            for mut script in scripts {
                let (mut socket, _) = listener.accept().unwrap();
                socket.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
                let mut asked = Asked::default();
                let reader = BufReader::new(socket.try_clone().unwrap());
                for line in reader.lines().map_while(Result::ok) {
                    if line.is_empty() {
                        break;
                    }
                    asked.head.push(line);
                }
                heard.lock().unwrap().push(asked.clone());
                script(&asked, &mut socket);
            }
        });
        Self {
            port,
            asked,
            thread: Some(thread),
        }
    }

    fn fetch(&self, bytes_wanted: &[u8], folder: &std::path::Path) -> Result<Verified, DownloadError> {
        let url = format!("http://127.0.0.1:{}/x.tar.gz", self.port);
        let wanted = Wanted {
            url: &url,
            access: &Access::default(),
            sha256: sum(bytes_wanted),
            format: Format::Gzip,
            largest: 10_000_000,
        };
        downloader().fetch(&wanted, folder, &mut |_, _| ControlFlow::Continue(()))
    }

    fn asked(mut self) -> Vec<Asked> {
        self.thread.take().unwrap().join().unwrap();
        std::mem::take(&mut self.asked.lock().unwrap())
    }
}

fn downloader() -> Downloader {
    by(Proxies::default())
}

fn by(proxies: Proxies) -> Downloader {
    let mut settings = Settings::new(proxies, || 0.5);
    settings.silence = Duration::from_millis(500);
    settings.attempts = 3;
    settings.backoff = Backoff {
        first: Duration::ZERO,
        most: Duration::ZERO,
        random: || 0.5,
        sleep: |_| {},
    };
    Downloader::new(settings)
}

/// Says how long the whole is and sends `bytes` of it.
fn answer(status: &'static str, headers: String, bytes: Vec<u8>) -> Script {
    Box::new(move |_, socket| {
        let head = format!("HTTP/1.1 {status}\r\n{headers}connection: close\r\n\r\n");
        let _ = socket.write_all(head.as_bytes());
        let _ = socket.write_all(&bytes);
    })
}

fn archive() -> Vec<u8> {
    tar_gz(&[crate::archives::file("x", &crate::archives::program(62, 400_000))])
}

#[test]
fn a_transfer_that_breaks_off_is_continued_where_it_stopped() {
    let bytes = archive();
    let half = bytes.len() / 2;
    let whole = bytes.len();
    let rest = bytes[half..].to_vec();
    let liar = Liar::with(vec![
        answer(
            "200 OK",
            format!("content-length: {whole}\r\n"),
            bytes[..half].to_vec(),
        ),
        answer(
            "206 Partial Content",
            format!(
                "content-length: {}\r\ncontent-range: bytes {half}-{}/{whole}\r\n",
                rest.len(),
                whole - 1
            ),
            rest,
        ),
    ]);
    let folder = tempfile::tempdir().unwrap();
    let verified = liar.fetch(&bytes, folder.path()).unwrap();
    assert_eq!(std::fs::read(verified.path()).unwrap(), bytes);
    let asked = liar.asked();
    assert_eq!(asked[0].header("range"), None);
    assert_eq!(asked[1].header("range"), Some(format!("bytes={half}-").as_str()));
}

#[test]
fn a_beginning_from_another_version_is_thrown_away_by_the_checksum() {
    let bytes = archive();
    let folder = tempfile::tempdir().unwrap();
    let stale = vec![0x1f_u8; 1000];
    std::fs::write(folder.path().join(format!("{}.partial", sum(&bytes))), &stale).unwrap();
    let rest = bytes[1000..].to_vec();
    let range = format!(
        "content-length: {}\r\ncontent-range: bytes 1000-{}/{}\r\n",
        rest.len(),
        bytes.len() - 1,
        bytes.len()
    );
    let liar = Liar::with(vec![
        answer("206 Partial Content", range, rest),
        answer(
            "200 OK",
            format!("content-length: {}\r\n", bytes.len()),
            bytes.clone(),
        ),
    ]);
    let verified = liar.fetch(&bytes, folder.path()).unwrap();
    assert_eq!(verified.sha256(), sum(&bytes));
    assert_eq!(liar.asked()[1].header("range"), None, "begun anew");
}

#[test]
fn a_server_that_ignores_ranges_is_no_trouble() {
    let bytes = archive();
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(
        folder.path().join(format!("{}.partial", sum(&bytes))),
        &bytes[..999],
    )
    .unwrap();
    let liar = Liar::with(vec![answer(
        "200 OK",
        format!("content-length: {}\r\n", bytes.len()),
        bytes.clone(),
    )]);
    assert!(liar.fetch(&bytes, folder.path()).is_ok());
}

#[test]
fn a_transfer_that_always_breaks_off_fails_in_the_end_and_says_where() {
    let bytes = archive();
    let cut = || {
        answer(
            "200 OK",
            "content-length: 5000\r\n".to_owned(),
            bytes[..700].to_vec(),
        )
    };
    let cut_more = || {
        answer(
            "206 Partial Content",
            "content-length: 4300\r\ncontent-range: bytes 700-4999/5000\r\n".to_owned(),
            Vec::new(),
        )
    };
    let liar = Liar::with(vec![cut(), cut_more(), cut_more()]);
    let folder = tempfile::tempdir().unwrap();
    let error = liar.fetch(&bytes, folder.path()).unwrap_err();
    assert!(
        matches!(
            error,
            DownloadError::BrokeOff {
                got: 700,
                of: Some(5000),
                ..
            }
        ),
        "{error}"
    );
    assert_eq!(error.code().symbol, "DOWNLOAD_FAILED");
    assert_eq!(liar.asked().len(), 3);
    let names: Vec<_> = std::fs::read_dir(folder.path()).unwrap().collect();
    assert_eq!(names.len(), 1, "only the part");
}

#[test]
fn what_signs_an_address_that_another_led_to_is_in_no_complaint_about_what_came() {
    let bytes = archive();
    let page = b"<!DOCTYPE html><html>Sign in</html>";
    let wrong: [(&str, String, Vec<u8>); 2] = [
        (
            "a page",
            format!("content-length: {}\r\n", page.len()),
            page.to_vec(),
        ),
        (
            "cut off",
            "content-length: 5000\r\n".to_owned(),
            bytes[..700].to_vec(),
        ),
    ];
    for (what, headers, body) in wrong {
        // Given a mirror that leads to a place whose addresses are signed, and something wrong there, however often,
        let scripts = (0..3).flat_map(|_| {
            let to = "location: /store/x.tar.gz?X-Signature=hunter2\r\ncontent-length: 0\r\n";
            [
                answer("302 Found", to.to_owned(), Vec::new()),
                answer("200 OK", headers.clone(), body.clone()),
            ]
        });
        let scripts: Vec<Script> = match what {
            // What is no archive is not asked for again.
            "a page" => scripts.take(2).collect(),
            _ => scripts.collect(),
        };
        let liar = Liar::with(scripts);
        let folder = tempfile::tempdir().unwrap();
        let error = liar.fetch(&bytes, folder.path()).unwrap_err();
        // then the place is named, and what opens it is not.
        let said = format!("{error} {error:?}");
        assert!(said.contains("/store/x.tar.gz"), "{what}: {said}");
        assert!(!said.contains("hunter2"), "{what}: {said}");
        assert!(
            liar.asked().iter().any(|asked| asked.head[0].contains("hunter2")),
            "{what}"
        );
    }
}

#[test]
fn a_server_that_falls_silent_is_left() {
    let bytes = archive();
    let stall = |_: &Asked, socket: &mut TcpStream| {
        let _ = socket.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 5000\r\n\r\n\x1f\x8b");
        // Until the client hangs up.
        let mut byte = [0];
        let _ = std::io::Read::read(socket, &mut byte);
    };
    let liar = Liar::with(vec![Box::new(stall), Box::new(stall), Box::new(stall)]);
    let folder = tempfile::tempdir().unwrap();
    let error = liar.fetch(&bytes, folder.path()).unwrap_err();
    assert!(matches!(error, DownloadError::BrokeOff { .. }), "{error}");
    assert_eq!(liar.asked().len(), 3);
}

#[test]
fn a_body_without_end_is_stopped_at_the_limit() {
    let bytes = archive();
    let flood = |_: &Asked, socket: &mut TcpStream| {
        let _ = socket.write_all(b"HTTP/1.1 200 OK\r\nconnection: close\r\n\r\n\x1f\x8b");
        let block = vec![7_u8; 1 << 20];
        while socket.write_all(&block).is_ok() {}
    };
    let liar = Liar::with(vec![Box::new(flood)]);
    let folder = tempfile::tempdir().unwrap();
    let error = liar.fetch(&bytes, folder.path()).unwrap_err();
    assert!(
        matches!(
            error,
            DownloadError::TooLarge {
                largest: 10_000_000,
                ..
            }
        ),
        "{error}"
    );
    let partial = folder.path().join(format!("{}.partial", sum(&bytes)));
    assert_eq!(
        std::fs::metadata(partial).unwrap().len(),
        0,
        "nothing of it is kept"
    );
}

#[test]
fn an_announced_size_beyond_the_limit_is_refused_before_the_first_byte() {
    let liar = Liar::with(vec![answer(
        "200 OK",
        "content-length: 99999999999\r\n".to_owned(),
        b"\x1f\x8b".to_vec(),
    )]);
    let folder = tempfile::tempdir().unwrap();
    let error = liar.fetch(b"x", folder.path()).unwrap_err();
    assert!(matches!(error, DownloadError::TooLarge { .. }), "{error}");
}

#[test]
fn another_part_than_asked_for_is_not_stitched_in() {
    let bytes = archive();
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(
        folder.path().join(format!("{}.partial", sum(&bytes))),
        &bytes[..1000],
    )
    .unwrap();
    let liar = Liar::with(vec![
        answer(
            "206 Partial Content",
            "content-length: 10\r\ncontent-range: bytes 5-14/15\r\n".to_owned(),
            bytes[5..15].to_vec(),
        ),
        answer(
            "200 OK",
            format!("content-length: {}\r\n", bytes.len()),
            bytes.clone(),
        ),
    ]);
    assert!(liar.fetch(&bytes, folder.path()).is_ok());
}

#[test]
fn a_proxy_that_wants_a_password_refuses_or_is_gone_is_named_as_the_proxy() {
    // Given a proxy that answers for every host, as it is asked for plain and for encrypted addresses,
    for (status, scheme, code, asked) in [
        ("407 Proxy Authentication Required", "http", code::PROXY_AUTH, 1),
        ("407 Proxy Authentication Required", "https", code::PROXY_AUTH, 1),
        ("403 Forbidden", "https", code::PROXY_REFUSED, 3),
    ] {
        let url = &format!("{scheme}://files.example.com/x.tar.gz");
        let refuse = |_| answer(status, "content-length: 0\r\n".to_owned(), Vec::new());
        let liar = Liar::with((0..asked).map(refuse).collect());
        // when something is fetched through it,
        let error = through(liar.port, url);
        // then that is what went wrong, and the password in its address is not told.
        assert_eq!(error.code(), code, "{status} for {url}: {error}");
        assert!(!error.to_string().contains("hunter2"), "{error}");
        assert_eq!(liar.asked().len(), asked, "{status} for {url}");
    }
    // And where nobody listens, it is the proxy that cannot be reached.
    let port = TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
        .port();
    let error = through(port, "https://files.example.com/x.tar.gz");
    assert_eq!(error.code(), code::PROXY_UNREACHABLE, "{error}");
}

/// What comes of fetching an address by a proxy on this port.
fn through(port: u16, url: &str) -> DownloadError {
    let proxy = format!("http://ops:hunter2@127.0.0.1:{port}");
    let proxies = Proxies {
        http: Some(proxy.clone()),
        https: Some(proxy),
        without: Vec::new(),
    };
    let folder = tempfile::tempdir().unwrap();
    let wanted = Wanted {
        url,
        access: &Access::default(),
        sha256: sum(b"x"),
        format: Format::Gzip,
        largest: 10_000_000,
    };
    let error = by(proxies)
        .fetch(&wanted, folder.path(), &mut |_, _| ControlFlow::Continue(()))
        .unwrap_err();
    let left: Vec<_> = std::fs::read_dir(folder.path()).unwrap().flatten().collect();
    assert!(
        left.iter().all(|file| file.metadata().unwrap().len() == 0),
        "nothing is kept: {left:?}"
    );
    error
}
