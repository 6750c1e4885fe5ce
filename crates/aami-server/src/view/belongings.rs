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

#[cfg(test)]
mod tests {
    use aami_model::group::Group;
    use aami_store::{Txn, TxnOutcome, keys};
    use serde_json::json;

    use crate::view::document::encode;
    use crate::view::feed::read;

    #[tokio::test]
    async fn what_is_of_an_organisation_is_counted_by_kind() {
        let group = |id: &str, org: &str| {
            let at = "2026-01-01T00:00:00.000Z";
            let group = json!({ "id": id, "org": org, "name": id, "created_at": at });
            encode(&serde_json::from_value::<Group>(group).unwrap())
        };
        let store = aami_store::open("memory:").await.unwrap();
        let txn = Txn::new()
            .put(keys::group(&"g1".parse().unwrap()), group("g1", "every"))
            .put(keys::group(&"g2".parse().unwrap()), group("g2", "every"))
            .put(keys::group(&"g3".parse().unwrap()), group("g3", "default"));
        let wrote = store.txn(txn).await.unwrap();
        assert!(matches!(wrote, TxnOutcome::Committed(_)));
        let snapshot = read(&store).await.unwrap().current();
        let of = |org: &str| snapshot.belongings(&org.parse().unwrap());
        assert_eq!(of("every").as_deref(), Some("group 2"));
        assert_eq!(of("default").as_deref(), Some("group 1"));
        assert_eq!(of("acme"), None);
    }
}
