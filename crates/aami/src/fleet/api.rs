//! The fleet of a control plane.

pub(crate) mod alerts;
mod diagnose;
mod diff;
mod introduction;
mod nodes;

use std::sync::Arc;

use introduction::Tokens;

use super::{
    Attempt, FileFleet, Fleet, Installed, Introduce, Listing, Member, NewNode, Place, Settings, Which,
    needs_file_fleet,
};
use crate::cli::failure::Failure;
use crate::cli::screen::Screen;
use crate::cli::session::Session;
use crate::cli::status;
use crate::fleet::alerts::{Alertmanager, Alerts, PresetsWanted};
use crate::fleet::diagnose::{Asked, Subject};
use crate::fleet::diff::Differences;
use crate::fleet::health::Health;

/// A fleet that a control plane keeps.
pub(crate) struct ApiFleet {
    session: Session,
    place: Place,
}

impl ApiFleet {
    pub(crate) const fn new(session: Session, place: Place) -> Self {
        Self { session, place }
    }
}

impl Fleet for ApiFleet {
    fn name(&self) -> String {
        format!("the control plane {}", self.session.client.server())
    }

    fn screen(&mut self) -> &mut Screen {
        &mut self.session.screen
    }

    fn plane(&mut self, _: &str) -> Result<&mut Session, Failure> {
        Ok(&mut self.session)
    }

    fn file(&mut self, command: &str, way: &str) -> Result<&mut FileFleet, Failure> {
        Err(needs_file_fleet(command, &self.name(), way))
    }

    fn place(&self) -> &Place {
        &self.place
    }

    /// SSH is the operator's own affair: what their configuration says of it holds for a control plane's nodes too.
    fn settings(&mut self) -> Result<Settings, Failure> {
        match self.place.read()? {
            Some(settings) => Ok(settings),
            None => self.place.usual(),
        }
    }

    fn add(&mut self, nodes: &[NewNode], dry: bool) -> Result<Vec<Attempt>, Failure> {
        nodes::add(&mut self.session, nodes, dry)
    }

    fn list(&mut self, which: &Which) -> Result<Listing, Failure> {
        nodes::find(&self.session, which).map(Listing::Managed)
    }

    fn members(&mut self, which: &Which) -> Result<Vec<Member>, Failure> {
        let settings = self.settings()?;
        nodes::members(&self.session, which, settings.config())
    }

    fn status(&mut self) -> Result<Health, Failure> {
        status::of(&self.session)
    }

    fn apply_presets(&mut self, wanted: &PresetsWanted) -> Result<Vec<String>, Failure> {
        alerts::apply_presets(&self.session, wanted)
    }

    fn alerts(&mut self) -> Result<Alerts, Failure> {
        alerts::listed(&self.session)
    }

    fn alertmanager(&mut self, prometheus: Option<&str>) -> Result<Alertmanager, Failure> {
        alerts::alertmanager(&self.session, prometheus)
    }

    fn subject(&mut self, node: &str, asked: &Asked) -> Result<Subject, Failure> {
        diagnose::subject(self, node, asked)
    }

    fn diff(&mut self, _: bool) -> Result<Differences, Failure> {
        diff::differences(self)
    }

    fn introducer(&self) -> Arc<dyn Introduce> {
        Arc::new(Tokens::of(&self.session))
    }

    /// The node registered itself, and was verified.
    fn installed(&mut self, _: &[Installed]) -> Result<(), Failure> {
        Ok(())
    }
}
