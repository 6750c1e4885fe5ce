//! The script that installs a server, over a road that breaks off: what arrived is kept, the rest is fetched.

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use crate::script::{ARCH, left_in, programs, run, said};
use crate::script_install::{Release, VERSION};

/// A web server that ends each answer after half of what is left of it, and remembers what it was asked.
struct Breaking {
    folder: PathBuf,
    asked: Mutex<Vec<String>>,
    knows_ranges: bool,
    /// What it answers everything with, if it does.
    status: Option<&'static str>,
}

impl Breaking {
    fn answer(&self, mut stream: TcpStream) -> std::io::Result<()> {
        let mut lines = BufReader::new(stream.try_clone()?).lines();
        let first = lines.next().unwrap_or_else(|| Ok(String::new()))?;
        let mut from = 0;
        for line in lines {
            let line = line?.to_lowercase();
            if let Some(range) = line.strip_prefix("range: bytes=") {
                from = range.trim_end_matches('-').parse().unwrap_or(0);
            }
            if line.is_empty() {
                break;
            }
        }
        let path = first.split(' ').nth(1).unwrap_or_default().to_owned();
        let name = path.trim_start_matches('/');
        self.asked.lock().unwrap().push(format!("{name} from {from}"));
        if let Some(status) = self.status {
            return write!(
                stream,
                "HTTP/1.1 {status}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
            );
        }
        let Ok(whole) = std::fs::read(self.folder.join(name)) else {
            return stream
                .write_all(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
        };
        let (status, rest) = if self.knows_ranges && from > 0 {
            (
                format!(
                    "206 Partial Content\r\nContent-Range: bytes {from}-{}/{}",
                    whole.len() - 1,
                    whole.len()
                ),
                &whole[from..],
            )
        } else {
            ("200 OK".to_owned(), &whole[..])
        };
        // Only the program breaks off, and only until little is left of it.
        let breaks = name.ends_with("/aami") && from < whole.len() / 2;
        let end = if breaks { rest.len() / 2 } else { rest.len() };
        write!(
            stream,
            "HTTP/1.1 {status}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
            rest.len()
        )?;
        stream.write_all(&rest[..end])
    }
}

/// Runs the script against it, and gives how it ended and what was asked.
fn over(release: &Release, knows_ranges: bool, bin: Option<&Path>) -> (Option<i32>, String, Vec<String>) {
    answered_by(release, knows_ranges, None, bin)
}

fn answered_by(
    release: &Release,
    knows_ranges: bool,
    status: Option<&'static str>,
    bin: Option<&Path>,
) -> (Option<i32>, String, Vec<String>) {
    let server = Breaking {
        status,
        folder: release.at("..").canonicalize().unwrap(),
        asked: Mutex::default(),
        knows_ranges,
    };
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let base = format!("http://{}", listener.local_addr().unwrap());
    let tmp = tempfile::tempdir().unwrap();
    let output = std::thread::scope(|threads| {
        threads.spawn(|| {
            for stream in listener.incoming() {
                // Whoever hangs up before the answer is whole has had enough of it.
                let _ = server.answer(stream.unwrap());
                // The last one is the story's own: it is over.
                if server
                    .asked
                    .lock()
                    .unwrap()
                    .last()
                    .is_some_and(|last| last.starts_with("over"))
                {
                    return;
                }
            }
        });
        let output = run(
            &["/bin/sh"],
            release.script(),
            &["--base-url", &base],
            tmp.path(),
            bin,
        );
        let mut last = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        last.write_all(b"GET /over HTTP/1.1\r\n\r\n").unwrap();
        output
    });
    assert_eq!(left_in(tmp.path()), 0, "nothing is left behind");
    (
        output.status.code(),
        said(&output),
        server.asked.into_inner().unwrap(),
    )
}

#[test]
fn a_download_that_breaks_off_is_continued_where_it_stopped() {
    let release = Release::new();
    let (code, said, asked) = over(&release, true, None);
    assert_eq!(code, Some(6), "{said}");
    let program = format!("{VERSION}/{ARCH}/aami from ");
    let parts: Vec<&String> = asked.iter().filter(|one| one.starts_with(&program)).collect();
    assert_eq!(parts.len(), 2, "{asked:?}");
    assert!(
        parts[0].ends_with("from 0") && !parts[1].ends_with("from 0"),
        "{asked:?}"
    );
}

#[test]
fn one_that_always_breaks_off_fails_in_the_end_and_says_so() {
    let release = Release::new();
    let (code, said, asked) = over(&release, false, None);
    assert_eq!(code, Some(1), "{said}");
    assert!(
        said.contains("DOWNLOAD_FAILED") && said.contains("hint: "),
        "{said}"
    );
    assert!(!said.contains("args:"), "{said}");
    let tries = asked.iter().filter(|one| one.contains("/aami from")).count();
    assert!((3..=20).contains(&tries), "{asked:?}");
}

#[test]
fn wget_continues_by_itself() {
    let release = Release::new();
    let bin = programs(&[
        "wget",
        "sha256sum",
        "cut",
        "uname",
        "mktemp",
        "rm",
        "chmod",
        "cat",
        "mkdir",
    ]);
    let (code, said, _) = over(&release, true, Some(bin.path()));
    assert_eq!(code, Some(6), "{said}");
}

#[test]
fn who_answers_in_the_place_of_the_files_is_said() {
    let release = Release::new();
    for (status, exit, symbol, word) in [
        ("407 Proxy Authentication Required", 4, "PROXY_AUTH", "proxy"),
        ("403 Forbidden", 1, "DOWNLOAD_FAILED", "403"),
        ("404 Not Found", 5, "RELEASE_MISSING", VERSION),
    ] {
        let (code, said, _) = answered_by(&release, true, Some(status), None);
        assert_eq!((code, said.contains(symbol)), (Some(exit), true), "{said}");
        assert!(said.contains(word) && said.contains("hint: "), "{said}");
    }
}
