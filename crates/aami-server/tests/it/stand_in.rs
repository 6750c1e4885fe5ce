//! A service that answers whatever a test wants, and counts who asks. Written by hand, so that it can be as wrong as
//! it likes.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

/// What is answered.
#[derive(Clone)]
pub enum Manner {
    /// These bytes, then the end.
    Bytes(Vec<u8>),
    /// A head, then a body without end.
    Endless,
    /// Nothing, for as long as the other side stays.
    Silence,
}

/// Listens on loopback until the test's process ends.
pub struct StandIn {
    pub port: u16,
    manner: Arc<Mutex<Manner>>,
    asked: Arc<AtomicUsize>,
}

/// An answer with a JSON body.
pub fn json(status: &str, body: &str) -> Manner {
    let text = format!(
        "HTTP/1.1 {status}\r\nDate: Sun, 06 Nov 1994 08:49:37 GMT\r\nContent-Type: application/json\r\n\
         Content-Length: {}\r\n\r\n{body}",
        body.len()
    );
    Manner::Bytes(text.into_bytes())
}

/// Every way to answer that is no answer. `elsewhere` is where a redirect leads.
pub fn nonsense(elsewhere: u16) -> Vec<Manner> {
    let redirect =
        format!("HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:{elsewhere}/\r\nContent-Length: 0\r\n\r\n");
    vec![
        Manner::Bytes(Vec::new()),
        Manner::Bytes(b"SSH-2.0-OpenSSH_9.2p1\r\n".to_vec()),
        Manner::Bytes(redirect.into_bytes()),
        json("200 OK", "<html>sign in</html>"),
        json("200 OK", "{}"),
        json("200 OK", "null"),
        json("200 OK", &"[".repeat(100_000)),
        json("503 Service Unavailable", "starting"),
        json("401 Unauthorized", ""),
        Manner::Endless,
    ]
}

impl StandIn {
    pub fn new(manner: Manner) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let manner = Arc::new(Mutex::new(manner));
        let asked = Arc::new(AtomicUsize::new(0));
        std::thread::spawn({
            let (manner, asked) = (manner.clone(), asked.clone());
            move || {
                for stream in listener.incoming() {
                    let (manner, asked) = (manner.clone(), asked.clone());
                    std::thread::spawn(move || serve(stream.unwrap(), &manner, &asked));
                }
            }
        });
        Self { port, manner, asked }
    }

    pub fn behave(&self, manner: Manner) {
        *self.manner.lock().unwrap() = manner;
    }

    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// How often it was asked.
    pub fn asked(&self) -> usize {
        self.asked.load(Ordering::SeqCst)
    }
}

fn serve(stream: TcpStream, manner: &Mutex<Manner>, asked: &AtomicUsize) {
    let mut reader = BufReader::new(stream.try_clone().unwrap());
    let mut writer = stream;
    let mut length = 0;
    loop {
        let mut line = String::new();
        match reader.read_line(&mut line) {
            Ok(read) if read > 0 => {}
            _ => return,
        }
        let line = line.trim().to_lowercase();
        if let Some(value) = line.strip_prefix("content-length:") {
            length = value.trim().parse().unwrap();
        }
        if line.is_empty() {
            break;
        }
    }
    if reader.read_exact(&mut vec![0; length]).is_err() {
        return;
    }
    let manner = manner.lock().unwrap().clone();
    asked.fetch_add(1, Ordering::SeqCst);
    match manner {
        Manner::Bytes(bytes) => {
            let _ = writer.write_all(&bytes);
        }
        Manner::Endless => {
            let head =
                b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n";
            let chunk = [b"10000\r\n".to_vec(), vec![b'['; 0x10000], b"\r\n".to_vec()].concat();
            let mut written = writer.write_all(head);
            while written.is_ok() {
                written = writer.write_all(&chunk);
            }
        }
        Manner::Silence => {
            let _ = reader.read(&mut [0]);
        }
    }
}
