//! The one page: what runs, where, and what to do next.

use aami_api::token::CreateToken;

use super::beginning::Plane;
use super::node::Node;
use super::prometheus::Prometheus;
use super::{Places, dist};
use crate::cli::failure::Failure;
use crate::cli::screen::Screen;
use crate::cli::table::Table;

/// How many machines the line on the page enrols, and for how long.
const MACHINES: u32 = 10;
const DAY_SECONDS: u64 = 86_400;

/// Shows it.
pub(super) fn show(
    plane: &Plane,
    places: &Places,
    prometheus: &Prometheus,
    node: &Node,
    scraped: bool,
    screen: &mut Screen,
) -> Result<(), Failure> {
    let counts = plane.client.status()?.nodes;
    let online = counts.get("online").copied().unwrap_or(0);
    let mut table = Table::of_one();
    table.line(
        "Control plane",
        format!("{}  ({} from elsewhere)", plane.url(), plane.public_url()),
    );
    table.line(
        "Prometheus",
        format!("{}  (version {})", prometheus.url(), prometheus.version),
    );
    table.line(
        "This node",
        format!("{}  (node_exporter on port {})", node.hostname, node.port),
    );
    table.line("Admin key", places.admin_key().display());
    table.line("Data folder", places.data.display());
    table.line("Cache", places.components.display());
    let nodes = if online == 1 {
        "1 node".to_owned()
    } else {
        format!("{online} nodes")
    };
    let state = if scraped { "scraped" } else { "not scraped yet" };
    let next = next(plane, places, screen)?;
    let look = format!(
        "To look around:\n  {} status{}\n",
        places.itself.display(),
        places.flag()
    );
    screen.write(&format!(
        "\n{nodes} online, {state}\n\n{table}\n{look}\n{next}\nCtrl-C stops everything.\n"
    ))
}

/// How another machine is enrolled. The line with its token is shown to a person only.
fn next(plane: &Plane, places: &Places, screen: &Screen) -> Result<String, Failure> {
    let command = format!(
        "{} tokens create --name NAME{}",
        places.itself.display(),
        places.flag()
    );
    if !dist::offers_agent(places) {
        return Ok(format!(
            "To enrol another machine, build the agent for it (`make agent`), start again, then run:\n  {command}\n"
        ));
    }
    if !screen.on_terminal() {
        return Ok(format!("To enrol another machine, run here:\n  {command}\n"));
    }
    let token = plane.client.create_token(&CreateToken {
        name: "shown by aami up".to_owned(),
        max_uses: Some(MACHINES),
        ttl_seconds: Some(DAY_SECONDS),
        ..CreateToken::default()
    })?;
    Ok(format!(
        "To enrol another machine ({MACHINES} of them, within 24 h), run there:\n  {}\n",
        token.one_line
    ))
}
