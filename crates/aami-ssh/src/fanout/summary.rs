//! A thousand hosts in a few lines.

use std::collections::{BTreeMap, HashMap};
use std::fmt;

use aami_model::nodeset::{fold, natural};

use super::event::Outcome;
use super::kept::{Digest, Text};
use super::report::Report;

/// With more different sentences than this a code is told once, in its own words.
const SENTENCES: usize = 3;

/// Hosts that ended alike.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Summary {
    /// Folded: `gpu[01-97]`.
    pub hosts: String,
    /// How many.
    pub count: usize,
    /// How: `ok`, or the code and what happened.
    pub outcome: String,
}

/// `gpu[01-97]: ok`.
impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.hosts, self.outcome)
    }
}

/// Hosts that said the same.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Alike {
    /// Folded.
    pub hosts: String,
    /// How many.
    pub count: usize,
    /// On standard output.
    pub stdout: Text,
    /// On standard error.
    pub stderr: Text,
}

/// What is told first, and by what hosts are told together.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
enum Kind {
    Ok,
    Failed(String),
    Interrupted,
    NotStarted(String),
}

impl<T> Report<T> {
    /// Who ended how: first those that went well, then what failed, most first, then what was not done.
    pub fn summary(&self) -> Vec<Summary> {
        let mut sentences: HashMap<String, Vec<&str>> = HashMap::new();
        for host in &self.hosts {
            if let Outcome::Failed(fault) = &host.outcome {
                let of_this = sentences.entry(fault.code.id()).or_default();
                if of_this.len() <= SENTENCES && !of_this.contains(&fault.sentence.as_str()) {
                    of_this.push(&fault.sentence);
                }
            }
        }
        let kind = |outcome: &Outcome| match outcome {
            Outcome::Ok => Kind::Ok,
            Outcome::Failed(fault) => {
                let id = fault.code.id();
                let many = sentences.get(&id).is_some_and(|all| all.len() > SENTENCES);
                let sentence = if many {
                    fault.code.sentence
                } else {
                    &fault.sentence
                };
                Kind::Failed(format!("{id} {sentence}"))
            }
            Outcome::Interrupted => Kind::Interrupted,
            Outcome::NotStarted(why) => Kind::NotStarted(why.to_string()),
        };
        let mut kinds: BTreeMap<Kind, Vec<&str>> = BTreeMap::new();
        for host in &self.hosts {
            kinds.entry(kind(&host.outcome)).or_default().push(&host.name);
        }
        let mut kinds: Vec<(Kind, Vec<&str>)> = kinds.into_iter().collect();
        kinds.sort_by_key(|(kind, hosts)| match kind {
            Kind::Ok => (0, 0),
            Kind::Failed(_) => (1, usize::MAX - hosts.len()),
            Kind::Interrupted => (2, 0),
            Kind::NotStarted(_) => (3, 0),
        });
        let told = kinds.into_iter().map(|(kind, hosts)| Summary {
            count: hosts.len(),
            hosts: fold(hosts),
            outcome: match kind {
                Kind::Ok => "ok".to_owned(),
                Kind::Failed(sentence) => sentence,
                Kind::Interrupted => "cut off in the middle".to_owned(),
                Kind::NotStarted(why) => format!("not started: {why}"),
            },
        });
        told.collect()
    }

    /// Hosts that said the same on both streams, most first; those that said nothing are left out.
    pub fn alike(&self) -> Vec<Alike> {
        let mut groups: HashMap<(&Digest, &Digest), (Vec<&str>, &Text, &Text)> = HashMap::new();
        for host in &self.hosts {
            let (out, err) = (&host.stdout, &host.stderr);
            if out.is_empty() && err.is_empty() {
                continue;
            }
            let group = (&out.digest, &err.digest);
            let (hosts, _, _) = groups.entry(group).or_insert_with(|| (Vec::new(), out, err));
            hosts.push(&host.name);
        }
        let mut groups: Vec<_> = groups.into_values().collect();
        groups.sort_by(|(a, ..), (b, ..)| b.len().cmp(&a.len()).then_with(|| first(a, b)));
        let told = groups.into_iter().map(|(hosts, stdout, stderr)| Alike {
            count: hosts.len(),
            hosts: fold(hosts),
            stdout: stdout.clone(),
            stderr: stderr.clone(),
        });
        told.collect()
    }
}

fn first(left: &[&str], right: &[&str]) -> std::cmp::Ordering {
    let of = |hosts: &[&str]| {
        hosts
            .iter()
            .copied()
            .min_by(|a, b| natural(a, b))
            .map(str::to_owned)
    };
    match (of(left), of(right)) {
        (Some(left), Some(right)) => natural(&left, &right),
        _ => std::cmp::Ordering::Equal,
    }
}
