//! `aami nodes list`.

use aami_api::node::NodeView;
use aami_model::node_status::NodeStatus;
use aami_model::{Exit, Timestamp};
use clap::Args;

use super::chosen;
use crate::cli::age::age;
use crate::cli::failure::Failure;
use crate::cli::labels::{self, Pair};
use crate::cli::table::Table;
use crate::fleet::{Fleet, Which};

/// List nodes
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  aami nodes list
  aami nodes list 'gpu[001-032]' -o wide
  aami nodes list -l rack=A1,row=3 -o json
  aami nodes list --status offline

--status needs a control plane.")]
pub(crate) struct List {
    /// Nodes, e.g. gpu-01 or gpu[001-128] [default: every node]
    #[arg(value_name = "NODES")]
    nodes: Vec<String>,
    /// Only nodes in this status
    #[arg(long, value_parser = status)]
    status: Option<NodeStatus>,
    /// Only nodes of this group, by name or id
    #[arg(long)]
    group: Option<String>,
    /// Only nodes with this label; may be repeated, and all must fit
    #[arg(
        short = 'l',
        long,
        visible_alias = "label",
        value_name = "NAME=VALUE",
        value_delimiter = ','
    )]
    filter: Vec<Pair>,
    /// Only nodes that hold this text in hostname, address or a label
    #[arg(long, value_name = "TEXT")]
    search: Option<String>,
    /// At most so many
    #[arg(long, value_name = "N")]
    limit: Option<usize>,
}

pub(crate) fn status(text: &str) -> Result<NodeStatus, String> {
    NodeStatus::from_name(text).ok_or_else(|| {
        let names: Vec<&str> = NodeStatus::ALL.iter().map(|status| status.name()).collect();
        format!("a status is one of {}", names.join(", "))
    })
}

impl List {
    pub(super) fn run(self, fleet: &mut dyn Fleet) -> Result<Exit, Failure> {
        let which = Which {
            names: chosen::names(&self.nodes)?,
            labels: labels::labels(self.filter),
            group: self.group,
            search: self.search,
            status: self.status,
            limit: self.limit,
        };
        let listing = fleet.list(&which)?;
        listing.show(fleet.screen())?;
        Ok(Exit::Ok)
    }
}

pub(crate) fn table(nodes: &[NodeView], now: Timestamp, wide: bool) -> Table {
    let mut headings = vec!["HOSTNAME", "STATUS", "SINCE", "ADDRESS", "EXPORTERS"];
    if wide {
        headings.extend([
            "LAST SEEN",
            "REASON",
            "ID",
            "GROUPS",
            "OS",
            "GPUS",
            "LABELS",
            "AGE",
        ]);
    }
    let mut table = Table::new(&headings, "no nodes");
    for node in nodes {
        let exporters: Vec<&str> = node
            .exporters
            .iter()
            .map(|exporter| exporter.exporter.kind.job())
            .collect();
        let mut cells = vec![
            node.hostname.clone(),
            standing(node),
            age(now, node.status_since),
            node.ip_address.clone(),
            dash(exporters.join(",")),
        ];
        if wide {
            let groups: Vec<String> = node.groups.iter().map(ToString::to_string).collect();
            let system = node.system_info.as_ref();
            cells.extend([
                node.last_seen
                    .map_or_else(|| "-".to_owned(), |seen| age(now, seen)),
                dash(node.status_reason.clone().unwrap_or_default()),
                node.id.to_string(),
                dash(groups.join(",")),
                dash(system.map_or_else(String::new, |system| {
                    format!("{} {}", system.os, system.os_version)
                })),
                dash(system.map_or_else(String::new, gpus)),
                dash(labels::shown(&node.labels)),
                age(now, node.created_at),
            ]);
        }
        table.row(cells);
    }
    table
}

/// The status, and whether it lasts longer than it should.
fn standing(node: &NodeView) -> String {
    let name = node.status.name();
    match node.stuck {
        true => format!("{name} (stuck)"),
        false => name.to_owned(),
    }
}

/// `8 x H100-SXM5-80GB`, or as much of it as is known.
pub(super) fn gpus(system: &aami_model::machine::SystemInfo) -> String {
    let model = system.gpu_model.as_deref().or(system.gpu_vendor.as_deref());
    match (system.gpu_count, model) {
        (Some(count), Some(model)) => format!("{count} x {model}"),
        (Some(count), None) => count.to_string(),
        (None, model) => model.unwrap_or_default().to_owned(),
    }
}

fn dash(text: String) -> String {
    if text.trim().is_empty() {
        "-".to_owned()
    } else {
        text
    }
}

#[cfg(test)]
mod tests {
    use aami_model::exporter::{Exporter, ExporterKind};

    use super::super::show;
    use super::*;

    pub(crate) fn node() -> NodeView {
        serde_json::from_value(serde_json::json!({
            "id": "abcdefghijklmnop",
            "org": "default",
            "hostname": "gpu-01.example.com",
            "ip_address": "10.0.0.1",
            "status": "offline",
            "status_since": "2026-11-20T12:00:00.000Z",
            "status_reason": "no scrape for 2 min",
            "labels": {"rack": "A1", "note": "a\u{1b}[31mb"},
            "groups": ["racks"],
            "exporters": [
                exporter(&Exporter::new(ExporterKind::NodeExporter, 9100)),
                exporter(&Exporter { enabled: false, ..Exporter::new(ExporterKind::DcgmExporter, 9400) }),
            ],
            "system_info": {
                "os": "debian", "os_version": "12", "architecture": "amd64", "kernel": "6.1.0",
                "cpu_cores": 112, "memory_gb": 2048, "gpu_vendor": "nvidia", "gpu_model": "H100-SXM5-80GB",
                "gpu_count": 8,
            },
            "created_at": "2026-11-01T12:00:00.000Z",
            "enrolled_at": "2026-11-01T12:00:00.000Z",
            "token": "qrstuvwxyz",
        }))
        .unwrap()
    }

    fn exporter(exporter: &Exporter) -> serde_json::Value {
        let id = "abcdefghijklmnop".parse().unwrap();
        serde_json::to_value(aami_api::register::ExporterView::of(&id, exporter)).unwrap()
    }

    #[test]
    fn nodes_as_people_see_them() {
        let now = "2026-11-20T12:30:00Z".parse().unwrap();
        let declared = NodeView {
            hostname: "win-01".into(),
            status: NodeStatus::Pending,
            exporters: vec![],
            groups: vec![],
            labels: aami_model::label::Labels::default(),
            system_info: None,
            ..node()
        };
        let nodes = [node(), declared];
        insta::assert_snapshot!(table(&nodes, now, false));
        insta::assert_snapshot!(table(&nodes, now, true));
        insta::assert_snapshot!(table(&[], now, false));
    }

    #[test]
    fn one_node_as_people_see_it() {
        insta::assert_snapshot!(show::table(&node()));
    }

    #[test]
    fn a_node_whose_status_lasts_too_long_is_said_to_be_stuck() {
        let now = "2026-11-20T13:30:00Z".parse().unwrap();
        let until = Some("2026-11-20T13:00:00.000Z".parse().unwrap());
        let in_time = NodeView {
            expected_until: until,
            ..node()
        };
        let late = NodeView {
            stuck: true,
            ..in_time.clone()
        };
        assert!(
            table(std::slice::from_ref(&late), now, false)
                .to_string()
                .contains("offline (stuck)")
        );
        assert!(
            !table(std::slice::from_ref(&in_time), now, false)
                .to_string()
                .contains("stuck")
        );
        let shown = show::table(&late).to_string();
        assert!(
            shown.contains("until 2026-11-20T13:00:00.000Z, stuck: look at it"),
            "{shown}"
        );
        let shown = show::table(&in_time).to_string();
        assert!(
            shown.contains("until 2026-11-20T13:00:00.000Z\n") && !shown.contains("stuck"),
            "{shown}"
        );
    }

    #[test]
    fn a_node_that_is_connected_says_since_when() {
        let since = Some("2026-11-20T12:05:00.000Z".parse().unwrap());
        let connected = NodeView {
            connected: true,
            connected_since: since,
            ..node()
        };
        let shown = show::table(&connected).to_string();
        assert!(shown.contains("since 2026-11-20T12:05:00.000Z"), "{shown}");
        assert!(!show::table(&node()).to_string().contains("Connected"));
    }

    #[test]
    fn a_node_reads_back_from_json_and_yaml_alike() {
        let json: NodeView = serde_json::from_str(&serde_json::to_string(&node()).unwrap()).unwrap();
        let yaml: NodeView = serde_saphyr::from_str(&serde_saphyr::to_string(&node()).unwrap()).unwrap();
        assert_eq!((&json, &yaml), (&node(), &node()));
    }
}
