//! What there is of one organisation, counted: for the one that can be none any more.

use aami_model::OrgId;
use aami_model::access::Orgs;

use super::snapshot::Snapshot;

impl Snapshot {
    /// How many nodes, keys and so on an organisation has, of each kind of which it has some: `node 2, key 1`.
    pub(crate) fn belongings(&self, org: &OrgId) -> Option<String> {
        let all = Orgs::All;
        let is_theirs = |of: &OrgId| of == org;
        let batches = self.upkeep.batches(None);
        let kinds = [
            (
                "node",
                self.nodes(&all, None)
                    .filter(|held| is_theirs(&held.doc.org))
                    .count(),
            ),
            (
                "group",
                self.groups(&all).filter(|held| is_theirs(&held.doc.org)).count(),
            ),
            (
                "key",
                self.keys().filter(|held| held.doc.orgs.contains(org)).count(),
            ),
            (
                "token",
                self.tokens(&all, None)
                    .filter(|held| is_theirs(&held.doc.org))
                    .count(),
            ),
            (
                "check",
                self.checks(&all).filter(|held| is_theirs(&held.doc.org)).count(),
            ),
            (
                "webhook",
                self.webhooks()
                    .filter(|held| held.doc.org.as_ref() == Some(org))
                    .count(),
            ),
            (
                "rule set",
                self.ruled
                    .sets(&all)
                    .filter(|held| is_theirs(&held.doc.org))
                    .count(),
            ),
            (
                "prometheus",
                self.ruled
                    .prometheuses(&all)
                    .filter(|held| is_theirs(&held.doc.org))
                    .count(),
            ),
            (
                "run",
                self.runs(&all).filter(|held| is_theirs(&held.doc.org)).count(),
            ),
            (
                "batch",
                batches.filter(|held| held.doc.org.as_ref() == Some(org)).count(),
            ),
        ];
        let some = kinds.iter().filter(|(_, count)| *count > 0);
        let some: Vec<String> = some.map(|(kind, count)| format!("{kind} {count}")).collect();
        (!some.is_empty()).then(|| some.join(", "))
    }
}
