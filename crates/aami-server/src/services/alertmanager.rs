//! Alertmanager's silences, and which alerts it holds back, by its API version 2.
//! <https://github.com/prometheus/alertmanager/blob/v0.25.0/api/v2/openapi.yaml>

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::Duration;

use aami_api::url::encoded;
use aami_model::{NodeId, OrgId, Timestamp};
use bytes::Bytes;
use http::{Method, header};
use serde::{Deserialize, Serialize};

use super::{Service, ServiceError};

/// Who our silences are by. Those of others are not touched.
const AUTHOR: &str = "aami";
/// How long its answers may be. A node has a handful of silences, and each is about a kilobyte.
const MOST: usize = 1024 * 1024;
/// How long its list of alerts may be: each is a few kilobytes.
const MOST_ALERTS: usize = 32 * 1024 * 1024;
/// When ours begin: what begins in the past begins now, by Alertmanager's own clock, which need not agree with ours.
const LONG_AGO: Timestamp = Timestamp::EPOCH;
/// By how much the end of a silence may be off before it is set anew.
const CLOSE: Duration = Duration::from_secs(30);

/// What must hold for an alert to be silenced.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Matcher {
    name: String,
    value: String,
    is_regex: bool,
    #[serde(default = "yes")]
    is_equal: bool,
}

const fn yes() -> bool {
    true
}

impl Matcher {
    fn equal(name: &str, value: impl Into<String>) -> Self {
        Self {
            name: name.to_owned(),
            value: value.into(),
            is_regex: false,
            is_equal: true,
        }
    }
}

/// The matchers that mean the alerts that carry a node's id.
pub(crate) fn by_id(node: &NodeId) -> Vec<Matcher> {
    vec![Matcher::equal("node_id", node.as_str())]
}

/// The matchers that mean the alerts of what is scraped at an address, where they carry no node's id, as in the grouped
/// shape of discovery. They say nothing of another organisation's node at the same address.
pub(crate) fn by_place(cluster: &str, org: &OrgId, address: IpAddr) -> Vec<Matcher> {
    let host = match address {
        IpAddr::V4(v4) => v4.to_string(),
        IpAddr::V6(v6) => format!("[{v6}]"),
    };
    let escaped: String = host
        .chars()
        .flat_map(|c| {
            let special = matches!(c, '.' | '[' | ']').then_some('\\');
            special.into_iter().chain([c])
        })
        .collect();
    let instance = Matcher {
        is_regex: true,
        ..Matcher::equal("instance", format!("{escaped}:[0-9]+"))
    };
    // Discovery names every organisation but this one.
    let org = if *org == OrgId::default() {
        ""
    } else {
        org.as_str()
    };
    vec![
        Matcher::equal("cluster", cluster),
        instance,
        // What carries an id is that node's, whatever its address.
        Matcher::equal("node_id", ""),
        Matcher::equal("org", org),
    ]
}

/// A silence as Alertmanager shows it.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Held {
    id: String,
    matchers: Vec<Matcher>,
    starts_at: Timestamp,
    ends_at: Timestamp,
    created_by: String,
    comment: String,
    status: HeldStatus,
}

#[derive(Debug, Clone, Deserialize)]
struct HeldStatus {
    state: String,
}

impl Held {
    fn is_of(&self, wanted: &[Matcher]) -> bool {
        let sorted = |matchers: &[Matcher]| {
            let mut sorted = matchers.to_vec();
            sorted.sort();
            sorted
        };
        sorted(&self.matchers) == sorted(wanted)
    }
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Posted<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<&'a str>,
    matchers: &'a [Matcher],
    starts_at: Timestamp,
    ends_at: Timestamp,
    created_by: &'static str,
    comment: &'a str,
}

#[derive(Debug, Deserialize)]
struct Taken {
    #[serde(rename = "silenceID")]
    id: String,
}

#[derive(Debug, Deserialize)]
struct HeldAlert {
    labels: BTreeMap<String, String>,
    status: HeldStatus,
}

/// An alert it holds, and whether a silence or another alert holds it back.
#[derive(Debug)]
pub(crate) struct Suppressed {
    pub(crate) labels: BTreeMap<String, String>,
    pub(crate) is_suppressed: bool,
}

/// An Alertmanager.
pub(crate) struct Alertmanager(Service);

impl Alertmanager {
    pub(super) const fn new(service: Service) -> Self {
        Self(service)
    }

    /// Sees to it that there is exactly one silence of ours for each set of matchers, that says `comment` and ends
    /// `lasting` from now. What is as it should be already is left alone.
    pub(crate) async fn silence(
        &self,
        wanted: &[Vec<Matcher>],
        comment: &str,
        lasting: Duration,
    ) -> Result<(), ServiceError> {
        for matchers in wanted {
            let (held, their_now) = self.held(matchers).await?;
            // Where its clock is not known, ours has to do.
            let ends_at = their_now.plus(lasting);
            let mut held = held.into_iter();
            let known = held.next();
            let fits = |known: &Held| {
                let off = known.ends_at.since(ends_at).max(ends_at.since(known.ends_at));
                known.comment == comment && off <= CLOSE
            };
            if !known.as_ref().is_some_and(fits) {
                self.post(&Posted {
                    id: known.as_ref().map(|known| known.id.as_str()),
                    matchers,
                    starts_at: known.as_ref().map_or(LONG_AGO, |known| known.starts_at),
                    ends_at,
                    created_by: AUTHOR,
                    comment,
                })
                .await?;
            }
            for further in held {
                self.expire(&further.id).await?;
            }
        }
        Ok(())
    }

    /// Ends all silences of ours for these matchers. None there is no error.
    pub(crate) async fn unsilence(&self, wanted: &[Vec<Matcher>]) -> Result<(), ServiceError> {
        for matchers in wanted {
            for held in self.held(matchers).await?.0 {
                self.expire(&held.id).await?;
            }
        }
        Ok(())
    }

    /// The alerts it holds, and whether each is held back.
    pub(crate) async fn suppressed(&self) -> Result<Vec<Suppressed>, ServiceError> {
        let answer = self
            .0
            .ask(Method::GET, "/api/v2/alerts", None, MOST_ALERTS)
            .await?;
        let alerts: Vec<HeldAlert> = self.0.read(answer.body())?;
        Ok(alerts
            .into_iter()
            .map(|alert| Suppressed {
                labels: alert.labels,
                is_suppressed: alert.status.state == "suppressed",
            })
            .collect())
    }

    /// Our silences for these matchers that have not ended, and what time it is there.
    async fn held(&self, wanted: &[Matcher]) -> Result<(Vec<Held>, Timestamp), ServiceError> {
        let mut path = "/api/v2/silences".to_owned();
        for (number, matcher) in wanted.iter().enumerate() {
            let sign = if number == 0 { '?' } else { '&' };
            // The filter finds matchers that say exactly the same, also where that is a pattern.
            let value = matcher.value.replace('\\', "\\\\").replace('"', "\\\"");
            let operator = match (matcher.is_equal, matcher.is_regex) {
                (true, false) => "=",
                (true, true) => "=~",
                (false, false) => "!=",
                (false, true) => "!~",
            };
            let filter = format!("{}{operator}\"{value}\"", matcher.name);
            path.push_str(&format!("{sign}filter={}", encoded(&filter)));
        }
        let answer = self.0.ask(Method::GET, &path, None, MOST).await?;
        let date = answer.headers().get(header::DATE);
        let their_now = date
            .and_then(|date| aami_api::date::http_date(date.to_str().ok()?))
            .ok_or_else(|| ServiceError::Answer {
                service: self.0.name,
                why: "it does not say what time it is".to_owned(),
            })?;
        let mut held: Vec<Held> = self.0.read(answer.body())?;
        held.retain(|one| one.created_by == AUTHOR && one.status.state != "expired" && one.is_of(wanted));
        // The one that lasts longest is kept where there are several.
        held.sort_by_key(|one| std::cmp::Reverse(one.ends_at));
        Ok((held, their_now))
    }

    async fn post(&self, posted: &Posted<'_>) -> Result<(), ServiceError> {
        let body = Bytes::from(serde_json::to_vec(posted).unwrap_or_default());
        let answer = self
            .0
            .ask(
                Method::POST,
                "/api/v2/silences",
                Some(("application/json", body)),
                MOST,
            )
            .await?;
        let taken: Taken = self.0.read(answer.body())?;
        tracing::debug!(silence = %taken.id, "Alertmanager took a silence");
        Ok(())
    }

    async fn expire(&self, id: &str) -> Result<(), ServiceError> {
        let path = format!("/api/v2/silence/{}", encoded(id));
        match self.0.ask(Method::DELETE, &path, None, MOST).await {
            // Gone, or ended meanwhile: as wanted.
            Err(error) if error.is_about_the_question() => Ok(()),
            other => other.map(drop),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_nodes_alerts_are_known_by_its_id_or_by_where_it_is_scraped() {
        assert_eq!(by_id(&"n1".parse().unwrap()), [Matcher::equal("node_id", "n1")]);
        let place =
            |org: &str, address: &str| by_place("prod", &org.parse().unwrap(), address.parse().unwrap());
        let v4 = place("default", "10.0.0.1");
        assert_eq!(v4[0], Matcher::equal("cluster", "prod"));
        assert_eq!(v4[1].value, r"10\.0\.0\.1:[0-9]+");
        assert_eq!(
            v4[2..],
            [Matcher::equal("node_id", ""), Matcher::equal("org", "")]
        );
        let v6 = place("acme", "fd00::1");
        assert_eq!(v6[1].value, r"\[fd00::1\]:[0-9]+");
        assert_eq!(v6[3], Matcher::equal("org", "acme"));
    }

    #[test]
    fn a_silence_is_ours_whatever_the_order_of_its_matchers() {
        let wanted = by_place("prod", &OrgId::default(), "10.0.0.1".parse().unwrap());
        let held: Held = serde_json::from_value(serde_json::json!({
            "id": "a", "createdBy": "aami", "comment": "c", "updatedAt": "2026-01-01T00:00:00.000Z",
            "startsAt": "2026-01-01T00:00:00.000Z", "endsAt": "2026-01-02T00:00:00.000Z",
            "status": { "state": "active" },
            "matchers": [
                { "name": "instance", "value": r"10\.0\.0\.1:[0-9]+", "isRegex": true },
                { "name": "org", "value": "", "isRegex": false, "isEqual": true },
                { "name": "node_id", "value": "", "isRegex": false },
                { "name": "cluster", "value": "prod", "isRegex": false, "isEqual": true },
            ],
        }))
        .unwrap();
        assert!(held.is_of(&wanted));
        assert!(!held.is_of(&wanted[..1]));
    }
}
