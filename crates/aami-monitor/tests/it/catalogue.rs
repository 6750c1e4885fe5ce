//! The catalogue shows, after any history, what a catalogue built anew would show.

use std::collections::BTreeMap;
use std::time::Instant;

use aami_model::access::Orgs;
use aami_model::exporter::{Exporter, ExporterKind};
use aami_model::label::Labels;
use aami_model::node::Node;
use aami_model::node_status::NodeStatus;
use aami_model::{GroupId, OrgId};
use aami_monitor::{Answer, Catalogue, Change, Listed, Selection, Shape};
use proptest::prelude::*;
use serde_json::Value;

use crate::fleet::{id, node};

fn change(node: &Node) -> Change {
    Change::of(&node.id, Listed::of("prod", node, &Labels::default()))
}

fn everything() -> Selection {
    Selection::all(Orgs::All)
}

fn json(answer: &Answer) -> Vec<Value> {
    let text = answer.to_vec();
    assert_eq!(text.len(), answer.len(), "the length is that of the text");
    assert!(answer.pieces().iter().all(|piece| !piece.is_empty()));
    match serde_json::from_slice(&text) {
        Ok(Value::Array(groups)) => groups,
        other => panic!(
            "not a JSON array: {other:?} in {}",
            String::from_utf8_lossy(&text)
        ),
    }
}

fn names(groups: &[Value]) -> Vec<&str> {
    groups
        .iter()
        .map(|group| group["labels"]["node"].as_str().unwrap())
        .collect()
}

#[test]
fn nothing_listed_is_an_empty_list() {
    let mut catalogue = Catalogue::new();
    for shape in [Shape::Flat, Shape::Grouped] {
        assert_eq!(catalogue.discovery(shape, &everything()).to_vec(), b"[]");
    }
    catalogue.apply([change(&node(1))]);
    catalogue.apply([Change::Remove(id(1)), Change::Remove(id(2))]);
    for shape in [Shape::Flat, Shape::Grouped] {
        assert_eq!(catalogue.discovery(shape, &everything()).to_vec(), b"[]");
    }
}

#[test]
fn a_retired_node_is_gone_from_the_next_answer() {
    let mut catalogue = Catalogue::new();
    catalogue.apply([change(&node(1)), change(&node(2))]);
    let before = catalogue.discovery(Shape::Flat, &everything());

    let retired = Node {
        status: NodeStatus::Inactive,
        ..node(1)
    };
    catalogue.apply([change(&retired)]);

    assert_eq!(
        names(&json(&before)),
        ["gpu-1", "gpu-2"],
        "an answer given stays as it was"
    );
    let after = catalogue.discovery(Shape::Flat, &everything());
    assert_eq!(names(&json(&after)), ["gpu-2"]);
    assert_eq!((before.targets(), after.targets()), (2, 1));
}

#[test]
fn maintenance_is_listed_but_not_active() {
    let mut catalogue = Catalogue::new();
    let maintained = Node {
        status: NodeStatus::Maintenance,
        ..node(1)
    };
    let offline = Node {
        status: NodeStatus::Offline,
        ..node(2)
    };
    catalogue.apply([change(&maintained), change(&offline)]);

    let active = Selection {
        active: true,
        ..everything()
    };
    assert_eq!(json(&catalogue.discovery(Shape::Flat, &everything())).len(), 2);
    assert_eq!(
        names(&json(&catalogue.discovery(Shape::Flat, &active))),
        ["gpu-2"]
    );
}

#[test]
fn nobody_sees_nodes_of_a_tenant_that_is_not_theirs() {
    let mut catalogue = Catalogue::new();
    let acme: OrgId = "acme".parse().unwrap();
    let foreign = Node {
        org: acme.clone(),
        ..node(1)
    };
    catalogue.apply([change(&foreign), change(&node(2))]);

    let theirs = Selection::all(Orgs::Only(vec![acme]));
    let nobodys = Selection::all(Orgs::Only(vec![]));
    for shape in [Shape::Flat, Shape::Grouped] {
        let text = String::from_utf8(catalogue.discovery(shape, &theirs).to_vec()).unwrap();
        assert!(
            text.contains("10.0.0.1:9100") && !text.contains("10.0.0.2:9100"),
            "{text}"
        );
        assert_eq!(catalogue.discovery(shape, &nobodys).to_vec(), b"[]");
    }
    let info = String::from_utf8(catalogue.node_info(&theirs).to_vec()).unwrap();
    assert!(info.contains("gpu-1") && !info.contains("gpu-2"), "{info}");
}

#[test]
fn what_prometheus_cannot_see_is_no_change() {
    let mut catalogue = Catalogue::new();
    catalogue.apply([change(&node(1))]);
    let generation = catalogue.generation();

    let mut same = node(1);
    same.status_reason = Some("looked at".into());
    catalogue.apply([change(&same), Change::Remove(id(7))]);
    assert_eq!(catalogue.generation(), generation);

    same.groups = vec!["racks".parse().unwrap()];
    catalogue.apply([change(&same)]);
    assert_eq!(
        catalogue.generation(),
        generation + 1,
        "its group decides who sees it"
    );
}

/// The numbers stand in a benchmark; this is the size that is promised, which does not depend on speed.
#[test]
fn a_hundred_thousand_nodes_are_under_three_megabytes_when_grouped() {
    let mut catalogue = Catalogue::new();
    let started = Instant::now();
    catalogue.apply((0..100_000).map(|number| {
        let mut node = node(number);
        node.labels = Labels::from_iter([("rack", format!("rack-{}", number % 2_000))]);
        change(&node)
    }));
    let grouped = catalogue.discovery(Shape::Grouped, &everything());
    let flat = catalogue.discovery(Shape::Flat, &everything());
    let built = started.elapsed();

    assert_eq!((flat.targets(), grouped.targets()), (100_000, 100_000));
    assert!(grouped.len() < 3_000_000, "{} bytes", grouped.len());
    assert_eq!(json(&flat).len(), 100_000);
    assert_eq!(json(&grouped).len(), 2_000);

    let mut moved = node(50_000);
    moved.ip_address = [192, 0, 2, 1].into();
    let started = Instant::now();
    catalogue.apply([change(&moved)]);
    let after = catalogue.discovery(Shape::Flat, &everything());
    let changed = started.elapsed();
    // All but the touched shard, and the brackets around all of them, is the memory of the answer before.
    let same = (flat.pieces().iter().zip(after.pieces()))
        .filter(|(before, after)| std::ptr::eq(before.as_ptr(), after.as_ptr()))
        .count();
    assert!(
        flat.pieces().len() > 100 && flat.pieces().len() - same <= 3,
        "one shard was rendered anew"
    );
    println!(
        "first build {built:?}, one change {changed:?}, flat {} grouped {}",
        flat.len(),
        grouped.len()
    );
}

/// One step of a history.
#[derive(Debug, Clone)]
enum Step {
    Put(Box<Node>),
    Remove(u32),
    Ask,
}

const FLEET: u32 = 3_000;

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let a_node = (
        0..FLEET,
        prop::sample::select(NodeStatus::ALL.to_vec()),
        prop::collection::vec(0_u16..3, 0..3),
        0_u8..3,
        prop::sample::select(vec!["default", "acme"]),
    );
    let put = a_node.prop_map(|(number, status, exporters, group, org)| {
        let mut node = node(number);
        node.status = status;
        node.org = org.parse().unwrap();
        node.groups = (group > 0).then(|| group_id(group)).into_iter().collect();
        node.labels = Labels::from_iter([("rack", format!("r{}", number % 5))]);
        node.exporters = exporters
            .iter()
            .enumerate()
            .map(|(at, kind)| {
                let kind = [
                    ExporterKind::NodeExporter,
                    ExporterKind::Custom,
                    ExporterKind::AllSmi,
                ][usize::from(*kind)];
                Exporter::new(kind, 9_100 + u16::try_from(at).unwrap())
            })
            .collect();
        Step::Put(Box::new(node))
    });
    prop::collection::vec(
        prop_oneof![6 => put, 2 => (0..FLEET).prop_map(Step::Remove), 1 => Just(Step::Ask)],
        0..60,
    )
}

fn group_id(number: u8) -> GroupId {
    format!("g{number}").parse().unwrap()
}

fn selections() -> Vec<Selection> {
    vec![
        everything(),
        Selection {
            active: true,
            ..everything()
        },
        Selection {
            group: Some(group_id(1)),
            ..everything()
        },
        Selection::all(Orgs::Only(vec!["acme".parse().unwrap()])),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    #[test]
    fn after_any_history_the_answers_are_those_of_a_catalogue_built_anew(
        standing in 0..FLEET,
        batches in prop::collection::vec(steps(), 1..5),
    ) {
        // Given a fleet large enough for several shards
        let mut nodes: BTreeMap<u32, Node> = (0..standing).map(|number| (number, node(number))).collect();
        let mut catalogue = Catalogue::new();
        catalogue.apply(nodes.values().map(change));

        // when things happen, in batches, with questions in between that fill what is kept
        for batch in batches {
            let mut changes = Vec::new();
            for step in batch {
                match step {
                    Step::Put(node) => {
                        changes.push(change(&node));
                        let number = node.hostname.as_str()[4..].parse().unwrap();
                        nodes.insert(number, *node);
                    }
                    Step::Remove(number) => {
                        changes.push(Change::Remove(id(number)));
                        nodes.remove(&number);
                    }
                    Step::Ask => {
                        catalogue.apply(changes.drain(..));
                        for selection in selections() {
                            catalogue.discovery(Shape::Flat, &selection);
                            catalogue.discovery(Shape::Grouped, &selection);
                        }
                    }
                }
            }
            catalogue.apply(changes);
        }

        // then every answer is the one a new catalogue gives
        let mut anew = Catalogue::new();
        anew.apply(nodes.values().map(change));
        for selection in selections() {
            for shape in [Shape::Flat, Shape::Grouped] {
                let answer = catalogue.discovery(shape, &selection);
                let wanted = anew.discovery(shape, &selection);
                prop_assert_eq!(json(&answer), json(&wanted));
                prop_assert_eq!(answer.targets(), wanted.targets());
            }
            prop_assert_eq!(catalogue.node_info(&selection).to_vec(), anew.node_info(&selection).to_vec());
        }
        // and flat order is that of the ids.
        let flat = json(&catalogue.discovery(Shape::Flat, &everything()));
        let ids: Vec<_> = flat.iter().map(|group| group["labels"]["node_id"].as_str().unwrap()).collect();
        prop_assert!(ids.is_sorted());
    }
}
