//! The bytes of what is placed: a program out of a component, a component's own file, a file of this
//! machine.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use aami_install::{Content, Fetch, Host, StepError, Voice};
use aami_inventory::Arch;
use aami_model::code;

use super::session::Session;
use crate::components::{Build, Component, Sha256Sum};
use crate::fetch::{Wanted, digest, origin, pinned, pinned_program, pour};

/// A program of a component, for this machine's processor.
pub(crate) fn program(
    session: &Arc<Session>,
    host: &Host,
    (component, build): (&Component, &Build),
    program: &'static str,
) -> Content {
    let origin = format!("{program} of {}", origin(component, build));
    let from = FromComponent {
        what: What::new(session, host, component, build, session.options.arch),
        program: Some(program),
    };
    Content::fetched(origin, pinned_program(component, build), Arc::new(from))
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

/// The archive of a component that is placed whole, where it has `program` for this machine's processor.
pub(crate) fn tree(
    session: &Arc<Session>,
    host: &Host,
    (component, build): (&Component, &Build),
    program: &'static str,
) -> Content {
    let what = What::new(session, host, component, build, session.options.arch);
    let from = Whole { what, program };
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

/// A file that an earlier run placed and this one has nowhere to take from.
pub(crate) fn as_placed(name: &str, sum: Sha256Sum) -> Content {
    Content::fetched(name, digest(sum), Arc::new(Placed(name.to_owned())))
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

    fn wanted(&self) -> Wanted<'_> {
        let options = &self.session.options;
        Wanted {
            component: &self.component,
            build: &self.build,
            arch: self.arch,
            sources: &options.sources,
            downloader: &options.downloader,
            staging: &self.staging,
            plane: None,
        }
    }
}

/// A component's file, or one program out of it.
struct FromComponent {
    what: What,
    program: Option<&'static str>,
}

impl Fetch for FromComponent {
    fn fetch(&self, voice: &Voice<'_>, into: &mut dyn Write) -> Result<(), StepError> {
        let (wanted, session) = (self.what.wanted(), &self.what.session);
        // Several programs come out of one file.
        let is_news = |title: &str| session.say_once(title);
        match self.program {
            Some(name) => wanted.program(name, voice, is_news, into),
            None => pour(wanted.whole(voice, is_news)?.path(), into),
        }
    }
}

/// A component's archive, and the program in it that must be for this machine's processor.
struct Whole {
    what: What,
    program: &'static str,
}

impl Fetch for Whole {
    fn fetch(&self, voice: &Voice<'_>, into: &mut dyn Write) -> Result<(), StepError> {
        let is_news = |title: &str| self.what.session.say_once(title);
        self.what
            .wanted()
            .archive_with(self.program, voice, is_news, into)
    }
}

struct Copy(PathBuf);

impl Fetch for Copy {
    fn fetch(&self, voice: &Voice<'_>, into: &mut dyn Write) -> Result<(), StepError> {
        voice.check()?;
        pour(&self.0, into)
    }
}

struct Placed(String);

impl Fetch for Placed {
    fn fetch(&self, _: &Voice<'_>, _: &mut dyn Write) -> Result<(), StepError> {
        let message = format!(
            "{} is not as it was placed, and no release is named to take it from",
            self.0
        );
        let hint = "Name the release with --release DIR and --public-key KEY, or run its install.sh again.";
        Err(StepError::new(code::COMPONENT_MISSING, message).with_hint(hint))
    }
}
