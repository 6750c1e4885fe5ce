//! Prometheus, asked which scrape targets are up. <https://prometheus.io/docs/prometheus/2.42/querying/api/>

use std::collections::HashMap;

use aami_api::url::encoded;
use bytes::Bytes;
use http::Method;
use serde::Deserialize;

use super::{Service, ServiceError};
use crate::config::Config;

/// How long its answer may be: a target is about a hundred bytes of it.
const MOST: usize = 32 * 1024 * 1024;

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

/// A Prometheus.
pub(crate) struct Prometheus {
    service: Service,
    query: Bytes,
}

impl Prometheus {
    pub(super) fn new(service: Service, config: &Config) -> Self {
        // A cluster's name needs no escaping: its letters are few.
        let query = format!("max by (instance) (up{{cluster=\"{}\"}})", config.cluster);
        Self {
            service,
            query: Bytes::from(format!("query={}", encoded(&query))),
        }
    }

    /// Which targets it scrapes, as `address:port`, and whether they answered last. One that is not named here is
    /// unknown to it.
    pub(crate) async fn up(&self) -> Result<HashMap<String, bool>, ServiceError> {
        let body = ("application/x-www-form-urlencoded", self.query.clone());
        let answer = self
            .service
            .ask(Method::POST, "/api/v1/query", Some(body), MOST)
            .await?;
        self.read(answer.body())
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
                other => {
                    let shown = crate::notify::wire::harmless(other);
                    return Err(wrong(format!("up is 0 or 1, not {shown}")));
                }
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
        let service = Service {
            name: "Prometheus",
            terms: Err(String::new()),
            authorization: None,
        };
        Prometheus::new(service, &Config::for_data_dir("/nowhere").unwrap())
    }

    #[test]
    fn what_it_says_is_read_target_by_target() {
        let body = br#"{"status":"success","data":{"resultType":"vector","result":[
            {"metric":{"instance":"10.0.0.1:9100"},"value":[1.5,"1"]},
            {"metric":{"instance":"10.0.0.2:9100"},"value":[1.5,"0"]},
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
            r#"{"status":"success","data":{"resultType":"vector","result":[{"metric":{"instance":"a:1"},"value":[1,"NaN"]}]}}"#,
            r#"{"status":"success","data":{"resultType":"vector","result":[{"metric":{"instance":"a:1"},"value":["1"]}]}}"#,
        ] {
            assert!(prometheus().read(body.as_bytes()).is_err(), "{body}");
        }
    }
}
