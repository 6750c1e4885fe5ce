//! One program out of a component's archive.

use std::io::Write;
use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::Duration;

use aami_install::host::{Clock as _, SystemClock};
use aami_install::{Fetch, StepError, Voice};
use aami_model::code;

use crate::components::{Build, Component};
use crate::node::session::Session;
use crate::{extract, obtain};

/// A download that takes no longer shows no progress.
const SHORT: Duration = Duration::from_secs(1);

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
        let (component, build) = (&self.component, &self.build);
        let arch = self.session.inventory()?.arch;
        let inside = build.programs.get(&self.program).ok_or_else(|| {
            let what = format!(
                "{} {} has no program {}",
                component.name, component.version, self.program
            );
            StepError::new(code::CATALOGUE_INVALID, what)
        })?;
        let title = format!("{} {}", component.name, component.version);
        let clock = SystemClock::new();
        let started = clock.elapsed();
        let mut progress = |done: u64, total: Option<u64>| {
            // What is here within a second needs no bar.
            let is_long = clock.elapsed() - started > SHORT;
            if let Some(total) = total.filter(|total| *total > 0 && is_long) {
                #[expect(clippy::cast_precision_loss, reason = "a fraction shown to people")]
                voice.progress(done as f64 / total as f64, &format!("downloading {title}"));
            }
            if voice.check().is_err() {
                ControlFlow::Break(())
            } else {
                ControlFlow::Continue(())
            }
        };
        let obtained = obtain::obtain(
            &options.downloader,
            component,
            build,
            arch,
            &options.sources,
            &self.staging,
            &mut progress,
        );
        voice.check()?;
        let obtained = obtained.map_err(|error| StepError::new(error.code(), error.to_string()))?;
        if obtained.by_published_list {
            voice.warn(format!(
                "{title}: no checksum is pinned; the publisher's own list was used"
            ));
        }
        let program = extract::program(&obtained.verified, component.archive, inside, arch, &self.staging)
            .map_err(|error| StepError::new(error.code(), error.to_string()))?;
        voice.note(format!("{title} from {}, SHA-256 verified", obtained.origin));
        let unreadable =
            |error: std::io::Error| StepError::new(code::STEP_FAILED, format!("{title}: {error}"));
        let mut file = std::fs::File::open(program.path()).map_err(unreadable)?;
        std::io::copy(&mut file, into).map_err(unreadable)?;
        Ok(())
    }
}
