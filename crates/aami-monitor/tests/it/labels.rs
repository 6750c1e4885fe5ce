//! Which labels and addresses an exporter is told under.

use std::net::IpAddr;

use aami_model::access::Orgs;
use aami_model::exporter::{Exporter, ExporterKind};
use aami_model::label::Labels;
use aami_model::node::Node;
use aami_model::node_status::NodeStatus;
use aami_monitor::{Catalogue, Change, Listed, Selection, Shape};
use serde_json::{Value, json};

use crate::fleet::node;

fn told(node: &Node, group_labels: &Labels, shape: Shape) -> Value {
    let mut catalogue = Catalogue::new();
    catalogue.apply([Change::of(&node.id, Listed::of("prod", node, group_labels))]);
    let answer = catalogue.discovery(shape, &Selection::all(Orgs::All));
    serde_json::from_slice(&answer.to_vec()).unwrap()
}

fn flat(node: &Node) -> Value {
    told(node, &Labels::default(), Shape::Flat)
}

fn info(node: &Node, group_labels: &Labels) -> String {
    let mut catalogue = Catalogue::new();
    catalogue.apply([Change::of(&node.id, Listed::of("prod", node, group_labels))]);
    String::from_utf8(catalogue.node_info(&Selection::all(Orgs::All)).to_vec()).unwrap()
}

#[test]
fn a_node_is_told_with_its_name_and_job() {
    assert_eq!(
        flat(&node(1)),
        json!([{
            "targets": ["10.0.0.1:9100"],
            "labels": {"cluster": "prod", "job": "node", "node": "gpu-1", "node_id": "n0000001"},
        }])
    );
}

#[test]
fn every_kind_of_exporter_has_its_job() {
    let mut node = node(1);
    node.exporters = [
        ExporterKind::NodeExporter,
        ExporterKind::DcgmExporter,
        ExporterKind::AllSmi,
        ExporterKind::Aami,
        ExporterKind::Custom,
    ]
    .into_iter()
    .zip(9100..)
    .map(|(kind, port)| Exporter::new(kind, port))
    .collect();

    let flat = flat(&node);
    let jobs: Vec<_> = flat
        .as_array()
        .unwrap()
        .iter()
        .map(|group| group["labels"]["job"].as_str().unwrap())
        .collect();
    assert_eq!(jobs, ["node", "dcgm", "all_smi", "aami", "custom"]);
}

#[test]
fn an_ipv6_address_stands_in_brackets_and_a_mapped_one_is_ipv4() {
    for (address, told) in [
        ("2001:db8::7", "[2001:db8::7]:9100"),
        ("::ffff:10.1.2.3", "10.1.2.3:9100"),
    ] {
        let node = Node {
            ip_address: address.parse::<IpAddr>().unwrap(),
            ..node(1)
        };
        assert_eq!(flat(&node)[0]["targets"], json!([told]));
    }
}

#[test]
fn the_nodes_own_label_stands_before_its_groups() {
    let mut node = node(1);
    node.labels = Labels::from_iter([("rack", "own")]);
    let group = Labels::from_iter([("rack", "group"), ("team", "ml")]);

    let labels = &told(&node, &group, Shape::Flat)[0]["labels"];
    assert_eq!(labels["rack"], "own");
    assert_eq!(labels["team"], "ml");
}

#[test]
fn no_label_of_a_node_changes_who_it_is_or_where_it_is_scraped() {
    let mut node = node(1);
    // None of these passes the check at registration; this is what stands behind it.
    node.labels = Labels::from_iter([
        ("__address__", "169.254.169.254:80"),
        ("__metrics_path__", "/secrets"),
        ("job", "dcgm"),
        ("node", "another"),
        ("node_id", "another"),
        ("cluster", "another"),
        ("note", "\"}],\n\\ ä"),
    ]);

    for shape in [Shape::Flat, Shape::Grouped] {
        let labels = told(&node, &Labels::default(), shape)[0]["labels"].clone();
        let labels = labels.as_object().unwrap();
        assert_eq!(labels["job"], "node");
        assert_eq!(labels["cluster"], "prod");
        assert!(labels.keys().all(|name| !name.starts_with("__")), "{labels:?}");
    }
    let flat = flat(&node);
    assert_eq!(flat[0]["labels"]["node"], "gpu-1");
    assert_eq!(flat[0]["labels"]["node_id"], "n0000001");
    assert_eq!(flat[0]["labels"]["note"], "\"}],\n\\ ä");
    assert!(info(&node, &Labels::default()).contains(r#"note="\"}],\n\\ ä""#));
}

#[test]
fn an_exporter_says_how_it_is_scraped_where_that_is_not_usual() {
    let mut node = node(1);
    node.exporters = vec![
        Exporter {
            metrics_path: "/probe?module=icmp".into(),
            scrape_interval: Some("5s".into()),
            ..Exporter::new(ExporterKind::Custom, 9115)
        },
        Exporter {
            scrape_interval: Some("1m".into()),
            ..Exporter::new(ExporterKind::NodeExporter, 9100)
        },
    ];

    let told = flat(&node);
    let fast = told[0]["labels"].as_object().unwrap();
    assert_eq!(fast["__metrics_path__"], "/probe");
    assert_eq!(fast["__param_module"], "icmp");
    assert_eq!(fast["__scrape_interval__"], "5s");
    assert_eq!(
        fast["__scrape_timeout__"], "5s",
        "longer than its interval, it would be dropped"
    );
    let slow = told[1]["labels"].as_object().unwrap();
    assert_eq!(slow["__scrape_interval__"], "1m");
    assert!(!slow.contains_key("__scrape_timeout__"));
}

#[test]
fn a_node_of_another_tenant_says_so() {
    let node = Node {
        org: "acme".parse().unwrap(),
        ..node(1)
    };
    assert_eq!(flat(&node)[0]["labels"]["org"], "acme");
}

#[test]
fn only_nodes_in_service_and_enabled_exporters_are_told() {
    for status in NodeStatus::ALL {
        let node = Node { status, ..node(1) };
        let listed = Listed::of("prod", &node, &Labels::default()).is_some();
        let wanted = !matches!(status, NodeStatus::Pending | NodeStatus::Inactive);
        assert_eq!(listed, wanted, "{status:?}");
    }
    let mut node = node(1);
    node.exporters[0].enabled = false;
    assert!(Listed::of("prod", &node, &Labels::default()).is_none());
}

#[test]
fn the_grouped_shape_tells_what_is_shared_and_node_info_the_rest() {
    let mut node = node(1);
    node.labels = Labels::from_iter([("rack", "A1"), ("serial", "X9")]);
    node.exporters
        .push(Exporter::new(ExporterKind::DcgmExporter, 9400));
    let group = Labels::from_iter([("team", "ml")]);

    assert_eq!(
        told(&node, &group, Shape::Grouped),
        json!([
            {"labels": {"cluster": "prod", "job": "dcgm", "rack": "A1", "team": "ml"}, "targets": ["10.0.0.1:9400"]},
            {"labels": {"cluster": "prod", "job": "node", "rack": "A1", "team": "ml"}, "targets": ["10.0.0.1:9100"]},
        ])
    );
    let info = info(&node, &group);
    let samples: Vec<&str> = info.lines().filter(|line| !line.starts_with('#')).collect();
    assert_eq!(
        samples,
        [
            r#"aami_node_info{cluster="prod",instance="10.0.0.1:9100",job="node",node="gpu-1",node_id="n0000001",rack="A1",serial="X9",team="ml"} 1"#,
            r#"aami_node_info{cluster="prod",instance="10.0.0.1:9400",job="dcgm",node="gpu-1",node_id="n0000001",rack="A1",serial="X9",team="ml"} 1"#,
        ]
    );
}
