//! One program out of a component's archive.

use std::io::Write;
use std::sync::Arc;

use aami_install::{Fetch, StepError, Voice};

use crate::components::{Build, Component};
use crate::fetch::Wanted;
use crate::node::session::Session;

/// Fetches a component's file, verifies it, and hands on the one program wanted out of it.
pub(super) struct Program {
    pub(super) session: Arc<Session>,
    pub(super) component: Component,
    pub(super) build: Build,
    pub(super) program: String,
    pub(super) staging: std::path::PathBuf,
}

impl Fetch for Program {
    fn fetch(&self, voice: &Voice<'_>, into: &mut dyn Write) -> Result<(), StepError> {
        let options = &self.session.options;
        let wanted = Wanted {
            component: &self.component,
            build: &self.build,
            arch: self.session.inventory()?.arch,
            sources: &options.sources,
            downloader: &options.downloader,
            staging: &self.staging,
            plane: self.session.server(),
        };
        wanted.program(&self.program, voice, |_| true, into)
    }
}
