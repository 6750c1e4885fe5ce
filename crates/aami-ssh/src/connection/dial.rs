//! A stream to a host: TCP, or a channel of a jump host.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use russh::ChannelOpenFailure;
use tokio::net::TcpStream;
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::{Instant, timeout, timeout_at};

use super::wire::Stream;
use crate::client::Shared;
use crate::jumps::Hop;
use crate::{Host, SshError, Waiting};

/// How many addresses of one name are tried.
const ADDRESSES: usize = 8;

/// A place on a jump host: while it is held, its connection stays and others wait.
#[derive(Debug)]
pub(crate) struct Place {
    _hop: Arc<Hop>,
    _permit: OwnedSemaphorePermit,
}

/// A stream to a host.
pub(super) struct Dialled {
    pub(super) stream: Box<dyn Stream>,
    /// Where it goes through a jump host.
    pub(super) place: Option<Place>,
    /// By when the keys have to be exchanged over it.
    pub(super) until: Instant,
}

/// Opens a stream to a host.
pub(super) async fn dial(shared: &Arc<Shared>, host: &Host) -> Result<Dialled, SshError> {
    let limit = shared.connect_timeout(host);
    if host.jumps.is_empty() {
        let until = Instant::now() + limit;
        return Ok(Dialled {
            stream: Box::new(tcp(host, limit, until).await?),
            place: None,
            until,
        });
    }
    let hop = shared.jumps.reach(shared, &host.jumps).await?;
    let permit = timeout(shared.settings.jump_wait, Arc::clone(&hop.places).acquire_owned())
        .await
        .ok()
        .and_then(Result::ok)
        .ok_or_else(|| SshError::Congested {
            why: format!("no place on jump host {} became free", hop.name),
        })?;
    let until = Instant::now() + limit;
    let opening = hop.session.handle.channel_open_direct_tcpip(
        host.address.clone(),
        u32::from(host.port),
        "127.0.0.1",
        0,
    );
    let channel = timeout_at(until, opening)
        .await
        .map_err(|_| SshError::TimedOut {
            waiting: Waiting::Connect,
            after: limit,
        })?
        .map_err(|error| turned_down(host, &hop, error))?;
    Ok(Dialled {
        stream: Box::new(channel.into_stream()),
        place: Some(Place {
            _hop: hop,
            _permit: permit,
        }),
        until,
    })
}

/// What a jump host's refusal means.
fn turned_down(host: &Host, hop: &Hop, error: russh::Error) -> SshError {
    let at_the_hop = |source| SshError::Jump {
        hop: hop.name.clone(),
        source: Box::new(source),
    };
    match error {
        russh::Error::ChannelOpenFailure(ChannelOpenFailure::ConnectFailed) => SshError::Unreachable {
            endpoint: host.endpoint(),
            why: format!("jump host {} cannot connect there", hop.name),
        },
        russh::Error::ChannelOpenFailure(ChannelOpenFailure::ResourceShortage) => {
            at_the_hop(SshError::Congested {
                why: "it opens no more channels".to_owned(),
            })
        }
        russh::Error::ChannelOpenFailure(failure) => at_the_hop(SshError::Forwarding {
            why: failure.description().to_owned(),
        }),
        _ => at_the_hop(hop.session.lost(false)),
    }
}

/// Connects over TCP, to one address after the other, each with its share of the time.
async fn tcp(host: &Host, limit: Duration, deadline: Instant) -> Result<TcpStream, SshError> {
    let late = || SshError::TimedOut {
        waiting: Waiting::Connect,
        after: limit,
    };
    let looked_up = timeout_at(
        deadline,
        tokio::net::lookup_host((host.address.as_str(), host.port)),
    );
    let addresses: Vec<SocketAddr> = match looked_up.await {
        Err(_) => return Err(late()),
        Ok(Err(error)) => return Err(failed(host, &error)),
        Ok(Ok(addresses)) => addresses.take(ADDRESSES).collect(),
    };
    let mut last = SshError::Unreachable {
        endpoint: host.endpoint(),
        why: "the name has no address".to_owned(),
    };
    let count = addresses.len();
    for (at, address) in addresses.into_iter().enumerate() {
        let left = u32::try_from(count - at).unwrap_or(1);
        let share = deadline.saturating_duration_since(Instant::now()) / left;
        last = match timeout(share, TcpStream::connect(address)).await {
            Ok(Ok(stream)) => {
                // Without it every small packet waits for the acknowledgement of the one before.
                stream.set_nodelay(true).map_err(|error| failed(host, &error))?;
                return Ok(stream);
            }
            Ok(Err(error)) => failed(host, &error),
            Err(_) => late(),
        };
    }
    Err(last)
}

fn failed(host: &Host, error: &io::Error) -> SshError {
    let endpoint = host.endpoint();
    match error.kind() {
        io::ErrorKind::ConnectionRefused => SshError::Refused { endpoint },
        io::ErrorKind::ConnectionReset => SshError::Congested {
            why: "it reset the connection".to_owned(),
        },
        _ if out_of_files(error) => SshError::Congested {
            why: "this machine has no more files to open; try fewer hosts at a time".to_owned(),
        },
        _ => SshError::Unreachable {
            endpoint,
            why: error.to_string(),
        },
    }
}

fn out_of_files(error: &io::Error) -> bool {
    let number = error.raw_os_error();
    number == Some(rustix::io::Errno::MFILE.raw_os_error())
        || number == Some(rustix::io::Errno::NFILE.raw_os_error())
}
