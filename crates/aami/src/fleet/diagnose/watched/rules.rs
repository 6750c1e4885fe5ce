//! Whether the rules that are wanted are loaded, and what fires about the node.

use aami_model::code;
use aami_plans::rules::compared;

use super::unanswered;
use crate::fleet::diagnose::{Hop, Link, Standing, Subject, Watcher};
use crate::fleet::engines::Engine;
use crate::fleet::health::some_of;

pub(super) fn rules(subject: &Subject, watcher: &Watcher) -> Link {
    let engine: &Engine = &watcher.prometheus;
    let url = format!("{}/api/v1/rules", engine.url());
    let files = match &subject.rules {
        Ok(files) => files,
        Err(why) => return Link::new(Hop::Rules, Standing::Unknown, why.clone()),
    };
    let loaded = match engine.rules_alone() {
        Ok(loaded) => loaded,
        Err(error) => return unanswered(Hop::Rules, &error, &url),
    };
    let told = compared(&loaded, None, files);
    let some = |all: &[String]| some_of(all.iter().map(String::as_str));
    let reapply = (told.files.iter())
        .find_map(|name| name.strip_prefix("aami-preset-")?.strip_suffix(".yaml"))
        .map_or_else(
            || "aami diff".to_owned(),
            |preset| format!("aami alerts apply-preset {preset}"),
        );
    let mut link = if !told.missing.is_empty() {
        let sentence = format!("Prometheus has not loaded {}", some(&told.missing));
        Link::broken(Hop::Rules, code::ALERT_RULES_NOT_LOADED, sentence)
            .seen(format!("{} are not there", told.missing.len()), &url)
            .next(reapply)
    } else if !told.failing.is_empty() {
        let sentence = format!("Prometheus cannot evaluate {}", some(&told.failing));
        Link::broken(Hop::Rules, code::ALERT_RULES_NOT_LOADED, sentence)
            .seen(some(&told.failing), &url)
            .next("aami alerts list")
    } else if files.is_empty() {
        Link::new(
            Hop::Rules,
            Standing::Warning,
            "no rules are wanted, so nothing alerts about it",
        )
        .next("aami alerts apply-preset gpu-production")
    } else {
        Link::ok(
            Hop::Rules,
            "every rule that is wanted is loaded and can be evaluated",
        )
        .seen(format!("{} alerts of {} files", told.loaded, files.len()), &url)
    };
    let firing = format!("ALERTS{{alertstate=\"firing\",node=\"{}\"}}", subject.node);
    if let Ok(samples) = engine.query(&firing) {
        let names = samples.iter().filter_map(|(labels, _)| labels.get("alertname"));
        let names = some_of(names.map(String::as_str));
        let told = if names.is_empty() {
            "no alert about the node fires".to_owned()
        } else {
            format!("firing about the node: {names}")
        };
        link = link.seen(told, format!("{}/api/v1/query of ALERTS", engine.url()));
    }
    link
}
