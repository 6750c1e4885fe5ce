//! The socket to the control plane: opened with a deadline, then read and written by one thread that never waits in
//! it. What comes in is hostile until it is parsed; what goes out waits in a buffer that is bounded.

mod stream;
mod tunnel;

use std::io;
use std::net::{IpAddr, TcpStream, ToSocketAddrs as _};
use std::os::fd::{AsFd, BorrowedFd};
use std::time::{Duration, Instant};

use aami_api::client::{Trust, tls_client};
use aami_api::link::{Down, LARGEST_DOWN, LARGEST_UP, Up};
use aami_api::problem::Problem;
use aami_model::secret::Secret;
use rustls::{ClientConnection, StreamOwned};
use rustls_pki_types::ServerName;
use tungstenite::client::IntoClientRequest as _;
use tungstenite::handshake::HandshakeError;
use tungstenite::http::{HeaderValue, Response, Uri};
use tungstenite::protocol::{CloseFrame, WebSocketConfig, frame::coding::CloseCode};
use tungstenite::{Error, Message, WebSocket};

use stream::{Stream, Timed};

/// How long opening may take in all, the lookup of the name aside.
const PATIENCE: Duration = Duration::from_secs(20);
/// The same for one address of several.
const CONNECT: Duration = Duration::from_secs(8);
/// How much may wait to be sent.
const BACKLOG: usize = 2 * LARGEST_UP;
/// Answers that time alone does not change: who this is, or that nobody here knows what is asked.
const REFUSALS: [u16; 5] = [401, 403, 404, 409, 410];

/// Where the control plane is and how it is reached.
#[derive(Debug, Clone)]
pub(super) struct Road {
    /// `https://host:8080`.
    pub(super) server: String,
    /// Whom to believe.
    pub(super) trust: Trust,
    /// A proxy, as in `HTTPS_PROXY`.
    pub(super) proxy: Option<String>,
}

impl Road {
    /// Whether whoever is in between reads the credential and what is said. A node is enrolled over such a road only
    /// where a person said `--plain-http`; what enrolled it may also keep it connected.
    pub(super) fn is_in_the_open(&self) -> bool {
        self.server.parse::<Uri>().is_ok_and(|uri| {
            let host = uri.host().unwrap_or_default().trim_matches(['[', ']']);
            uri.scheme_str() == Some("http") && !is_loopback(host)
        })
    }
}

/// Why there is no connection.
#[derive(Debug, thiserror::Error)]
pub(super) enum NotOpened {
    /// It may be there later.
    #[error("{0}")]
    Failed(String),
    /// It is there and says no.
    #[error("{0}")]
    Refused(String),
}

/// What was read.
#[derive(Debug)]
pub(super) enum Read {
    /// A frame.
    Frame(Down),
    /// A sign of life.
    Alive,
    /// The answer to the ping of this number.
    Answered(u64),
    /// There is nothing more at the moment.
    Nothing,
}

/// An open socket.
pub(super) struct Wire {
    socket: WebSocket<Stream>,
    is_waiting: bool,
}

impl Wire {
    /// Connects, speaks TLS, asks for the upgrade under the node's credential.
    pub(super) fn open(road: &Road, credential: &Secret) -> Result<Self, NotOpened> {
        let failed = |why: String| NotOpened::Failed(format!("{}: {why}", road.server));
        let uri: Uri = road
            .server
            .parse()
            .map_err(|_| failed("it is not a URL".to_owned()))?;
        let host = uri.host().unwrap_or_default().trim_matches(['[', ']']).to_owned();
        let is_tls = uri.scheme_str() == Some("https");
        let port = uri.port_u16().unwrap_or(if is_tls { 443 } else { 80 });
        let deadline = Instant::now() + PATIENCE;
        let tcp = match &road.proxy {
            Some(proxy) => tunnel::through(proxy, &host, port, deadline),
            None => connect(&host, port, deadline),
        };
        let tcp = tcp.map_err(|error| failed(error.to_string()))?;
        let timed = Timed::until(tcp, deadline);
        let stream = if is_tls {
            let config = tls_client(&road.server, &road.trust)
                .map_err(|error| NotOpened::Failed(error.to_string()))?;
            let name = ServerName::try_from(host)
                .map_err(|_| failed("its host is neither a name nor an address".to_owned()))?;
            let session = ClientConnection::new(config, name).map_err(|error| failed(error.to_string()))?;
            Stream::Tls(Box::new(StreamOwned::new(session, timed)))
        } else {
            Stream::Plain(timed)
        };
        let address = format!(
            "{}://{}/ws/node",
            if is_tls { "wss" } else { "ws" },
            uri.authority().map_or("", |authority| authority.as_str())
        );
        let mut request = address
            .into_client_request()
            .map_err(|error| failed(error.to_string()))?;
        let mut bearer = HeaderValue::from_str(&format!("Bearer {}", credential.reveal()))
            .map_err(|_| failed("the credential fits no header".to_owned()))?;
        bearer.set_sensitive(true);
        request.headers_mut().insert("authorization", bearer);
        let agent = HeaderValue::from_static(concat!("aami/", env!("CARGO_PKG_VERSION")));
        request.headers_mut().insert("user-agent", agent);
        match tungstenite::client::client_with_config(request, stream, Some(limits())) {
            Ok((mut socket, _)) => {
                let relaxed = socket.get_mut().timed().relax();
                relaxed.map_err(|error| failed(error.to_string()))?;
                Ok(Self {
                    socket,
                    is_waiting: false,
                })
            }
            Err(HandshakeError::Failure(Error::Http(response))) => Err(refusal(&road.server, &response)),
            Err(HandshakeError::Failure(error)) => Err(failed(error.to_string())),
            Err(HandshakeError::Interrupted(_)) => Err(failed("it did not answer in time".to_owned())),
        }
    }

    /// The next thing that came. Once it answers [`Read::Nothing`], wait for the socket.
    ///
    /// Fails when the connection is over, or what came is none of ours.
    pub(super) fn read(&mut self) -> Result<Read, String> {
        match self.socket.read() {
            Ok(Message::Text(text)) => serde_json::from_str(&text)
                .map(Read::Frame)
                .map_err(|error| format!("a frame that is none of ours came: {error}")),
            Ok(Message::Ping(_)) => Ok(Read::Alive),
            Ok(Message::Pong(carried)) => {
                let number = <[u8; 8]>::try_from(&carried[..]).map(u64::from_be_bytes);
                Ok(number.map_or(Read::Alive, Read::Answered))
            }
            Ok(Message::Binary(_) | Message::Frame(_)) => Err("a frame came that is not text".to_owned()),
            Ok(Message::Close(_)) => Err("the control plane closed the connection".to_owned()),
            Err(Error::Io(error)) if error.kind() == io::ErrorKind::WouldBlock => Ok(Read::Nothing),
            Err(Error::ConnectionClosed | Error::AlreadyClosed) => {
                Err("the connection was closed".to_owned())
            }
            Err(error) => Err(error.to_string()),
        }
    }

    /// Sends a frame, or puts it behind what waits.
    pub(super) fn say(&mut self, up: &Up) -> Result<(), String> {
        let text = serde_json::to_string(up).map_err(|error| error.to_string())?;
        self.send(text)
    }

    /// Sends a frame that is written already.
    pub(super) fn send(&mut self, text: String) -> Result<(), String> {
        self.write(Message::text(text))
    }

    /// Asks for a sign of life that carries this number.
    pub(super) fn ping(&mut self, number: u64) -> Result<(), String> {
        let carried = tungstenite::Bytes::copy_from_slice(&number.to_be_bytes());
        self.write(Message::Ping(carried))
    }

    fn write(&mut self, message: Message) -> Result<(), String> {
        match self.socket.write(message) {
            Ok(()) => {}
            Err(Error::Io(error)) if error.kind() == io::ErrorKind::WouldBlock => self.is_waiting = true,
            Err(error) => return Err(error.to_string()),
        }
        self.flush()
    }

    /// Sends what waits, as far as the socket takes it.
    pub(super) fn flush(&mut self) -> Result<(), String> {
        match self.socket.flush() {
            Ok(()) => self.is_waiting = false,
            Err(Error::Io(error)) if error.kind() == io::ErrorKind::WouldBlock => self.is_waiting = true,
            Err(Error::ConnectionClosed | Error::AlreadyClosed) => {
                return Err("the connection was closed".to_owned());
            }
            Err(error) => return Err(error.to_string()),
        }
        Ok(())
    }

    /// Whether something waits to be sent.
    pub(super) const fn is_waiting(&self) -> bool {
        self.is_waiting
    }

    /// Says goodbye and closes. What cannot be sent at once is not waited for long.
    pub(super) fn close(mut self, bye: Option<&Up>, patience: Duration) {
        let _ = self.socket.get_mut().timed().press(Instant::now() + patience);
        if let Some(bye) = bye {
            let _ = self.say(bye);
        }
        let frame = CloseFrame {
            code: CloseCode::Normal,
            reason: "".into(),
        };
        let _ = self.socket.close(Some(frame));
        let _ = self.socket.flush();
    }
}

impl AsFd for Wire {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.get_ref().tcp().as_fd()
    }
}

impl std::fmt::Debug for Wire {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Wire").finish_non_exhaustive()
    }
}

/// Small buffers: they are held for as long as the node is connected.
fn limits() -> WebSocketConfig {
    WebSocketConfig::default()
        .read_buffer_size(4 * 1024)
        .write_buffer_size(0)
        .max_write_buffer_size(BACKLOG)
        .max_message_size(Some(LARGEST_DOWN))
        .max_frame_size(Some(LARGEST_DOWN))
}

fn is_loopback(host: &str) -> bool {
    host == "localhost" || host.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback())
}

/// Connects to the first address of a name that answers.
fn connect(host: &str, port: u16, deadline: Instant) -> io::Result<TcpStream> {
    let mut last = io::Error::new(io::ErrorKind::NotFound, "the name has no address");
    let addresses = (host, port)
        .to_socket_addrs()
        .map_err(|_| io::Error::new(io::ErrorKind::NotFound, "the name cannot be looked up"))?;
    for address in addresses.take(8) {
        let left = deadline.saturating_duration_since(Instant::now()).min(CONNECT);
        if left.is_zero() {
            break;
        }
        match TcpStream::connect_timeout(&address, left) {
            Ok(tcp) => {
                tcp.set_nodelay(true)?;
                return Ok(tcp);
            }
            Err(error) => last = error,
        }
    }
    Err(last)
}

/// What an answer that is no upgrade means.
fn refusal(server: &str, response: &Response<Option<Vec<u8>>>) -> NotOpened {
    let status = response.status().as_u16();
    let problem: Option<Problem> = response
        .body()
        .as_ref()
        .and_then(|body| serde_json::from_slice(body).ok());
    let said = problem.map_or_else(
        || format!("{server} answered {status} to a node that connects"),
        |problem| format!("{server}: {}: {}", problem.code, problem.detail),
    );
    let said: String = said.chars().filter(|c| !c.is_control()).take(300).collect();
    if REFUSALS.contains(&status) {
        NotOpened::Refused(said)
    } else {
        NotOpened::Failed(said)
    }
}
