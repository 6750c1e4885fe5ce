//! The bytes of what is placed: a program out of a component, a component's own file, a file of this
//! machine.

use std::io::Write;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use aami_install::host::{Clock as _, SystemClock};
use aami_install::{Content, Digest, Fetch, Host, StepError, Voice};
use aami_inventory::Arch;
use aami_model::code;

use super::session::Session;
use crate::components::{Archive, Build, Checksum, Component, Sha256Sum};
use crate::download::Verified;
use crate::extract;
use crate::obtain;

/// A download that takes no longer shows no progress.
const SHORT: Duration = Duration::from_secs(1);

/// A program of a component, for this machine's processor.
pub(crate) fn program(
    session: &Arc<Session>,
    host: &Host,
    (component, build): (&Component, &Build),
    program: &'static str,
) -> Content {
    // What is pinned is the file that is fetched; it is the program's own sum only without an archive.
    let sha256 = match component.archive {
        Archive::None => pinned(build),
        Archive::TarGz => None,
    };
    let origin = format!("{program} of {}", origin(component, build));
    let from = FromComponent {
        what: What::new(session, host, component, build, session.options.arch),
        program: Some(program),
    };
    Content::fetched(origin, sha256, Arc::new(from))
}

/// A component's file as it is, for other machines.
pub(crate) fn whole(
    session: &Arc<Session>,
    host: &Host,
    (component, build): (&Component, &Build),
    arch: Arch,
) -> Content {
    let from = FromComponent {
        what: What::new(session, host, component, build, arch),
        program: None,
    };
    Content::fetched(origin(component, build), pinned(build), Arc::new(from))
}

/// The SHA-256 of a file of this machine.
pub(crate) fn sum(path: &Path) -> Result<Sha256Sum, StepError> {
    crate::download::sum_of(path).map_err(|error| {
        let message = format!("{} cannot be read: {error}", path.display());
        StepError::new(code::STEP_FAILED, message)
    })
}

/// A copy of a file of this machine that has this sum.
pub(crate) fn copy(origin: impl Into<String>, path: &Path, sum: Sha256Sum) -> Content {
    Content::fetched(origin, digest(sum), Arc::new(Copy(path.to_owned())))
}

fn digest(sum: Sha256Sum) -> Option<Digest> {
    sum.to_string().parse().ok()
}

fn pinned(build: &Build) -> Option<Digest> {
    match &build.checksum {
        Checksum::Pinned(sum) => digest(*sum),
        Checksum::Published(_) => None,
    }
}

fn origin(component: &Component, build: &Build) -> String {
    let file = format!("{} {} ({})", component.name, component.version, build.file);
    match &build.checksum {
        Checksum::Pinned(sum) => format!("{file}, sha256 {sum}"),
        Checksum::Published(list) => format!("{file}, checksum from {list}"),
    }
}

struct What {
    session: Arc<Session>,
    component: Component,
    build: Build,
    arch: Arch,
    staging: PathBuf,
}

impl What {
    fn new(session: &Arc<Session>, host: &Host, component: &Component, build: &Build, arch: Arch) -> Self {
        Self {
            session: session.clone(),
            component: component.clone(),
            build: build.clone(),
            arch,
            staging: host.root.outside(&session.layout.staging),
        }
    }

    fn obtain(&self, voice: &Voice<'_>) -> Result<Verified, StepError> {
        let options = &self.session.options;
        let title = format!("{} {}", self.component.name, self.component.version);
        let clock = SystemClock::new();
        let started = clock.elapsed();
        let mut progress = |done: u64, total: Option<u64>| {
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
            &self.component,
            &self.build,
            self.arch,
            &options.sources,
            &self.staging,
            &mut progress,
        );
        voice.check()?;
        let obtained = obtained.map_err(|error| StepError::new(error.code(), error.to_string()))?;
        if self.session.say_once(&title) {
            if obtained.by_published_list {
                voice.warn(format!(
                    "{title}: no checksum is pinned; the publisher's own list was used"
                ));
            }
            voice.note(format!("{title} from {}, SHA-256 verified", obtained.origin));
        }
        Ok(obtained.verified)
    }
}

/// A component's file, or one program out of it.
struct FromComponent {
    what: What,
    program: Option<&'static str>,
}

impl Fetch for FromComponent {
    fn fetch(&self, voice: &Voice<'_>, into: &mut dyn Write) -> Result<(), StepError> {
        let What {
            component,
            build,
            arch,
            staging,
            ..
        } = &self.what;
        let Some(name) = self.program else {
            let verified = self.what.obtain(voice)?;
            return pour(verified.path(), into);
        };
        let inside = build.programs.get(name).ok_or_else(|| {
            let what = format!("{} {} has no program {name}", component.name, component.version);
            StepError::new(code::COMPONENT_MISSING, what)
        })?;
        let verified = self.what.obtain(voice)?;
        let program = extract::program(&verified, component.archive, inside, *arch, staging)
            .map_err(|error| StepError::new(error.code(), error.to_string()))?;
        pour(program.path(), into)
    }
}

struct Copy(PathBuf);

impl Fetch for Copy {
    fn fetch(&self, voice: &Voice<'_>, into: &mut dyn Write) -> Result<(), StepError> {
        voice.check()?;
        pour(&self.0, into)
    }
}

fn pour(from: &Path, into: &mut dyn Write) -> Result<(), StepError> {
    let failed =
        |error: std::io::Error| StepError::new(code::STEP_FAILED, format!("{}: {error}", from.display()));
    let mut file = std::fs::File::open(from).map_err(failed)?;
    std::io::copy(&mut file, into).map_err(failed)?;
    Ok(())
}
