//! Prometheus remote write 1.0: a `prometheus.WriteRequest` in protobuf, in one snappy block.
//!
//! The messages are those of the specification, <https://prometheus.io/docs/specs/prw/remote_write_spec/>,
//! section Protocol: only what it sends, tags 1 and 2.

use std::collections::BTreeMap;

use aami_install::render::Sample;
use prost::Message;

#[derive(Clone, PartialEq, Message)]
struct WriteRequest {
    #[prost(message, repeated, tag = "1")]
    timeseries: Vec<TimeSeries>,
}

#[derive(Clone, PartialEq, Message)]
struct TimeSeries {
    #[prost(message, repeated, tag = "1")]
    labels: Vec<Label>,
    #[prost(message, repeated, tag = "2")]
    samples: Vec<Point>,
}

#[derive(Clone, PartialEq, Message)]
struct Label {
    #[prost(string, tag = "1")]
    name: String,
    #[prost(string, tag = "2")]
    value: String,
}

#[derive(Clone, PartialEq, Message)]
struct Point {
    #[prost(double, tag = "1")]
    value: f64,
    /// Milliseconds since 1970.
    #[prost(int64, tag = "2")]
    timestamp: i64,
}

fn message(samples: &[Sample]) -> WriteRequest {
    // Labels sorted by name, `__name__` among them (an underscore comes before every letter); samples of a
    // series in the order of time. Both are what the specification asks for.
    let mut series: BTreeMap<Vec<(&str, &str)>, Vec<Point>> = BTreeMap::new();
    for sample in samples {
        let mut labels = vec![("__name__", sample.name)];
        // An empty label is none, and may not be sent.
        let given = sample.labels.iter().filter(|(_, value)| !value.is_empty());
        labels.extend(given.map(|(name, value)| (*name, value.as_str())));
        labels.sort_unstable();
        series.entry(labels).or_default().push(Point {
            value: sample.value,
            timestamp: sample.at.millis(),
        });
    }
    let timeseries = series
        .into_iter()
        .map(|(labels, mut samples)| {
            samples.sort_by_key(|point| point.timestamp);
            let labels = labels.into_iter().map(|(name, value)| Label {
                name: name.to_owned(),
                value: value.to_owned(),
            });
            TimeSeries {
                labels: labels.collect(),
                samples,
            }
        })
        .collect();
    WriteRequest { timeseries }
}

/// The headers the specification demands beside the content type.
pub(super) const HEADERS: [(&str, &str); 2] = [
    ("content-encoding", "snappy"),
    ("x-prometheus-remote-write-version", "0.1.0"),
];
pub(super) const CONTENT_TYPE: &str = "application/x-protobuf";

/// The body of a request. `None` where a block would be longer than snappy can say, which a batch never is.
pub(super) fn body(samples: &[Sample]) -> Option<Vec<u8>> {
    let bytes = message(samples).encode_to_vec();
    snap::raw::Encoder::new().compress_vec(&bytes).ok()
}

#[cfg(test)]
mod tests {
    use super::super::standing::Standing;
    use super::super::standing::tests::{a_run, origin};
    use super::*;

    #[test]
    fn the_bytes_are_those_of_the_specification() {
        let sample = Sample {
            name: "up",
            labels: vec![("cluster", "prod".into()), ("host", String::new())],
            value: 1.0,
            at: aami_model::Timestamp::from_millis(300),
        };
        // Written down by hand from the wire format: field 1 (series), 37 bytes; its field 1 (label), twice;
        // its field 2 (sample): a double, little endian, and the varint 300.
        let mut wanted = vec![0x0a, 44];
        wanted.extend_from_slice(b"\x0a\x0e\x0a\x08__name__\x12\x02up");
        wanted.extend_from_slice(b"\x0a\x0f\x0a\x07cluster\x12\x04prod");
        wanted.extend_from_slice(b"\x12\x0c\x09\x00\x00\x00\x00\x00\x00\xf0\x3f\x10\xac\x02");
        wanted[1] = u8::try_from(wanted.len() - 2).unwrap();
        let block = body(&[sample]).unwrap();
        assert_eq!(snap::raw::Decoder::new().decompress_vec(&block).unwrap(), wanted);
    }

    #[test]
    fn labels_are_sorted_without_empty_ones_and_samples_go_forward() {
        let mut standing = Standing::default();
        let samples: Vec<Sample> = a_run()
            .iter()
            .flat_map(|event| standing.take(event, &origin()))
            .collect();
        let request = message(&samples);
        for series in &request.timeseries {
            let names: Vec<&str> = series.labels.iter().map(|label| label.name.as_str()).collect();
            assert!(names.is_sorted() && names[0] == "__name__", "{names:?}");
            assert!(series.labels.iter().all(|label| !label.value.is_empty()));
            assert!(series.samples.is_sorted_by_key(|point| point.timestamp));
        }
        let points: usize = request.timeseries.iter().map(|series| series.samples.len()).sum();
        assert_eq!(points, samples.len());
    }
}
