//! The file fleet: `config.yaml` declares it, SSH reaches it, and Prometheus reads lists of it.

mod alerts;
mod change;
mod diagnose;
mod diff;
mod gone;
mod nodes;
mod noting;
mod status;
mod targets;
mod write;

use std::sync::Arc;

use aami_model::code;

use super::{
    Attempt, Fleet, Installed, Introduce, Listing, Member, NewNode, Place, Settings, Which,
    needs_control_plane,
};
use crate::cli::failure::Failure;
use crate::cli::screen::Screen;
use crate::cli::session::Session;
use crate::fleet::alerts::{Alertmanager, Alerts, PresetsWanted};
use crate::fleet::diagnose::{Asked, Subject};
use crate::fleet::diff::Differences;
use crate::fleet::health::Health;

pub(crate) use alerts::Applied;
pub(crate) use gone::Remains;
pub(crate) use targets::is_noted;

/// A fleet that a file declares. The file is read when it is first needed.
pub(crate) struct FileFleet {
    place: Place,
    screen: Screen,
}

impl FileFleet {
    pub(crate) const fn new(place: Place, screen: Screen) -> Self {
        Self { place, screen }
    }

    /// What the file says now.
    pub(crate) fn read(&self) -> Result<Settings, Failure> {
        declared(&self.place)
    }
}

/// What the file of this place says now.
fn declared(place: &Place) -> Result<Settings, Failure> {
    place.read()?.ok_or_else(|| {
        Failure::found(
            code::FLEET_MISSING,
            format!("there is no {}", place.config.display()),
        )
    })
}

impl Fleet for FileFleet {
    fn name(&self) -> String {
        format!("the file fleet {}", self.place.config.display())
    }

    fn screen(&mut self) -> &mut Screen {
        &mut self.screen
    }

    fn plane(&mut self, command: &str) -> Result<&mut Session, Failure> {
        Err(needs_control_plane(command, &self.name()))
    }

    fn file(&mut self, _: &str, _: &str) -> Result<&mut FileFleet, Failure> {
        Ok(self)
    }

    fn place(&self) -> &Place {
        &self.place
    }

    fn settings(&mut self) -> Result<Settings, Failure> {
        self.read()
    }

    fn add(&mut self, nodes: &[NewNode], dry: bool) -> Result<Vec<Attempt>, Failure> {
        nodes::add(self, nodes, dry)
    }

    fn list(&mut self, which: &Which) -> Result<Listing, Failure> {
        nodes::list(self, which)
    }

    fn members(&mut self, which: &Which) -> Result<Vec<Member>, Failure> {
        nodes::members(self, which)
    }

    fn status(&mut self) -> Result<Health, Failure> {
        status::status(self)
    }

    fn apply_presets(&mut self, wanted: &PresetsWanted) -> Result<Vec<String>, Failure> {
        alerts::apply(self, wanted)
    }

    fn alerts(&mut self) -> Result<Alerts, Failure> {
        self.listed()
    }

    fn alertmanager(&mut self, prometheus: Option<&str>) -> Result<Alertmanager, Failure> {
        alerts::alertmanager(self, prometheus)
    }

    fn subject(&mut self, node: &str, asked: &Asked) -> Result<Subject, Failure> {
        diagnose::subject(self, node, asked)
    }

    fn diff(&mut self, full: bool) -> Result<Differences, Failure> {
        diff::differences(self, full)
    }

    fn introducer(&self) -> Arc<dyn Introduce> {
        Arc::new(noting::Noting::new(self.place.clone()))
    }

    fn installed(&mut self, nodes: &[Installed]) -> Result<(), Failure> {
        targets::note(&self.place, nodes)
    }
}

#[cfg(test)]
mod tests;
