//! What the control plane says of itself.

use std::net::SocketAddr;

use aami_api::event::Events;
use aami_api::node::NodeView;
use aami_api::page::Page;
use aami_model::Timestamp;
use aami_model::node_status::NodeStatus;

use crate::client::Connection;

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
