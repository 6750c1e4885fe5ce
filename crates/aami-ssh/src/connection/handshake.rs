//! The greeting, the key exchange and the judgement of the host's key.
//!
//! Whatever answers is a stranger until its key was judged: it may say nothing, talk without end, or send rubbish.
//! All of it has one deadline together with the connection below it, and when that has passed the stream is cut.

use std::borrow::Cow;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use russh::client::{self, DisconnectReason};
use russh::keys::PublicKeyOrCertificate;
use russh::{Disconnect, Preferred, SshId};
use tokio::time::{Instant, timeout, timeout_at};

use super::stranger::{failed, late, printable};
use super::wire::{Cutter, Stream, Wire};
use crate::client::Shared;
use crate::trust::Offered;
use crate::{Host, Known, SshError};

/// What a channel may have in flight, and how much of it is kept here until somebody takes it. Small, since there
/// are many.
const WINDOW: u32 = 512 * 1024;
const PACKET: u32 = 32 * 1024;
const KEPT_PACKETS: usize = 16;

/// A session whose host key is judged; signed in after [`super::login`].
pub(crate) struct Session {
    /// Before the cutter, so that it is dropped first.
    pub(crate) handle: client::Handle<Watcher>,
    pub(crate) known: Known,
    pub(crate) ending: Arc<Ending>,
    pub(crate) endpoint: String,
    _cutter: Cutter,
}

impl std::fmt::Debug for Session {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Session")
            .field("endpoint", &self.endpoint)
            .field("known", &self.known)
            .finish_non_exhaustive()
    }
}

impl Session {
    /// Says goodbye, and waits that long for it to be sent.
    pub(crate) async fn close(&self, limit: Duration) {
        let goodbye = async {
            if self
                .handle
                .disconnect(Disconnect::ByApplication, "", "")
                .await
                .is_ok()
            {
                while !self.handle.is_closed() {
                    tokio::time::sleep(Duration::from_millis(1)).await;
                }
            }
        };
        let _ = timeout(limit, goodbye).await;
    }

    /// Whether the other end answers to what is sent now. To be given a limit.
    pub(crate) async fn answers(&self) -> bool {
        self.handle.send_ping().await.is_ok() && !self.handle.is_closed()
    }

    /// The connection broke: why, as far as it is known.
    pub(crate) fn lost(&self, began: bool) -> SshError {
        SshError::Lost {
            why: self
                .ending
                .get()
                .unwrap_or_else(|| "the other end closed it".to_owned()),
            began,
        }
    }
}

/// What ended a session, once something has.
#[derive(Debug, Default)]
pub(crate) struct Ending {
    why: Mutex<Option<String>>,
}

impl Ending {
    pub(crate) fn get(&self) -> Option<String> {
        self.why.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn set(&self, why: String) {
        let mut slot = self.why.lock().unwrap_or_else(PoisonError::into_inner);
        slot.get_or_insert(why);
    }
}

/// Listens to a session: judges its host key, notes what ended it, and lets nobody in from the other side.
pub(crate) struct Watcher {
    shared: Arc<Shared>,
    host: Host,
    judged: Arc<Mutex<Option<Result<Known, SshError>>>>,
    ending: Arc<Ending>,
}

impl client::Handler for Watcher {
    type Error = russh::Error;

    async fn check_server_key(&mut self, key: &PublicKeyOrCertificate) -> Result<bool, Self::Error> {
        let offered = Offered::from(key);
        let (shared, host) = (Arc::clone(&self.shared), self.host.clone());
        // It reads files, and may wait for the lock of one.
        let judged = tokio::task::spawn_blocking(move || shared.trust.judge(&host, &offered))
            .await
            .map_err(|_| russh::Error::Inconsistent)?;
        let good = judged.is_ok();
        *self.judged.lock().unwrap_or_else(PoisonError::into_inner) = Some(judged);
        Ok(good)
    }

    async fn disconnected(&mut self, reason: DisconnectReason<Self::Error>) -> Result<(), Self::Error> {
        match reason {
            DisconnectReason::ReceivedDisconnect(said) => {
                self.ending
                    .set(format!("the host said: {}", printable(&said.message, 200)));
                Ok(())
            }
            DisconnectReason::Error(error) => {
                self.ending.set(match &error {
                    russh::Error::KeepaliveTimeout | russh::Error::InactivityTimeout => {
                        "it did not answer any more".to_owned()
                    }
                    other => other.to_string(),
                });
                Err(error)
            }
        }
    }

    // What a host could open towards us is turned down: nothing here asks for it.

    async fn server_channel_open_session(
        &mut self,
        _: russh::Channel<client::Msg>,
        reply: client::ChannelOpenHandle,
        _: &mut client::Session,
    ) -> Result<(), Self::Error> {
        drop(reply);
        Ok(())
    }

    async fn server_channel_open_agent_forward(
        &mut self,
        _: russh::Channel<client::Msg>,
        reply: client::ChannelOpenHandle,
        _: &mut client::Session,
    ) -> Result<(), Self::Error> {
        drop(reply);
        Ok(())
    }

    async fn server_channel_open_forwarded_tcpip(
        &mut self,
        _: russh::Channel<client::Msg>,
        _: &str,
        _: u32,
        _: &str,
        _: u32,
        reply: client::ChannelOpenHandle,
        _: &mut client::Session,
    ) -> Result<(), Self::Error> {
        drop(reply);
        Ok(())
    }

    async fn server_channel_open_forwarded_streamlocal(
        &mut self,
        _: russh::Channel<client::Msg>,
        _: &str,
        reply: client::ChannelOpenHandle,
        _: &mut client::Session,
    ) -> Result<(), Self::Error> {
        drop(reply);
        Ok(())
    }

    async fn server_channel_open_direct_tcpip(
        &mut self,
        _: russh::Channel<client::Msg>,
        _: &str,
        _: u32,
        _: &str,
        _: u32,
        reply: client::ChannelOpenHandle,
        _: &mut client::Session,
    ) -> Result<(), Self::Error> {
        drop(reply);
        Ok(())
    }

    async fn server_channel_open_direct_streamlocal(
        &mut self,
        _: russh::Channel<client::Msg>,
        _: &str,
        reply: client::ChannelOpenHandle,
        _: &mut client::Session,
    ) -> Result<(), Self::Error> {
        drop(reply);
        Ok(())
    }

    async fn server_channel_open_x11(
        &mut self,
        _: russh::Channel<client::Msg>,
        _: &str,
        _: u32,
        reply: client::ChannelOpenHandle,
        _: &mut client::Session,
    ) -> Result<(), Self::Error> {
        drop(reply);
        Ok(())
    }
}

/// Greets, exchanges keys, and has the host's key judged, until then at the latest.
pub(super) async fn greet(
    shared: &Arc<Shared>,
    host: &Host,
    stream: Box<dyn Stream>,
    until: Instant,
) -> Result<Session, SshError> {
    let (wire, cutter) = Wire::new(stream);
    let judged = Arc::new(Mutex::new(None));
    let ending = Arc::new(Ending::default());
    let watcher = Watcher {
        shared: Arc::clone(shared),
        host: host.clone(),
        judged: Arc::clone(&judged),
        ending: Arc::clone(&ending),
    };
    let config = Arc::new(config(shared, host)?);
    let greeted = timeout_at(until, client::connect_stream(config, wire, watcher)).await;
    let verdict = judged.lock().unwrap_or_else(PoisonError::into_inner).take();
    match (greeted, verdict) {
        (_, Some(Err(error))) => Err(error),
        (Ok(Ok(handle)), Some(Ok(known))) => Ok(Session {
            handle,
            known,
            ending,
            endpoint: host.endpoint(),
            _cutter: cutter,
        }),
        (Ok(Ok(_)), None) => Err(SshError::Protocol {
            endpoint: host.endpoint(),
            why: "it offered no host key".to_owned(),
        }),
        (Ok(Err(error)), _) => Err(failed(host, &error, &cutter.beginning())),
        (Err(_), _) => Err(late(host, shared.connect_timeout(host), &cutter.beginning())),
    }
}

fn config(shared: &Shared, host: &Host) -> Result<client::Config, SshError> {
    let settings = &shared.settings;
    let wanted = shared.trust.algorithms(host)?;
    let misses = u32::try_from(settings.keepalive_misses).unwrap_or(u32::MAX);
    Ok(client::Config {
        client_id: SshId::Standard(Cow::Borrowed(concat!("SSH-2.0-AAMI_", env!("CARGO_PKG_VERSION")))),
        window_size: WINDOW,
        maximum_packet_size: PACKET,
        channel_buffer_size: KEPT_PACKETS,
        preferred: Preferred {
            key: Cow::Owned(wanted.keys),
            host_key_certificates: Cow::Owned(wanted.certificates),
            ..Preferred::DEFAULT
        },
        keepalive_interval: Some(settings.keepalive),
        keepalive_max: settings.keepalive_misses,
        // Keep-alives are only sent once signed in, and not while a write is stuck; this ends what they cannot.
        inactivity_timeout: Some(
            settings.keepalive.saturating_mul(misses.saturating_add(2)).max(
                shared
                    .connect_timeout(host)
                    .max(settings.login_timeout)
                    .saturating_mul(2),
            ),
        ),
        nodelay: true,
        ..client::Config::default()
    })
}
