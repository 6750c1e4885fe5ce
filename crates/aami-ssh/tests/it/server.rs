//! SSH servers in this process: one socket that answers on every loopback address, so that a thousand hosts are a
//! thousand addresses. Each runs commands by a real shell, or misbehaves as it is told.
//!
//! [`Server::start`] takes a function that says how the host at an address behaves.

use std::collections::{HashMap, HashSet};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;

use futures::FutureExt as _;
use futures::future::FusedFuture as _;
use russh::keys::PrivateKey;
use russh::server::{self, Auth, ChannelOpenHandle, Handle, Msg, Response, Session, VerifiedPublicKey};
use russh::{Channel, ChannelId, MethodKind};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::process::Command;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

/// How a host behaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(dead_code, reason = "benches know fewer manners than tests")]
pub(crate) enum Manner {
    /// As it should.
    Good,
    /// Takes the connection and says nothing.
    Hangs,
    /// Says nothing for so long, then behaves.
    Slow(Duration),
    /// As it should, with few programs: no `timeout` among them.
    Bare,
    /// Runs nothing and says at once that it went well: for measuring, where what hosts do is not to cost this machine.
    Idle,
    /// Lets nobody in.
    Locked,
    /// Takes this password, asked for as one.
    Password(&'static str),
    /// Takes this password as the answer to a question, as PAM asks for it.
    Pam(&'static str),
    /// Takes this password, and a key as well.
    Both(&'static str),
    /// Ends the connection, with a word about it, on the second thing that is tried: on the password.
    Impatient,
    /// Ends the connection without a word on any password.
    Drops,
    /// Runs a command of its own, whatever it is asked for.
    Forced,
    /// Tells again and again how a command ended, and never that there is no more.
    Repeats,
    /// Resets the connection when a command has begun.
    Resets,
    /// Is another service, and says so.
    Lies,
    /// Talks for ever before it greets.
    Chats,
    /// Closes the first so many connections without a word.
    Busy(usize),
}

/// Servers on 127.0.0.0/8, all on one port. They end with this.
pub(crate) struct Server {
    port: u16,
    closed: std::net::TcpListener,
    seen: Arc<Seen>,
    accepting: JoinHandle<()>,
}

/// What the servers saw.
#[derive(Default)]
struct Seen {
    /// Connections by address.
    connections: Mutex<HashMap<Ipv4Addr, usize>>,
    /// Commands that were begun, by address.
    commands: Mutex<HashMap<Ipv4Addr, usize>>,
    /// Passwords that were tried, by address.
    passwords: Mutex<HashMap<Ipv4Addr, usize>>,
    open: AtomicUsize,
    most: AtomicUsize,
}

impl Server {
    /// Begins to listen.
    pub(crate) async fn start(manners: impl Fn(Ipv4Addr) -> Manner + Send + Sync + 'static) -> Self {
        // Every address of 127.0.0.0/8 leads here; nobody else is let in.
        Self::start_on(Ipv4Addr::UNSPECIFIED.into(), manners).await
    }

    /// One host on `::1` that behaves as it should. What it saw is told of 127.0.0.1.
    pub(crate) async fn start_on_ipv6() -> Self {
        Self::start_on(Ipv6Addr::LOCALHOST.into(), |_| Manner::Good).await
    }

    async fn start_on(address: IpAddr, manners: impl Fn(Ipv4Addr) -> Manner + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind((address, 0)).await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let seen = Arc::new(Seen::default());
        let accepting = tokio::spawn(accept(listener, Arc::new(manners), Arc::clone(&seen)));
        Self {
            port,
            // Taken on one address only, and refused on all others.
            closed: std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap(),
            seen,
            accepting,
        }
    }

    /// Where they listen.
    pub(crate) const fn port(&self) -> u16 {
        self.port
    }

    /// A port on which nobody listens, but on 127.0.0.1.
    pub(crate) fn closed_port(&self) -> u16 {
        self.closed.local_addr().unwrap().port()
    }

    /// How many connections there were at the same time at most.
    pub(crate) fn most_at_once(&self) -> usize {
        self.seen.most.load(Ordering::SeqCst)
    }

    /// How many commands were begun at this address.
    pub(crate) fn commands_at(&self, address: Ipv4Addr) -> usize {
        self.seen
            .commands
            .lock()
            .unwrap()
            .get(&address)
            .copied()
            .unwrap_or(0)
    }

    /// How many commands were begun at all addresses.
    pub(crate) fn commands(&self) -> usize {
        self.seen.commands.lock().unwrap().values().sum()
    }

    /// How many passwords were tried at this address.
    pub(crate) fn passwords_at(&self, address: Ipv4Addr) -> usize {
        let passwords = self.seen.passwords.lock().unwrap();
        passwords.get(&address).copied().unwrap_or(0)
    }

    /// How many passwords were tried at all addresses.
    pub(crate) fn passwords(&self) -> usize {
        self.seen.passwords.lock().unwrap().values().sum()
    }

    /// How many connections this address was asked for.
    pub(crate) fn connections_at(&self, address: Ipv4Addr) -> usize {
        self.seen
            .connections
            .lock()
            .unwrap()
            .get(&address)
            .copied()
            .unwrap_or(0)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

/// The file of the key that everybody here has: the hosts, and who signs in. Nobody else may read it, as is right for
/// a key; in a checkout everybody may.
pub(crate) fn key_file() -> PathBuf {
    static FOLDER: OnceLock<tempfile::TempDir> = OnceLock::new();
    let folder = FOLDER.get_or_init(|| {
        let folder = tempfile::tempdir().unwrap();
        for name in ["id_ed25519", "id_ed25519.pub"] {
            let from = Path::new(env!("CARGO_MANIFEST_DIR"))
                .join("tests/files")
                .join(name);
            let to = folder.path().join(name);
            std::fs::copy(from, &to).unwrap();
            std::fs::set_permissions(&to, std::fs::Permissions::from_mode(0o600)).unwrap();
        }
        folder
    });
    folder.path().join("id_ed25519")
}

fn key() -> PrivateKey {
    russh::keys::load_secret_key(key_file(), None).unwrap()
}

/// How patient a host is, and what it takes.
fn config(manner: Manner) -> server::Config {
    let usual = server::Config {
        keys: vec![key()],
        auth_rejection_time: Duration::ZERO,
        auth_rejection_time_initial: Some(Duration::ZERO),
        nodelay: true,
        window_size: 64 * 1024,
        ..server::Config::default()
    };
    match manner {
        Manner::Impatient => server::Config {
            max_auth_attempts: 1,
            methods: [MethodKind::Password].as_slice().into(),
            ..usual
        },
        _ => usual,
    }
}

async fn accept(
    listener: TcpListener,
    manners: Arc<dyn Fn(Ipv4Addr) -> Manner + Send + Sync>,
    seen: Arc<Seen>,
) {
    let [usual, impatient] = [Manner::Good, Manner::Impatient].map(|manner| Arc::new(config(manner)));
    loop {
        let Ok((stream, peer)) = listener.accept().await else {
            // Out of sockets: some will be free again.
            tokio::task::yield_now().await;
            continue;
        };
        let Ok(local) = stream.local_addr() else {
            continue;
        };
        if !peer.ip().is_loopback() {
            continue;
        }
        let address = match local {
            SocketAddr::V4(local) => *local.ip(),
            SocketAddr::V6(_) => Ipv4Addr::LOCALHOST,
        };
        let earlier = {
            let mut connections = seen.connections.lock().unwrap();
            let count = connections.entry(address).or_default();
            *count += 1;
            *count - 1
        };
        let manner = manners(address);
        let config = match manner {
            Manner::Impatient => Arc::clone(&impatient),
            _ => Arc::clone(&usual),
        };
        let seen = Arc::clone(&seen);
        tokio::spawn(async move {
            let open = seen.open.fetch_add(1, Ordering::SeqCst) + 1;
            seen.most.fetch_max(open, Ordering::SeqCst);
            serve(stream, address, manner, earlier, config, &seen).await;
            seen.open.fetch_sub(1, Ordering::SeqCst);
        });
    }
}

/// One connection, until it has ended.
async fn serve(
    mut stream: TcpStream,
    address: Ipv4Addr,
    manner: Manner,
    earlier: usize,
    config: Arc<server::Config>,
    seen: &Arc<Seen>,
) {
    match manner {
        Manner::Good
        | Manner::Bare
        | Manner::Idle
        | Manner::Locked
        | Manner::Password(_)
        | Manner::Pam(_)
        | Manner::Both(_)
        | Manner::Impatient
        | Manner::Drops
        | Manner::Forced
        | Manner::Repeats => {}
        Manner::Resets => stream.set_zero_linger().unwrap(),
        Manner::Slow(pause) => tokio::time::sleep(pause).await,
        Manner::Busy(times) if earlier < times => return,
        Manner::Busy(_) => {}
        Manner::Hangs => {
            // Until the other end has had enough.
            let mut nothing = [0; 1024];
            while stream.read(&mut nothing).await.is_ok_and(|count| count > 0) {}
            return;
        }
        Manner::Lies => {
            let _ = stream.write_all(b"220 mail.example.com ESMTP ready\r\n").await;
            let mut nothing = [0; 1024];
            let _ = stream.read(&mut nothing).await;
            let _ = stream.write_all(b"500 what?\r\n").await;
            return;
        }
        Manner::Chats => {
            while stream.write_all(b"Welcome! Please wait.\r\n").await.is_ok() {
                tokio::task::yield_now().await;
            }
            return;
        }
    }
    stream.set_nodelay(true).unwrap();
    let handler = Host {
        address,
        manner,
        seen: Arc::clone(seen),
        inputs: HashMap::new(),
        is_half_in: false,
        opened: HashSet::new(),
    };
    if let Ok(session) = server::run_stream(config, stream, handler).await {
        // How it ends is for the client to tell.
        let _ = session.await;
    }
}

impl Seen {
    fn password(&self, address: Ipv4Addr, is_right: bool) -> Auth {
        *self.passwords.lock().unwrap().entry(address).or_default() += 1;
        if is_right { Auth::Accept } else { Auth::reject() }
    }
}

/// One connection to one host.
struct Host {
    address: Ipv4Addr,
    manner: Manner,
    seen: Arc<Seen>,
    opened: HashSet<ChannelId>,
    /// Whether it has the password of who wants to be in, and wants the key.
    is_half_in: bool,
    /// What commands read; gone when their input has ended.
    inputs: HashMap<ChannelId, mpsc::Sender<Vec<u8>>>,
}

impl server::Handler for Host {
    type Error = russh::Error;

    async fn auth_publickey(&mut self, _: &str, _: VerifiedPublicKey<'_>) -> Result<Auth, Self::Error> {
        Ok(match self.manner {
            Manner::Locked | Manner::Password(_) | Manner::Pam(_) | Manner::Impatient | Manner::Drops => {
                Auth::reject()
            }
            Manner::Both(_) if !self.is_half_in => Auth::reject(),
            _ => Auth::Accept,
        })
    }

    async fn auth_password(&mut self, _: &str, password: &str) -> Result<Auth, Self::Error> {
        Ok(match self.manner {
            Manner::Password(right) => self.seen.password(self.address, password == right),
            Manner::Both(right) => match self.seen.password(self.address, password == right) {
                Auth::Accept => {
                    self.is_half_in = true;
                    Auth::Reject {
                        proceed_with_methods: Some([MethodKind::PublicKey].as_slice().into()),
                        partial_success: true,
                    }
                }
                other => other,
            },
            Manner::Drops => {
                self.seen.password(self.address, false);
                return Err(russh::Error::Disconnect);
            }
            _ => Auth::reject(),
        })
    }

    async fn auth_keyboard_interactive<'a>(
        &'a mut self,
        _: &str,
        _: &str,
        response: Option<Response<'a>>,
    ) -> Result<Auth, Self::Error> {
        let Manner::Pam(right) = self.manner else {
            return Ok(Auth::reject());
        };
        let answer = response.and_then(|mut answers| answers.next());
        Ok(match answer {
            Some(answer) => self.seen.password(self.address, &answer[..] == right.as_bytes()),
            None => Auth::Partial {
                name: "".into(),
                instructions: "".into(),
                prompts: vec![("Password: ".into(), false)].into(),
            },
        })
    }

    async fn channel_open_session(
        &mut self,
        channel: Channel<Msg>,
        reply: ChannelOpenHandle,
        _: &mut Session,
    ) -> Result<(), Self::Error> {
        self.opened.insert(channel.id());
        reply.accept().await;
        Ok(())
    }

    async fn exec_request(
        &mut self,
        channel: ChannelId,
        data: &[u8],
        session: &mut Session,
    ) -> Result<(), Self::Error> {
        if !self.opened.contains(&channel) {
            return session.channel_failure(channel);
        }
        *self
            .seen
            .commands
            .lock()
            .unwrap()
            .entry(self.address)
            .or_default() += 1;
        if self.manner == Manner::Resets {
            return Err(russh::Error::Disconnect);
        }
        session.channel_success(channel)?;
        if self.manner == Manner::Idle {
            // Our own client wants to see where a command's output begins.
            if let Some(marker) = marker(&String::from_utf8_lossy(data)) {
                session.data(channel, format!("\n{marker} s2\n"))?;
                session.extended_data(channel, 1, format!("\n{marker}\n"))?;
            }
            session.exit_status_request(channel, 0)?;
            session.eof(channel)?;
            return session.close(channel);
        }
        let (sender, input) = mpsc::channel(8);
        self.inputs.insert(channel, sender);
        let command = match self.manner {
            Manner::Forced => "echo backed up; echo 'backup: the disk had a timeout' >&2; exit 1".to_owned(),
            _ => String::from_utf8_lossy(data).into_owned(),
        };
        tokio::spawn(execute(command, self.manner, channel, session.handle(), input));
        Ok(())
    }

    async fn data(&mut self, channel: ChannelId, data: &[u8], _: &mut Session) -> Result<(), Self::Error> {
        if let Some(input) = self.inputs.get(&channel) {
            // A command that reads no more needs no more.
            let _ = input.send(data.to_vec()).await;
        }
        Ok(())
    }

    async fn channel_eof(&mut self, channel: ChannelId, _: &mut Session) -> Result<(), Self::Error> {
        self.inputs.remove(&channel);
        Ok(())
    }

    async fn channel_close(&mut self, channel: ChannelId, _: &mut Session) -> Result<(), Self::Error> {
        self.inputs.remove(&channel);
        self.opened.remove(&channel);
        Ok(())
    }
}

/// A folder with the programs of a small system.
fn few_programs() -> PathBuf {
    static FOLDER: OnceLock<tempfile::TempDir> = OnceLock::new();
    let folder = FOLDER.get_or_init(|| {
        let folder = tempfile::tempdir().unwrap();
        for name in ["sh", "sleep", "setsid", "cat"] {
            let from = ["/usr/bin", "/bin"].map(|place| Path::new(place).join(name));
            let from = from.into_iter().find(|from| from.exists()).unwrap();
            std::os::unix::fs::symlink(from, folder.path().join(name)).unwrap();
        }
        folder
    });
    folder.path().to_owned()
}

/// What a line of our own client has printed before the command's output: it gives it in two halves, `... sh HEAD TAIL ...`.
fn marker(line: &str) -> Option<String> {
    let mut words = line.split(' ').skip_while(|word| !word.starts_with("AAMI-"));
    Some(words.next()?.to_owned() + words.next()?)
}

/// Runs a command by the shell, as sshd does.
async fn execute(
    command: String,
    manner: Manner,
    channel: ChannelId,
    session: Handle,
    mut input: mpsc::Receiver<Vec<u8>>,
) {
    let mut shell = Command::new("/bin/sh");
    if manner == Manner::Bare {
        shell.env("PATH", few_programs());
    }
    let mut child = shell
        .args(["-c", &command])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let (mut stdin, stdout, stderr) = (
        child.stdin.take().unwrap(),
        child.stdout.take().unwrap(),
        child.stderr.take().unwrap(),
    );
    let reading = tokio::spawn(async move {
        while let Some(bytes) = input.recv().await {
            if stdin.write_all(&bytes).await.is_err() {
                break;
            }
        }
    });
    let out = pass_on(stdout, channel, &session, None);
    let err = pass_on(stderr, channel, &session, Some(1));
    let mut said = std::pin::pin!(futures::future::join(out, err).fuse());
    let status = tokio::select! {
        biased;
        _ = &mut said => child.wait().await,
        status = child.wait() => {
            // Something it left running may hold its output for ever: how it ended is told all the same.
            let _ = tokio::time::timeout(Duration::from_millis(300), &mut said).await;
            status
        }
    };
    let code = status.ok().and_then(|status| status.code()).unwrap_or(255);
    reading.abort();
    // A client that went away needs none of it.
    let _ = session.exit_status_request(channel, code.unsigned_abs()).await;
    if manner == Manner::Repeats {
        // Until there is no connection any more.
        while session.exit_status_request(channel, 99).await.is_ok() {
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
        return;
    }
    if !said.is_terminated() {
        said.await;
    }
    let _ = session.eof(channel).await;
    let _ = session.close(channel).await;
}

async fn pass_on(
    mut from: impl AsyncRead + Unpin,
    channel: ChannelId,
    session: &Handle,
    extended: Option<u32>,
) {
    let mut bytes = vec![0; 16 * 1024];
    while let Ok(count @ 1..) = from.read(&mut bytes).await {
        let piece = bytes[..count].to_vec();
        let sent = match extended {
            None => session.data(channel, piece).await,
            Some(kind) => session.extended_data(channel, kind, piece).await,
        };
        if sent.is_err() {
            return;
        }
    }
}
