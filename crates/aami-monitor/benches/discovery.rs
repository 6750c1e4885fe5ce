//! Service discovery for 100,000 nodes: first build, one change, an answer already made, and sizes.

#![allow(clippy::print_stdout, reason = "a bench reports on the terminal")]
#![allow(clippy::unwrap_used, reason = "a bench that cannot go on has failed")]

use std::hint::black_box;
use std::time::{Duration, Instant};

use aami_model::access::Orgs;
use aami_model::exporter::{Exporter, ExporterKind};
use aami_model::label::Labels;
use aami_model::node::{Identity, Node};
use aami_model::node_status::NodeStatus;
use aami_model::{OrgId, Timestamp};
use aami_monitor::{Catalogue, Change, Listed, Selection, Shape};

const NODES: u32 = 100_000;

fn node(number: u32) -> Node {
    let [_, a, b, c] = number.to_be_bytes();
    Node {
        id: format!("n{:015}", u64::from(number) * 7_919 % 1_000_003)
            .parse()
            .unwrap(),
        org: OrgId::default(),
        user: None,
        hostname: format!("gpu-node-{number:06}").parse().unwrap(),
        ip_address: [10, a, b, c].into(),
        address_pinned: false,
        status: NodeStatus::Online,
        status_since: Timestamp::EPOCH,
        status_reason: None,
        reachable: true,
        labels: Labels::from_iter([("rack", format!("rack-{:04}", number % 2_000))]),
        metadata: Default::default(),
        groups: vec![],
        exporters: vec![Exporter::new(ExporterKind::NodeExporter, 9100)],
        system_info: None,
        maintenance_until: None,
        reported_labels: aami_model::label::Labels::default(),
        identity: Identity::default(),
        created_at: Timestamp::EPOCH,
        enrolled_at: None,
        token: None,
    }
}

fn change(node: &Node) -> Change {
    Change::of(&node.id, Listed::of("prod", node, &Labels::default()))
}

fn per_time(mut work: impl FnMut(u32)) -> Duration {
    const TIMES: u32 = 200;
    let started = Instant::now();
    (0..TIMES).for_each(&mut work);
    started.elapsed() / TIMES
}

/// Resident memory of this process, in KiB (`proc_pid_status(5)`).
fn resident() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

fn main() {
    let nodes: Vec<Node> = (0..NODES).map(node).collect();
    let everything = Selection::all(Orgs::All);
    let before = resident();
    let mut catalogue = Catalogue::new();
    let started = Instant::now();
    catalogue.apply(nodes.iter().map(change));
    let flat = catalogue.discovery(Shape::Flat, &everything);
    let grouped = catalogue.discovery(Shape::Grouped, &everything);
    let built = started.elapsed();
    let grew = resident() - before;

    let changed = per_time(|at| {
        let mut node = nodes[at as usize * 431].clone();
        node.labels = Labels::from_iter([("turn", at.to_string())]);
        catalogue.apply([change(&node)]);
        black_box(catalogue.discovery(Shape::Flat, &everything));
    });
    let again = per_time(|_| {
        black_box(catalogue.discovery(Shape::Flat, &everything));
    });

    println!("discovery, {NODES} nodes");
    println!("  first build (rules: under 1 s)          {built:?}");
    println!("  one node changed, answer made anew      {changed:?}");
    println!("  an answer already made                  {again:?}");
    println!("  flat                                    {} bytes", flat.len());
    println!(
        "  grouped (rules: under 3,000,000)        {} bytes",
        grouped.len()
    );
    println!("  memory of the catalogue                 {grew} KiB");
}
