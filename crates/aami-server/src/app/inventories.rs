//! Inventories: what a node's host is, as the node last said, kept packed.

use aami_model::access::{Caller, Role, Scope};
use aami_model::{NodeId, code};
use aami_store::keys;
use data_encoding::HEXLOWER;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use super::commit::{Change, Wanted, Written};
use super::reports::LARGEST_INVENTORY;
use super::{App, Asking, Refusal};
use crate::view::document::encode;
use crate::view::linked::{InventoryDocument, Packed};

fn may(caller: &Caller, node: &NodeId, role: Role) -> Result<(), Refusal> {
    if caller.has_role(role) || caller.has_scope(&Scope::Node(node.clone())) {
        Ok(())
    } else {
        Err(Refusal::plain(code::FORBIDDEN))
    }
}

impl App {
    /// What a node's host is.
    pub(crate) fn inventory(&self, caller: &Caller, id: &NodeId) -> Result<Value, Refusal> {
        may(caller, id, Role::Viewer)?;
        self.node(caller, id)?;
        let snapshot = self.view.current();
        let held =
            snapshot.linked.inventories.get(id).ok_or_else(|| {
                Refusal::new(code::NOT_FOUND, "this node has not said yet what its host is")
            })?;
        let inventory: Value = serde_json::from_slice(&held.doc.packed.bytes()).unwrap_or_default();
        Ok(json!({
            "node_id": id,
            "sha256": held.doc.sha256,
            "reported_at": held.doc.at,
            "inventory": inventory,
        }))
    }

    /// Keeps what a node's host is, said by the node itself or by somebody who looked.
    pub(crate) async fn keep_inventory(
        &self,
        asking: &Asking,
        id: &NodeId,
        inventory: &Value,
    ) -> Result<Written, Refusal> {
        may(&asking.caller, id, Role::Operator)?;
        let bytes = serde_json::to_vec(inventory).unwrap_or_default();
        if !inventory.is_object() || inventory.as_object().is_some_and(serde_json::Map::is_empty) {
            return Err(Refusal::invalid("body", "it is an inventory, a JSON object"));
        }
        if bytes.len() > LARGEST_INVENTORY {
            return Err(Refusal::new(
                code::TOO_LARGE,
                format!("an inventory is at most {LARGEST_INVENTORY} bytes"),
            ));
        }
        let sha256 = HEXLOWER.encode(&Sha256::digest(&bytes));
        let packed = Packed::of(&bytes);
        let wrote = self
            .write(asking, |snapshot, now| {
                let held = snapshot
                    .node(id, &asking.caller.orgs)
                    .ok_or_else(|| Refusal::not_found("node"))?;
                let known = snapshot.linked.inventories.get(id);
                if known.is_some_and(|known| known.doc.sha256 == sha256) {
                    return Ok(Wanted::Nothing(()));
                }
                let document = InventoryDocument {
                    sha256: sha256.clone(),
                    at: now,
                    packed: packed.clone(),
                };
                let mut change = Change::new(held.doc.org.clone(), "node.inventory", format!("node:{id}"))
                    .noting(json!({ "hostname": held.doc.hostname, "sha256": sha256 }))
                    .transact(|txn| {
                        txn.when_unchanged(keys::node(id), held.revision)
                            .put(keys::inventory(id), encode(&document))
                    });
                if known.is_some() {
                    let mut data = super::commit::node_data(&held.doc);
                    data["sha256"] = json!(sha256);
                    change = change.tell("node.inventory_changed", data);
                }
                Ok(Wanted::Write(Box::new(change), ()))
            })
            .await?;
        Ok(wrote.written(&self.view))
    }
}
