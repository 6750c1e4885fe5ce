//! What a diagnosis is made of: hops in their order, how each stands, and by what evidence.

use aami_model::{Code, Exit};
use serde::Serialize;

/// What lies between a node and an alert about it, in the order in which it is looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Hop {
    /// The fleet knows the node.
    Declared,
    /// Exporters were installed on it.
    Installed,
    /// Its name means its address.
    Name,
    /// There is a way to its address.
    Route,
    /// Nothing on the way drops what goes to an exporter.
    Firewall,
    /// Somebody listens on the exporters' ports.
    Port,
    /// The exporters answer with metrics.
    Exporter,
    /// Its clock is right.
    Clock,
    /// What it says of itself, by SSH.
    Node,
    /// There is a Prometheus.
    Prometheus,
    /// It scrapes the exporters.
    Target,
    /// What it scrapes bears the labels that rules go by.
    Labels,
    /// There are samples, and they are fresh.
    Samples,
    /// The rules that are wanted are loaded and can be evaluated.
    Rules,
}

impl Hop {
    /// One word.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Declared => "declared",
            Self::Installed => "installed",
            Self::Name => "name",
            Self::Route => "route",
            Self::Firewall => "firewall",
            Self::Port => "port",
            Self::Exporter => "exporter",
            Self::Clock => "clock",
            Self::Node => "node",
            Self::Prometheus => "prometheus",
            Self::Target => "target",
            Self::Labels => "labels",
            Self::Samples => "samples",
            Self::Rules => "rules",
        }
    }
}

/// How a hop stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Standing {
    /// As it should be.
    Ok,
    /// Not as it should be, and not what keeps the node from being watched.
    Warning,
    /// It will be seen soon.
    Pending,
    /// Here it ends.
    Broken,
    /// It could not be looked at.
    Unknown,
    /// Not looked at, because of a hop before it.
    Skipped,
}

impl Standing {
    /// What stands for it in a table.
    pub(crate) const fn mark(self) -> &'static str {
        match self {
            Self::Ok => "✅ ok",
            Self::Warning => "⚠️ warning",
            Self::Pending => "… pending",
            Self::Broken => "❌ broken",
            Self::Unknown => "? unknown",
            Self::Skipped => "- skipped",
        }
    }
}

/// Something that was measured.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Evidence {
    /// What came out.
    pub(crate) measured: String,
    /// Where that was read.
    pub(crate) read: String,
}

/// One hop, judged.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Link {
    /// Which.
    pub(crate) hop: Hop,
    /// How it stands.
    pub(crate) standing: Standing,
    /// One sentence.
    pub(crate) sentence: String,
    /// The condition, where it has one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) code: Option<&'static str>,
    /// What was measured.
    pub(crate) evidence: Vec<Evidence>,
    /// The command to type next.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) next: Option<String>,
}

impl Link {
    pub(crate) fn new(hop: Hop, standing: Standing, sentence: impl Into<String>) -> Self {
        Self {
            hop,
            standing,
            sentence: sentence.into(),
            code: None,
            evidence: Vec::new(),
            next: None,
        }
    }

    pub(crate) fn ok(hop: Hop, sentence: impl Into<String>) -> Self {
        Self::new(hop, Standing::Ok, sentence)
    }

    pub(crate) fn broken(hop: Hop, code: Code, sentence: impl Into<String>) -> Self {
        Self::new(hop, Standing::Broken, sentence).coded(code)
    }

    /// Not looked at, because of this.
    pub(crate) fn skipped(hop: Hop, because: impl Into<String>) -> Self {
        Self::new(hop, Standing::Skipped, because)
    }

    pub(crate) fn coded(mut self, code: Code) -> Self {
        self.code = Some(code.symbol);
        self
    }

    pub(crate) fn seen(mut self, measured: impl Into<String>, read: impl Into<String>) -> Self {
        self.evidence.push(Evidence {
            measured: measured.into(),
            read: read.into(),
        });
        self
    }

    pub(crate) fn next(mut self, command: impl Into<String>) -> Self {
        self.next = Some(command.into());
        self
    }

    pub(crate) fn is_broken(&self) -> bool {
        self.standing == Standing::Broken
    }

    /// Whether it is one of those without which nobody can say that a node is watched, and could not be looked at.
    pub(crate) fn is_unseen(&self) -> bool {
        let decides = matches!(
            self.hop,
            Hop::Prometheus | Hop::Target | Hop::Samples | Hop::Rules
        );
        decides && self.standing == Standing::Unknown
    }
}

/// All hops of a node, and what they come to.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Diagnosis {
    /// The node.
    pub(crate) node: String,
    /// Whose it is.
    pub(crate) fleet: String,
    /// The first hop that is broken.
    pub(crate) broken: Option<Hop>,
    /// What it comes to, in one sentence.
    pub(crate) sentence: String,
    /// The condition of the broken hop.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) code: Option<&'static str>,
    /// The command to type next.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) next: Option<String>,
    /// Every hop, in order.
    pub(crate) hops: Vec<Link>,
}

impl Diagnosis {
    /// What these hops come to.
    pub(crate) fn of(node: String, fleet: String, hops: Vec<Link>) -> Self {
        let first = |standing| hops.iter().find(|link| link.standing == standing);
        let broken = first(Standing::Broken);
        let told = broken.or_else(|| first(Standing::Pending));
        let unseen = told.or_else(|| hops.iter().find(|link| link.is_unseen()));
        let names = |standing| -> Vec<&str> {
            let those = hops.iter().filter(|link| link.standing == standing);
            those.map(|link| link.hop.name()).collect()
        };
        let (unknown, warnings) = (names(Standing::Unknown), names(Standing::Warning));
        let sentence = match told {
            Some(link) => link.sentence.clone(),
            None if !unknown.is_empty() => {
                format!(
                    "nothing is broken as far as it could be seen; not judged: {}",
                    unknown.join(", ")
                )
            }
            None if !warnings.is_empty() => {
                format!(
                    "{node} is monitored; look at {} all the same",
                    warnings.join(", ")
                )
            }
            None => format!("{node} is monitored"),
        };
        // Who looked at the node itself knows more than who stood before it.
        let closer = hops
            .iter()
            .find(|link| link.hop == Hop::Node)
            .filter(|link| matches!(link.standing, Standing::Ok | Standing::Broken))
            .filter(|_| broken.is_some_and(|link| (Hop::Firewall..=Hop::Exporter).contains(&link.hop)))
            .and_then(|link| link.next.clone());
        Self {
            broken: broken.map(|link| link.hop),
            code: unseen.and_then(|link| link.code),
            next: closer.or_else(|| unseen.and_then(|link| link.next.clone())),
            sentence,
            node,
            fleet,
            hops,
        }
    }

    /// How the command ends.
    pub(crate) fn exit(&self) -> Exit {
        if self.broken.is_some() {
            return Exit::NotHealthy;
        }
        if self.hops.iter().any(|link| link.standing == Standing::Pending) {
            return Exit::Pending;
        }
        // Whoever waits for a node to be watched is not to go on because nobody could look.
        match self.hops.iter().any(Link::is_unseen) {
            true => Exit::NotHealthy,
            false => Exit::Ok,
        }
    }
}

#[cfg(test)]
mod tests {
    use aami_model::code;

    use super::*;

    fn diagnosis(hops: Vec<Link>) -> Diagnosis {
        Diagnosis::of("gpu-01".into(), "the file fleet".into(), hops)
    }

    #[test]
    fn the_first_broken_hop_is_the_one_that_is_named() {
        let told = diagnosis(vec![
            Link::ok(Hop::Declared, "declared"),
            Link::broken(Hop::Port, code::NODE_NOT_SCRAPED, "nobody listens").next("look"),
            Link::skipped(Hop::Exporter, "port is broken"),
            Link::broken(Hop::Rules, code::ALERT_RULES_NOT_LOADED, "not loaded").next("apply"),
        ]);
        assert_eq!(
            (told.broken, told.sentence.as_str(), told.next.as_deref()),
            (Some(Hop::Port), "nobody listens", Some("look"))
        );
        assert_eq!(told.exit(), Exit::NotHealthy);
        // Who looked closer knows the better command.
        let mut hops = told.hops;
        hops.insert(
            3,
            Link::broken(Hop::Node, code::NODE_NOT_SCRAPED, "stopped").next("start"),
        );
        let told = diagnosis(hops);
        assert_eq!(
            (told.broken, told.next.as_deref()),
            (Some(Hop::Port), Some("start"))
        );
        // Who could not look closer does not.
        let mut hops = told.hops;
        hops[3] = Link::new(Hop::Node, Standing::Unknown, "no way there").next("aami nodes test gpu-01");
        assert_eq!(diagnosis(hops).next.as_deref(), Some("look"));
    }

    #[test]
    fn what_is_not_there_yet_and_what_cannot_be_seen_are_not_broken() {
        let told = diagnosis(vec![Link::new(Hop::Target, Standing::Pending, "soon")]);
        assert_eq!((told.broken, told.exit()), (None, Exit::Pending));
        let told = diagnosis(vec![Link::new(Hop::Target, Standing::Unknown, "no way")]);
        assert!(told.sentence.contains("not judged: target"), "{}", told.sentence);
        // That it could not be seen does not mean that it is well; how this machine sees a node decides nothing.
        assert_eq!(told.exit(), Exit::NotHealthy);
        for (hop, exit) in [
            (Hop::Prometheus, Exit::NotHealthy),
            (Hop::Samples, Exit::NotHealthy),
            (Hop::Rules, Exit::NotHealthy),
            (Hop::Port, Exit::Ok),
            (Hop::Node, Exit::Ok),
        ] {
            let link = Link::new(hop, Standing::Unknown, "no way").next("look");
            assert_eq!(diagnosis(vec![link]).exit(), exit, "{hop:?}");
        }
        let told = diagnosis(vec![Link::new(Hop::Name, Standing::Warning, "no such name")]);
        assert!(told.sentence.contains("look at name"), "{}", told.sentence);
        assert_eq!(diagnosis(Vec::new()).sentence, "gpu-01 is monitored");
    }
}
