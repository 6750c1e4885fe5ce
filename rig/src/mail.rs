//! A mail server (SMTP, RFC 5321) that wants TLS, begun in clear or spoken from the first byte, and takes everything.
//! Written by hand, so that what it is told is judged by nothing of ours.

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{Ipv4Addr, SocketAddrV4, TcpListener, TcpStream};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context as _, Result, anyhow};

/// How long it waits for a word.
const PATIENCE: Duration = Duration::from_secs(30);
/// What it says first.
const GREETING: &[u8] = b"220 here\r\n";

/// How a mail server wants to be spoken to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Secured {
    /// In clear, and by STARTTLS (RFC 3207) before anything is said.
    StartTls,
    /// By TLS from the first byte (RFC 8314).
    Tls,
}

/// A running mail server. It ends with the process.
#[derive(Debug)]
pub struct MailServer {
    /// The port it listens on.
    pub port: u16,
    /// The CA to trust, PEM.
    pub ca: String,
    said: Arc<Mutex<Vec<String>>>,
}

impl MailServer {
    /// Starts one on a free port of loopback that wants STARTTLS.
    pub fn start() -> Result<Self> {
        Self::start_at(SocketAddrV4::new(Ipv4Addr::LOCALHOST, 0), Secured::StartTls)
    }

    /// Starts one at an address, with a certificate for that and for `localhost`. Whoever wants it in another network
    /// starts it from there: see [`Host::within`](crate::Host::within).
    pub fn start_at(address: SocketAddrV4, secured: Secured) -> Result<Self> {
        let names = vec!["localhost".to_owned(), address.ip().to_string()];
        let made = rcgen::generate_simple_self_signed(names)?;
        let key = rustls_pki_types::PrivateKeyDer::try_from(made.signing_key.serialize_der())
            .map_err(|error| anyhow!("a key that was just made: {error}"))?;
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = rustls::ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()?
            .with_no_client_auth()
            .with_single_cert(vec![made.cert.der().clone()], key)?;
        let config = Arc::new(config);
        let listener = TcpListener::bind(address).with_context(|| format!("{address} is not free"))?;
        let port = listener.local_addr()?.port();
        let said: Arc<Mutex<Vec<String>>> = Arc::default();
        std::thread::spawn({
            let said = said.clone();
            move || {
                for stream in listener.incoming().map_while(std::io::Result::ok) {
                    let (config, said) = (config.clone(), said.clone());
                    std::thread::spawn(move || drop(talk(stream, secured, &config, &said)));
                }
            }
        });
        Ok(Self {
            port,
            ca: made.cert.pem(),
            said,
        })
    }

    /// Every line it was told over TLS, and what somebody said in clear beside STARTTLS, so marked.
    pub fn said(&self) -> Vec<String> {
        self.said.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

fn talk(
    stream: TcpStream,
    secured: Secured,
    config: &Arc<rustls::ServerConfig>,
    said: &Mutex<Vec<String>>,
) -> Result<()> {
    let heard = |line: String| {
        said.lock().unwrap_or_else(PoisonError::into_inner).push(line);
    };
    stream.set_read_timeout(Some(PATIENCE))?;
    if secured == Secured::StartTls && !begun_in_clear(&stream, &heard)? {
        return Ok(());
    }
    let connection = rustls::ServerConnection::new(config.clone())?;
    let mut secure = BufReader::new(rustls::StreamOwned::new(connection, stream));
    if secured == Secured::Tls {
        secure.get_mut().write_all(GREETING)?;
    }
    let mut in_data = false;
    loop {
        let mut line = String::new();
        if secure.read_line(&mut line)? == 0 {
            return Ok(());
        }
        let line = line.trim_end().to_owned();
        heard(line.clone());
        let reply = match line.split(' ').next().unwrap_or_default() {
            "." if in_data => {
                in_data = false;
                "250 taken as 77\r\n"
            }
            _ if in_data => continue,
            "EHLO" => "250-here\r\n250 AUTH PLAIN\r\n",
            "AUTH" => "235 welcome\r\n",
            "DATA" => {
                in_data = true;
                "354 go on\r\n"
            }
            "QUIT" => "221 bye\r\n",
            _ => "250 ok\r\n",
        };
        secure.get_mut().write_all(reply.as_bytes())?;
    }
}

/// Whether somebody who began in clear asked for TLS; nothing else is taken from them.
fn begun_in_clear(mut stream: &TcpStream, heard: &dyn Fn(String)) -> Result<bool> {
    let mut plain = BufReader::new(stream);
    stream.write_all(GREETING)?;
    loop {
        let mut line = String::new();
        if plain.read_line(&mut line)? == 0 {
            return Ok(false);
        }
        if line.starts_with("EHLO") {
            stream.write_all(b"250-here\r\n250 STARTTLS\r\n")?;
        } else if line.starts_with("STARTTLS") {
            stream.write_all(b"220 go on\r\n")?;
            return Ok(true);
        } else {
            heard(format!("in clear: {line}"));
            stream.write_all(b"530 not like this\r\n")?;
        }
    }
}
