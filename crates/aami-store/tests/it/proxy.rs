//! Between the store and its server: passes on, cuts off, or swallows the answers.
//!
//! Also taken into the tests of the control plane, which need other parts of it.

#![allow(dead_code, reason = "each who takes it in needs other parts of it")]

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

pub(crate) struct Proxy {
    port: u16,
    /// How often everybody was cut off, and who alone the last time.
    cuts: watch::Sender<(u64, Option<usize>)>,
    deaf: Arc<AtomicBool>,
    /// The one connection that stays deaf, by its number from 0.
    deaf_one: Arc<AtomicUsize>,
    /// How much each connection is answered before it is dropped.
    answered: Arc<AtomicUsize>,
    accepting: tokio::task::JoinHandle<()>,
}

impl Proxy {
    pub(crate) async fn to(port: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0")
            .await
            .expect("loopback has a free port");
        let own = listener.local_addr().expect("it is bound").port();
        let cuts = watch::Sender::new((0, None));
        let deaf = Arc::new(AtomicBool::new(false));
        let deaf_one = Arc::new(AtomicUsize::new(usize::MAX));
        let answered = Arc::new(AtomicUsize::new(usize::MAX));
        let line = Line {
            port,
            cuts: cuts.clone(),
            deaf: Arc::clone(&deaf),
            deaf_one: Arc::clone(&deaf_one),
            answered: Arc::clone(&answered),
        };
        let accepting = tokio::spawn(accept(listener, line));
        Self {
            port: own,
            cuts,
            deaf,
            deaf_one,
            answered,
            accepting,
        }
    }

    pub(crate) fn url(&self) -> String {
        format!("etcd://127.0.0.1:{}", self.port)
    }

    /// Drops every connection; new ones are taken.
    pub(crate) fn cut(&self) {
        self.cuts.send_modify(|cuts| *cuts = (cuts.0 + 1, None));
    }

    /// Drops one connection, by its number from 0.
    pub(crate) fn cut_one(&self, number: usize) {
        self.cuts.send_modify(|cuts| *cuts = (cuts.0 + 1, Some(number)));
    }

    /// The answers of this connection alone are swallowed from now on, also when all others are passed on again.
    pub(crate) fn swallow_answers_of(&self, number: usize) {
        self.deaf_one.store(number, Ordering::SeqCst);
    }

    /// What the server says is swallowed, or passed on again. Whoever was connected meanwhile has lost
    /// bytes, so cut before passing on again.
    pub(crate) fn swallow_answers(&self, deaf: bool) {
        self.deaf.store(deaf, Ordering::SeqCst);
    }
}

impl Proxy {
    /// From now on every connection is dropped after it was answered so many bytes.
    pub(crate) fn drop_after(&self, bytes: usize) {
        self.answered.store(bytes, Ordering::SeqCst);
    }
}

/// What a connection needs to know.
struct Line {
    port: u16,
    cuts: watch::Sender<(u64, Option<usize>)>,
    deaf: Arc<AtomicBool>,
    deaf_one: Arc<AtomicUsize>,
    answered: Arc<AtomicUsize>,
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.accepting.abort();
        self.cut();
    }
}

async fn accept(listener: TcpListener, line: Line) {
    for number in 0.. {
        let Ok((client, _)) = listener.accept().await else {
            return;
        };
        // Nobody there: the client is dropped, as it would be.
        let Ok(server) = TcpStream::connect(("127.0.0.1", line.port)).await else {
            continue;
        };
        let ((from_client, to_client), (from_server, to_server)) = (client.into_split(), server.into_split());
        let mut cut = line.cuts.subscribe();
        let before = cut.borrow_and_update().0;
        let (deaf, deaf_one) = (Arc::clone(&line.deaf), Arc::clone(&line.deaf_one));
        let most = line.answered.load(Ordering::SeqCst);
        tokio::spawn(async move {
            // Whichever ends first ends both.
            let is_deaf = || deaf.load(Ordering::SeqCst) || deaf_one.load(Ordering::SeqCst) == number;
            tokio::select! {
                () = ask(from_client, to_server) => {}
                () = answer(from_server, to_client, is_deaf, most) => {}
                _ = cut.wait_for(|(cuts, who)| *cuts > before && who.is_none_or(|who| who == number)) => {}
            }
        });
    }
}

async fn ask(mut from: OwnedReadHalf, mut to: OwnedWriteHalf) {
    let _ = tokio::io::copy(&mut from, &mut to).await;
}

async fn answer(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, is_deaf: impl Fn() -> bool, most: usize) {
    let (mut bytes, mut left) = (vec![0; 16 * 1024], most);
    while let Ok(count @ 1..) = from.read(&mut bytes).await {
        let swallowed = is_deaf();
        if !swallowed && (left < count || to.write_all(&bytes[..count]).await.is_err()) {
            return;
        }
        left -= count.min(left);
    }
}
