//! A thousand dashboards that note when they were told what.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use futures::StreamExt as _;
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;
use tokio_tungstenite::{WebSocketStream, client_async};

/// How long anything may take.
const PATIENCE: Duration = Duration::from_secs(60);

pub(crate) type Socket = WebSocketStream<TcpStream>;

/// How long each took to each, the quickest first.
pub(crate) struct Latencies(Vec<Duration>);

impl Latencies {
    pub(crate) fn new(mut all: Vec<Duration>) -> Self {
        all.sort();
        Self(all)
    }

    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_precision_loss,
        clippy::cast_sign_loss,
        reason = "a place in the list"
    )]
    pub(crate) fn percentile(&self, share: f64) -> Duration {
        let at = (self.0.len() as f64 * share) as usize;
        self.0[at.min(self.0.len() - 1)]
    }

    pub(crate) const fn len(&self) -> usize {
        self.0.len()
    }
}

/// What one dashboard noted: when it was first told the status that is expected of a node.
#[derive(Default)]
struct Noted {
    expected: String,
    at: HashMap<String, Instant>,
    last: String,
}

/// Dashboards that read.
pub(crate) struct Screens {
    all: Vec<Arc<Mutex<Noted>>>,
    _tasks: JoinSet<()>,
}

async fn open(address: SocketAddr, key: &str) -> Socket {
    let stream = TcpStream::connect(address).await.unwrap();
    stream.set_nodelay(true).unwrap();
    let mut request = format!("ws://{address}/ws").into_client_request().unwrap();
    let value = format!("Bearer {key}").parse().unwrap();
    request.headers_mut().insert("authorization", value);
    client_async(request, stream).await.unwrap().0
}

/// The text between the quotes that follow `name`.
fn member<'a>(text: &'a str, name: &str) -> Option<&'a str> {
    let rest = &text[text.find(name)? + name.len()..];
    rest.split('"').next()
}

impl Screens {
    /// Opens so many, and waits until each has its snapshot.
    pub(crate) async fn open(address: SocketAddr, keys: &[String], count: usize) -> Self {
        let mut opening = JoinSet::new();
        for n in 0..count {
            let key = keys[n % keys.len()].clone();
            opening.spawn(async move {
                let mut socket = open(address, &key).await;
                while let Some(Ok(message)) = socket.next().await {
                    if message.to_text().unwrap().contains(r#""type":"synced""#) {
                        return socket;
                    }
                }
                panic!("a dashboard was cut off");
            });
        }
        let mut all = Vec::new();
        let mut tasks = JoinSet::new();
        while let Some(socket) = opening.join_next().await {
            let mut socket = socket.unwrap();
            let noted = Arc::new(Mutex::new(Noted::default()));
            all.push(noted.clone());
            tasks.spawn(async move {
                while let Some(Ok(message)) = socket.next().await {
                    let now = Instant::now();
                    let Ok(text) = message.to_text() else { continue };
                    if !text.contains(r#""type":"status""#) {
                        continue;
                    }
                    let (Some(node), Some(status)) =
                        (member(text, r#""node_id":""#), member(text, r#""status":""#))
                    else {
                        continue;
                    };
                    let mut noted = noted.lock().unwrap();
                    if noted.expected == status {
                        noted.at.entry(node.to_owned()).or_insert(now);
                        text.clone_into(&mut noted.last);
                    }
                }
            });
        }
        Self { all, _tasks: tasks }
    }

    /// Opens so many that never read what they are sent.
    pub(crate) async fn open_deaf(address: SocketAddr, keys: &[String], count: usize) -> Vec<Socket> {
        let mut deaf = Vec::new();
        for n in 0..count {
            deaf.push(open(address, &keys[n % keys.len()]).await);
        }
        deaf
    }

    /// From now on this status is noted, and nothing of before.
    pub(crate) fn expect(&self, status: &str) {
        for noted in &self.all {
            let mut noted = noted.lock().unwrap();
            status.clone_into(&mut noted.expected);
            noted.at.clear();
        }
    }

    /// Waits until each has been told of each node, and answers how long each took since its moment.
    pub(crate) async fn gather(&self, sent: &[(String, Instant)]) -> Latencies {
        let deadline = Instant::now() + PATIENCE;
        let mut taken = Vec::with_capacity(sent.len() * self.all.len());
        for noted in &self.all {
            while noted.lock().unwrap().at.len() < sent.len() {
                assert!(Instant::now() < deadline, "a dashboard was not told");
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
            let noted = noted.lock().unwrap();
            taken.extend(
                sent.iter()
                    .map(|(node, at)| noted.at[node].saturating_duration_since(*at)),
            );
        }
        Latencies::new(taken)
    }

    /// A frame as it was told.
    pub(crate) fn last_frame(&self) -> String {
        self.all[0].lock().unwrap().last.clone()
    }
}
