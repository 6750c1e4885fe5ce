//! Who is told: an HTTP receiver that tests can make misbehave. Written by hand, so that what it sees is judged by
//! nothing of ours.

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Instant;

use data_encoding::BASE64;
use serde_json::Value;
use sha2::{Digest as _, Sha256};

/// What a receiver does with a request it has read.
#[derive(Clone)]
pub enum Manner {
    /// Answers these bytes, and keeps the connection where they say so.
    Answer(String),
    /// Says nothing for as long as the other side stays.
    Hang,
    /// Answers 500 where this text stands in the body, and 200 otherwise.
    Chokes(String),
}

/// An answer with a status and headers.
pub fn answer(status: &str, headers: &str, body: &str) -> Manner {
    Manner::Answer(format!(
        "HTTP/1.1 {status}\r\nContent-Length: {}\r\n{headers}\r\n{body}",
        body.len()
    ))
}

/// A request as it came.
#[derive(Debug, Clone)]
pub struct Got {
    pub path: String,
    pub headers: BTreeMap<String, String>,
    pub body: Vec<u8>,
    pub at: Instant,
}

impl Got {
    pub fn id(&self) -> &str {
        self.headers.get("webhook-id").map_or("", String::as_str)
    }

    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap()
    }

    /// Whether one of its signatures was made with this secret. RFC 2104 by hand.
    pub fn is_signed_with(&self, secret: &str) -> bool {
        let key = BASE64
            .decode(secret.strip_prefix("whsec_").unwrap().as_bytes())
            .unwrap();
        let mut block = [0_u8; 64];
        block[..key.len()].copy_from_slice(&key);
        let pad = |with: u8| block.map(|byte| byte ^ with).to_vec();
        let head = format!("{}.{}.", self.id(), self.headers["webhook-timestamp"]);
        let inner = Sha256::digest([pad(0x36), head.into_bytes(), self.body.clone()].concat());
        let tag = Sha256::digest([pad(0x5c), inner.to_vec()].concat());
        let expected = format!("v1,{}", BASE64.encode(&tag));
        self.headers["webhook-signature"]
            .split(' ')
            .any(|one| one == expected)
    }
}

#[derive(Default)]
struct Shared {
    got: Mutex<Vec<Got>>,
    manner: Mutex<Option<Manner>>,
    open: Mutex<Vec<TcpStream>>,
    ended: AtomicBool,
}

/// An HTTP server on loopback, ended when dropped.
pub struct Receiver {
    pub port: u16,
    shared: Arc<Shared>,
    accepting: Option<JoinHandle<()>>,
}

impl Receiver {
    /// One that answers 200.
    pub fn new() -> Self {
        Self::at(0)
    }

    pub fn at(port: u16) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", port)).unwrap();
        let port = listener.local_addr().unwrap().port();
        let shared = Arc::new(Shared::default());
        let accepting = std::thread::spawn({
            let shared = shared.clone();
            move || {
                for stream in listener.incoming() {
                    if shared.ended.load(Ordering::SeqCst) {
                        return;
                    }
                    let stream = stream.unwrap();
                    shared.open.lock().unwrap().push(stream.try_clone().unwrap());
                    let shared = shared.clone();
                    std::thread::spawn(move || serve(stream, &shared));
                }
            }
        });
        Self {
            port,
            shared,
            accepting: Some(accepting),
        }
    }

    pub fn behave(&self, manner: Manner) {
        *self.shared.manner.lock().unwrap() = Some(manner);
    }

    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    pub fn got(&self) -> Vec<Got> {
        self.shared.got.lock().unwrap().clone()
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        self.shared.ended.store(true, Ordering::SeqCst);
        for stream in self.shared.open.lock().unwrap().drain(..) {
            let _ = stream.shutdown(Shutdown::Both);
        }
        // Wakes the thread that accepts.
        let _ = TcpStream::connect(("127.0.0.1", self.port));
        let _ = self.accepting.take().unwrap().join();
    }
}

fn serve(stream: TcpStream, shared: &Shared) {
    let mut reader = BufReader::new(stream.try_clone().unwrap());
    let mut writer = stream;
    while let Some(got) = request(&mut reader) {
        let manner = shared.manner.lock().unwrap().clone();
        let manner = match manner.unwrap_or_else(|| answer("200 OK", "", "")) {
            Manner::Chokes(on) if String::from_utf8_lossy(&got.body).contains(&on) => {
                answer("500 Internal Server Error", "", "no")
            }
            Manner::Chokes(_) => answer("200 OK", "", ""),
            other => other,
        };
        shared.got.lock().unwrap().push(got);
        match manner {
            Manner::Answer(text) => {
                if writer.write_all(text.as_bytes()).is_err() {
                    return;
                }
                if !text.starts_with("HTTP/1.1") {
                    let _ = writer.shutdown(Shutdown::Both);
                    return;
                }
            }
            Manner::Hang | Manner::Chokes(_) => {
                let _ = reader.read(&mut [0]);
                return;
            }
        }
    }
}

fn request(reader: &mut BufReader<TcpStream>) -> Option<Got> {
    let mut line = String::new();
    reader.read_line(&mut line).ok().filter(|read| *read > 0)?;
    let path = line.split(' ').nth(1)?.to_owned();
    let mut headers = BTreeMap::new();
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).ok().filter(|read| *read > 0)?;
        let Some((name, value)) = line.trim().split_once(':') else {
            break;
        };
        headers.insert(name.to_lowercase(), value.trim().to_owned());
    }
    let length: usize = headers.get("content-length")?.parse().ok()?;
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    Some(Got {
        path,
        headers,
        body,
        at: Instant::now(),
    })
}
