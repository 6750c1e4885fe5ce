//! Getting one component from the places a caller names, in the order they are named.

use std::path::{Path, PathBuf};

use aami_api::client::Trust;
use aami_inventory::Arch;
use aami_model::code::{self, Code};

use crate::components::{Archive, Build, Catalogue, CatalogueError, Checksum, Component, Sha256Sum};
use crate::download::{Access, DownloadError, Downloader, Format, Progress, Verified, Wanted};

/// The largest archive taken, in bytes.
const LARGEST_FILE: u64 = 1024 * 1024 * 1024;
/// The largest list of checksums, and the largest catalogue, in bytes.
const LARGEST_TEXT: u64 = 1024 * 1024;
/// How publishers are entered: as anybody is.
const PUBLIC: Access = Access {
    trust: Trust::System,
    credential: None,
};
/// What a site calls its catalogue, in a folder and on a mirror.
const SITE_CATALOGUE: &str = "components.toml";

/// Where components may come from.
#[derive(Debug, Clone)]
pub enum Source {
    /// A folder on this machine.
    Folder(PathBuf),
    /// A web server that carries the publishers' files under their own names, beside one another or
    /// in a folder per processor.
    Mirror(Mirror),
    /// Each component's own publisher.
    Publisher,
}

/// A web server that carries components.
#[derive(Debug, Clone)]
pub struct Mirror {
    /// Its address.
    pub url: String,
    /// How it is entered.
    pub access: Access,
}

/// A component's file, and where it came from.
#[derive(Debug)]
pub struct Obtained {
    /// The file.
    pub verified: Verified,
    /// The folder or address.
    pub origin: String,
    /// Whether its checksum is the publisher's own list's and not one pinned beforehand.
    pub by_published_list: bool,
}

/// Why a component could not be had.
#[derive(Debug, thiserror::Error)]
pub enum ObtainError {
    /// The catalogue does not have it.
    #[error(transparent)]
    Catalogue(#[from] CatalogueError),
    /// A file was found and is not to be used, or this machine cannot keep it.
    #[error(transparent)]
    Download(#[from] DownloadError),
    /// A site's catalogue cannot be read.
    #[error("{}: {source}", .path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// No place has it.
    #[error("{component} {version} could not be had: {}", .tried.join("; "))]
    Nowhere {
        /// Which.
        component: String,
        /// Its version.
        version: String,
        /// Each place and why not.
        tried: Vec<String>,
        /// Whether every place was reached and simply does not have it.
        only_missing: bool,
    },
    /// The publisher's list does not say what the file is known by.
    #[error("{list} has no SHA-256 of {file}")]
    NotListed {
        /// The list's address.
        list: String,
        /// The file.
        file: String,
    },
}

impl ObtainError {
    /// What was asked for, where the way there is what failed.
    pub fn url(&self) -> Option<&str> {
        match self {
            Self::Download(DownloadError::Transport { url, .. }) => Some(url),
            _ => None,
        }
    }

    /// The registry's entry for it.
    pub fn code(&self) -> Code {
        match self {
            Self::Catalogue(error) => error.code(),
            Self::Download(error) => error.code(),
            Self::Nowhere {
                only_missing: true, ..
            } => code::COMPONENT_MISSING,
            Self::Unreadable { .. } => code::CATALOGUE_INVALID,
            Self::Nowhere { .. } | Self::NotListed { .. } => code::DOWNLOAD_FAILED,
        }
    }
}

/// The built-in catalogue with what the sources lay over it: `components.toml` in a folder, and on a
/// mirror whose channel cannot be tampered with (https, or this machine itself). Over plain http the
/// built-in checksums stand, since a catalogue that came that way could pin anything.
pub fn catalogue(sources: &[Source], downloader: &Downloader) -> Result<Catalogue, ObtainError> {
    let mut catalogue = Catalogue::embedded()?;
    // The first source named has the last word.
    for source in sources.iter().rev() {
        let (text, name) = match source {
            Source::Publisher => continue,
            Source::Folder(folder) => {
                let path = folder.join(SITE_CATALOGUE);
                match std::fs::read_to_string(&path) {
                    Ok(text) => (text, path.display().to_string()),
                    Err(error) if error.kind() == std::io::ErrorKind::NotFound => continue,
                    Err(source) => return Err(ObtainError::Unreadable { path, source }),
                }
            }
            Source::Mirror(mirror) if is_tamper_proof(&mirror.url) => {
                let url = format!("{}/{SITE_CATALOGUE}", mirror.url.trim_end_matches('/'));
                match downloader.text_at_once(&url, &mirror.access, LARGEST_TEXT) {
                    Ok(Some(text)) => (text, url),
                    Ok(None) => continue,
                    // A mirror that does not answer at all is named when a file is wanted from it.
                    Err(DownloadError::Transport { source, .. }) if source.is_passing() => continue,
                    Err(error) => return Err(error.into()),
                }
            }
            Source::Mirror(_) => continue,
        };
        catalogue = catalogue.overlaid(Catalogue::parse(&text, &name)?);
    }
    Ok(catalogue)
}

fn is_tamper_proof(url: &str) -> bool {
    let Ok(uri) = url.parse::<ureq::http::Uri>() else {
        return false;
    };
    let host = uri.host().unwrap_or_default().trim_matches(['[', ']']);
    let is_loopback = host.parse::<std::net::IpAddr>().is_ok_and(|ip| ip.is_loopback());
    uri.scheme_str() == Some("https") || is_loopback
}

/// Gets a component's file for a processor from the first source that has it, into `folder`.
pub fn obtain(
    downloader: &Downloader,
    component: &Component,
    build: &Build,
    arch: Arch,
    sources: &[Source],
    folder: &Path,
    progress: Progress<'_>,
) -> Result<Obtained, ObtainError> {
    let (sha256, by_published_list) = match &build.checksum {
        Checksum::Pinned(sum) => (*sum, false),
        Checksum::Published(list) => (published_sum(downloader, list, &build.file)?, true),
    };
    let mut tried = Vec::new();
    let mut only_missing = true;
    for source in sources {
        let candidates = candidates(source, build, arch);
        if candidates.is_empty() {
            tried.push("its publisher offers no file".to_owned());
        }
        for candidate in candidates {
            let got = match &candidate {
                Candidate::File(path) if path.is_file() => Verified::from_local(path, sha256, folder),
                Candidate::File(path) => Err(DownloadError::NotFound {
                    url: path.display().to_string(),
                }),
                Candidate::Url(url, access) => {
                    let wanted = Wanted {
                        url,
                        access,
                        sha256,
                        format: match component.archive {
                            Archive::TarGz => Format::Gzip,
                            Archive::None => Format::Program,
                        },
                        largest: LARGEST_FILE,
                    };
                    downloader.fetch(&wanted, folder, &mut *progress)
                }
            };
            match got {
                Ok(verified) => {
                    return Ok(Obtained {
                        verified,
                        origin: candidate.to_string(),
                        by_published_list,
                    });
                }
                Err(error) if error.may_be_elsewhere() => {
                    only_missing &= matches!(error, DownloadError::NotFound { .. });
                    tried.push(error.to_string());
                }
                Err(error) => return Err(error.into()),
            }
        }
    }
    Err(ObtainError::Nowhere {
        component: component.name.clone(),
        version: component.version.clone(),
        tried,
        only_missing,
    })
}

/// The file of a build in the first folder among the sources that carries it.
#[cfg(feature = "stack")]
pub(crate) fn at_hand(build: &Build, arch: Arch, sources: &[Source]) -> Option<PathBuf> {
    let places = sources.iter().flat_map(|source| candidates(source, build, arch));
    places
        .filter_map(|place| match place {
            Candidate::File(path) => Some(path),
            Candidate::Url(..) => None,
        })
        .find(|path| path.is_file())
}

/// The addresses of its publisher that a build is fetched from: none where a folder among the sources, of those named
/// before the publisher, carries it. A list of checksums is always the publisher's.
pub fn outside<'a>(build: &'a Build, arch: Arch, sources: &[Source]) -> Vec<&'a str> {
    let mut urls = Vec::new();
    if let Checksum::Published(list) = &build.checksum {
        urls.push(list.as_str());
    }
    for source in sources {
        match source {
            Source::Publisher => urls.extend(build.url.as_deref()),
            Source::Folder(_) | Source::Mirror(_) => {
                let mut places = candidates(source, build, arch).into_iter();
                if places.any(|place| matches!(place, Candidate::File(path) if path.is_file())) {
                    break;
                }
            }
        }
    }
    urls
}

/// One place a file may be at.
enum Candidate<'a> {
    File(PathBuf),
    Url(String, &'a Access),
}

impl std::fmt::Display for Candidate<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::File(path) => write!(f, "{}", path.display()),
            Self::Url(url, _) => f.write_str(url),
        }
    }
}

fn candidates<'a>(source: &'a Source, build: &Build, arch: Arch) -> Vec<Candidate<'a>> {
    let file = &build.file;
    match source {
        Source::Folder(folder) => vec![
            Candidate::File(folder.join(file)),
            Candidate::File(folder.join(arch.name()).join(file)),
        ],
        Source::Mirror(mirror) => {
            let base = mirror.url.trim_end_matches('/');
            vec![
                Candidate::Url(format!("{base}/{file}"), &mirror.access),
                Candidate::Url(format!("{base}/{}/{file}", arch.name()), &mirror.access),
            ]
        }
        Source::Publisher => build
            .url
            .iter()
            .map(|url| Candidate::Url(url.clone(), &PUBLIC))
            .collect(),
    }
}

/// The sum of a file in its publisher's own list.
fn published_sum(downloader: &Downloader, list: &str, file: &str) -> Result<Sha256Sum, ObtainError> {
    let text = downloader
        .text(list, &PUBLIC, LARGEST_TEXT)?
        .ok_or_else(|| DownloadError::NotFound { url: list.to_owned() })?;
    sum_in(&text, file).ok_or_else(|| ObtainError::NotListed {
        list: list.to_owned(),
        file: file.to_owned(),
    })
}

/// The sum of a file in a list as publishers write them: lines of `<sum>  <file>` (sha256sum) or of
/// `SHA256 (<file>) = <sum>` (BSD's sha256, `sha256sum --tag`, openssl), or the sum of the one file alone. A list that
/// says two things of it says nothing.
fn sum_in(list: &str, file: &str) -> Option<Sha256Sum> {
    if let Ok(alone) = list.trim().parse() {
        return Some(alone);
    }
    let mut sums = list.lines().filter_map(|line| {
        let (name, sum) = tagged(line.trim()).or_else(|| plain(line.trim()))?;
        let name = name.strip_prefix("./").unwrap_or(name);
        (name == file).then(|| sum.parse::<Sha256Sum>().ok()).flatten()
    });
    let first = sums.next()?;
    sums.all(|other| other == first).then_some(first)
}

/// File and sum of a line that names the file first.
fn tagged(line: &str) -> Option<(&str, &str)> {
    let after = ["SHA2-256", "SHA256"]
        .iter()
        .find_map(|tag| line.strip_prefix(tag))?;
    let (name, sum) = after.trim_start().strip_prefix('(')?.rsplit_once(')')?;
    Some((name, sum.trim_start().strip_prefix('=')?.trim_start()))
}

/// File and sum of a line that begins with the sum.
fn plain(line: &str) -> Option<(&str, &str)> {
    let (sum, name) = line.split_once(char::is_whitespace)?;
    // sha256sum marks binary mode with a star.
    Some((name.trim_start().trim_start_matches('*'), sum))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_of_checksums_is_read_as_sha256sum_writes_it() {
        let sum = "ab".repeat(32);
        let list = format!(
            "{sum}  x.tar.gz\n{sum} *./y.tar.gz\nnonsense\n{}  z\n",
            "0".repeat(10)
        );
        assert_eq!(sum_in(&list, "x.tar.gz").unwrap().to_string(), sum);
        assert_eq!(sum_in(&list, "y.tar.gz").unwrap().to_string(), sum);
        assert_eq!(sum_in(&list, "z"), None);
        assert_eq!(sum_in(&list, "tar.gz"), None);
    }

    #[test]
    fn a_list_is_read_as_others_write_it_too() {
        let sum = "ab".repeat(32);
        let other = "cd".repeat(32);
        // BSD's, sha256sum --tag's and openssl's; other sums of the same file stand beside it in many.
        for line in [
            format!("SHA256 (x.tar.gz) = {sum}\r"),
            format!("SHA512 (x.tar.gz) = {other}{other}\nSHA256 (./x.tar.gz) = {sum}"),
            format!("SHA256(x.tar.gz)= {}", sum.to_uppercase()),
            format!("SHA2-256(x.tar.gz)= {sum}"),
        ] {
            let list = format!("SHA256 (y) = {other}\n{line}\n");
            assert_eq!(sum_in(&list, "x.tar.gz").unwrap().to_string(), sum, "{list}");
            assert_eq!(sum_in(&list, "x"), None, "{list}");
        }
        // A file of one sum alone is of the one file.
        assert_eq!(sum_in(&format!("{sum}\n"), "x").unwrap().to_string(), sum);
        assert_eq!(sum_in(&format!("{sum}\n{other}\n"), "x"), None);
        // The same twice is the same, two that differ are none.
        let twice = |second: &str| format!("{sum}  x\nSHA256 (x) = {second}\n");
        assert_eq!(sum_in(&twice(&sum), "x").unwrap().to_string(), sum);
        assert_eq!(sum_in(&twice(&other), "x"), None);
        for line in [
            "",
            "SHA256",
            "SHA256 (x = ab",
            "SHA256 (x) ab",
            "SHA256 (x) = ab",
            "(x)",
        ] {
            assert_eq!(sum_in(line, "x"), None, "{line}");
        }
    }

    #[test]
    fn what_a_folder_carries_is_fetched_from_nobody() {
        // Given a folder that carries one of two components,
        let folder = tempfile::tempdir().unwrap();
        let catalogue = Catalogue::embedded().unwrap();
        let build = |name| catalogue.build(name, Arch::Amd64).unwrap().1;
        std::fs::write(folder.path().join(&build("prometheus").file), "").unwrap();
        let sources = [Source::Folder(folder.path().to_owned()), Source::Publisher];
        // then only the other one is asked for outside,
        assert!(outside(build("prometheus"), Arch::Amd64, &sources).is_empty());
        let asked = outside(build("alertmanager"), Arch::Amd64, &sources);
        assert!(asked[0].starts_with("https://github.com/"), "{asked:?}");
        // where anybody outside may be asked at all.
        assert!(outside(build("alertmanager"), Arch::Amd64, &sources[..1]).is_empty());
        // A sum that only its publisher tells is asked for in any case.
        let listed = Build {
            checksum: Checksum::Published("https://lists.example/sums".into()),
            ..build("prometheus").clone()
        };
        assert_eq!(
            outside(&listed, Arch::Amd64, &sources),
            ["https://lists.example/sums"]
        );
    }

    #[test]
    fn a_catalogue_is_taken_only_over_a_channel_that_cannot_be_tampered_with() {
        assert!(is_tamper_proof("https://mirror.example/x"));
        assert!(is_tamper_proof("http://127.0.0.1:8000"));
        assert!(is_tamper_proof("http://[::1]:8000"));
        assert!(!is_tamper_proof("http://mirror.example"));
        assert!(!is_tamper_proof("http://localhost.evil.example"));
    }
}
