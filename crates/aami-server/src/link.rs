//! The sockets of nodes: `/ws/node`, from the greeting to the end.
//!
//! [`serve`] is one connection's whole life: the node greets, its place is taken in the store, and then
//! [`talk`] reads what it says and writes what it is to be told. A connection costs a few kilobytes; every wait in it
//! has a deadline; what a node says is a stranger's word. What follows from it is decided in [`app`](crate::app).

mod clock;
mod large;
mod pace;
mod talk;

use std::sync::Arc;
use std::time::Duration;

use aami_api::link::{ConnectionAck, Down, Hello, LARGEST_DOWN, LARGEST_UP, Up};
use aami_model::access::Orgs;
use aami_model::machine::is_sha256;
use aami_model::{Code, NodeId, code};
use axum::extract::ws::{CloseFrame, Message, WebSocket, WebSocketUpgrade};
use axum::response::Response;

use crate::app::connections::Connecting;
use crate::app::group_config::{NOTHING, configure};
use crate::app::{App, Refusal};
use crate::live::{Found, Link, Seen, judged};

/// How long a node has to greet.
const GREETING: Duration = Duration::from_secs(10);
/// How long a frame may take to be taken.
const TAKING: Duration = Duration::from_secs(10);
/// A connection's buffers, and how much is read at once. The usual ones would be most of what a connection costs; a
/// usual heartbeat fits.
const BUFFER: usize = 128;
/// How many nodes come back each second, when all are told to spread their return.
const RETURNS_A_SECOND: u32 = 600;

/// Over how many seconds a fleet of this size spreads its return: never so long that it would count as gone.
pub(crate) fn spread_seconds(fleet: usize, timeout: Duration) -> u32 {
    let fleet = u32::try_from(fleet).unwrap_or(u32::MAX);
    let most = u32::try_from(timeout.as_secs() / 2).unwrap_or(60).max(1);
    fleet.div_ceil(RETURNS_A_SECOND).clamp(1, most)
}

/// Answers the request for a socket, for a node the gate let in.
pub(crate) fn open(app: Arc<App>, node: NodeId, upgrade: WebSocketUpgrade) -> Result<Response, Refusal> {
    let snapshot = app.view.current();
    let held = snapshot
        .node(&node, &Orgs::All)
        .ok_or_else(|| Refusal::plain(code::UNAUTHENTICATED))?;
    if held.doc.status == aami_model::node_status::NodeStatus::Inactive {
        return Err(Refusal::plain(code::NODE_DECOMMISSIONED));
    }
    let hash = held.doc.identity.credential_hash.clone().unwrap_or_default();
    if !app.live.may_try(&node, app.world.elapsed()) {
        return Err(Refusal::plain(code::RATE_LIMITED).with_retry_after(Duration::from_secs(2)));
    }
    Ok(upgrade
        .read_buffer_size(BUFFER)
        .write_buffer_size(BUFFER)
        .max_write_buffer_size(LARGEST_DOWN * 2)
        .max_message_size(LARGEST_UP)
        .max_frame_size(LARGEST_UP)
        .on_upgrade(move |socket| {
            // In a task of its own: the one that waited for the upgrade is several times as large, and would stay.
            tokio::spawn(serve(app, node, hash, Box::new(socket)));
            std::future::ready(())
        }))
}

/// Why a connection does not go on; told to the node before it is closed.
#[derive(Debug)]
struct Fault {
    code: Code,
    message: String,
    retry: bool,
}

impl Fault {
    fn new(code: Code, message: impl Into<String>) -> Self {
        Self {
            code,
            message: message.into(),
            retry: true,
        }
    }

    fn plain(code: Code) -> Self {
        Self::new(code, code.sentence)
    }

    fn frame(self) -> Down {
        Down::Error {
            code: self.code.symbol.to_owned(),
            message: self.message,
            retry: self.retry,
        }
    }
}

impl From<Refusal> for Fault {
    fn from(refusal: Refusal) -> Self {
        let retry = refusal.code != code::NODE_DECOMMISSIONED && refusal.code != code::UNAUTHENTICATED;
        Self {
            retry,
            ..Self::new(refusal.code, refusal.detail)
        }
    }
}

/// One connection, from its first frame to its last.
async fn serve(app: Arc<App>, node: NodeId, credential_hash: String, socket: Box<WebSocket>) {
    // Whoever waits for the last socket waits for what its task holds, the store not least.
    let _counted = app.live.socket();
    hold(app, node, credential_hash, socket).await;
}

async fn hold(app: Arc<App>, node: NodeId, credential_hash: String, mut socket: Box<WebSocket>) {
    // What is needed only in the beginning is on the heap and gone afterwards: what stays is small.
    let greeted = Box::pin(greet(&app, &node, credential_hash, &mut socket)).await;
    let (link, spool, received, again) = match greeted {
        Ok(greeted) => greeted,
        Err(fault) => {
            app.counters.link_refused(fault.code.symbol);
            tracing::debug!(%node, code = %fault.code, error = fault.message, "a connection was refused");
            Box::pin(say_last(&mut socket, &fault.frame())).await;
            return;
        }
    };
    app.counters.link_opened(again);
    let last = talk::talk(&app, &link, &spool, received, &mut socket).await;
    app.live.detach(&link);
    app.counters.link_closed();
    if let Some(frame) = last {
        Box::pin(say_last(&mut socket, &frame)).await;
    }
    tracing::debug!(%node, generation = link.generation(), "a connection ended");
}

/// Says a last frame and closes, as far as the node takes it.
async fn say_last(socket: &mut WebSocket, frame: &Down) {
    let Ok(text) = serde_json::to_string(frame) else {
        return;
    };
    let saying = async {
        socket.send(Message::Text(text.into())).await?;
        socket
            .send(Message::Close(Some(CloseFrame {
                code: axum::extract::ws::close_code::NORMAL,
                reason: "".into(),
            })))
            .await
    };
    let _ = tokio::time::timeout(TAKING, saying).await;
}

async fn greet(
    app: &App,
    node: &NodeId,
    credential_hash: String,
    socket: &mut WebSocket,
) -> Result<(Arc<Link>, String, u64, bool), Fault> {
    let hello = tokio::select! {
        () = app.live.closed() => return Err(Fault::plain(code::SHUTTING_DOWN)),
        first = tokio::time::timeout(GREETING, first(socket)) => {
            first.map_err(|_| Fault::new(code::TIMED_OUT, "the node did not greet in time"))??
        }
    };
    check(&hello)?;
    let connected = app
        .connect(&Connecting {
            node,
            credential_hash: &credential_hash,
            hello: &hello,
            replaces: app.live.link(node).is_some_and(|old| old.ended().is_none()),
            twin: app.live.is_twin(node, &hello.boot_id),
        })
        .await?;
    let link = Arc::new(Link::new(node.clone(), connected.generation, credential_hash));
    let seen = Seen {
        elapsed: app.world.elapsed(),
        at: app.world.now(),
    };
    if app.live.attach(&link, &hello.boot_id, seen) == Found::Newer {
        return Err(Fault::plain(code::CONNECTION_REPLACED));
    }
    // What changed between the transaction and taking the place was told to nobody.
    if let Some(ending) = judged(&app.view.current(), &link) {
        link.end(ending);
    }
    let timeout = app.config.heartbeat_timeout;
    let ack = Down::ConnectionAck(ConnectionAck {
        status: "success".to_owned(),
        node_id: node.clone(),
        controller_id: app.cluster_name(),
        generation: connected.generation,
        heartbeat_seconds: heartbeat_seconds(timeout),
        spread_seconds: spread_seconds(app.live.connected(), timeout),
        wants_inventory: connected.wants_inventory,
        received: connected.received,
        time: app.world.now(),
    });
    link.send(&ack);
    link.has_config(hello.config_revision.as_deref().unwrap_or(NOTHING));
    let snapshot = app.view.current();
    if let Some(held) = snapshot.node(node, &Orgs::All) {
        configure(&snapshot, &held.doc, &link, timeout);
    }
    app.send_waiting(&link);
    Ok((link, hello.spool, connected.received, connected.again))
}

/// So often that several may be lost before the node counts as gone.
fn heartbeat_seconds(timeout: Duration) -> u32 {
    let often = u32::try_from(timeout.as_secs() / 4).unwrap_or(u32::MAX);
    often.clamp(1, aami_api::link::USUAL_HEARTBEAT)
}

/// The first frame, which is a greeting.
async fn first(socket: &mut WebSocket) -> Result<Hello, Fault> {
    loop {
        let frame = match socket.recv().await {
            None => {
                return Err(Fault::new(
                    code::MALFORMED,
                    "the connection ended before a greeting",
                ));
            }
            Some(Err(error)) => return Err(unreadable(&error)),
            Some(Ok(frame)) => frame,
        };
        match frame {
            Message::Ping(_) | Message::Pong(_) => {}
            Message::Close(_) => {
                return Err(Fault::new(
                    code::MALFORMED,
                    "the connection ended before a greeting",
                ));
            }
            Message::Binary(_) => return Err(Fault::new(code::MALFORMED, "a frame is text, not binary")),
            Message::Text(text) => match read(&text)? {
                Up::Hello(hello) => return Ok(hello),
                _ => return Err(Fault::new(code::OUT_OF_ORDER, "the first frame is hello")),
            },
        }
    }
}

fn read(text: &str) -> Result<Up, Fault> {
    serde_json::from_str(text).map_err(|error| {
        let what = format!(
            "a frame cannot be read (line {}, column {})",
            error.line(),
            error.column()
        );
        Fault::new(code::MALFORMED, what)
    })
}

/// Whether a frame could not be taken off a socket because of its size.
pub(crate) fn is_too_large(error: &axum::Error) -> bool {
    let text = error.to_string();
    text.contains("too long") || text.contains("too big") || text.contains("Space limit")
}

/// A frame that cannot be taken off the socket: too large, or no WebSocket.
fn unreadable(error: &axum::Error) -> Fault {
    if is_too_large(error) {
        Fault::new(code::TOO_LARGE, format!("a frame is at most {LARGEST_UP} bytes"))
    } else {
        Fault::new(code::MALFORMED, "what came is no frame")
    }
}

fn check(hello: &Hello) -> Result<(), Fault> {
    let name = |text: &str, longest: usize| {
        (1..=longest).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_graphic())
    };
    let rule = if hello.protocol == 0 {
        "protocol: it is 1 or more"
    } else if !name(&hello.agent_version, 64) {
        "agentVersion: it is 1 to 64 printable characters"
    } else if !name(&hello.boot_id, 64) {
        "bootId: it is 1 to 64 printable characters"
    } else if !name(&hello.spool, 64) {
        "spool: it is 1 to 64 printable characters"
    } else if !name(&hello.arch, 16) {
        "arch: it is 1 to 16 printable characters"
    } else if !hello.inventory_sha256.is_empty() && !is_sha256(&hello.inventory_sha256) {
        "inventorySha256: it is 64 lower-case hex digits"
    } else {
        return Ok(());
    };
    Err(Fault::new(code::INVALID, rule))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// How many bytes what such a function answers takes.
    fn size<A, B, C, D, F>(_: impl Fn(A, B, C, D) -> F) -> usize {
        size_of::<F>()
    }

    #[test]
    fn a_connections_task_stays_small_for_there_are_thousands() {
        let size = size(serve);
        assert!(size <= 1024, "{size} bytes");
    }

    #[test]
    fn a_fleet_comes_back_as_spread_as_it_is_large_and_always_in_time() {
        let timeout = Duration::from_secs(120);
        for (fleet, spread) in [
            (0, 1),
            (2, 1),
            (600, 1),
            (10_000, 17),
            (18_000, 30),
            (1_000_000, 60),
        ] {
            assert_eq!(spread_seconds(fleet, timeout), spread, "{fleet} nodes");
        }
        assert_eq!(spread_seconds(18_000, Duration::from_secs(10)), 5);
        assert_eq!(heartbeat_seconds(timeout), 30);
        assert_eq!(heartbeat_seconds(Duration::from_secs(2)), 1);
    }
}
