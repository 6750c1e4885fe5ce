//! The calls about alerts and Prometheuses by name.

use aami_model::PrometheusId;
use aami_model::group::name_fits;
use ureq::http::Method;

use super::{Answer, Client, ClientError};
use crate::page::Page;
use crate::prometheus::{LoadReport, NodePrometheuses, PrometheusView, RuleBundle, bundle_sha256};
use crate::rules::{ActiveAlerts, CreateRuleSet, PatchRuleSet, PresetView, Presets, RuleSetView};
use crate::url::encoded;

const NOTHING: Option<&()> = None;

/// A set or a Prometheus as a part of a path.
fn named(name: &str) -> String {
    // What no thing is called leads nowhere, whatever is in it.
    if name_fits(name) {
        encoded(name)
    } else {
        "-".to_owned()
    }
}

impl Client {
    /// Every preset and pack, with its rules.
    pub fn presets(&self) -> Result<Presets, ClientError> {
        self.get("/api/v1/alerts/presets")
    }

    /// One of them.
    pub fn preset(&self, id: &str) -> Result<PresetView, ClientError> {
        self.get(&format!("/api/v1/alerts/presets/{}", named(id)))
    }

    /// The rule sets, a page of them; `query` is empty or begins with `?`.
    pub fn rule_sets(&self, query: &str) -> Result<Page<RuleSetView>, ClientError> {
        self.get(&format!("/api/v1/alerts/rules{query}"))
    }

    /// One rule set, by id, by its group's name, or `global`; with what to send as `If-Match` to change exactly this.
    pub fn rule_set(&self, name: &str) -> Result<Answer<RuleSetView>, ClientError> {
        self.call(
            Method::GET,
            &format!("/api/v1/alerts/rules/{}", named(name)),
            NOTHING,
            &[],
        )
    }

    /// Makes the rule set of a scope that has none.
    pub fn create_rule_set(&self, wanted: &CreateRuleSet) -> Result<Answer<RuleSetView>, ClientError> {
        self.call(Method::POST, "/api/v1/alerts/rules", Some(wanted), &[])
    }

    /// Changes a rule set; with `etag`, only as it was then.
    pub fn patch_rule_set(
        &self,
        name: &str,
        patch: &PatchRuleSet,
        etag: Option<&str>,
    ) -> Result<Answer<RuleSetView>, ClientError> {
        let headers: Vec<_> = etag.map(|etag| ("if-match", etag)).into_iter().collect();
        self.call(
            Method::PATCH,
            &format!("/api/v1/alerts/rules/{}", named(name)),
            Some(patch),
            &headers,
        )
    }

    /// Removes a rule set: what is for everybody holds for its nodes from then on.
    pub fn delete_rule_set(&self, name: &str) -> Result<(), ClientError> {
        self.delete(&format!("/api/v1/alerts/rules/{}", named(name)))
    }

    /// What is pending or fires; `query` is empty or begins with `?`.
    pub fn active_alerts(&self, query: &str) -> Result<ActiveAlerts, ClientError> {
        self.get(&format!("/api/v1/alerts/active{query}"))
    }

    /// The Prometheuses, a page of them, each with wanted against loaded.
    pub fn prometheuses(&self, query: &str) -> Result<Page<PrometheusView>, ClientError> {
        self.get(&format!("/api/v1/prometheuses{query}"))
    }

    /// One of them, by id or name.
    pub fn prometheus(&self, name: &str) -> Result<Answer<PrometheusView>, ClientError> {
        self.call(
            Method::GET,
            &format!("/api/v1/prometheuses/{}", named(name)),
            NOTHING,
            &[],
        )
    }

    /// What a node delivers, asked with its own credential.
    pub fn node_prometheuses(&self) -> Result<NodePrometheuses, ClientError> {
        self.get("/api/v1/prometheuses/node")
    }

    /// All rules a Prometheus should have; nothing where that is still the bundle `have` names.
    ///
    /// Fails where the files are not those the hash names.
    pub fn rule_bundle(
        &self,
        id: &PrometheusId,
        have: Option<&str>,
    ) -> Result<Option<RuleBundle>, ClientError> {
        let path = format!("/api/v1/prometheuses/{id}/bundle");
        let known = have.map(|have| format!("\"{have}\""));
        let headers: Vec<_> = (known.as_deref().map(|known| ("if-none-match", known)))
            .into_iter()
            .collect();
        let Some(bundle) = self.unless_known::<RuleBundle>(&path, &headers)? else {
            return Ok(None);
        };
        if bundle_sha256(&bundle.files) == bundle.sha256 {
            Ok(Some(bundle))
        } else {
            let line = "rules that are not those their hash names";
            Err(self.not_aami(&path, 200, line.as_bytes()))
        }
    }

    /// Says how bringing a bundle in went, with the node's own credential.
    pub fn report_loaded(&self, id: &PrometheusId, report: &LoadReport) -> Result<(), ClientError> {
        let _: PrometheusView = self.post(&format!("/api/v1/prometheuses/{id}/loaded"), Some(report))?;
        Ok(())
    }
}
