//! A jump host in this process: signs in who has the key, and connects on to where it is asked to.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use russh::server::{self, Auth, ChannelOpenHandle, Msg, Session, VerifiedPublicKey};
use russh::{Channel, ChannelOpenFailure};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

use crate::server::key_file;

/// What it does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Way {
    Forwards,
    /// Signs in and connects nowhere (`AllowTcpForwarding no`).
    Forbids,
    /// Lets nobody in.
    Locked,
}

#[derive(Debug, Default)]
struct Seen {
    connections: AtomicUsize,
    channels: AtomicUsize,
    most: AtomicUsize,
}

/// A jump host on a loopback port.
pub(crate) struct Jump {
    address: SocketAddr,
    seen: Arc<Seen>,
    accepting: JoinHandle<()>,
}

impl Jump {
    pub(crate) async fn start(way: Way) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let seen = Arc::new(Seen::default());
        let config = Arc::new(server::Config {
            keys: vec![russh::keys::load_secret_key(key_file(), None).unwrap()],
            auth_rejection_time: Duration::ZERO,
            auth_rejection_time_initial: Some(Duration::ZERO),
            nodelay: true,
            ..server::Config::default()
        });
        let counted = Arc::clone(&seen);
        let accepting = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                counted.connections.fetch_add(1, Ordering::SeqCst);
                let handler = Handler {
                    way,
                    seen: Arc::clone(&counted),
                };
                let config = Arc::clone(&config);
                tokio::spawn(async move {
                    if let Ok(session) = server::run_stream(config, stream, handler).await {
                        let _ = session.await;
                    }
                });
            }
        });
        Self {
            address,
            seen,
            accepting,
        }
    }

    pub(crate) const fn port(&self) -> u16 {
        self.address.port()
    }

    /// How many connections it took.
    pub(crate) fn connections(&self) -> usize {
        self.seen.connections.load(Ordering::SeqCst)
    }

    /// How many connections it held to others at the same time at most.
    pub(crate) fn most_at_once(&self) -> usize {
        self.seen.most.load(Ordering::SeqCst)
    }
}

impl Drop for Jump {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

struct Handler {
    way: Way,
    seen: Arc<Seen>,
}

impl server::Handler for Handler {
    type Error = russh::Error;

    async fn auth_publickey(&mut self, _: &str, _: VerifiedPublicKey<'_>) -> Result<Auth, Self::Error> {
        Ok(match self.way {
            Way::Locked => Auth::reject(),
            Way::Forwards | Way::Forbids => Auth::Accept,
        })
    }

    async fn channel_open_direct_tcpip(
        &mut self,
        channel: Channel<Msg>,
        host: &str,
        port: u32,
        _: &str,
        _: u32,
        reply: ChannelOpenHandle,
        _: &mut Session,
    ) -> Result<(), Self::Error> {
        if self.way == Way::Forbids {
            reply.reject(ChannelOpenFailure::AdministrativelyProhibited).await;
            return Ok(());
        }
        let target = (host.to_owned(), u16::try_from(port).unwrap());
        let seen = Arc::clone(&self.seen);
        tokio::spawn(async move {
            let Ok(mut onward) = TcpStream::connect(target).await else {
                reply.reject(ChannelOpenFailure::ConnectFailed).await;
                return;
            };
            let now = seen.channels.fetch_add(1, Ordering::SeqCst) + 1;
            seen.most.fetch_max(now, Ordering::SeqCst);
            reply.accept().await;
            let _ = tokio::io::copy_bidirectional(&mut channel.into_stream(), &mut onward).await;
            seen.channels.fetch_sub(1, Ordering::SeqCst);
        });
        Ok(())
    }
}
