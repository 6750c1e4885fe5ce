//! What the control plane says of itself.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicU32, Ordering};

use aami_api::event::Events;
use aami_api::node::NodeView;
use aami_api::page::Page;
use aami_model::Timestamp;
use aami_model::node_status::NodeStatus;

use crate::client::Connection;
use crate::enrol::CLIENTS;

/// The store's revision: every write makes a new one.
pub(crate) async fn revision(address: SocketAddr, admin_key: &str) -> u64 {
    let mut connection = Connection::open(address).await;
    let said = connection
        .header(admin_key, "/api/v1/status", aami_api::REVISION)
        .await;
    said.rsplit('.').next().unwrap().parse().unwrap()
}

/// How many nodes are connected, online, and were heard since then.
pub(crate) async fn heard(address: SocketAddr, admin_key: &str, since: Timestamp) -> usize {
    let mut connection = Connection::open(address).await;
    let (mut heard, mut from) = (0, String::new());
    loop {
        let path = format!("/api/v1/nodes?limit=1000{from}");
        let page: Page<NodeView> = serde_json::from_slice(&connection.get(admin_key, &path).await).unwrap();
        let fresh = |node: &&NodeView| node.last_seen.is_some_and(|seen| seen >= since);
        let nodes = page
            .items
            .iter()
            .filter(|node| node.connected && node.status == NodeStatus::Online);
        heard += nodes.filter(fresh).count();
        match page.next_page_token {
            Some(token) => from = format!("&page_token={token}"),
            None => return heard,
        }
    }
}

/// The ids of so many nodes, or of all where there are fewer.
pub(crate) async fn ids(address: SocketAddr, admin_key: &str, most: usize) -> Vec<String> {
    let path = format!("/api/v1/nodes?limit={most}");
    let page = Connection::open(address).await.get(admin_key, &path).await;
    let page: Page<NodeView> = serde_json::from_slice(&page).unwrap();
    page.items.iter().map(|node| node.id.to_string()).collect()
}

/// Changes every node once, as operators do over the days: what the control plane keeps for the changes themselves (the
/// store's cache, the latest events) is of a fixed size and full afterwards. Each time to another value: what a node has
/// already is no change.
pub(crate) async fn relabel(address: SocketAddr, admin_key: &str) {
    static TIMES: AtomicU32 = AtomicU32::new(0);
    let value = TIMES.fetch_add(1, Ordering::Relaxed).to_string();
    let mut connection = Connection::open(address).await;
    let (mut paths, mut from) = (Vec::new(), String::new());
    loop {
        let path = format!("/api/v1/nodes?limit=1000{from}");
        let page: Page<NodeView> = serde_json::from_slice(&connection.get(admin_key, &path).await).unwrap();
        paths.extend(page.items.iter().map(|node| format!("/api/v1/nodes/{}", node.id)));
        match page.next_page_token {
            Some(token) => from = format!("&page_token={token}"),
            None => break,
        }
    }
    let changes = paths.chunks(paths.len().div_ceil(CLIENTS)).map(|paths| {
        let (paths, key, value) = (paths.to_vec(), admin_key.to_owned(), value.clone());
        tokio::spawn(async move {
            let mut connection = Connection::open(address).await;
            let body = serde_json::json!({ "labels": { "changed": value } }).to_string();
            for path in paths {
                connection.patch(&key, &path, body.clone()).await;
            }
        })
    });
    for change in changes.collect::<Vec<_>>() {
        change.await.unwrap();
    }
}

/// How many events of all say that a node is gone.
pub(crate) async fn said_gone(address: SocketAddr, admin_key: &str) -> usize {
    let mut connection = Connection::open(address).await;
    let (mut gone, mut after) = (0, 0);
    loop {
        let path = format!("/api/v1/events?after={after}&limit=1000");
        let page: Events = serde_json::from_slice(&connection.get(admin_key, &path).await).unwrap();
        if page.events.is_empty() {
            return gone;
        }
        gone += page
            .events
            .iter()
            .filter(|event| event.kind == "node.disconnected")
            .count();
        after = page.last_seq;
    }
}
