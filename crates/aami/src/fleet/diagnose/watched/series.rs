//! Whether what comes of the targets is called as rules expect it, and is fresh.

use std::collections::BTreeMap;

use aami_model::code;

use super::{Scene, unanswered};
use crate::fleet::diagnose::{Hop, Link, Standing};
use crate::fleet::engines::Value;

impl Scene<'_> {
    pub(super) fn labels(&self) -> Link {
        let mut wrong = Vec::new();
        let mut odd = Vec::new();
        for (at, target) in self.found.iter().enumerate() {
            let Some(target) = target else {
                continue;
            };
            let job = self.subject.exporters[at].kind.job();
            let identity = [("node", self.subject.node.as_str()), ("job", job)];
            let cluster = self
                .subject
                .labels
                .get("cluster")
                .map(|cluster| ("cluster", cluster.as_str()));
            for (name, wanted) in identity.into_iter().chain(cluster) {
                if target.label(name) != wanted {
                    wrong.push(format!(
                        "{}: {}",
                        self.called(at),
                        differing(name, target.label(name), wanted)
                    ));
                }
            }
            let own = self.subject.labels.iter().filter(|(name, _)| *name != "cluster");
            for (name, wanted) in own.filter(|(name, wanted)| target.label(name) != **wanted) {
                odd.push(format!(
                    "{}: {}",
                    self.called(at),
                    differing(name, target.label(name), wanted)
                ));
            }
        }
        let link = match (wrong.first(), odd.first()) {
            (Some(first), _) => Link::broken(
                Hop::Labels,
                code::TARGET_LABELS_WRONG,
                format!("rules do not find the node by its labels: {first}"),
            )
            .next("aami diff --full"),
            (None, Some(first)) => Link::new(
                Hop::Labels,
                Standing::Warning,
                format!("its own labels are not what is declared: {first}"),
            )
            .coded(code::TARGET_LABELS_WRONG)
            .next("aami diff --full"),
            (None, None) => Link::ok(Hop::Labels, "node, job and cluster are as rules expect them"),
        };
        wrong
            .into_iter()
            .chain(odd)
            .fold(link, |link, one| link.seen(one, self.url))
    }

    pub(super) fn samples(&self) -> Link {
        let node = &self.subject.node;
        let engine = &self.watcher.prometheus;
        let up = format!("up{{node=\"{node}\"}}");
        let age = format!("time() - timestamp({up})");
        let read = format!("{}/api/v1/query of {up}", engine.url());
        let (up, age) = match (engine.query(&up), engine.query(&age)) {
            (Ok(up), Ok(age)) => (up, age),
            (Err(error), _) | (_, Err(error)) => return unanswered(Hop::Samples, &error, &read),
        };
        let longest = self.watcher.interval.as_secs_f64() * 4.0;
        let mut broken = None;
        let mut told = Vec::new();
        for at in (0..self.addresses.len()).filter(|at| self.sound[*at]) {
            let called = self.called(at);
            // By what its target is called, which may not be where it is.
            let of = |samples: &[Value]| {
                let target = self.found[at]?;
                value_of(samples, target.label("instance"), target.label("job"))
            };
            let why = match (of(&up), of(&age)) {
                (None, _) | (_, None) => format!("there is no sample of {called}"),
                (Some(up), Some(age)) => {
                    told.push(format!("{called}: up is {up}, {age:.0} s old"));
                    if up < 0.5 {
                        format!("{called} was down when it was last scraped")
                    } else if age > longest {
                        format!("the last sample of {called} is {age:.0} s old")
                    } else {
                        continue;
                    }
                }
            };
            broken = broken.or(Some(why));
        }
        let link = match broken {
            Some(why) => Link::broken(Hop::Samples, code::NODE_NOT_SCRAPED, why).next(format!(
                "curl -sSG {}/api/v1/query --data-urlencode 'query=up{{node=\"{node}\"}}'",
                engine.url()
            )),
            None => Link::ok(Hop::Samples, "there are samples, and they are fresh"),
        };
        told.into_iter().fold(link, |link, one| link.seen(one, &read))
    }
}

/// The value of the series of this instance and job.
fn value_of(samples: &[Value], instance: &str, job: &str) -> Option<f64> {
    let has = |labels: &BTreeMap<String, String>, name: &str, value: &str| {
        labels.get(name).is_some_and(|text| text == value)
    };
    let fits = |(labels, _): &&Value| has(labels, "instance", instance) && has(labels, "job", job);
    samples.iter().find(fits).map(|(_, value)| *value)
}

fn differing(name: &str, is: &str, wanted: &str) -> String {
    if is.is_empty() {
        format!("it has no label {name}, which should be {wanted:?}")
    } else {
        format!("its label {name} is {is:?}, and should be {wanted:?}")
    }
}
