//! Alerts of a control plane: it keeps rule sets, somebody beside each Prometheus brings the rules there, and here that
//! is waited for and told.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{SocketAddr, ToSocketAddrs as _, UdpSocket};
use std::time::{Duration, Instant};

use aami_api::client::ClientError;
use aami_api::prometheus::PrometheusView;
use aami_api::rules::{ActiveAlerts, AlertState, CreateRuleSet, PatchRuleSet, RuleSetView};
use aami_model::code;
use aami_model::prometheus::RuleState;
use aami_model::rules::GLOBAL;

use crate::cli::failure::Failure;
use crate::cli::find;
use crate::cli::paging;
use crate::cli::query::Query;
use crate::cli::reach::is_this_machine;
use crate::cli::session::Session;
use crate::fleet::alerts::{AlertRow, Alertmanager, Alerts, PresetsWanted};
use crate::fleet::engines::Engine;

/// Somebody else may change a set meanwhile, so often.
const TRIES: u32 = 3;
/// How often it is asked whether rules are loaded.
const OFTEN: Duration = Duration::from_millis(500);

/// Adds presets to a rule set, and waits until every Prometheus has loaded what is wanted then.
pub(super) fn apply_presets(session: &Session, wanted: &PresetsWanted) -> Result<Vec<String>, Failure> {
    let scope = wanted.group.as_deref().unwrap_or(GLOBAL);
    for left in (0..TRIES).rev() {
        match add_presets(session, scope, wanted) {
            Ok(remarks) if wanted.dry => return Ok(remarks),
            Ok(mut remarks) => {
                remarks.extend(loaded_everywhere(session, wanted.within)?);
                return Ok(remarks);
            }
            Err(Failure::Client(ClientError::Refused(problem)))
                if left > 0 && matches!(problem.status, 409 | 412) => {}
            Err(failure) => return Err(failure),
        }
    }
    Err(Failure::found(
        code::CONFLICT,
        format!("the rules for {scope} are being changed by somebody else"),
    ))
}

/// The set of a scope; none where there is none yet.
pub(crate) fn rule_set(
    session: &Session,
    scope: &str,
) -> Result<Option<(RuleSetView, Option<String>)>, Failure> {
    match session.client.rule_set(scope) {
        Ok(answer) => Ok(Some((answer.body, answer.etag))),
        Err(ClientError::Refused(problem)) if problem.status == 404 => Ok(None),
        Err(error) => Err(error.into()),
    }
}

fn add_presets(session: &Session, scope: &str, wanted: &PresetsWanted) -> Result<Vec<String>, Failure> {
    let there = rule_set(session, scope)?;
    let mut presets = there
        .as_ref()
        .map_or_else(Vec::new, |(view, _)| view.set.presets.clone());
    for preset in &wanted.presets {
        if !presets.contains(preset) {
            presets.push(preset.clone());
        }
    }
    if wanted.dry {
        return Ok(vec![format!(
            "the rules for {scope} would be {}",
            presets.join(", ")
        )]);
    }
    let mut remarks = Vec::new();
    match there {
        Some((view, etag)) => {
            if !view.set.enabled {
                remarks.push(format!(
                    "the rules for {scope} are switched off; `aami alerts rules set {scope} --enabled true` switches them on"
                ));
            }
            if view.set.presets.len() != presets.len() {
                let patch = PatchRuleSet {
                    presets: Some(presets),
                    ..PatchRuleSet::default()
                };
                (session.client).patch_rule_set(view.set.id.as_str(), &patch, etag.as_deref())?;
            }
        }
        None => {
            let create = CreateRuleSet {
                group: wanted.group.clone(),
                presets,
                ..CreateRuleSet::default()
            };
            session.client.create_rule_set(&create)?;
        }
    }
    Ok(remarks)
}

/// Waits until every Prometheus has loaded what it should have. One that is not there is told and not waited for; one
/// that refuses fails at once. Answers what an operator should know.
pub(crate) fn loaded_everywhere(session: &Session, within: Duration) -> Result<Vec<String>, Failure> {
    let until = Instant::now() + within;
    loop {
        let all = prometheuses(session)?;
        if all.is_empty() {
            return Ok(vec![
                "the rules are kept, and no Prometheus is known that would load them; `aami prometheuses add` names one"
                    .to_owned(),
            ]);
        }
        let refused: Vec<&PrometheusView> = in_state(&all, RuleState::Failed).collect();
        if !refused.is_empty() {
            return Err(Failure::Listed {
                code: code::ALERT_RULES_NOT_LOADED,
                sentence: format!(
                    "{} of {} Prometheuses did not take the rules over, and goes on with those from before; the rules \
                     are kept",
                    refused.len(),
                    all.len()
                ),
                places: refused.into_iter().map(standing).collect(),
            });
        }
        let pending: Vec<&PrometheusView> = in_state(&all, RuleState::Pending).collect();
        if pending.is_empty() {
            return Ok(remarks(&all));
        }
        if Instant::now() >= until {
            return Err(Failure::Listed {
                code: code::ALERT_RULES_PENDING,
                sentence: format!(
                    "{} of {} Prometheuses did not say within {} s that they have loaded the rules; the rules are kept",
                    pending.len(),
                    all.len(),
                    within.as_secs()
                ),
                places: pending.into_iter().map(standing).collect(),
            });
        }
        std::thread::sleep(OFTEN);
    }
}

fn in_state(all: &[PrometheusView], state: RuleState) -> impl Iterator<Item = &PrometheusView> {
    all.iter().filter(move |view| view.state == state)
}

/// Every Prometheus there is.
pub(crate) fn prometheuses(session: &Session) -> Result<Vec<PrometheusView>, Failure> {
    paging::all(session, "/api/v1/prometheuses", &Query::default(), None)
}

/// What is worth saying of those that have, or would have, what they should.
fn remarks(all: &[PrometheusView]) -> Vec<String> {
    let waiting = in_state(all, RuleState::Waiting).map(|view| {
        format!(
            "the rules are in place and wait for Prometheus {}",
            standing(view)
        )
    });
    let failing = all.iter().flat_map(|view| {
        let failing = view.last.iter().flat_map(|last| &last.failing);
        failing.map(|why| format!("{} has loaded, and cannot evaluate: {why}", view.prometheus.name))
    });
    waiting.chain(failing).collect()
}

/// How far one Prometheus is, in a line: `mon-1: failed: ...`.
pub(crate) fn standing(view: &PrometheusView) -> String {
    let name = &view.prometheus.name;
    let last = view.last.as_ref().filter(|last| last.sha256 == view.wanted);
    match last.and_then(|last| last.sentence.as_ref()) {
        Some(why) => format!("{name}: {}: {why}", view.state.name()),
        None if view.state == RuleState::Pending => {
            format!("{name}: pending: {} has not said how it went", deliverer(view))
        }
        None => format!("{name}: {}", view.state.name()),
    }
}

/// Who brings rules there, in words.
fn deliverer(view: &PrometheusView) -> String {
    match view.delivered_by.as_str() {
        "local" => "the control plane itself".to_owned(),
        node => format!("the agent of {node}"),
    }
}

/// Every alert of every rule set, with what fires; and what fires that stands in none.
pub(crate) fn listed(session: &Session) -> Result<Alerts, Failure> {
    let sets: Vec<RuleSetView> = paging::all(session, "/api/v1/alerts/rules", &Query::default(), None)?;
    let all = prometheuses(session)?;
    let active = session.client.active_alerts("")?;
    Ok(joined(&sets, &all, &active))
}

fn joined(sets: &[RuleSetView], all: &[PrometheusView], active: &ActiveAlerts) -> Alerts {
    let is_loaded = !all.is_empty() && all.iter().all(|view| view.state == RuleState::Loaded);
    let errors = errors(all);
    let mut rows = Vec::new();
    let mut wanted = BTreeSet::new();
    for view in sets.iter().filter(|view| view.set.enabled) {
        for alert in &view.alerts {
            wanted.insert(alert.clone());
            let mut row = AlertRow::not_loaded(alert, &view.scope);
            if is_loaded {
                row.is_at_least("inactive");
            }
            row.error = errors.get(alert).cloned().unwrap_or_default();
            rows.push(row);
        }
    }
    // An active alert says by its own name whose it is; of which scope, its nodes say.
    let mut strangers: BTreeMap<(&str, &str), AlertRow> = BTreeMap::new();
    let mut nodes: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for alert in &active.items {
        let state = match alert.state {
            AlertState::Firing => "firing",
            AlertState::Pending => "pending",
        };
        if let Some(node) = &alert.node {
            nodes.entry(&alert.alert).or_default().insert(node);
        }
        if wanted.contains(&alert.alert) {
            for row in rows.iter_mut().filter(|row| row.alert == alert.alert) {
                row.is_at_least(state);
            }
        } else {
            let key = (alert.alert.as_str(), alert.prometheus.as_str());
            let row = strangers
                .entry(key)
                .or_insert_with(|| AlertRow::not_loaded(&alert.alert, &alert.prometheus));
            row.is_at_least(state);
        }
    }
    rows.extend(strangers.into_values());
    for row in &mut rows {
        let of_row = nodes.get(row.alert.as_str()).into_iter().flatten();
        row.nodes = of_row.map(|node| (*node).to_owned()).collect();
    }
    let mut remarks: Vec<String> = (all.iter())
        .filter(|view| view.state != RuleState::Loaded)
        .map(standing)
        .collect();
    for asked in &active.prometheuses {
        remarks.extend(asked.error.iter().map(|why| format!("{}: {why}", asked.name)));
        remarks.extend(
            (asked.alertmanager_error.iter()).map(|why| format!("the Alertmanager of {}: {why}", asked.name)),
        );
    }
    if active.truncated {
        remarks.push("more alerts are active than are listed".to_owned());
    }
    let answers = active.prometheuses.iter().all(|asked| asked.error.is_none());
    Alerts {
        is_whole: (wanted.is_empty() || is_loaded) && answers && rows.iter().all(|row| row.error.is_empty()),
        rows,
        remarks,
    }
}

/// Why alerts cannot be evaluated, by their names.
fn errors(all: &[PrometheusView]) -> BTreeMap<String, String> {
    let failing = all.iter().flat_map(|view| {
        let last = view.last.iter();
        last.flat_map(|last| &last.failing)
    });
    failing
        .filter_map(|line| line.split_once(": "))
        .map(|(alert, why)| (alert.to_owned(), why.to_owned()))
        .collect()
}

/// Refuses an Alertmanager on the control plane's own machine, where that is another one: its address would lead to
/// whatever listens here.
fn is_reached(url: &str, server: &str) -> Result<(), Failure> {
    if !is_this_machine(url) || is_here(server) {
        return Ok(());
    }
    Err(Failure::found_with(
        code::ALERTMANAGER_SILENT,
        format!("{url} is on the machine of the control plane {server}, and cannot be asked from here"),
        "Run the command on that machine, or give the Prometheus an Alertmanager address that this one reaches too.",
    ))
}

/// Whether a control plane is on this machine: by its own address, or by one that nobody but this machine has.
fn is_here(server: &str) -> bool {
    let Ok(uri) = server.parse::<http::Uri>() else {
        return false;
    };
    let host = uri.host().unwrap_or_default().trim_matches(['[', ']']);
    let is_own = |address: SocketAddr| UdpSocket::bind(SocketAddr::new(address.ip(), 0)).is_ok();
    is_this_machine(server) || (host, 0).to_socket_addrs().is_ok_and(|mut all| all.any(is_own))
}

/// The Alertmanager of one Prometheus: of the one that is named, or of the only one that has any.
pub(super) fn alertmanager(session: &Session, name: Option<&str>) -> Result<Alertmanager, Failure> {
    let all = prometheuses(session)?;
    let mut known = all.iter().filter(|view| match name {
        Some(name) => view.prometheus.name == name || view.prometheus.id.as_str() == name,
        None => view.prometheus.alertmanager_url.is_some(),
    });
    let (first, more) = (known.next(), known.next());
    let view = match (first, more) {
        (Some(view), None) => view,
        (Some(_), Some(_)) => {
            return Err(Failure::found_with(
                code::CONFLICT,
                "several Prometheuses have an Alertmanager",
                "Name one with --prometheus; `aami prometheuses list -o wide` lists them.",
            ));
        }
        (None, _) => {
            let names = || {
                all.iter()
                    .map(|view| view.prometheus.name.clone())
                    .collect::<Vec<_>>()
            };
            return Err(match name {
                Some(name) => find::no_prometheus(name, &names()),
                None => Failure::found_with(
                    code::NOT_FOUND,
                    "the control plane knows no Prometheus with an Alertmanager",
                    "`aami prometheuses edit NAME --alertmanager URL` says where its Alertmanager is.",
                ),
            });
        }
    };
    let url = view.prometheus.alertmanager_url.as_deref().ok_or_else(|| {
        Failure::found_with(
            code::NOT_FOUND,
            format!(
                "no Alertmanager is known of the Prometheus {}",
                view.prometheus.name
            ),
            "`aami prometheuses edit NAME --alertmanager URL` says where it is.",
        )
    })?;
    is_reached(url, session.client.server())?;
    Ok(Alertmanager {
        engine: Engine::at(url),
        cluster: session.client.status()?.cluster,
        ways: Vec::new(),
    })
}

#[cfg(test)]
mod tests;
