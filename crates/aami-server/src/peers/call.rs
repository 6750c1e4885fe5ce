//! Calling every other replica, for as long as its lease holds, and hearing what is live there.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt as _;
use rustls_pki_types::ServerName;
use tokio::task::{AbortHandle, JoinSet};
use tokio_rustls::TlsConnector;
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_tungstenite::tungstenite::{Error, Message};
use tokio_util::sync::CancellationToken;

use super::frame::{Frame, LARGEST};
use super::{Calling, badge, pinned};
use crate::app::App;
use crate::notify::wire::{Place, connect};

/// How often it is looked who is there.
const LOOK: Duration = Duration::from_secs(1);
/// How long a call may take until it is answered.
const ANSWER: Duration = Duration::from_secs(10);
/// How long the other one may say nothing: it says something every few seconds.
const SILENCE: Duration = Duration::from_secs(20);
/// How long the next call waits at least, and at most.
const PAUSE: Duration = Duration::from_millis(500);
const LONGEST_PAUSE: Duration = Duration::from_secs(15);

/// Calls the others until `stop`. Where the store belongs to one process there is nobody to call.
pub(crate) fn keep(tasks: &mut JoinSet<()>, app: &Arc<App>, stop: &CancellationToken) {
    if app.config.store_kind() != "etcd" {
        return;
    }
    let (app, stop) = (app.clone(), stop.clone());
    tasks.spawn(async move {
        let mut calls = JoinSet::new();
        let mut called: HashMap<String, AbortHandle> = HashMap::new();
        let mut looks = tokio::time::interval(LOOK);
        loop {
            tokio::select! {
                // Dropping the calls ends them.
                () = stop.cancelled() => return,
                _ = looks.tick() => {}
            }
            let snapshot = app.view.current();
            called.retain(|id, call| {
                let is_there = snapshot.linked.replica(id).is_some();
                if !is_there {
                    call.abort();
                }
                is_there
            });
            while calls.try_join_next().is_some() {}
            for (id, calling) in snapshot.linked.replicas() {
                if *id == app.replica || calling.url.is_empty() || called.contains_key(id) {
                    continue;
                }
                let call = calls.spawn(call(app.clone(), id.clone(), Calling::clone(calling)));
                called.insert(id.clone(), call);
            }
        }
    });
}

/// One replica, called again and again.
async fn call(app: Arc<App>, id: String, calling: Calling) {
    let mut pause = PAUSE;
    loop {
        let begun = tokio::time::Instant::now();
        if let Err(why) = hear(&app, &id, &calling).await {
            tracing::debug!(replica = id, url = calling.url, why, "a replica cannot be heard");
        }
        // One that was heard for a while is not to blame for having been away.
        pause = if begun.elapsed() > LONGEST_PAUSE {
            PAUSE
        } else {
            (pause * 2).min(LONGEST_PAUSE)
        };
        let [spread] = app.world.random::<1>();
        tokio::time::sleep(pause.mul_f64(0.5 + f64::from(spread) / 510.0)).await;
    }
}

/// One connection, until it breaks; says why.
async fn hear(app: &App, id: &str, calling: &Calling) -> Result<(), String> {
    let words = |error: &dyn std::fmt::Display| error.to_string();
    let place = Place::parse(&calling.url)?;
    let opening = async {
        let stream = connect(&place.host, place.port, true)
            .await
            .map_err(|error| words(&error))?;
        let config = pinned::client(&calling.certificate).map_err(|error| words(&error))?;
        let name = ServerName::try_from(place.host.clone()).map_err(|error| words(&error))?;
        let stream = TlsConnector::from(Arc::new(config)).connect(name, stream).await;
        let stream = stream.map_err(|error| words(&error))?;
        let url = format!("{}/ws/peer", calling.url.replacen("https://", "wss://", 1));
        let mut request = url.into_client_request().map_err(|error| words(&error))?;
        let badge = badge::made(&app.peers.key, &app.replica, id, app.world.now().millis());
        let badge = badge.parse().map_err(|_| "the badge is no header".to_owned())?;
        request.headers_mut().insert(badge::HEADER, badge);
        let limits = WebSocketConfig::default()
            .max_message_size(Some(LARGEST))
            .max_frame_size(Some(LARGEST));
        tokio_tungstenite::client_async_with_config(request, stream, Some(limits))
            .await
            .map_err(|error: Error| words(&error))
    };
    let opened = tokio::time::timeout(ANSWER, opening).await;
    let (mut socket, _) = opened.map_err(|_| "it does not answer".to_owned())??;
    loop {
        let frame = tokio::time::timeout(SILENCE, socket.next()).await;
        let frame = frame.map_err(|_| "it says nothing any more".to_owned())?;
        match frame {
            Some(Ok(Message::Text(text))) => {
                let frame: Frame = serde_json::from_str(&text).map_err(|error| words(&error))?;
                take(app, frame);
            }
            Some(Ok(Message::Close(_))) | None => return Ok(()),
            Some(Ok(_)) => {}
            Some(Err(error)) => return Err(words(&error)),
        }
    }
}

/// Keeps what it said of nodes and runs that there are.
fn take(app: &App, frame: Frame) {
    let snapshot = app.view.current();
    for heard in frame.nodes {
        if snapshot.node(&heard.id, &aami_model::access::Orgs::All).is_some() {
            app.live.heard_elsewhere(heard);
        }
    }
    for run in frame
        .runs
        .into_iter()
        .filter(|run| snapshot.run(&run.id).is_some())
    {
        app.dashboards.told_of(&run.id, run.fraction.checked());
    }
}
