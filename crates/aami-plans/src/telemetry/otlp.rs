//! OTLP over HTTP in its JSON encoding: an `ExportMetricsServiceRequest`.
//!
//! <https://opentelemetry.io/docs/specs/otlp/#json-protobuf-encoding>: names in lowerCamelCase, 64-bit integers
//! as decimal strings. Gauges, since none of our numbers is a sum.

use aami_install::render::{Sample, families};
use serde_json::{Value, json};

pub(super) const CONTENT_TYPE: &str = "application/json";
/// Where metrics go on a collector whose address has no path.
pub(super) const PATH: &str = "/v1/metrics";

fn attribute(name: &str, value: &str) -> Value {
    json!({ "key": name, "value": { "stringValue": value } })
}

/// The unit a name ends with, in UCUM's letters, as OpenTelemetry wants it; most of ours have none.
fn unit(name: &str) -> &'static str {
    if name.ends_with("_seconds") { "s" } else { "1" }
}

/// The body of a request.
pub(super) fn body(samples: &[Sample]) -> Vec<u8> {
    let metrics: Vec<Value> = families()
        .into_iter()
        .filter_map(|family| {
            let points: Vec<Value> = samples
                .iter()
                .filter(|sample| sample.name == family.name)
                .map(|sample| {
                    let nanos = i128::from(sample.at.millis()) * 1_000_000;
                    let attributes: Vec<Value> = sample
                        .labels
                        .iter()
                        .filter(|(_, value)| !value.is_empty())
                        .map(|(name, value)| attribute(name, value))
                        .collect();
                    json!({
                        "attributes": attributes,
                        "timeUnixNano": nanos.max(0).to_string(),
                        "asDouble": sample.value,
                    })
                })
                .collect();
            (!points.is_empty()).then(|| {
                json!({
                    "name": family.name, "description": family.help, "unit": unit(family.name),
                    "gauge": { "dataPoints": points },
                })
            })
        })
        .collect();
    let request = json!({ "resourceMetrics": [{
        "resource": { "attributes": [attribute("service.name", "aami-install")] },
        "scopeMetrics": [{
            "scope": { "name": "aami", "version": env!("CARGO_PKG_VERSION") },
            "metrics": metrics,
        }],
    }] });
    serde_json::to_vec(&request).unwrap_or_default()
}

/// How many points an accepted request left out, and why (`ExportMetricsPartialSuccess`). The number may come
/// as a string or as a number: both are JSON for a 64-bit integer.
pub(super) fn left_out(answer: &[u8]) -> Option<(u64, String)> {
    let answer: Value = serde_json::from_slice(answer).ok()?;
    let partial = answer.get("partialSuccess")?;
    let rejected = partial.get("rejectedDataPoints")?;
    let rejected = rejected
        .as_u64()
        .or_else(|| rejected.as_str()?.parse().ok())
        .filter(|rejected| *rejected > 0)?;
    let why = partial.get("errorMessage").and_then(Value::as_str);
    Some((rejected, why.unwrap_or_default().to_owned()))
}

#[cfg(test)]
mod tests {
    use aami_model::Timestamp;

    use super::*;

    #[test]
    fn a_request_is_shaped_as_the_protocol_says() {
        let sample = Sample {
            name: "aami_install_step_status",
            labels: vec![
                ("cluster", "prod".into()),
                ("host", "gpu-01".into()),
                ("plan", "node".into()),
                ("step", "verify".into()),
            ],
            value: 3.0,
            at: Timestamp::from_millis(1_800_000_000_123),
        };
        let body: Value = serde_json::from_slice(&body(&[sample])).unwrap();
        let metric = &body["resourceMetrics"][0]["scopeMetrics"][0]["metrics"][0];
        assert_eq!(metric["name"], "aami_install_step_status");
        assert_eq!(
            metric["gauge"]["dataPoints"],
            json!([{
                "attributes": [
                    { "key": "cluster", "value": { "stringValue": "prod" } },
                    { "key": "host", "value": { "stringValue": "gpu-01" } },
                    { "key": "plan", "value": { "stringValue": "node" } },
                    { "key": "step", "value": { "stringValue": "verify" } },
                ],
                "timeUnixNano": "1800000000123000000",
                "asDouble": 3.0,
            }])
        );
    }

    #[test]
    fn what_a_collector_leaves_out_is_read_in_both_spellings() {
        let read = |text: &str| left_out(text.as_bytes());
        assert_eq!(read("{}"), None);
        assert_eq!(read(r#"{"partialSuccess":{}}"#), None);
        assert_eq!(
            read(r#"{"partialSuccess":{"rejectedDataPoints":"2","errorMessage":"old"}}"#),
            Some((2, "old".into()))
        );
        assert_eq!(
            read(r#"{"partialSuccess":{"rejectedDataPoints":2}}"#),
            Some((2, String::new()))
        );
    }
}
