//! The picture itself: decoded documents in persistent maps, so that the next picture shares all that
//! did not change with this one.

use std::collections::BTreeSet;
use std::sync::Arc;

use aami_model::access::{ApiKey, Orgs};
use aami_model::check::Check;
use aami_model::group::Group;
use aami_model::node::Node;
use aami_model::token::BootstrapToken;
use aami_model::webhook::Webhook;
use aami_model::{CheckId, CommandId, GroupId, KeyId, NodeId, OrgId, RunId, TokenId, WebhookId};
use aami_store::{Change, Entry, Key, Revision};
use bytes::Bytes;
use imbl::{OrdMap, OrdSet};

use super::document::{
    ClusterDocument, CopiedDocument, DocumentError, EpochDocument, IdempotencyDocument, OutboxDocument,
    Pointer, RunDocument, decode,
};
use super::linked::{ConnDocument, Linked};
use super::mark::Mark;
use super::ruled::Ruled;
use super::table::{Table, apply, held};
use super::upkeep::Upkeep;

/// A document with the revision it was last changed at.
#[derive(Debug)]
pub(crate) struct Held<T> {
    pub(crate) doc: T,
    pub(crate) revision: Revision,
}

/// What was changed at another revision is another one; under one key nothing else need be compared.
impl<T> PartialEq for Held<T> {
    fn eq(&self, other: &Self) -> bool {
        self.revision == other.revision
    }
}

/// What one transaction told, not yet copied to the history. Read only when somebody asks: most is copied
/// before anybody does.
#[derive(Debug, Clone)]
pub(crate) struct Untold {
    bytes: Bytes,
    pub(crate) revision: Revision,
}

/// A key of the outbox is written once.
impl PartialEq for Untold {
    fn eq(&self, other: &Self) -> bool {
        self.revision == other.revision
    }
}

impl Untold {
    /// Reads it; `key` is where it stands.
    pub(crate) fn read(&self, key: &str) -> Option<OutboxDocument> {
        let key: Key = key.parse().ok()?;
        match decode(&key, &self.bytes) {
            Ok(document) => Some(document),
            Err(error) => {
                tracing::error!(%error, "what a transaction told cannot be read");
                None
            }
        }
    }
}

/// One picture of the state.
#[derive(Clone, Default)]
pub(crate) struct Snapshot {
    pub(crate) revision: Revision,
    pub(super) nodes: Table<NodeId, Node>,
    hostnames: OrdMap<Mark, (NodeId, Revision)>,
    machines: OrdMap<Mark, (NodeId, Revision)>,
    node_keys: OrdMap<Mark, (NodeId, Revision)>,
    credentials: OrdMap<Mark, NodeId>,
    machine_ids: OrdSet<(Arc<str>, NodeId)>,
    tokens: Table<TokenId, BootstrapToken>,
    uses: OrdMap<TokenId, OrdMap<u32, NodeId>>,
    groups: Table<GroupId, Group>,
    checks: Table<CheckId, Check>,
    pub(super) keys: Table<KeyId, ApiKey>,
    pub(super) runs: Table<RunId, RunDocument>,
    webhooks: Table<WebhookId, Webhook>,
    open_runs: OrdMap<TokenId, u32>,
    ended_runs: OrdMap<TokenId, OrdSet<RunId>>,
    pub(super) outbox: OrdMap<Arc<str>, Untold>,
    /// How much was taken out of the outbox so far; tells what came and went between two pictures.
    pub(super) outbox_removals: u64,
    idempotency: Table<Arc<str>, IdempotencyDocument>,
    /// What connected nodes fill.
    pub(crate) linked: Linked,
    /// Bulk actions, silences, and what destinations missed.
    pub(crate) upkeep: Upkeep,
    /// Rule sets, and the Prometheuses they go to.
    pub(crate) ruled: Ruled,
    cluster: Option<Arc<ClusterDocument>>,
    epoch: Option<Arc<EpochDocument>>,
    copied: Option<Arc<Held<CopiedDocument>>>,
}

/// What a revision changed, for those who keep something of their own beside the picture.
#[derive(Debug, Default)]
pub(crate) struct Touched {
    pub(crate) nodes: BTreeSet<NodeId>,
    pub(crate) groups: BTreeSet<GroupId>,
    pub(crate) conns: BTreeSet<NodeId>,
    pub(crate) commands: BTreeSet<CommandId>,
}

/// Counts towards the unfinished runs of its token.
fn is_open(run: &RunDocument) -> bool {
    !run.status.is_final()
}

impl Snapshot {
    // --- reading ---------------------------------------------------------------------------------

    pub(crate) fn node(&self, id: &NodeId, orgs: &Orgs) -> Option<&Arc<Held<Node>>> {
        self.nodes.get(id).filter(|held| orgs.includes(&held.doc.org))
    }

    /// Whether an agent has held a connection for a node since it enrolled: by the credential, since the clocks of two
    /// control planes may differ. One whose credential was taken away had one.
    pub(crate) fn has_agent(&self, node: &Node) -> bool {
        let own = node.identity.credential_hash.as_deref();
        self.linked.conn(&node.id).is_some_and(|conn| {
            let opened_with = conn.doc.credential.as_str();
            opened_with.is_empty() || own.is_none_or(|own| opened_with == ConnDocument::short(own))
        })
    }

    /// Nodes in the order of their ids, from after `after` on.
    pub(crate) fn nodes<'a>(
        &'a self,
        orgs: &'a Orgs,
        after: Option<&NodeId>,
    ) -> impl Iterator<Item = &'a Arc<Held<Node>>> {
        use std::ops::Bound::{Excluded, Unbounded};
        let from = after.map_or(Unbounded, |id| Excluded(id.clone()));
        self.nodes
            .range((from, Unbounded))
            .map(|(_, held)| held)
            .filter(|held| orgs.includes(&held.doc.org))
    }

    /// The node a hostname belongs to, with the revision of the index key.
    pub(crate) fn by_hostname(&self, key: &Key) -> Option<&(NodeId, Revision)> {
        self.hostnames.get(&Mark::of(key.as_str()))
    }

    pub(crate) fn by_machine(&self, key: &Key) -> Option<&(NodeId, Revision)> {
        self.machines.get(&Mark::of(key.as_str()))
    }

    pub(crate) fn by_node_key(&self, key: &Key) -> Option<&(NodeId, Revision)> {
        self.node_keys.get(&Mark::of(key.as_str()))
    }

    /// The node whose credential has this SHA-256.
    pub(crate) fn by_credential(&self, hash: &str) -> Option<&Arc<Held<Node>>> {
        self.nodes.get(self.credentials.get(&Mark::of(hash))?)
    }

    /// The nodes that say they have this machine-id.
    pub(crate) fn by_machine_id<'a>(&'a self, machine_id: &'a str) -> impl Iterator<Item = &'a NodeId> {
        let first = (Arc::from(machine_id), NodeId::lowest());
        self.machine_ids
            .range(first..)
            .take_while(move |(id, _)| **id == *machine_id)
            .map(|(_, node)| node)
    }

    pub(crate) fn token(&self, id: &TokenId) -> Option<&Arc<Held<BootstrapToken>>> {
        self.tokens.get(id)
    }

    pub(crate) fn tokens<'a>(
        &'a self,
        orgs: &'a Orgs,
        after: Option<&TokenId>,
    ) -> impl Iterator<Item = &'a Arc<Held<BootstrapToken>>> {
        use std::ops::Bound::{Excluded, Unbounded};
        let from = after.map_or(Unbounded, |id| Excluded(id.clone()));
        self.tokens
            .range((from, Unbounded))
            .map(|(_, held)| held)
            .filter(|held| orgs.includes(&held.doc.org))
    }

    /// How many uses of a token are taken.
    pub(crate) fn used(&self, token: &TokenId) -> u32 {
        self.uses
            .get(token)
            .map_or(0, |uses| u32::try_from(uses.len()).unwrap_or(u32::MAX))
    }

    /// Whether a use slot is taken.
    pub(crate) fn is_taken(&self, token: &TokenId, slot: u32) -> bool {
        self.uses.get(token).is_some_and(|uses| uses.contains_key(&slot))
    }

    pub(crate) fn open_runs(&self, token: &TokenId) -> u32 {
        self.open_runs.get(token).copied().unwrap_or(0)
    }

    /// The runs of a token that are over, the oldest first.
    pub(crate) fn ended_runs(&self, token: &TokenId) -> Option<&OrdSet<RunId>> {
        self.ended_runs.get(token)
    }

    pub(crate) fn group(&self, id: &GroupId, orgs: &Orgs) -> Option<&Arc<Held<Group>>> {
        self.groups.get(id).filter(|held| orgs.includes(&held.doc.org))
    }

    pub(crate) fn groups<'a>(&'a self, orgs: &'a Orgs) -> impl Iterator<Item = &'a Arc<Held<Group>>> {
        self.groups.values().filter(|held| orgs.includes(&held.doc.org))
    }

    /// A group of one organisation by its id or its name.
    pub(crate) fn group_named(&self, org: &OrgId, name: &str) -> Option<&Arc<Held<Group>>> {
        let by_id = name.parse::<GroupId>().ok().and_then(|id| self.groups.get(&id));
        by_id.filter(|held| held.doc.org == *org).or_else(|| {
            self.groups
                .values()
                .find(|held| held.doc.org == *org && held.doc.name == name)
        })
    }

    pub(crate) fn check(&self, id: &CheckId, orgs: &Orgs) -> Option<&Arc<Held<Check>>> {
        self.checks.get(id).filter(|held| orgs.includes(&held.doc.org))
    }

    pub(crate) fn checks<'a>(&'a self, orgs: &'a Orgs) -> impl Iterator<Item = &'a Arc<Held<Check>>> {
        self.checks.values().filter(|held| orgs.includes(&held.doc.org))
    }

    pub(crate) fn key(&self, id: &KeyId) -> Option<&Arc<Held<ApiKey>>> {
        self.keys.get(id)
    }

    pub(crate) fn keys(&self) -> impl Iterator<Item = &Arc<Held<ApiKey>>> {
        self.keys.values()
    }

    pub(crate) fn webhook(&self, id: &WebhookId) -> Option<&Arc<Held<Webhook>>> {
        self.webhooks.get(id)
    }

    pub(crate) fn webhooks(&self) -> impl Iterator<Item = &Arc<Held<Webhook>>> {
        self.webhooks.values()
    }

    pub(crate) fn run(&self, id: &RunId) -> Option<&Arc<Held<RunDocument>>> {
        self.runs.get(id)
    }

    /// The node a run installs, for as long as it is enrolled as that run enrolled it.
    pub(crate) fn node_of(&self, run: &RunDocument) -> Option<&Arc<Held<Node>>> {
        self.nodes
            .get(run.node.as_ref()?)
            .filter(|held| held.doc.enrolled_at == run.node_enrolled_at)
    }

    pub(crate) fn runs<'a>(&'a self, orgs: &'a Orgs) -> impl Iterator<Item = &'a Arc<Held<RunDocument>>> {
        self.runs.values().filter(|held| orgs.includes(&held.doc.org))
    }

    /// The same, those with the highest ids first.
    pub(crate) fn runs_backwards<'a>(
        &'a self,
        orgs: &'a Orgs,
    ) -> impl Iterator<Item = &'a Arc<Held<RunDocument>>> {
        let all = self.runs.values().rev();
        all.filter(|held| orgs.includes(&held.doc.org))
    }

    /// What has been told but not yet copied to the history, with the last part of each key.
    pub(crate) fn outbox(&self) -> impl Iterator<Item = (&str, &Untold)> {
        self.outbox.iter().map(|(key, untold)| (&**key, untold))
    }

    pub(crate) fn outbox_len(&self) -> usize {
        self.outbox.len()
    }

    pub(crate) fn idempotency(&self, key: &Key) -> Option<&Arc<Held<IdempotencyDocument>>> {
        self.idempotency.get(key.as_str())
    }

    pub(crate) fn idempotency_entries(
        &self,
    ) -> impl Iterator<Item = (&str, &Arc<Held<IdempotencyDocument>>)> {
        self.idempotency.iter().map(|(key, held)| (&**key, held))
    }

    pub(crate) fn cluster(&self) -> Option<&ClusterDocument> {
        self.cluster.as_deref()
    }

    pub(crate) fn epoch(&self) -> Option<&EpochDocument> {
        self.epoch.as_deref()
    }

    /// How far what was told has been copied to the history.
    pub(crate) fn copied(&self) -> Option<&Held<CopiedDocument>> {
        self.copied.as_deref()
    }

    // --- following the store ---------------------------------------------------------------------

    /// Applies one change. A document that cannot be read is reported and left out; everything else
    /// goes on.
    pub(super) fn apply(&mut self, change: &Change, touched: &mut Touched) -> Result<(), DocumentError> {
        let key = change.key();
        let entry = match change {
            Change::Put(entry) => Some(entry),
            Change::Delete(_) => None,
        };
        let mut parts = key.segments();
        // Every key the view follows begins with `s`.
        parts.next();
        let room = parts.next().unwrap_or_default();
        let id = parts.next().unwrap_or_default();
        match room {
            "nodes" => self.apply_node(key, id, entry, touched)?,
            "idx" => {
                let table = match id {
                    "hostname" => &mut self.hostnames,
                    "machine" => &mut self.machines,
                    "nodekey" => &mut self.node_keys,
                    _ => return Ok(()),
                };
                match entry {
                    Some(entry) => {
                        let pointer: Pointer = decode(key, &entry.value)?;
                        table.insert(Mark::of(key.as_str()), (pointer.node, entry.mod_revision));
                    }
                    None => {
                        table.remove(&Mark::of(key.as_str()));
                    }
                }
            }
            "tokens" => match parts.next() {
                Some("uses") => self.apply_use(key, id, parts.next().unwrap_or_default(), entry)?,
                _ => apply(&mut self.tokens, key, id, entry)?,
            },
            "groups" => {
                apply(&mut self.groups, key, id, entry)?;
                touched.groups.extend(id.parse::<GroupId>());
            }
            "checks" => apply(&mut self.checks, key, id, entry)?,
            "keys" => apply(&mut self.keys, key, id, entry)?,
            "webhooks" => apply(&mut self.webhooks, key, id, entry)?,
            "runs" => self.apply_run(key, id, entry)?,
            "outbox" => match entry {
                Some(entry) => {
                    let untold = Untold {
                        bytes: entry.value.clone(),
                        revision: entry.mod_revision,
                    };
                    self.outbox.insert(key.as_str().into(), untold);
                }
                None => {
                    let removed = self.outbox.remove(key.as_str());
                    self.outbox_removals += u64::from(removed.is_some());
                }
            },
            "idem" => match entry {
                Some(entry) => {
                    self.idempotency
                        .insert(key.as_str().into(), held(entry, decode(key, &entry.value)?));
                }
                None => {
                    self.idempotency.remove(key.as_str());
                }
            },
            "meta" => match (id, entry) {
                ("cluster", Some(entry)) => self.cluster = Some(Arc::new(decode(key, &entry.value)?)),
                ("epoch", Some(entry)) => self.epoch = Some(Arc::new(decode(key, &entry.value)?)),
                ("copied", Some(entry)) => self.copied = Some(held(entry, decode(key, &entry.value)?)),
                _ => {}
            },
            "batches" => {
                let page = match parts.next() {
                    Some("pages") => Some(parts.next().unwrap_or_default()),
                    _ => None,
                };
                self.upkeep.apply_batch(key, id, page, entry)?;
            }
            "silences" => self.upkeep.apply_silence(key, id, entry)?,
            "cursors" => {
                if parts.next() == Some("lost") {
                    self.upkeep.apply_lost(key, id, entry)?;
                }
            }
            "rules" => self.ruled.apply_rule(key, id, entry)?,
            "prometheuses" => self.ruled.apply_prometheus(key, id, parts.next(), entry)?,
            room => self.linked.apply(room, key, id, entry, touched)?,
        }
        Ok(())
    }

    fn apply_node(
        &mut self,
        key: &Key,
        id: &str,
        entry: Option<&Entry>,
        touched: &mut Touched,
    ) -> Result<(), DocumentError> {
        let Ok(id) = id.parse::<NodeId>() else {
            return Ok(());
        };
        let is_foreign = |node: &Node| node.org != OrgId::default();
        if let Some(old) = self.nodes.get(&id) {
            if let Some(hash) = old.doc.identity.credential_hash.as_deref()
                && self.credentials.get(&Mark::of(hash)) == Some(&id)
            {
                self.credentials.remove(&Mark::of(hash));
            }
            if let Some(machine_id) = old.doc.identity.machine_id.as_deref() {
                self.machine_ids.remove(&(machine_id.into(), id.clone()));
            }
        }
        match entry {
            Some(entry) => {
                let node: Node = decode(key, &entry.value)?;
                if is_foreign(&node) {
                    self.ruled.foreign_came();
                }
                if self.nodes.get(&id).is_some_and(|old| is_foreign(&old.doc)) {
                    self.ruled.foreign_went();
                }
                if let Some(hash) = node.identity.credential_hash.as_deref() {
                    self.credentials.insert(Mark::of(hash), id.clone());
                }
                if let Some(machine_id) = node.identity.machine_id.as_deref() {
                    self.machine_ids.insert((machine_id.into(), id.clone()));
                }
                self.nodes.insert(id.clone(), held(entry, node));
            }
            None => {
                if (self.nodes.remove(&id)).is_some_and(|old| is_foreign(&old.doc)) {
                    self.ruled.foreign_went();
                }
            }
        }
        touched.nodes.insert(id);
        Ok(())
    }

    fn apply_use(
        &mut self,
        key: &Key,
        token: &str,
        slot: &str,
        entry: Option<&Entry>,
    ) -> Result<(), DocumentError> {
        let (Ok(token), Ok(slot)) = (token.parse::<TokenId>(), slot.parse::<u32>()) else {
            return Ok(());
        };
        match entry {
            Some(entry) => {
                let pointer: Pointer = decode(key, &entry.value)?;
                self.uses.entry(token).or_default().insert(slot, pointer.node);
            }
            None => {
                if let Some(uses) = self.uses.get_mut(&token) {
                    uses.remove(&slot);
                    if uses.is_empty() {
                        self.uses.remove(&token);
                    }
                }
            }
        }
        Ok(())
    }

    fn apply_run(&mut self, key: &Key, id: &str, entry: Option<&Entry>) -> Result<(), DocumentError> {
        let Ok(id) = id.parse::<RunId>() else {
            return Ok(());
        };
        let before = self
            .runs
            .get(&id)
            .filter(|held| is_open(&held.doc))
            .and_then(|held| held.doc.token.clone());
        if let Some(token) = before {
            let left = self.open_runs(&token).saturating_sub(1);
            if left == 0 {
                self.open_runs.remove(&token)
            } else {
                self.open_runs.insert(token, left)
            };
        }
        let ended = self.runs.get(&id).filter(|held| !is_open(&held.doc));
        if let Some(token) = ended.and_then(|held| held.doc.token.clone())
            && let Some(runs) = self.ended_runs.get_mut(&token)
        {
            runs.remove(&id);
            if runs.is_empty() {
                self.ended_runs.remove(&token);
            }
        }
        match entry {
            Some(entry) => {
                let run: RunDocument = decode(key, &entry.value)?;
                match run.token.clone() {
                    Some(token) if is_open(&run) => *self.open_runs.entry(token).or_default() += 1,
                    Some(token) => {
                        self.ended_runs.entry(token).or_default().insert(id.clone());
                    }
                    None => {}
                }
                self.runs.insert(id, held(entry, run));
            }
            None => {
                self.runs.remove(&id);
            }
        }
        Ok(())
    }
}
