//! Dashboards beside the fleet: how long a status change takes to each of them while every agent is connected.

use std::time::Duration;

use crate::changes::{change, keys, told};
use crate::plane;
use crate::report::row;
use crate::screens::Screens;
use crate::served::Served;
use crate::sockets::shown;

/// How many there are.
pub(crate) const DASHBOARDS: usize = 1_000;
/// How many changes are timed.
const CHANGES: usize = 150;

/// Opens them, takes nodes out one after the other, and brings them back.
pub(crate) async fn measure(served: &Served, agents: usize) {
    let dashboards = DASHBOARDS.min(agents);
    let keys = keys(served, dashboards).await;
    let nodes = plane::ids(served.address, &served.admin_key, CHANGES).await;
    let begun = std::time::Instant::now();
    let screens = Screens::open(served.address, &keys, dashboards).await;
    shown(
        &format!("{dashboards} dashboards open beside {agents} agents, each with its snapshot"),
        &format!("{:.1} s", begun.elapsed().as_secs_f64()),
    );
    for status in ["maintenance", "online"] {
        let (_, done) = change(served, &screens, &nodes, status).await;
        row(
            &format!(
                "a node becomes {status}: until {dashboards} dashboards are told, beside {agents} agents"
            ),
            &format!("{} since it is done", told(&done)),
            "p99 under 50 ms",
            done.percentile(0.99) < Duration::from_millis(50),
        );
    }
}
