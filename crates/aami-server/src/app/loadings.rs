//! What whoever delivers rules asks and says: what a node has to deliver, the bundle, and how loading it went.
//!
//! A node is told of the Prometheuses that name it and of no other, and says something of those alone. What is said is
//! kept when it differs from what was said before: a delivery that fails again the same way costs no write.

use std::sync::Arc;

use aami_api::prometheus::{LoadReport, NodePrometheus, NodePrometheuses, PrometheusView, RuleBundle};
use aami_model::access::{Caller, Orgs, Role, Scope};
use aami_model::prometheus::{LONGEST_SENTENCE, LoadResult, Loading, MOST_FAILING, Prometheus, RuleState};
use aami_model::{Code, NodeId, PrometheusId, Timestamp, code};
use aami_monitor::rule_state::{self, OfPrometheus};
use aami_store::keys;
use serde_json::json;

use super::commit::{Change, Wanted, Written, Wrote};
use super::prometheuses::{find, sees_all_of};
use super::{App, Asking, Refusal};
use crate::view::document::encode;
use crate::view::{Held, Snapshot};

/// Texts of a stranger, as they are kept: one line each, cut short.
fn line(text: &str, most: usize) -> String {
    let text: String = text
        .chars()
        .map(|c| if c.is_control() { ' ' } else { c })
        .take(most)
        .collect();
    text.trim().to_owned()
}

/// What a report makes of what was known.
fn after(before: Option<&Loading>, report: &LoadReport, now: Timestamp) -> Loading {
    let is_loaded = report.result == LoadResult::Loaded;
    let known = before.and_then(|before| Some((before.loaded.clone()?, before.loaded_at)));
    let (loaded, loaded_at) = match known {
        // Loaded again is not loaded anew.
        Some((sha256, at)) if !is_loaded || sha256 == report.sha256 => (Some(sha256), at),
        _ if is_loaded => (Some(report.sha256.clone()), Some(now)),
        _ => (None, None),
    };
    let said = |text: &Option<String>| {
        let text = text.as_ref().filter(|_| !is_loaded);
        text.map(|text| line(text, LONGEST_SENTENCE))
    };
    let code = said(&report.code).and_then(|code| Code::find(&code));
    Loading {
        sha256: report.sha256.clone(),
        result: report.result,
        at: now,
        loaded,
        loaded_at,
        code: code.map(|code| code.symbol.to_owned()),
        sentence: said(&report.sentence),
        failing: (report.failing.iter())
            .take(MOST_FAILING.0)
            .map(|failing| line(failing, MOST_FAILING.1))
            .collect(),
    }
}

/// The Prometheus a caller delivers to, or sees as an operator.
fn delivered(snapshot: &Snapshot, caller: &Caller, name: &str) -> Result<Held<Prometheus>, Refusal> {
    let held = find(snapshot, &caller.orgs, name)?;
    let is_own = (held.doc.node.as_ref()).is_some_and(|node| caller.has_scope(&Scope::Node(node.clone())));
    if is_own || caller.has_role(Role::Viewer) {
        Ok(held)
    } else {
        // A node learns nothing of what it does not deliver.
        Err(Refusal::not_found("Prometheus"))
    }
}

impl App {
    /// What a node delivers.
    ///
    /// A list is whole or is none: a node takes the rules of what is not in it out.
    pub(crate) fn node_prometheuses(&self, node: &NodeId) -> Result<NodePrometheuses, Refusal> {
        let snapshot = self.view.current();
        if let Some(id) = snapshot.ruled.unread_prometheuses().next() {
            return Err(Refusal::new(
                code::CONFLICT,
                format!(
                    "the Prometheus {id} cannot be read by this version of the control plane, and may be yours"
                ),
            ));
        }
        let items = (snapshot.ruled.delivered_by(node))
            .map(|held| NodePrometheus {
                id: held.doc.id.clone(),
                name: held.doc.name.clone(),
                url: held.doc.url.clone(),
                // What cannot be made is told to people; a node keeps what it has.
                sha256: (self.bundle_of(&snapshot, &held.doc).ok()).map(|bundle| bundle.sha256.clone()),
                loaded: (snapshot.ruled.loading(&held.doc.id)).and_then(|last| last.doc.loaded.clone()),
            })
            .collect();
        Ok(NodePrometheuses {
            node_id: node.clone(),
            items,
        })
    }

    /// How the rules of each Prometheus stand, for `/metrics`.
    pub(crate) fn rule_metrics(&self, orgs: &Orgs) -> String {
        let snapshot = self.view.current();
        let all: Vec<OfPrometheus> = (snapshot.ruled.prometheuses(orgs))
            .map(|held| {
                let shown = self.shown_prometheus(&snapshot, &held.doc);
                OfPrometheus {
                    org: shown.prometheus.org.to_string(),
                    prometheus: shown.prometheus.name,
                    loaded: shown.state == RuleState::Loaded,
                    failing: shown.last.map_or(0, |last| last.failing.len()),
                }
            })
            .collect();
        rule_state::metrics(&all)
    }

    /// All rules a Prometheus should have.
    pub(crate) fn rule_bundle(&self, caller: &Caller, name: &str) -> Result<Arc<RuleBundle>, Refusal> {
        let snapshot = self.view.current();
        let held = delivered(&snapshot, caller, name)?;
        if !sees_all_of(&held.doc, &caller.orgs) {
            return Err(Refusal::new(
                code::FORBIDDEN,
                "the rules of every organisation are in it; who sees all of them may look",
            ));
        }
        self.bundle_for(&snapshot, &held.doc)
    }

    /// Takes in what a node says of rules it delivered.
    pub(crate) async fn report_loaded(
        &self,
        asking: &Asking,
        name: &str,
        report: &LoadReport,
    ) -> Result<(PrometheusView, Written), Refusal> {
        let id = delivered(&self.view.current(), &asking.caller, name)?.doc.id;
        let node = |prometheus: &Prometheus| {
            let own = prometheus.node.as_ref();
            own.is_some_and(|node| asking.caller.has_scope(&Scope::Node(node.clone())))
        };
        self.keep_loading(asking, &id, report, node).await
    }

    /// Takes in what became of bringing rules to the Prometheus on this machine.
    pub(crate) async fn note_local(&self, id: &PrometheusId, report: &LoadReport) -> Result<(), Refusal> {
        let asking = Asking::by(Caller::system());
        self.keep_loading(&asking, id, report, |prometheus| prometheus.node.is_none())
            .await
            .map(drop)
    }

    async fn keep_loading(
        &self,
        asking: &Asking,
        id: &PrometheusId,
        report: &LoadReport,
        may: impl Fn(&Prometheus) -> bool,
    ) -> Result<(PrometheusView, Written), Refusal> {
        let is_hash = |text: &str| text.len() == 64 && text.bytes().all(|b| b.is_ascii_hexdigit());
        if !is_hash(&report.sha256) {
            return Err(Refusal::invalid("sha256", "it is 64 hexadecimal digits"));
        }
        let wrote = self
            .write(asking, |snapshot, now| {
                let held = (snapshot.ruled.prometheus(id, &Orgs::All))
                    .filter(|held| may(&held.doc))
                    .ok_or_else(|| Refusal::not_found("Prometheus"))?;
                let before = snapshot.ruled.loading(id);
                let loading = after(before.map(|before| &before.doc), report, now);
                let says_the_same = before.is_some_and(|before| {
                    Loading {
                        at: before.doc.at,
                        ..loading.clone()
                    } == before.doc
                });
                let prometheus = held.doc.clone();
                if says_the_same {
                    return Ok(Wanted::Nothing(prometheus));
                }
                let wanted = self.bundle_of(snapshot, &prometheus);
                let wanted = wanted.as_ref().map_or("", |bundle| bundle.sha256.as_str());
                let kind = match report.result {
                    LoadResult::Loaded => "rules.loaded",
                    LoadResult::Waiting => "rules.waiting",
                    LoadResult::Failed => "rules.failed",
                };
                // Whoever is told of the organisation's events need not see every organisation.
                let (sentence, failing) = if prometheus.everything {
                    (None, None)
                } else {
                    (loading.sentence.as_ref(), Some(&loading.failing))
                };
                let data = json!({
                    "prometheus": prometheus.name, "sha256": loading.sha256, "code": loading.code,
                    "sentence": sentence, "failing": failing,
                    "state": RuleState::of(wanted, Some(&loading)),
                });
                let key = keys::prometheus_loaded(id);
                let change = Change::new(
                    prometheus.org.clone(),
                    "prometheus.loaded",
                    format!("prometheus:{id}"),
                )
                .noting(data.clone())
                .quiet()
                .tell(kind, data)
                .transact(|txn| {
                    let txn = match before {
                        Some(before) => txn.when_unchanged(key.clone(), before.revision),
                        None => txn.when_absent(key.clone()),
                    };
                    // One that was given to another node, or is gone, is not this one's to speak of.
                    txn.when_unchanged(keys::prometheus(id), held.revision)
                        .put(key, encode(&loading))
                });
                Ok(Wanted::Write(Box::new(change), prometheus))
            })
            .await?;
        let snapshot = self.view.current();
        match wrote {
            Wrote::Fresh(prometheus, written) => Ok((self.shown_prometheus(&snapshot, &prometheus), written)),
            Wrote::Replayed(_) => {
                let held = (snapshot.ruled.prometheus(id, &Orgs::All))
                    .ok_or_else(|| Refusal::plain(code::NOT_FOUND))?;
                let written = Written::shown(held.revision);
                Ok((self.shown_prometheus(&snapshot, &held.doc), written))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report(sha256: &str, result: LoadResult) -> LoadReport {
        LoadReport {
            sha256: sha256.to_owned(),
            result,
            code: Some("ALERT_RULES_NOT_LOADED".to_owned()),
            sentence: Some("no\nway".to_owned()),
            failing: vec!["x".repeat(1000); 100],
        }
    }

    #[test]
    fn what_was_loaded_is_known_while_something_else_fails() {
        let at = Timestamp::from_millis;
        let first = after(None, &report("a", LoadResult::Failed), at(1));
        assert_eq!(
            (first.loaded.as_deref(), first.sentence.as_deref()),
            (None, Some("no way"))
        );
        assert_eq!((first.failing.len(), first.failing[0].len()), MOST_FAILING);
        let second = after(Some(&first), &report("a", LoadResult::Loaded), at(2));
        assert_eq!(
            (second.loaded.as_deref(), second.loaded_at),
            (Some("a"), Some(at(2)))
        );
        assert_eq!((second.code, second.sentence), (None, None));
        let second = after(Some(&first), &report("a", LoadResult::Loaded), at(2));
        let third = after(Some(&second), &report("b", LoadResult::Failed), at(3));
        assert_eq!(
            (third.loaded.as_deref(), third.loaded_at),
            (Some("a"), Some(at(2)))
        );
        assert_eq!(third.code.as_deref(), Some("ALERT_RULES_NOT_LOADED"));
        let again = after(Some(&second), &report("a", LoadResult::Loaded), at(4));
        assert_eq!((again.loaded_at, again.at), (Some(at(2)), at(4)));
    }

    #[test]
    fn a_code_nobody_knows_is_no_code() {
        let strange = LoadReport {
            code: Some("<script>".to_owned()),
            ..report("a", LoadResult::Failed)
        };
        assert_eq!(after(None, &strange, Timestamp::from_millis(1)).code, None);
    }
}
