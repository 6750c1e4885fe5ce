//! Takes HTTP requests and writes each down as a line of JSON: an HTTP service that others tell things to.
//!
//! `rig-receiver ADDRESS:PORT FILE` answers 200, unless `FILE.manner` says otherwise: `hang` says nothing for as long
//! as the other side stays, anything else is answered as it stands there. Nothing in it knows AAMI.
#![allow(clippy::print_stderr)]

use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::json;

/// No request is longer.
const LONGEST: u64 = 1024 * 1024;
const WELL: &str = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";

fn main() -> ExitCode {
    match serve() {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            eprintln!("{why}");
            ExitCode::FAILURE
        }
    }
}

/// Where requests are written down, and how they are answered.
struct Book {
    file: Mutex<File>,
    manner: PathBuf,
}

fn serve() -> Result<(), String> {
    let mut arguments = std::env::args().skip(1);
    let (Some(address), Some(path)) = (arguments.next(), arguments.next()) else {
        return Err("usage: rig-receiver ADDRESS:PORT FILE".to_owned());
    };
    let address: SocketAddr = address.parse().map_err(|error| format!("{address}: {error}"))?;
    let file = OpenOptions::new().create(true).append(true).open(&path);
    let book = Arc::new(Book {
        file: Mutex::new(file.map_err(|error| format!("{path}: {error}"))?),
        manner: Path::new(&path).with_extension("manner"),
    });
    let listener = TcpListener::bind(address).map_err(|error| format!("{address}: {error}"))?;
    for stream in listener.incoming().flatten() {
        let book = book.clone();
        std::thread::spawn(move || talk(&stream, &book));
    }
    Ok(())
}

/// Answers one connection until it ends, or until an answer that is no HTTP.
fn talk(stream: &TcpStream, book: &Book) -> Option<()> {
    let mut reader = BufReader::new(stream);
    let mut writer = stream;
    loop {
        let line = request(&mut reader)?;
        {
            let mut file = book.file.lock().unwrap_or_else(PoisonError::into_inner);
            file.write_all(line.as_bytes()).ok()?;
        }
        // Looked at after the request is written down: who changes it then changes the next answer.
        let manner = std::fs::read_to_string(&book.manner).unwrap_or_else(|_| WELL.to_owned());
        if manner.trim() == "hang" {
            let _ = reader.read(&mut [0]);
            return None;
        }
        writer.write_all(manner.as_bytes()).ok()?;
        if !manner.starts_with("HTTP/1.1") {
            return None;
        }
    }
}

fn line(reader: &mut BufReader<&TcpStream>) -> Option<String> {
    let mut line = String::new();
    let read = reader.take(LONGEST).read_line(&mut line).ok()?;
    (read > 0).then(|| line.trim_end().to_owned())
}

/// One request as a line of JSON.
fn request(reader: &mut BufReader<&TcpStream>) -> Option<String> {
    let first = line(reader)?;
    let path = first.split(' ').nth(1)?.to_owned();
    let mut headers = BTreeMap::new();
    loop {
        let next = line(reader)?;
        let Some((name, value)) = next.split_once(':') else {
            break;
        };
        headers.insert(name.to_lowercase(), value.trim().to_owned());
    }
    let length: u64 = headers.get("content-length")?.parse().ok()?;
    if length > LONGEST {
        return None;
    }
    let mut body = vec![0; usize::try_from(length).ok()?];
    reader.read_exact(&mut body).ok()?;
    let at = SystemTime::now().duration_since(UNIX_EPOCH).ok()?;
    let record = json!({
        "at": u64::try_from(at.as_millis()).ok()?,
        "path": path,
        "headers": headers,
        "body": String::from_utf8_lossy(&body),
    });
    Some(format!("{record}\n"))
}
