//! Alerts: the presets there are, and what is pending or fires now.
//!
//! What fires is asked of every Prometheus the caller's nodes are watched by, all at once, each by a deadline; one that
//! does not answer says why, and the others' alerts are listed all the same. A Prometheus that watches several
//! organisations tells each caller of their own alone, by the label `org`.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::time::Duration;

use aami_api::rules::{
    ActiveAlert, ActiveAlerts, AlertState, AskedPrometheus, PresetRule, PresetView, Presets,
};
use aami_model::access::{Caller, Orgs, Role};
use aami_model::finding::Severity;
use aami_model::prometheus::Prometheus;
use aami_model::{GroupId, OrgId, Timestamp};
use aami_monitor::presets::{self, Preset};
use aami_monitor::scope::GROUPS;
use futures::StreamExt as _;
use tokio::sync::Semaphore;

use super::{App, Refusal, access};
use crate::services::alertmanager::Suppressed;
use crate::services::prometheus::Alert;

/// How many alerts one answer lists.
const MOST: usize = 2000;
/// How many Prometheuses are asked at once.
const TOGETHER: usize = 4;
/// How many are asked at once by all who want to know: an answer may be large. The one on this machine waits for no other.
static OWN: Semaphore = Semaphore::const_new(2);
static OTHERS: Semaphore = Semaphore::const_new(2 * TOGETHER);
/// How long all of it may take: less than a request may.
const PATIENCE: Duration = Duration::from_secs(20);

/// Which alerts are asked for.
#[derive(Debug, Default)]
pub(crate) struct Wanted {
    pub(crate) state: Option<AlertState>,
    /// A node's hostname.
    pub(crate) node: Option<String>,
    /// A group, by id or name.
    pub(crate) group: Option<String>,
}

/// What one Prometheus said, and its Alertmanager.
struct Said {
    asked: AskedPrometheus,
    everything: bool,
    alerts: Vec<Alert>,
    suppressed: Option<HashMap<BTreeMap<String, String>, bool>>,
}

impl Said {
    /// One that was not asked.
    fn nothing(prometheus: Prometheus, why: String) -> Self {
        Self {
            asked: AskedPrometheus {
                id: prometheus.id,
                name: prometheus.name,
                url: prometheus.url,
                error: Some(why),
                alertmanager_error: None,
            },
            everything: prometheus.everything,
            alerts: Vec::new(),
            suppressed: None,
        }
    }
}

/// Whether an address means the machine that asks it, whichever that is: another replica's is not reached by it.
fn is_on_its_machine(url: &str) -> bool {
    crate::notify::wire::Place::parse(url).is_ok_and(|place| {
        let address: Option<std::net::IpAddr> = place.host.parse().ok();
        address.is_some_and(|ip| ip.to_canonical().is_loopback())
            || place.host.eq_ignore_ascii_case("localhost")
    })
}

fn shown(preset: &Preset) -> PresetView {
    let text = |map: &BTreeMap<String, String>, name: &str| map.get(name).cloned().unwrap_or_default();
    PresetView {
        id: preset.id.to_owned(),
        sentence: preset.sentence.to_owned(),
        ids: preset.ids.iter().map(|id| (*id).to_owned()).collect(),
        rules: preset
            .rules()
            .into_iter()
            .map(|(id, rule)| PresetRule {
                id: id.to_owned(),
                severity: rule.severity().to_owned(),
                summary: text(&rule.annotations, "summary"),
                description: text(&rule.annotations, "description"),
                alert: rule.alert,
                expr: rule.expr,
                lasting: rule.lasting,
            })
            .collect(),
    }
}

/// Every preset and pack.
pub(crate) fn all_presets() -> Presets {
    Presets {
        items: presets::all().iter().map(shown).collect(),
    }
}

/// One of them.
pub(crate) fn preset(id: &str) -> Result<PresetView, Refusal> {
    presets::find(id).map(shown).ok_or_else(|| {
        let all: Vec<&str> = presets::all().iter().map(|preset| preset.id).collect();
        Refusal::new(
            aami_model::code::NOT_FOUND,
            format!("there is no such preset; there are {}", all.join(", ")),
        )
    })
}

fn severity(labels: &BTreeMap<String, String>) -> Option<Severity> {
    match labels.get("severity").map(String::as_str) {
        Some("info") => Some(Severity::Info),
        Some("warning") => Some(Severity::Warning),
        Some("critical") => Some(Severity::Critical),
        _ => None,
    }
}

/// Whether an alert is one of the caller's nodes.
fn is_seen(labels: &BTreeMap<String, String>, orgs: &Orgs) -> bool {
    let org = match labels.get("org") {
        // Discovery names every organisation but this one.
        None => OrgId::default(),
        Some(text) => match text.parse() {
            Ok(org) => org,
            Err(_) => return *orgs == Orgs::All,
        },
    };
    orgs.includes(&org)
}

/// What a caller sees and wants of what Prometheuses say.
struct Sieve<'a> {
    orgs: &'a Orgs,
    wanted: &'a Wanted,
    group: Option<&'a GroupId>,
    /// The hostnames of the group's nodes.
    members: BTreeSet<&'a str>,
}

impl Sieve<'_> {
    fn sift(&self, said: &mut Said) -> Sifted {
        let alerts = std::mem::take(&mut said.alerts);
        let suppressed = said.suppressed.take();
        let known = |labels: &BTreeMap<String, String>| {
            Some(suppressed.as_ref()?.get(labels).copied().unwrap_or(false))
        };
        let items = (alerts.into_iter())
            .filter(|alert| !said.everything || is_seen(&alert.labels, self.orgs))
            .filter_map(|alert| listed(alert, &said.asked.name, known))
            .filter(|alert| self.lets_through(alert))
            .collect();
        let mut sifted = Sifted::default();
        sifted.take(Sifted {
            items,
            truncated: false,
        });
        sifted
    }

    fn lets_through(&self, alert: &ActiveAlert) -> bool {
        let in_group = |id: &GroupId| {
            let listed = alert.labels.get(GROUPS);
            listed.is_some_and(|groups| groups.split(',').any(|group| group == id.as_str()))
                || (alert.node.as_deref()).is_some_and(|node| self.members.contains(node))
        };
        self.wanted.state.is_none_or(|state| alert.state == state)
            && (self.wanted.node.as_ref()).is_none_or(|node| alert.node.as_ref() == Some(node))
            && self.group.is_none_or(in_group)
    }
}

/// The gravest alerts of those that were told of, [`MOST`] at most.
#[derive(Default)]
struct Sifted {
    items: Vec<ActiveAlert>,
    /// Whether there were more.
    truncated: bool,
}

impl Sifted {
    fn take(&mut self, more: Self) {
        self.truncated |= more.truncated;
        self.items.extend(more.items);
        self.items.sort_by(|one, other| {
            let grave = |alert: &ActiveAlert| std::cmp::Reverse(alert.severity);
            let key = |alert: &ActiveAlert| (alert.state, grave(alert));
            (key(one).cmp(&key(other)))
                .then_with(|| one.alert.cmp(&other.alert))
                .then_with(|| one.labels.cmp(&other.labels))
                .then_with(|| one.prometheus.cmp(&other.prometheus))
        });
        self.truncated |= self.items.len() > MOST;
        self.items.truncate(MOST);
        self.items.shrink_to_fit();
    }
}

impl App {
    /// What is pending or fires.
    pub(crate) async fn active_alerts(
        &self,
        caller: &Caller,
        wanted: &Wanted,
    ) -> Result<ActiveAlerts, Refusal> {
        access::require(caller, Role::Viewer)?;
        let snapshot = self.view.current();
        let group: Option<GroupId> = match &wanted.group {
            None => None,
            Some(name) => Some(
                (snapshot.groups(&caller.orgs))
                    .find(|held| held.doc.id.as_str() == name || held.doc.name == *name)
                    .map(|held| held.doc.id.clone())
                    .ok_or_else(|| Refusal::not_found("group"))?,
            ),
        };
        let prometheuses: Vec<Prometheus> = (snapshot.ruled.prometheuses(&Orgs::All))
            .map(|held| &held.doc)
            .filter(|one| one.everything || caller.orgs.includes(&one.org))
            .cloned()
            .collect();
        // Some alerts keep no more of their node than its name.
        let members: BTreeSet<&str> = (snapshot.nodes(&caller.orgs, None))
            .filter(|held| {
                group
                    .as_ref()
                    .is_some_and(|group| held.doc.groups.contains(group))
            })
            .map(|held| held.doc.hostname.as_str())
            .collect();
        let sieve = Sieve {
            orgs: &caller.orgs,
            wanted,
            group: group.as_ref(),
            members,
        };
        let until = tokio::time::Instant::now() + PATIENCE;
        let mut all = Sifted::default();
        let mut asked = Vec::new();
        let mut answers = futures::stream::iter(prometheuses)
            .map(|prometheus| {
                let is_own = caller.orgs.includes(&prometheus.org);
                let sieve = &sieve;
                async move {
                    let mut said = self.ask_for_alerts(prometheus, until).await;
                    // Where a Prometheus of somebody else's is, is theirs to know.
                    if !is_own {
                        said.asked.url.clear();
                        said.asked.error = said.asked.error.take().map(|_| "it does not answer".to_owned());
                        said.asked.alertmanager_error =
                            (said.asked.alertmanager_error.take()).map(|_| "it does not answer".to_owned());
                    }
                    // No more is held of an answer, while others are waited for, than is shown.
                    (sieve.sift(&mut said), said.asked)
                }
            })
            .buffered(TOGETHER);
        while let Some((sifted, one)) = answers.next().await {
            all.take(sifted);
            asked.push(one);
        }
        Ok(ActiveAlerts {
            items: all.items,
            truncated: all.truncated,
            prometheuses: asked,
        })
    }

    /// Asks one Prometheus and its Alertmanager, both by the deadline.
    async fn ask_for_alerts(&self, prometheus: Prometheus, until: tokio::time::Instant) -> Said {
        let late = || "it did not answer in time".to_owned();
        let is_here = prometheus.id == self.local_id();
        let turn = tokio::time::timeout_at(until, if is_here { &OWN } else { &OTHERS }.acquire()).await;
        let other = (!is_here && prometheus.node.is_none() && is_on_its_machine(&prometheus.url))
            .then(|| "it is asked by the control plane on its own machine".to_owned());
        if let Some(why) = other.or_else(|| turn.is_err().then(late)) {
            return Said::nothing(prometheus, why);
        }
        let made;
        let (ours, theirs) = match &self.services {
            services if is_here => (services.prometheus.as_ref(), services.alertmanager.as_ref()),
            _ => {
                made = crate::services::Services::at(
                    &prometheus.url,
                    prometheus.alertmanager_url.as_deref(),
                    &self.notify.roots,
                );
                (made.prometheus.as_ref(), made.alertmanager.as_ref())
            }
        };
        let alerts = async {
            match ours {
                None => Err("the control plane's configuration does not name it any more".to_owned()),
                Some(engine) => match tokio::time::timeout_at(until, engine.alerts()).await {
                    Ok(answer) => answer.map_err(|error| error.without_their_words()),
                    Err(_) => Err(late()),
                },
            }
        };
        let suppressed = async {
            let engine = theirs?;
            Some(match tokio::time::timeout_at(until, engine.suppressed()).await {
                Ok(answer) => answer.map_err(|error| error.without_their_words()),
                Err(_) => Err(late()),
            })
        };
        let (alerts, suppressed) = futures::join!(alerts, suppressed);
        self.counters.asked("prometheus", alerts.is_ok());
        let (alerts, error) = alerts.map_or_else(|why| (Vec::new(), Some(why)), |alerts| (alerts, None));
        let (suppressed, alertmanager_error) = match suppressed {
            None => (None, None),
            Some(Err(why)) => (None, Some(why)),
            Some(Ok(held)) => {
                let of = |one: Suppressed| (without_ours(one.labels), one.is_suppressed);
                (Some(held.into_iter().map(of).collect()), None)
            }
        };
        Said {
            asked: AskedPrometheus {
                id: prometheus.id,
                name: prometheus.name,
                url: prometheus.url,
                error,
                alertmanager_error,
            },
            everything: prometheus.everything,
            alerts,
            suppressed,
        }
    }
}

/// Labels as both sides know them: a Prometheus adds those for everything that leaves it, `cluster` among them, which
/// its own list of alerts may lack.
fn without_ours(mut labels: BTreeMap<String, String>) -> BTreeMap<String, String> {
    labels.remove("cluster");
    labels
}

fn listed(
    alert: Alert,
    prometheus: &str,
    suppressed: impl Fn(&BTreeMap<String, String>) -> Option<bool>,
) -> Option<ActiveAlert> {
    let state = match alert.state.as_str() {
        "firing" => AlertState::Firing,
        "pending" => AlertState::Pending,
        _ => return None,
    };
    let known = match state {
        AlertState::Firing => suppressed(&without_ours(alert.labels.clone())),
        // Alertmanager has not heard of it.
        AlertState::Pending => None,
    };
    Some(ActiveAlert {
        alert: alert.labels.get("alertname").cloned().unwrap_or_default(),
        state,
        severity: severity(&alert.labels),
        node: alert.labels.get("node").cloned(),
        annotations: alert.annotations,
        since: alert
            .active_at
            .as_deref()
            .and_then(|text| text.parse::<Timestamp>().ok()),
        value: alert.value,
        suppressed: known,
        prometheus: prometheus.to_owned(),
        labels: alert.labels,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_more_alerts_than_are_shown_the_gravest_are_held_and_no_others() {
        // Given two Prometheuses that each tell of more than one answer lists,
        let said = |severity: &str| {
            let alert = |number: usize| Alert {
                labels: BTreeMap::from([
                    ("alertname".to_owned(), format!("A{number:05}")),
                    ("severity".to_owned(), severity.to_owned()),
                ]),
                annotations: BTreeMap::new(),
                state: "firing".to_owned(),
                active_at: None,
                value: String::new(),
            };
            Said {
                asked: AskedPrometheus {
                    id: "p0000000000000000".parse().unwrap(),
                    name: severity.to_owned(),
                    url: String::new(),
                    error: None,
                    alertmanager_error: None,
                },
                everything: false,
                alerts: (0..=MOST).map(alert).collect(),
                suppressed: None,
            }
        };
        let wanted = Wanted::default();
        let sieve = Sieve {
            orgs: &Orgs::All,
            wanted: &wanted,
            group: None,
            members: BTreeSet::new(),
        };
        // when they are taken in one after the other,
        let mut all = Sifted::default();
        for severity in ["warning", "critical"] {
            let mut said = said(severity);
            let sifted = sieve.sift(&mut said);
            assert!(sifted.truncated && sifted.items.len() == MOST && said.alerts.is_empty());
            all.take(sifted);
            // then there are never more than are shown,
            assert!(all.truncated && all.items.len() == MOST);
        }
        // and the gravest are among them.
        assert!(
            all.items
                .iter()
                .all(|alert| alert.severity == Some(Severity::Critical))
        );
    }

    #[test]
    fn a_prometheus_beside_another_replica_is_not_looked_for_here() {
        for url in [
            "http://127.0.0.1:9090",
            "http://[::1]:9090",
            "http://LOCALHOST:9090",
        ] {
            assert!(is_on_its_machine(url), "{url}");
        }
        for url in ["http://10.0.0.1:9090", "http://head-2:9090", ""] {
            assert!(!is_on_its_machine(url), "{url}");
        }
    }
}
