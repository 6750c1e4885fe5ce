//! One port for TLS and plain HTTP: the first byte decides. A TLS record begins with 22 (RFC 8446,
//! section 5.1), which no HTTP method does.
//!
//! Connections are bounded, in all and by address. Every wait before a request is whole has a deadline, and so has
//! every moment in which the other end takes nothing of its answer. A stop lets what
//! has begun finish; a connection whose first request is not whole has begun nothing.

mod crowd;
mod patient;

use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use axum::Router;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use hyper_util::server::graceful::{GracefulShutdown, Watcher};
use hyper_util::service::TowerToHyperService;
use rustls::ServerConfig;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::Semaphore;
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;
use tower::ServiceExt as _;

use crate::config::Network;
use crate::http::Peer;
use crowd::Crowd;
use patient::Patient;

/// How many connections are held at once.
const MOST_CONNECTIONS: usize = 15_000;
/// How many more may wait in the kernel until they are accepted, as far as it allows (`net.core.somaxconn`). A fleet
/// that comes back at once comes within a second; who finds no room tries again seconds later.
const WAITING: u32 = 16_384;
/// How many of them one address may hold: a whole site behind one address fits, and nobody alone takes every place.
const MOST_OF_ONE: usize = MOST_CONNECTIONS / 4;
/// How long the other end may take nothing of its answer.
const TAKING: Duration = Duration::from_secs(30);
/// How long the first byte and the handshake may take.
const HANDSHAKE: Duration = Duration::from_secs(10);
/// How long the headers of a request may take.
const HEADERS: Duration = Duration::from_secs(10);
const TLS_HANDSHAKE_RECORD: u8 = 22;

/// Listens.
pub(crate) fn bind(address: SocketAddr) -> std::io::Result<TcpListener> {
    let socket = match address {
        SocketAddr::V4(_) => TcpSocket::new_v4()?,
        SocketAddr::V6(_) => TcpSocket::new_v6()?,
    };
    // A control plane that is started anew takes its port although old connections still end there.
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(WAITING)
}

/// Serves until `stop`, then lets what has begun finish for at most `drain`.
pub(crate) async fn serve(
    listener: TcpListener,
    tls: Arc<ServerConfig>,
    router: Router,
    proxies: Vec<Network>,
    stop: CancellationToken,
    drain: Duration,
) {
    let acceptor = TlsAcceptor::from(tls);
    let places = Arc::new(Semaphore::new(MOST_CONNECTIONS));
    let crowd = Crowd::new(MOST_OF_ONE);
    let graceful = GracefulShutdown::new();
    loop {
        let place = tokio::select! {
            () = stop.cancelled() => break,
            place = places.clone().acquire_owned() => place,
        };
        let Ok(place) = place else { break };
        let accepted = tokio::select! {
            () = stop.cancelled() => break,
            // Whoever waits is taken in at once, before those who are in are served: the room in the kernel is small.
            accepted = tokio::task::unconstrained(listener.accept()) => accepted,
        };
        let (stream, peer) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                // Out of file descriptors, most likely: give those that are open time to close.
                tracing::warn!(%error, "a connection cannot be accepted");
                tokio::time::sleep(Duration::from_millis(50)).await;
                continue;
            }
        };
        // A trusted proxy speaks for many.
        let proxied = proxies.iter().any(|net| net.holds(peer.ip()));
        let own = crowd.place(peer.ip());
        if own.is_none() && !proxied {
            tracing::debug!(%peer, "this address holds as many connections as it may");
            continue;
        }
        let (acceptor, router, watcher) = (acceptor.clone(), router.clone(), graceful.watcher());
        let stop = stop.clone();
        tokio::spawn(async move {
            let _places = (place, own);
            if let Err(error) = connection(stream, peer, acceptor, router, watcher, &stop).await {
                tracing::debug!(%error, %peer, "a connection ended");
            }
        });
    }
    drop(listener);
    if tokio::time::timeout(drain, graceful.shutdown()).await.is_err() {
        tracing::warn!("some requests did not finish in time and were cut");
    }
}

type Failure = Box<dyn std::error::Error + Send + Sync>;

async fn connection(
    stream: TcpStream,
    peer: SocketAddr,
    acceptor: TlsAcceptor,
    router: Router,
    watcher: Watcher,
    stop: &CancellationToken,
) -> Result<(), Failure> {
    stream.set_nodelay(true)?;
    let mut first = [0];
    // Until the handshake is through nothing has begun that a stop would have to wait for.
    let peeked = tokio::select! {
        biased;
        peeked = tokio::time::timeout(HANDSHAKE, stream.peek(&mut first)) => peeked,
        () = stop.cancelled() => return Ok(()),
    };
    if peeked?? == 0 {
        return Ok(());
    }
    if first[0] == TLS_HANDSHAKE_RECORD {
        let accepted = tokio::select! {
            () = stop.cancelled() => return Ok(()),
            accepted = tokio::time::timeout(HANDSHAKE, acceptor.accept(Patient::new(stream, TAKING))) => accepted,
        };
        let stream = accepted??;
        speak(stream, seen(peer, true), router, watcher, stop).await
    } else {
        speak(
            Patient::new(stream, TAKING),
            seen(peer, false),
            router,
            watcher,
            stop,
        )
        .await
    }
}

/// The other end, before a proxy has said for whom it speaks.
fn seen(socket: SocketAddr, tls: bool) -> Peer {
    Peer {
        socket,
        tls,
        client: socket.ip().to_canonical(),
    }
}

/// Serves one connection that was not accepted here, in plain HTTP; nothing bounds it but its own deadlines.
pub(crate) async fn converse<S>(stream: S, peer: SocketAddr, router: Router)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    // Kept for as long as this is: who lets go of it tells those it watches to end.
    let graceful = GracefulShutdown::new();
    let never = CancellationToken::new();
    let spoken = speak(
        Patient::new(stream, TAKING),
        seen(peer, false),
        router,
        graceful.watcher(),
        &never,
    );
    if let Err(error) = spoken.await {
        tracing::debug!(%error, %peer, "a connection ended");
    }
}

async fn speak<S>(
    stream: S,
    peer: Peer,
    router: Router,
    watcher: Watcher,
    stop: &CancellationToken,
) -> Result<(), Failure>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let asked = Arc::new(AtomicBool::new(false));
    let marked = asked.clone();
    let service = router.map_request(move |mut request: http::Request<_>| {
        marked.store(true, Ordering::Release);
        request.extensions_mut().insert(peer);
        request
    });
    let mut builder = Builder::new(TokioExecutor::new());
    builder
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(HEADERS);
    builder
        .http2()
        .timer(TokioTimer::new())
        .keep_alive_interval(Duration::from_secs(30))
        .keep_alive_timeout(Duration::from_secs(10))
        .max_concurrent_streams(100);
    let connection =
        builder.serve_connection_with_upgrades(TokioIo::new(stream), TowerToHyperService::new(service));
    let mut served = pin!(watcher.watch(connection.into_owned()));
    tokio::select! {
        // A request that has come whole by now is taken first.
        biased;
        ended = &mut served => return ended,
        () = stop.cancelled() => {}
    }
    if asked.load(Ordering::Acquire) {
        served.await
    } else {
        // The library would wait for the rest of the first request's headers as long as they may take.
        Ok(())
    }
}
