//! What an agent says, byte by byte, to either server. Written by hand: the load shares the machine with what it
//! loads, so a client weighs as little as it can.

use std::io;

use aami_api::link::{GpuUse, Heartbeat, Hello, PROTOCOL, Resources, Up};
use aami_model::Timestamp;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};

/// The longest answer to a greeting.
const LONGEST: usize = 16 * 1024;

/// Which server is spoken to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Speech {
    /// The control plane, over `/ws/node`.
    Aami,
    /// The socket.io server of this bench.
    SocketIo,
}

impl Speech {
    /// The request for a socket, as it goes over the wire.
    pub(crate) fn request(self, credential: &str) -> Vec<u8> {
        let path = match self {
            Self::Aami => "/ws/node",
            Self::SocketIo => "/socket.io/?EIO=4&transport=websocket",
        };
        format!(
            "GET {path} HTTP/1.1\r\nhost: bench\r\nauthorization: Bearer {credential}\r\nconnection: Upgrade\r\n\
             upgrade: websocket\r\nsec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
        )
        .into_bytes()
    }

    /// The greeting, after the socket is there.
    fn greeting(self) -> Vec<u8> {
        let hello = Hello {
            protocol: PROTOCOL,
            agent_version: "0.1.0".to_owned(),
            arch: "amd64".to_owned(),
            boot_id: "3f0c5a39-7f5e-4c3b-9a57-0f6f1d5ac1b2".to_owned(),
            spool: "0f6f1d5ac1b2".to_owned(),
            inventory_sha256: "a".repeat(64),
            config_revision: None,
            time: now(),
        };
        match self {
            Self::Aami => frame(&text(&Up::Hello(hello))),
            // The same, and it is to be acknowledged.
            Self::SocketIo => {
                let hello = serde_json::to_string(&hello).unwrap();
                frame(&format!(r#"420["hello",{hello}]"#))
            }
        }
    }

    /// Whether a frame says that the greeting was taken.
    fn is_welcome(self, frame: &[u8]) -> bool {
        match self {
            Self::Aami => frame.starts_with(br#"{"type":"connection_ack""#),
            Self::SocketIo => frame.starts_with(b"430"),
        }
    }

    /// A heartbeat, as it goes over the wire.
    pub(crate) fn heartbeat(self, resources: bool) -> Vec<u8> {
        let resources = resources.then(busy);
        let up = Up::Heartbeat(Heartbeat {
            resources,
            time: Some(now()),
        });
        match self {
            Self::Aami => frame(&text(&up)),
            Self::SocketIo => frame(&format!(r#"42["heartbeat",{}]"#, text(&up))),
        }
    }

    /// Asks for a socket, greets, and waits until that was taken.
    pub(crate) async fn connect<S>(self, stream: &mut S, request: &[u8]) -> io::Result<()>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        stream.write_all(request).await?;
        let mut read = Vec::with_capacity(1024);
        let head = loop {
            more(stream, &mut read).await?;
            if let Some(at) = read.windows(4).position(|four| four == b"\r\n\r\n") {
                break at + 4;
            }
        };
        if !read.starts_with(b"HTTP/1.1 101") {
            let line = String::from_utf8_lossy(&read[..read.len().min(60)]).into_owned();
            return Err(io::Error::other(line));
        }
        read.drain(..head);
        match self {
            Self::Aami => stream.write_all(&self.greeting()).await?,
            // Joins the namespace first: what comes before it has answered is an error there.
            Self::SocketIo => stream.write_all(&frame("40")).await?,
        }
        loop {
            while let Some((from, to)) = whole(&read) {
                let payload = &read[from..to];
                if self.is_welcome(payload) {
                    return Ok(());
                }
                if self == Self::Aami {
                    return Err(io::Error::other(String::from_utf8_lossy(payload).into_owned()));
                }
                let joined = payload.starts_with(b"40{");
                read.drain(..to);
                if joined {
                    stream.write_all(&self.greeting()).await?;
                }
            }
            more(stream, &mut read).await?;
        }
    }
}

/// A text frame of a client. The mask is zero, which RFC 6455 does not forbid the receiver to take: the bytes are
/// unmasked all the same.
pub(crate) fn frame(text: &str) -> Vec<u8> {
    let mut bytes = vec![0x81];
    match text.len() {
        short @ 0..126 => bytes.push(0x80 | u8::try_from(short).unwrap()),
        medium @ 126..0x1_0000 => {
            bytes.push(0x80 | 126);
            bytes.extend_from_slice(&u16::try_from(medium).unwrap().to_be_bytes());
        }
        long => {
            bytes.push(0x80 | 127);
            bytes.extend_from_slice(&(long as u64).to_be_bytes());
        }
    }
    bytes.extend_from_slice(&[0; 4]);
    bytes.extend_from_slice(text.as_bytes());
    bytes
}

pub(crate) fn text(up: &Up) -> String {
    serde_json::to_string(up).unwrap()
}

pub(crate) fn now() -> Timestamp {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    Timestamp::from_millis(i64::try_from(since.unwrap().as_millis()).unwrap())
}

/// What a node with eight GPUs says of itself.
fn busy() -> Resources {
    let gpus = (0..8).map(|n| GpuUse {
        pci: format!("0000:{n}b:00.0"),
        utilization_percent: Some(97.0),
        memory_used: Some(71_000_000_000),
        memory_total: Some(85_899_345_920),
        temperature_celsius: Some(64.0),
        power_watts: Some(612.5),
    });
    Resources {
        cpu_percent: 12.5,
        load1: 24.25,
        memory_used: 512 << 30,
        memory_total: 2048 << 30,
        disk_used: 100 << 30,
        disk_total: 1700 << 30,
        uptime_seconds: 864_000,
        gpus: gpus.collect(),
    }
}

async fn more<S: AsyncRead + Unpin>(stream: &mut S, read: &mut Vec<u8>) -> io::Result<()> {
    if read.len() > LONGEST {
        return Err(io::Error::other("the answer does not end"));
    }
    match stream.read_buf(read).await? {
        0 => Err(io::ErrorKind::UnexpectedEof.into()),
        _ => Ok(()),
    }
}

/// Where the first frame's payload begins and ends, once it is there. Servers do not mask.
fn whole(read: &[u8]) -> Option<(usize, usize)> {
    let (from, length) = match read.get(1)? & 0x7f {
        126 => (
            4,
            usize::from(u16::from_be_bytes(read.get(2..4)?.try_into().unwrap())),
        ),
        127 => {
            let length = u64::from_be_bytes(read.get(2..10)?.try_into().unwrap());
            (10, usize::try_from(length).unwrap())
        }
        short => (2, usize::from(short)),
    };
    (read.len() >= from + length).then_some((from, from + length))
}
