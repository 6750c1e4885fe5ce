//! Prometheus, asked which scrape targets are up, and what alerts. <https://prometheus.io/docs/prometheus/2.42/querying/api/>

use std::collections::{BTreeMap, HashMap};

use aami_api::url::encoded;
use bytes::Bytes;
use http::Method;
use serde::Deserialize;

use super::{Service, ServiceError};

/// How long its answer may be: a target is about a hundred bytes of it.
const MOST: usize = 32 * 1024 * 1024;

/// How long its list of alerts may be: one is about a kilobyte of it.
const MOST_ALERTS: usize = 16 * 1024 * 1024;

/// The answer to an instant query.
#[derive(Debug, Deserialize)]
struct Answer {
    status: String,
    data: Option<Data>,
    #[serde(default)]
    error: String,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Data {
    result_type: String,
    result: Vec<Sample>,
}

#[derive(Debug, Deserialize)]
struct Sample {
    metric: Metric,
    /// Time, then the value as a text.
    value: (f64, String),
}

#[derive(Debug, Deserialize)]
struct Metric {
    instance: Option<String>,
}

#[derive(Debug, Deserialize)]
struct AlertsAnswer {
    data: AlertsData,
}

#[derive(Debug, Deserialize)]
struct AlertsData {
    alerts: Vec<Alert>,
}

/// One alert, as it tells of it.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Alert {
    pub(crate) labels: BTreeMap<String, String>,
    #[serde(default)]
    pub(crate) annotations: BTreeMap<String, String>,
    pub(crate) state: String,
    pub(crate) active_at: Option<String>,
    #[serde(default)]
    pub(crate) value: String,
}

/// A Prometheus.
pub(crate) struct Prometheus {
    service: Service,
}

/// The question. What an exporter itself calls `up` has labels besides the target's, and no duration of a scrape.
///
/// A cluster's name needs no escaping: its letters are few.
fn query(cluster: &str) -> String {
    let of = format!("{{cluster=\"{cluster}\"}}");
    format!("max by (instance) (up{of} and scrape_duration_seconds{of})")
}

impl Prometheus {
    pub(super) const fn new(service: Service) -> Self {
        Self { service }
    }

    /// Which targets of this cluster it scrapes, as `address:port`, and whether they answered last. One that is not
    /// named here is unknown to it, or it says neither.
    pub(crate) async fn up(&self, cluster: &str) -> Result<HashMap<String, bool>, ServiceError> {
        let query = Bytes::from(format!("query={}", encoded(&query(cluster))));
        let body = ("application/x-www-form-urlencoded", query);
        let answer = self
            .service
            .ask(Method::POST, "/api/v1/query", Some(body), MOST)
            .await?;
        self.read(answer.body())
    }

    /// What is pending or fires.
    pub(crate) async fn alerts(&self) -> Result<Vec<Alert>, ServiceError> {
        let answer = self
            .service
            .ask(Method::GET, "/api/v1/alerts", None, MOST_ALERTS)
            .await?;
        let answer: AlertsAnswer = self.service.read(answer.body())?;
        Ok(answer.data.alerts)
    }

    fn read(&self, body: &[u8]) -> Result<HashMap<String, bool>, ServiceError> {
        let answer: Answer = self.service.read(body)?;
        let wrong = |why: String| ServiceError::Answer {
            service: self.service.name,
            why,
        };
        let data = match answer.data {
            Some(data) if answer.status == "success" && data.result_type == "vector" => data,
            _ => return Err(wrong(crate::notify::wire::harmless(&answer.error))),
        };
        let mut up = HashMap::with_capacity(data.result.len());
        for sample in data.result {
            let Some(instance) = sample.metric.instance else {
                continue;
            };
            let is_up = match sample.value.1.as_str() {
                "1" => true,
                "0" => false,
                // Whatever it is, it is about nobody else.
                _ => continue,
            };
            up.insert(instance, is_up);
        }
        Ok(up)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn prometheus() -> Prometheus {
        Prometheus::new(Service {
            name: "Prometheus",
            terms: Err(String::new()),
            authorization: None,
        })
    }

    #[test]
    fn what_it_says_is_read_target_by_target_and_what_is_neither_says_nothing() {
        let body = br#"{"status":"success","data":{"resultType":"vector","result":[
            {"metric":{"instance":"10.0.0.1:9100"},"value":[1.5,"1"]},
            {"metric":{"instance":"10.0.0.2:9100"},"value":[1.5,"0"]},
            {"metric":{"instance":"10.0.0.3:9100"},"value":[1.5,"5"]},
            {"metric":{"instance":"10.0.0.4:9100"},"value":[1.5,"NaN"]},
            {"metric":{},"value":[1.5,"1"]}]}}"#;
        let up = prometheus().read(body).unwrap();
        assert_eq!(
            (up.len(), up["10.0.0.1:9100"], up["10.0.0.2:9100"]),
            (2, true, false)
        );
    }

    #[test]
    fn what_is_no_answer_is_no_answer_about_any_node() {
        for body in [
            "",
            "<html>",
            "[]",
            "{}",
            r#"{"status":"error","error":"query timed out"}"#,
            r#"{"status":"success","data":{"resultType":"matrix","result":[]}}"#,
            r#"{"status":"success","data":{"resultType":"vector","result":[{"metric":{"instance":"a:1"},"value":["1"]}]}}"#,
        ] {
            assert!(prometheus().read(body.as_bytes()).is_err(), "{body}");
        }
    }
}
