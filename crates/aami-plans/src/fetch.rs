//! A component's file, and a program out of it, as the bytes of an effect: obtained with progress, verified, told once.

use std::io::Write;
use std::ops::ControlFlow;
use std::path::Path;
use std::time::Duration;

use aami_install::host::{Clock as _, SystemClock};
use aami_install::{Digest, StepError, Voice};
use aami_inventory::Arch;
use aami_model::code;

use crate::components::{Archive, Build, Checksum, Component, Sha256Sum};
use crate::download::{Downloader, Verified};
use crate::extract;
use crate::obtain::{self, ObtainError, Source};

/// What to do where somebody else than the control plane cannot be trusted: there is no flag for it.
const STRANGER: &str = "Check who answers at that address; where an authority of your own has signed its certificate, put its \
                        certificate into /usr/local/share/ca-certificates/ as NAME.crt and run `update-ca-certificates` \
                        (on Red Hat's: /etc/pki/ca-trust/source/anchors/ and `update-ca-trust`), so that this machine trusts it.";
/// What to do where the control plane itself cannot be trusted.
const PLANE: &str = "Give `aami-agent bootstrap` the control plane's CA with --ca-file FILE, or its key's pin with --pin PIN; \
                     `aami tokens create` prints both.";
/// A download that takes no longer shows no progress.
const SHORT: Duration = Duration::from_secs(1);

/// A component's file, and where it may come from.
pub(crate) struct Wanted<'a> {
    /// The component.
    pub(crate) component: &'a Component,
    /// Its build.
    pub(crate) build: &'a Build,
    /// For which processor.
    pub(crate) arch: Arch,
    /// Where it is looked for, in this order.
    pub(crate) sources: &'a [Source],
    /// Who fetches it.
    pub(crate) downloader: &'a Downloader,
    /// Where it lies while it is judged.
    pub(crate) staging: &'a Path,
    /// The control plane's address, where one is among the sources.
    pub(crate) plane: Option<&'a str>,
}

/// A failure to have something, as a step tells it. The control plane at `plane` is the only one whose certificate a
/// flag vouches for.
pub(crate) fn not_had(error: &ObtainError, plane: Option<&str>) -> StepError {
    let failed = StepError::new(error.code(), error.to_string());
    if error.code() != code::SERVER_NOT_TRUSTED {
        return failed;
    }
    let is_planes = plane.zip(error.url()).is_some_and(|(plane, url)| {
        let below = url.strip_prefix(plane.trim_end_matches('/'));
        below.is_some_and(|rest| rest.starts_with('/'))
    });
    failed.with_hint(if is_planes { PLANE } else { STRANGER })
}

impl Wanted<'_> {
    /// The whole file. `is_news` says whether its origin is still to be told.
    pub(crate) fn whole(
        &self,
        voice: &Voice<'_>,
        is_news: impl FnOnce(&str) -> bool,
    ) -> Result<Verified, StepError> {
        let title = format!("{} {}", self.component.name, self.component.version);
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
            self.downloader,
            self.component,
            self.build,
            self.arch,
            self.sources,
            self.staging,
            &mut progress,
        );
        voice.check()?;
        let obtained = obtained.map_err(|error| not_had(&error, self.plane))?;
        if is_news(&title) {
            if obtained.by_published_list {
                voice.warn(format!(
                    "{title}: no checksum is pinned; the publisher's own list was used"
                ));
            }
            voice.note(format!("{title} from {}, SHA-256 verified", obtained.origin));
        }
        Ok(obtained.verified)
    }

    /// The bytes of one program out of it.
    pub(crate) fn program(
        &self,
        name: &str,
        voice: &Voice<'_>,
        is_news: impl FnOnce(&str) -> bool,
        into: &mut dyn Write,
    ) -> Result<(), StepError> {
        let inside = self.inside(name)?;
        let verified = self.whole(voice, is_news)?;
        let program = extract::program(&verified, self.component.archive, inside, self.arch, self.staging)
            .map_err(|error| StepError::new(error.code(), error.to_string()))?;
        pour(program.path(), into)
    }

    /// The whole archive, where it has this program for the processor it is wanted for.
    #[cfg(feature = "stack")]
    pub(crate) fn archive_with(
        &self,
        program: &str,
        voice: &Voice<'_>,
        is_news: impl FnOnce(&str) -> bool,
        into: &mut dyn Write,
    ) -> Result<(), StepError> {
        let inside = self.inside(program)?;
        let verified = self.whole(voice, is_news)?;
        extract::has_program(&verified, inside, self.arch)
            .map_err(|error| StepError::new(error.code(), error.to_string()))?;
        pour(verified.path(), into)
    }

    /// Where a program lies in the archive.
    fn inside(&self, program: &str) -> Result<&str, StepError> {
        let Component { name, version, .. } = self.component;
        let inside = self.build.programs.get(program).map(String::as_str);
        inside.ok_or_else(|| {
            StepError::new(
                code::CATALOGUE_INVALID,
                format!("{name} {version} has no program {program}"),
            )
        })
    }
}

/// The bytes of a file of this machine.
pub(crate) fn pour(from: &Path, into: &mut dyn Write) -> Result<(), StepError> {
    let failed =
        |error: std::io::Error| StepError::new(code::STEP_FAILED, format!("{}: {error}", from.display()));
    let mut file = std::fs::File::open(from).map_err(failed)?;
    std::io::copy(&mut file, into).map_err(failed)?;
    Ok(())
}

/// The sum of a component's file, where it is pinned.
pub(crate) fn pinned(build: &Build) -> Option<Digest> {
    match &build.checksum {
        Checksum::Pinned(sum) => digest(*sum),
        Checksum::Published(_) => None,
    }
}

/// The same for a program in it: what is pinned is the file that is fetched, which is the program only where there is
/// no archive.
pub(crate) fn pinned_program(component: &Component, build: &Build) -> Option<Digest> {
    match component.archive {
        Archive::None => pinned(build),
        Archive::TarGz => None,
    }
}

/// A sum, as effects have it.
pub(crate) fn digest(sum: Sha256Sum) -> Option<Digest> {
    sum.to_string().parse().ok()
}

/// What a file is, for people.
pub(crate) fn origin(component: &Component, build: &Build) -> String {
    let file = format!("{} {} ({})", component.name, component.version, build.file);
    match &build.checksum {
        Checksum::Pinned(sum) => format!("{file}, sha256 {sum}"),
        Checksum::Published(list) => format!("{file}, checksum from {list}"),
    }
}

#[cfg(test)]
mod tests {
    use aami_api::client::ClientError;

    use super::*;
    use crate::download::DownloadError;

    #[test]
    fn who_is_not_trusted_says_what_helps_there() {
        let hint = |url: &str| {
            let source = ClientError::Untrusted {
                server: url.to_owned(),
                why: "nobody known signed it".to_owned(),
            };
            let error = DownloadError::Transport {
                url: url.to_owned(),
                source,
                by_proxy: false,
            };
            let failed = not_had(&error.into(), Some("https://aami.example.com:8080/"));
            assert_eq!(failed.code(), code::SERVER_NOT_TRUSTED);
            failed.hint()
        };
        // Given the control plane's own folder, the flags that vouch for it help;
        let planes = hint("https://aami.example.com:8080/dist/amd64/components.toml");
        for word in ["aami-agent bootstrap", "--ca-file", "--pin"] {
            assert!(planes.contains(word), "{planes}");
        }
        // and nobody else has such flags, whatever its address begins with.
        for url in [
            "https://aami.example.com:80801/x",
            "https://mirror.example.com/components.toml",
        ] {
            let other = hint(url);
            assert!(
                other.contains("update-ca-certificates") && !other.contains("--ca-file"),
                "{url}: {other}"
            );
        }
    }
}
