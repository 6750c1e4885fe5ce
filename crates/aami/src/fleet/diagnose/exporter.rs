//! Exporters: whether each answers with metrics, with those that rules look at, in time; and what time it is there.

use std::collections::{BTreeMap, BTreeSet};

use aami_model::exporter::ExporterKind;
use aami_model::{Code, code};

use super::page::{self, Fetched, Page};
use super::reach::{Measured, exec, unit};
use super::wire::Wire;
use super::{Hop, Link, Probed, Standing};

/// By how much a clock may be wrong, in seconds: two scrapes.
const SKEW: f64 = 30.0;
/// How many series are named.
const NAMED: usize = 6;

/// What became of one exporter.
pub(super) struct Judged {
    /// `dcgm on 10.0.0.7:9400`.
    called: String,
    /// Where its page is.
    url: String,
    outcome: Outcome,
}

enum Outcome {
    /// It answers as it should; what is worth knowing.
    Sound(Vec<String>),
    /// It does not.
    Bad {
        code: Code,
        sentence: String,
        measured: String,
        next: String,
    },
    /// It could not be connected to.
    Apart,
}

impl Judged {
    /// Whether Prometheus should be able to scrape it.
    pub(super) const fn is_sound(&self) -> bool {
        matches!(self.outcome, Outcome::Sound(_))
    }
}

/// Judges each exporter. `wanted` are the series that rules look at, with the alerts that do.
pub(super) fn judge(
    measured: &Measured<'_>,
    wanted: &BTreeMap<String, BTreeSet<String>>,
    node: &str,
) -> Vec<Judged> {
    let one = |probed: &Probed<'_>| Judged {
        called: probed.called(),
        url: format!("http://{}{}", probed.at, probed.exporter.metrics_path),
        outcome: outcome(probed, measured.who, wanted, node),
    };
    measured.exporters.iter().map(one).collect()
}

/// The hop, from what became of each.
pub(super) fn link(judged: &[Judged]) -> Link {
    let apart = judged.iter().all(|one| matches!(one.outcome, Outcome::Apart));
    if apart {
        return Link::skipped(Hop::Exporter, "no exporter can be connected to");
    }
    let bad = judged.iter().find_map(|one| match &one.outcome {
        Outcome::Bad {
            code, sentence, next, ..
        } => Some((*code, sentence, next)),
        Outcome::Sound(_) | Outcome::Apart => None,
    });
    let mut link = match bad {
        Some((code, sentence, next)) => {
            Link::broken(Hop::Exporter, code, sentence.as_str()).next(next.as_str())
        }
        None => {
            let names: Vec<&str> = (judged.iter())
                .filter(|one| one.is_sound())
                .map(|one| one.called.as_str())
                .collect();
            Link::ok(Hop::Exporter, format!("{} with metrics", answering(&names)))
        }
    };
    for one in judged {
        match &one.outcome {
            Outcome::Sound(facts) => {
                for fact in facts {
                    link = link.seen(format!("{}: {fact}", one.called), &one.url);
                }
            }
            Outcome::Bad { measured, .. } => {
                link = link.seen(format!("{}: {measured}", one.called), &one.url);
            }
            Outcome::Apart => {}
        }
    }
    link
}

fn answering(names: &[&str]) -> String {
    match names {
        [one] => format!("{one} answers"),
        several => format!("{} answer", several.join(", ")),
    }
}

fn outcome(
    probed: &Probed<'_>,
    who: Option<&str>,
    wanted: &BTreeMap<String, BTreeSet<String>>,
    node: &str,
) -> Outcome {
    if !matches!(probed.reached(), Wire::Open(_)) {
        return Outcome::Apart;
    }
    let url = format!("http://{}{}", probed.at, probed.exporter.metrics_path);
    let fetch = format!("curl -sS -m 10 {url} | head");
    let bad = |code, sentence: String, measured: String, next: String| Outcome::Bad {
        code,
        sentence: format!("{}: {sentence}", probed.called()),
        measured,
        next,
    };
    // Whoever scrapes it sees it fail; what this machine sees is beside the point.
    if let Some(probe) = probed.elsewhere.filter(|probe| !probe.ok) {
        let sentence = format!(
            "it does not answer {} with metrics",
            who.unwrap_or("another machine")
        );
        return bad(code::NOT_METRICS, sentence, probe.detail.clone(), fetch);
    }
    let logs = match unit(probed.exporter.kind) {
        Some(unit) => exec(node, &format!("journalctl -n 50 -u {unit}")),
        None => fetch.clone(),
    };
    match &probed.page {
        Some(Fetched::Page(page)) => on_page(probed, page, wanted, node, &logs, &fetch),
        _ if probed.elsewhere.is_some_and(|probe| probe.ok) => {
            Outcome::Sound(vec!["metrics, as the control plane sees it".to_owned()])
        }
        Some(Fetched::Status {
            status,
            redirect,
            said,
        }) => {
            let to = redirect
                .as_ref()
                .map(|to| format!(", to {to}"))
                .unwrap_or_default();
            bad(
                code::NOT_METRICS,
                format!("it answers with HTTP status {status}{to}"),
                format!("HTTP {status}{to}: {said}"),
                logs,
            )
        }
        Some(Fetched::Slow { after, bytes }) => bad(
            code::EXPORTER_SLOW,
            format!("its page is not at its end within {} s", after.as_secs()),
            format!("{bytes} bytes in {:.1} s, and no end", after.as_secs_f32()),
            logs,
        ),
        Some(Fetched::Broken(why)) => bad(
            code::NOT_METRICS,
            "it answers, and not as an HTTP server".to_owned(),
            why.clone(),
            exec(node, &format!("ss -ltnp 'sport = :{}'", probed.exporter.port)),
        ),
        None => Outcome::Apart,
    }
}

fn on_page(
    probed: &Probed<'_>,
    page: &Page,
    wanted: &BTreeMap<String, BTreeSet<String>>,
    node: &str,
    logs: &str,
    fetch: &str,
) -> Outcome {
    let size = format!(
        "{} samples, {} bytes in {} ms",
        page.seen.samples,
        page.bytes,
        page.took.as_millis()
    );
    let bad = |code, sentence: &str, measured: String, next: &str| Outcome::Bad {
        code,
        sentence: format!("{}: {sentence}", probed.called()),
        measured,
        next: next.to_owned(),
    };
    if page.is_too_long {
        return bad(
            code::NOT_METRICS,
            &format!(
                "its page is longer than {} MiB, if it has an end at all",
                page::LONGEST >> 20
            ),
            size,
            logs,
        );
    }
    if let Some(line) = &page.seen.bad {
        let measured = format!(
            "line {} is {:?}; it says it is {:?}",
            line.line, line.text, page.kind
        );
        let sentence = format!("it answers, and not with metrics from line {} on", line.line);
        return bad(code::NOT_METRICS, &sentence, measured, fetch);
    }
    let prefix = page::prefix(probed.exporter.kind);
    if page.seen.samples == 0 {
        return bad(code::NOT_METRICS, "its page is empty", size, logs);
    }
    if page.seen.own == 0 {
        let next = match probed.exporter.kind {
            ExporterKind::DcgmExporter | ExporterKind::AllSmi => {
                format!("aami nodes exec {node} -- nvidia-smi")
            }
            ExporterKind::NodeExporter | ExporterKind::Aami | ExporterKind::Custom => fetch.to_owned(),
        };
        let sentence = format!("none of its series begins with {prefix}, so no rule about it can fire");
        return bad(code::SERIES_MISSING, &sentence, size, &next);
    }
    let mut facts = vec![size];
    if !prefix.is_empty() {
        let needed = || wanted.keys().filter(|name| name.starts_with(prefix));
        let missing: Vec<&str> = needed()
            .filter(|name| !page.seen.found.contains(*name))
            .map(String::as_str)
            .collect();
        let count = needed().count();
        if count > 0 {
            facts.push(format!(
                "{} of {count} series that rules look at",
                count - missing.len()
            ));
        }
        if !missing.is_empty() {
            let more = missing.len().saturating_sub(NAMED);
            let named: Vec<&str> = missing.into_iter().take(NAMED).collect();
            let more = if more > 0 {
                format!(" and {more} more")
            } else {
                String::new()
            };
            facts.push(format!(
                "not there, as on hosts without what they tell of: {}{more}",
                named.join(", ")
            ));
        }
    }
    Outcome::Sound(facts)
}

/// The clock of the host, as its node_exporter tells it.
pub(super) fn clock(measured: &Measured<'_>) -> Link {
    let told = measured.exporters.iter().find_map(|probed| match &probed.page {
        Some(Fetched::Page(page)) => Some((probed, page.ahead?)),
        _ => None,
    });
    let Some((probed, ahead)) = told else {
        return Link::skipped(Hop::Clock, "no exporter tells the time; node_exporter would");
    };
    let url = format!(
        "node_time_seconds of http://{}{}",
        probed.at, probed.exporter.metrics_path
    );
    let by = format!(
        "{:.1} s {} this machine's",
        ahead.abs(),
        if ahead < 0.0 { "behind" } else { "ahead of" }
    );
    if ahead.abs() <= SKEW {
        return Link::ok(Hop::Clock, "its clock is right").seen(by, url);
    }
    Link::new(
        Hop::Clock,
        Standing::Warning,
        format!("its clock is {by}: what is told with a time of its own is refused or misread"),
    )
    .coded(code::CLOCK_SKEW)
    .seen(by, url)
    .next("timedatectl")
}
