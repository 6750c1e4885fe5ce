//! What a connected node reports, taken once a number and kept before it is acknowledged.
//!
//! What a report says is a stranger's word: texts are cut and cleaned, lists are bounded, what is nonsense is left
//! out. Whatever it says changes no status: health and reachability are separate.

use std::collections::BTreeMap;

use aami_api::link::{CheckTold, FoundExporter, Report, Told, XidTold};
use aami_model::finding::{Finding, LONGEST_TEXT, MOST_FINDINGS};
use aami_model::machine::is_sha256;
use aami_model::node::Node;
use aami_model::node_status::NodeStatus;
use aami_model::{NodeId, Timestamp, code};
use aami_store::{Revision, keys};
use serde_json::{Value, json};

use super::commit::{Change, Wanted, Wrote, node_data};
use super::connections::{reported_of, speaking};
use super::{App, Refusal};
use crate::view::Snapshot;
use crate::view::document::encode;
use crate::view::linked::{Allowance, CheckDocument, InventoryDocument, Packed, ReportedDocument};

/// How many events one transaction of a report tells; what is more goes into the next.
const AT_ONCE: usize = 40;
/// How many checks of a node are remembered.
const MOST_CHECKS: usize = 256;
const MOST_FOUND: usize = 16;
/// So many events, and so many of them about Xids, a node may raise in so much time; the rest is counted, and told
/// with the next. An honest one needs fewer: it is more than all its checks and findings at once.
const EVENTS: u32 = 500;
const XIDS: u32 = 10;
const WINDOW: std::time::Duration = std::time::Duration::from_secs(600);
/// The largest inventory that is kept, in bytes of JSON.
pub(super) const LARGEST_INVENTORY: usize = 900 * 1024;
const CHECK_STATUSES: [&str; 6] = ["ok", "warning", "critical", "unknown", "timeout", "failed"];

/// One line of a stranger's text.
pub(super) fn line(text: &str, longest: usize) -> String {
    text.chars().filter(|c| !c.is_control()).take(longest).collect()
}

/// What an event about a finding carries.
pub(super) fn finding_data(node: &Node, finding: &Finding) -> Value {
    let mut data = node_data(node);
    if let (Value::Object(data), Ok(Value::Object(finding))) = (&mut data, serde_json::to_value(finding)) {
        data.extend(finding);
    }
    data
}

/// A node's GPUs, as the event documents show them: from its inventory, else from what it registered with.
pub(super) fn gpu_devices(snapshot: &Snapshot, node: &Node) -> Value {
    let inventory = snapshot.linked.inventories.get(&node.id);
    let inventory: Option<Value> =
        inventory.and_then(|held| serde_json::from_slice(&held.doc.packed.bytes()).ok());
    let gpus = inventory.as_ref().and_then(|all| all["gpus"]["gpus"].as_array());
    if let Some(gpus) = gpus {
        let shown = gpus.iter().take(64).map(|gpu| {
            let model = full_model(gpu["vendor"].as_str(), gpu["model"].as_str());
            json!({ "model": model, "memoryTotal": gpu["memory_bytes"].as_u64() })
        });
        return Value::Array(shown.collect());
    }
    let Some(system) = &node.system_info else {
        return json!([]);
    };
    let model = full_model(system.gpu_vendor.as_deref(), system.gpu_model.as_deref());
    let device = json!({ "model": model, "memoryTotal": system.gpu_memory_bytes });
    let count = usize::try_from(system.gpu_count.unwrap_or(0)).unwrap_or(0);
    Value::Array(vec![device; count.min(64)])
}

/// A model under the name its vendor sells it by.
fn full_model(vendor: Option<&str>, model: Option<&str>) -> Option<String> {
    let vendor = match vendor {
        Some("nvidia") => "NVIDIA ",
        Some("amd") => "AMD ",
        Some("intel") => "Intel ",
        _ => "",
    };
    Some(line(&format!("{vendor}{}", model?), 100))
}

/// What one transaction takes of a report.
#[derive(Default)]
struct Taken {
    events: Vec<(&'static str, Value)>,
    inventory: Option<InventoryDocument>,
    /// Whether there is more of the report to take.
    more: bool,
}

impl App {
    /// Takes a report; when this answers, it is durable. Taking it twice changes nothing.
    pub(crate) async fn take_report(
        &self,
        id: &NodeId,
        generation: u64,
        spool: &str,
        report: &Report,
    ) -> Result<(), Refusal> {
        let org = self.org_of(id)?;
        let asking = speaking(id, &org);
        let generation = Revision::new(generation);
        loop {
            let wrote = self
                .write(&asking, |snapshot, now| {
                    let held = snapshot
                        .node(id, &asking.caller.orgs)
                        .ok_or_else(|| Refusal::plain(code::UNAUTHENTICATED))?;
                    // A retired node has nothing more to tell, also where its connection has not ended yet.
                    if held.doc.status == NodeStatus::Inactive {
                        return Err(Refusal::plain(code::NODE_DECOMMISSIONED));
                    }
                    if snapshot
                        .linked
                        .conn(id)
                        .is_some_and(|conn| conn.revision > generation)
                    {
                        return Err(Refusal::plain(code::CONNECTION_REPLACED));
                    }
                    let (before, revision) = reported_of(snapshot, id);
                    let mut after = before.clone();
                    if after.spool != spool {
                        spool.clone_into(&mut after.spool);
                        after.received = 0;
                    }
                    if report.seq <= after.received {
                        return Ok(Wanted::Nothing(false));
                    }
                    let taken = take(&mut after, &held.doc, report, now);
                    // A report that says nothing new need not be remembered: taken again it says nothing new again.
                    if after == before && taken.inventory.is_none() && taken.events.is_empty() {
                        return Ok(Wanted::Nothing(false));
                    }
                    if !taken.more {
                        after.received = report.seq;
                    }
                    let mut change = Change::new(org.clone(), "node.report", format!("node:{id}")).quiet();
                    for (kind, data) in taken.events {
                        change = change.tell(kind, data);
                    }
                    let change = change.transact(|txn| {
                        let txn = txn
                            .when_unchanged(keys::conn(id), generation)
                            .when_unchanged(keys::finding(id), revision)
                            .put(keys::finding(id), encode(&after));
                        match &taken.inventory {
                            Some(inventory) => txn.put(keys::inventory(id), encode(inventory)),
                            None => txn,
                        }
                    });
                    Ok(Wanted::Write(Box::new(change), taken.more))
                })
                .await?;
            if !matches!(wrote, Wrote::Fresh(true, _)) {
                return Ok(());
            }
        }
    }
}

fn take(reported: &mut ReportedDocument, node: &Node, report: &Report, now: Timestamp) -> Taken {
    let mut taken = Taken::default();
    let with = |more: Value| {
        let mut data = node_data(node);
        if let (Value::Object(data), Value::Object(more)) = (&mut data, more) {
            data.extend(more);
        }
        data
    };
    match &report.what {
        Told::Inventory { sha256, inventory } => {
            let bytes = serde_json::to_vec(inventory).unwrap_or_default();
            if is_sha256(sha256) && inventory.is_object() && bytes.len() <= LARGEST_INVENTORY {
                if reported
                    .inventory_sha256
                    .as_ref()
                    .is_some_and(|known| known != sha256)
                {
                    taken
                        .events
                        .push(("node.inventory_changed", with(json!({ "sha256": sha256 }))));
                }
                reported.inventory_sha256 = Some(sha256.clone());
                taken.inventory = Some(InventoryDocument {
                    sha256: sha256.clone(),
                    at: now,
                    packed: Packed::of(&bytes),
                });
            }
        }
        Told::Findings { findings } => take_findings(&mut taken, reported, node, findings),
        Told::Checks { checks } => {
            let last = last_words(checks);
            for (name, check) in &last {
                if taken.events.len() >= AT_ONCE {
                    taken.more = true;
                    break;
                }
                if let Some(data) = take_check(reported, name, check, &last, now) {
                    taken.events.push(("check.changed", with(data)));
                }
            }
        }
        Told::Xid(xid) => {
            if let Some(folded) = allow(&mut reported.xids, XIDS, xid.count, now) {
                taken
                    .events
                    .push(("node.xid", with(xid_data(xid, report.at, folded))));
            }
        }
        Told::Lost { count } => {
            taken
                .events
                .push(("node.reports_lost", with(json!({ "count": count }))));
        }
        Told::Configured { revision, refused } => {
            let (revision, refused) = (
                Some(line(revision, 64)),
                refused.as_deref().map(|text| line(text, LONGEST_TEXT)),
            );
            if reported.config_revision != revision || reported.config_refused != refused {
                let kind = if refused.is_some() {
                    "node.configuration_refused"
                } else {
                    "node.configured"
                };
                taken
                    .events
                    .push((kind, with(json!({ "revision": revision, "reason": refused }))));
                (reported.config_revision, reported.config_refused) = (revision, refused);
            }
        }
        Told::Discovered { exporters } => {
            // One a port, and of what it is called no more than a name.
            let mut found: Vec<FoundExporter> = Vec::new();
            for exporter in exporters.iter().take(MOST_FOUND) {
                if found.iter().all(|known| known.port != exporter.port) {
                    found.push(FoundExporter {
                        name: line(&exporter.name, 64),
                        ..exporter.clone()
                    });
                }
            }
            if reported.discovered != found {
                taken
                    .events
                    .push(("node.exporters_found", with(json!({ "exporters": found }))));
                reported.discovered = found;
            }
        }
        Told::Unknown => {}
    }
    // What is known of the node moves on all the same: only the telling is bounded.
    for (kind, mut data) in std::mem::take(&mut taken.events) {
        if let Some(folded) = allow(&mut reported.events, EVENTS, 1, now) {
            if folded > 0 {
                data["events_folded"] = json!(folded);
            }
            taken.events.push((kind, data));
        }
    }
    taken
}

/// The last word on each check, by its name; what is no check is left out. In their order they would never be taken
/// as a whole: one that is named twice with two statuses is news each time it is looked at.
fn last_words(checks: &[CheckTold]) -> BTreeMap<String, &CheckTold> {
    let named = checks
        .iter()
        .take(MOST_CHECKS)
        .map(|check| (line(&check.name, 100), check));
    named
        .filter(|(name, check)| !name.is_empty() && CHECK_STATUSES.contains(&check.status.as_str()))
        .collect()
}

fn xid_data(xid: &XidTold, at: Timestamp, folded: u64) -> Value {
    json!({
        "is_sxid": xid.is_sxid,
        "code": xid.code,
        "pci": line(&xid.pci, 64),
        "pid": xid.pid,
        "name": line(&xid.name, 100),
        "action": line(&xid.action, LONGEST_TEXT),
        "severity": xid.severity,
        "line": line(&xid.line, LONGEST_TEXT),
        "count": xid.count,
        "folded": folded,
        "reported_at": at,
    })
}

/// Takes an event that stands for `count`, and answers how many were folded since the last; none when the node has had
/// its `most`.
fn allow(allowance: &mut Allowance, most: u32, count: u64, now: Timestamp) -> Option<u64> {
    let over = allowance
        .since
        .is_none_or(|since| now.since(since) >= WINDOW || since > now);
    if over {
        (allowance.used, allowance.since) = (0, Some(now));
    }
    if allowance.used >= most {
        allowance.folded = allowance.folded.saturating_add(count.max(1));
        return None;
    }
    allowance.used += 1;
    Some(std::mem::take(&mut allowance.folded))
}

/// Notes how a check ended, one of `told`; answers what is news about it.
fn take_check(
    reported: &mut ReportedDocument,
    name: &str,
    check: &CheckTold,
    told: &BTreeMap<String, &CheckTold>,
    now: Timestamp,
) -> Option<Value> {
    let before = reported.checks.get(name).map(|known| known.status.clone());
    if before.as_deref() == Some(check.status.as_str()) {
        return None;
    }
    if before.is_none() && reported.checks.len() >= MOST_CHECKS {
        // One that is told along with it keeps its place: all that are told have room.
        let known = reported.checks.iter();
        let others = known.filter(|(name, _)| !told.contains_key(*name));
        let oldest = others.min_by_key(|(_, known)| known.at);
        let oldest = oldest.map(|(name, _)| name.clone());
        oldest.map(|oldest| reported.checks.remove(&oldest));
    }
    let known = CheckDocument {
        status: check.status.clone(),
        at: now,
    };
    reported.checks.insert(name.to_owned(), known);
    // That a check is well when it is first heard of is no news.
    if before.is_none() && check.status == "ok" {
        return None;
    }
    Some(json!({
        "check": name,
        "from": before,
        "to": check.status,
        "message": line(&check.message, LONGEST_TEXT),
        "reported_at": check.at,
    }))
}

/// A finding's code is a name for programs.
fn is_code(text: &str) -> bool {
    (3..=64).contains(&text.len())
        && text.starts_with(|c: char| c.is_ascii_uppercase())
        && text
            .bytes()
            .all(|b| b.is_ascii_uppercase() || b.is_ascii_digit() || b == b'_')
}

/// What a node says it has, cleaned; the gravest first.
fn cleaned(findings: &[Finding]) -> Vec<Finding> {
    let mut kept: Vec<Finding> = Vec::new();
    let mut sorted: Vec<&Finding> = findings.iter().filter(|one| is_code(&one.code)).collect();
    sorted.sort_by_key(|one| std::cmp::Reverse(one.severity));
    for finding in sorted {
        let finding = Finding {
            subject: line(&finding.subject, 128),
            summary: line(&finding.summary, LONGEST_TEXT),
            action: line(&finding.action, LONGEST_TEXT),
            ..finding.clone()
        };
        if kept.len() < MOST_FINDINGS && !kept.iter().any(|other| is_same(other, &finding)) {
            kept.push(finding);
        }
    }
    kept
}

fn is_same(a: &Finding, b: &Finding) -> bool {
    a.code == b.code && a.subject == b.subject
}

/// Moves what is known towards what is reported, by as many findings as one transaction tells.
fn take_findings(taken: &mut Taken, reported: &mut ReportedDocument, node: &Node, told: &[Finding]) {
    let wanted = cleaned(told);
    let known = std::mem::take(&mut reported.findings);
    let (mut kept, gone): (Vec<Finding>, Vec<Finding>) = known
        .into_iter()
        .partition(|one| wanted.iter().any(|other| is_same(one, other)));
    for finding in gone {
        if taken.events.len() < AT_ONCE {
            taken
                .events
                .push(("finding.closed", finding_data(node, &finding)));
        } else {
            taken.more = true;
            kept.push(finding);
        }
    }
    for finding in &wanted {
        if let Some(known) = kept.iter_mut().find(|one| is_same(one, finding)) {
            known.clone_from(finding);
        } else if taken.events.len() < AT_ONCE {
            taken.events.push(("finding.opened", finding_data(node, finding)));
            kept.push(finding.clone());
        } else {
            taken.more = true;
        }
    }
    kept.sort_by_key(|one| std::cmp::Reverse(one.severity));
    reported.findings = kept;
}
