//! Exporters: they live inside their node, so every change is a change of the node.

use aami_api::node::{CreateExporter, PatchExporter};
use aami_api::page::Page;
use aami_api::register::ExporterView;
use aami_model::access::{Caller, Role};
use aami_model::exporter;
use aami_model::{NodeId, code};

use super::commit::Written;
use super::{App, Asking, Refusal, access};

/// Reads `<node id>.<type>-<port>`.
fn read_id(id: &str) -> Result<(NodeId, String), Refusal> {
    id.split_once('.')
        .and_then(|(node, name)| Some((node.parse().ok()?, name.to_owned())))
        .ok_or_else(|| Refusal::not_found("exporter"))
}

impl App {
    /// The exporters of the nodes the caller sees, by node.
    pub(crate) fn exporters(
        &self,
        caller: &Caller,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Page<ExporterView>, Refusal> {
        let after = after.map(read_id).transpose()?;
        let snapshot = self.view.current();
        let skip = |view: &ExporterView| after.as_ref().is_some_and(|(node, _)| view.node_id == *node);
        // A page ends with a whole node, so that the next begins with the one after it.
        let mut items: Vec<ExporterView> = Vec::new();
        let mut more = false;
        for held in snapshot.nodes(&caller.orgs, after.as_ref().map(|(node, _)| node)) {
            if items.len() >= limit {
                more = true;
                break;
            }
            items.extend(
                held.doc
                    .exporters
                    .iter()
                    .map(|e| ExporterView::of(&held.doc.id, e))
                    .filter(|v| !skip(v)),
            );
        }
        let next_page_token = items.last().filter(|_| more).map(|last| last.id.clone());
        Ok(Page {
            items,
            next_page_token,
        })
    }

    /// One exporter.
    pub(crate) fn exporter(&self, caller: &Caller, id: &str) -> Result<ExporterView, Refusal> {
        let (node, _) = read_id(id)?;
        let held = self
            .node(caller, &node)
            .map_err(|_| Refusal::not_found("exporter"))?;
        held.doc
            .exporters
            .into_iter()
            .find(|e| e.id == id)
            .ok_or_else(|| Refusal::not_found("exporter"))
    }

    /// Adds an exporter to a node.
    pub(crate) async fn create_exporter(
        &self,
        asking: &Asking,
        wanted: CreateExporter,
    ) -> Result<(ExporterView, Written), Refusal> {
        access::require(&asking.caller, Role::Operator)?;
        let exporter = wanted.exporter.into_exporter();
        exporter
            .check()
            .map_err(|error| Refusal::invalid("exporter", error))?;
        super::register::check_metadata("config", &exporter.config)?;
        let (_, written) = self
            .edit_node(asking, &wanted.node_id, "exporter.create", |_, node, _| {
                if node.exporters.iter().any(|held| held.port == exporter.port) {
                    return Err(Refusal::new(
                        code::CONFLICT,
                        format!("the node has an exporter on port {} already", exporter.port),
                    ));
                }
                node.exporters.push(exporter.clone());
                exporter::check_set(&node.exporters).map_err(|error| Refusal::invalid("exporter", error))?;
                Ok(vec!["exporter.created".to_owned()])
            })
            .await?;
        Ok((ExporterView::of(&wanted.node_id, &exporter), written))
    }

    /// Changes an exporter.
    pub(crate) async fn patch_exporter(
        &self,
        asking: &Asking,
        id: &str,
        patch: PatchExporter,
    ) -> Result<(ExporterView, Written), Refusal> {
        access::require(&asking.caller, Role::Operator)?;
        let (node, name) = read_id(id)?;
        let (view, written) = self
            .edit_node(asking, &node, "exporter.edit", |_, node, _| {
                let exporter = node
                    .exporters
                    .iter_mut()
                    .find(|exporter| exporter.name() == name)
                    .ok_or_else(|| Refusal::not_found("exporter"))?;
                exporter.enabled = patch.enabled.unwrap_or(exporter.enabled);
                if let Some(path) = &patch.metrics_path {
                    exporter.metrics_path.clone_from(path);
                }
                if let Some(interval) = &patch.scrape_interval {
                    exporter.scrape_interval = Some(interval.clone()).filter(|text| !text.is_empty());
                }
                exporter
                    .check()
                    .map_err(|error| Refusal::invalid("exporter", error))?;
                Ok(vec!["exporter.edited".to_owned()])
            })
            .await
            .map_err(|error| {
                if error.code == code::NOT_FOUND {
                    Refusal::not_found("exporter")
                } else {
                    error
                }
            })?;
        let view = view
            .exporters
            .into_iter()
            .find(|e| e.id == id)
            .ok_or_else(|| Refusal::not_found("exporter"))?;
        Ok((view, written))
    }

    /// Removes an exporter from its node.
    pub(crate) async fn delete_exporter(&self, asking: &Asking, id: &str) -> Result<Written, Refusal> {
        access::require(&asking.caller, Role::Operator)?;
        let (node, name) = read_id(id)?;
        let (_, written) = self
            .edit_node(asking, &node, "exporter.delete", |_, node, _| {
                let before = node.exporters.len();
                node.exporters.retain(|exporter| exporter.name() != name);
                if node.exporters.len() == before {
                    return Err(Refusal::not_found("exporter"));
                }
                Ok(vec!["exporter.deleted".to_owned()])
            })
            .await?;
        Ok(written)
    }
}
