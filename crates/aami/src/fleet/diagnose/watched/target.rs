//! Whether Prometheus scrapes the exporters, and where it does not, why.

use std::time::Duration;

use aami_model::code;

use super::{Scene, not_listed, worst};
use crate::fleet::diagnose::{Hop, Link, Listed, Standing};
use crate::fleet::engines::LoadedTarget;

/// A list that is younger may not have been read yet.
const YOUNG: Duration = Duration::from_secs(30);

impl Scene<'_> {
    pub(super) fn target(&self, elsewhere: Option<&LoadedTarget>, dropped: &[LoadedTarget]) -> Link {
        let missing = (self.found.iter().enumerate())
            .filter(|(_, target)| target.is_none())
            .map(|(at, _)| self.not_loaded(at, elsewhere, dropped));
        worst(missing.chain(std::iter::once(self.loaded())))
    }

    /// Those exporters that are targets.
    fn loaded(&self) -> Link {
        let known = || {
            self.found
                .iter()
                .enumerate()
                .filter_map(|(at, target)| Some((at, (*target)?)))
        };
        let is_down = |at: usize, target: &LoadedTarget| target.health == "down" && self.sound[at];
        let link = if let Some((at, target)) = known().find(|(at, target)| is_down(*at, target)) {
            Link::broken(
                Hop::Target,
                code::NODE_NOT_SCRAPED,
                format!(
                    "Prometheus cannot scrape {}: {}",
                    self.called(at),
                    target.last_error
                ),
            )
            .next(format!("curl -sS -m 10 {} | head", target.scrape_url))
        } else if let Some((at, _)) =
            known().find(|(at, target)| target.health == "unknown" && self.sound[*at])
        {
            let sentence = format!("Prometheus knows {} and has not scraped it yet", self.called(at));
            Link::new(Hop::Target, Standing::Pending, sentence)
                .coded(code::NODE_NOT_SCRAPED)
                .next(format!("aami diagnose {}", self.subject.node))
        } else if known().any(|(_, target)| target.health == "down") {
            Link::new(
                Hop::Target,
                Standing::Warning,
                "Prometheus knows them all, and sees down what does not answer here either",
            )
        } else {
            Link::ok(Hop::Target, "Prometheus scrapes every exporter")
        };
        known().fold(link, |link, (at, target)| {
            let error = if target.last_error.is_empty() {
                String::new()
            } else {
                format!(": {}", target.last_error)
            };
            let told = format!(
                "{} is {} in {:.0} ms{error}",
                self.called(at),
                target.health,
                target.last_scrape_duration * 1000.0
            );
            link.seen(told, self.url)
        })
    }

    /// An exporter that Prometheus does not scrape, and as far as it can be known, why.
    fn not_loaded(&self, at: usize, elsewhere: Option<&LoadedTarget>, dropped: &[LoadedTarget]) -> Link {
        let called = self.called(at);
        let broken = |code, sentence: String| {
            Link::broken(Hop::Target, code, sentence).seen(format!("{called} is no target"), self.url)
        };
        if dropped
            .iter()
            .any(|target| target.address() == self.addresses[at])
        {
            return broken(
                code::TARGET_NOT_LOADED,
                format!("Prometheus finds {called} and drops it by its own configuration (relabel_configs)"),
            )
            .next("aami diff --full");
        }
        match &self.subject.listed[at] {
            Listed::No(place) => {
                let link = not_listed(self.subject, &called, place);
                match elsewhere {
                    Some(other) => {
                        link.seen(format!("it scrapes {} by this name", other.address()), self.url)
                    }
                    None => link,
                }
            }
            Listed::Yes(place, Some(age)) if *age < YOUNG => {
                let sentence = format!(
                    "{called} was listed {} s ago, and Prometheus has not read it yet",
                    age.as_secs()
                );
                Link::new(Hop::Target, Standing::Pending, sentence)
                    .coded(code::TARGET_NOT_LOADED)
                    .seen("it is listed", place)
                    .next(format!("aami diagnose {}", self.subject.node))
            }
            Listed::Yes(place, _) => {
                let sentence = match self.finds_list() {
                    Some(false) => format!(
                        "{called} is listed, and Prometheus' configuration does not look there ({} stands nowhere in it)",
                        self.watcher.finds_by
                    ),
                    _ => format!("{called} is listed, and Prometheus has not taken it over"),
                };
                broken(code::TARGET_NOT_LOADED, sentence)
                    .seen("it is listed", place)
                    .next("aami diff")
            }
            Listed::Unknown(why) => broken(
                code::TARGET_NOT_LOADED,
                format!("{called} is no target of Prometheus, and whether it is told of it is not known"),
            )
            .seen(why, "what Prometheus is told")
            .next("aami diff"),
        }
    }

    /// Whether its configuration speaks of where targets are listed; nothing where it does not say.
    fn finds_list(&self) -> Option<bool> {
        let text = self.watcher.prometheus.text("/api/v1/status/config").ok()?;
        Some(text.contains(&self.watcher.finds_by))
    }
}
