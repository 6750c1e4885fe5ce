//! The peer: the same bytes to as many sockets, by a loop over them and nothing else.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use futures::{SinkExt as _, StreamExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio_tungstenite::tungstenite::{Message, Utf8Bytes};
use tokio_tungstenite::{accept_async, client_async};

use crate::screens::{Latencies, Socket};

/// Tells `count` sockets the frame so often; answers how long each took to each.
pub(crate) async fn measure(count: usize, frame: &str, times: usize, every: Duration) -> Latencies {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let accepting = tokio::spawn(async move {
        let mut sockets = Vec::new();
        while sockets.len() < count {
            let (stream, _) = listener.accept().await.unwrap();
            stream.set_nodelay(true).unwrap();
            sockets.push(accept_async(stream).await.unwrap());
        }
        sockets
    });
    let (tell, mut told) = mpsc::unbounded_channel();
    let mut reading = JoinSet::new();
    for _ in 0..count {
        let mut socket = connect(address).await;
        let tell = tell.clone();
        reading.spawn(async move {
            while let Some(Ok(message)) = socket.next().await {
                if message.is_text() {
                    let _ = tell.send(Instant::now());
                }
            }
        });
    }
    let mut sockets = accepting.await.unwrap();
    let text = Utf8Bytes::from(frame);
    let mut taken = Vec::new();
    let mut ticks = tokio::time::interval(every);
    for _ in 0..times {
        ticks.tick().await;
        let sent = Instant::now();
        for socket in &mut sockets {
            socket.send(Message::Text(text.clone())).await.unwrap();
        }
        for _ in 0..count {
            taken.push(told.recv().await.unwrap() - sent);
        }
    }
    Latencies::new(taken)
}

async fn connect(address: SocketAddr) -> Socket {
    let stream = TcpStream::connect(address).await.unwrap();
    stream.set_nodelay(true).unwrap();
    client_async(format!("ws://{address}/"), stream).await.unwrap().0
}
