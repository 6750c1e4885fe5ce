//! `aami alerts rules set`.

use std::path::PathBuf;
use std::time::Duration;

use aami_api::rules::{CreateRuleSet, PatchRuleSet, RuleSetView};
use aami_model::Exit;
use aami_model::rules::GLOBAL;
use clap::Args;
use http::Method;

use super::list::table;
use super::show::path;
use super::written::{self, Written};
use crate::cli::dry::{Change, Dry, there};
use crate::cli::failure::Failure;
use crate::cli::query::encoded;
use crate::cli::session::Session;
use crate::fleet::rule_sets;

/// Make the rule set of a scope, or change it, and see that every Prometheus loads it
#[derive(Debug, Args)]
#[command(group = clap::ArgGroup::new("change").required(true).multiple(true))]
#[command(after_help = "\
Examples:
  aami alerts rules set --presets gpu-production,infiniband
  aami alerts rules set h100 --presets thermal --priority 10
  aami alerts rules set h100 --file h100.yaml
  aami alerts rules set --enabled false
  aami alerts rules set h100 --presets thermal --dry-run

A file holds presets, custom (rules as under `alerts.custom` in a configuration), overrides (alert, and one of disabled,
severity, for, threshold), priority, enabled and description; what it leaves out stays. What a group's set says of an
alert goes before what is said for everybody.")]
pub(crate) struct Set {
    /// A group; `global` is the set for every node
    #[arg(default_value = GLOBAL)]
    scope: String,
    /// The presets, all of them, with commas; an empty text for none
    #[arg(long, value_name = "NAMES", group = "change")]
    presets: Option<String>,
    /// YAML or JSON with what it shall say; - is standard input
    #[arg(short, long, value_name = "FILE", group = "change")]
    file: Option<PathBuf>,
    /// Which group wins on a node that is in several: the higher number
    #[arg(long, value_name = "N", group = "change")]
    priority: Option<u16>,
    /// What it is for
    #[arg(long, value_name = "TEXT", group = "change")]
    description: Option<String>,
    /// Whether it counts
    #[arg(long, value_name = "true|false", group = "change")]
    enabled: Option<bool>,
    /// How many seconds every Prometheus has to load the rules; 0 waits for none
    #[arg(long, value_name = "SECONDS", default_value = "120", value_parser = clap::value_parser!(u64).range(0..=3600))]
    within: u64,
    #[command(flatten)]
    dry: Dry,
}

impl Set {
    pub(super) fn run(self, session: &mut Session) -> Result<Exit, Failure> {
        let written = match &self.file {
            Some(file) => written::read(file)?,
            None => Written::default(),
        };
        let presets = self.presets.as_ref().map(|names| {
            let names = names.split(',').map(str::trim);
            names.filter(|name| !name.is_empty()).map(str::to_owned).collect()
        });
        let patch = PatchRuleSet {
            description: self.description.or(written.description),
            enabled: self.enabled.or(written.enabled),
            priority: self.priority.or(written.priority),
            presets: presets.or(written.presets),
            custom: written.custom,
            overrides: written.overrides,
        };
        let scope = &self.scope;
        let view: RuleSetView = match rule_sets::rule_set(session, scope)? {
            // Only as it was looked at: what somebody else changed meanwhile is not undone unseen.
            Some((found, etag)) => {
                let id = &found.set.id;
                let change =
                    Change::new(Method::PATCH, path(id.as_str()), &patch).unchanged_since(etag.as_deref());
                if self.dry.dry_run {
                    return change.tell(session, id, format!("the rules for {scope} would be changed"));
                }
                change.send(session)?
            }
            None => {
                let create = CreateRuleSet {
                    group: Some(scope.clone()).filter(|scope| scope != GLOBAL),
                    description: patch.description.unwrap_or_default(),
                    enabled: patch.enabled,
                    priority: patch.priority,
                    presets: patch.presets.unwrap_or_default(),
                    custom: patch.custom.unwrap_or_default(),
                    overrides: patch.overrides.unwrap_or_default(),
                    org: None,
                };
                let change = Change::new(Method::POST, "/api/v1/alerts/rules", &create);
                if self.dry.dry_run {
                    if let Some(group) = &create.group {
                        there(session, &format!("/api/v1/groups/{}", encoded(group)))?;
                    }
                    return change.tell(session, scope, format!("the rules for {scope} would be made"));
                }
                change.send(session)?
            }
        };
        session
            .screen
            .show(&view, |wide| table(std::slice::from_ref(&view), wide))?;
        if self.within > 0 {
            for remark in rule_sets::loaded_everywhere(session, Duration::from_secs(self.within))? {
                session.screen.note(&format!("aami: {remark}"));
            }
        }
        Ok(Exit::Ok)
    }
}
