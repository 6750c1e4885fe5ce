//! Fetching a file over HTTP so that what is kept is what was wanted, or nothing.
//!
//! A transfer that broke off is continued where it stopped, and the SHA-256 over the whole judges the
//! result: whatever a proxy, a mirror or an earlier attempt did to the bytes, a file that is kept as
//! [`Verified`] has the sum that was asked for. Failures are told apart by what can be done about
//! them: passing ones are tried again after a pause that grows, a refusal is not.

mod backoff;
mod credential;
mod error;
mod proxy;
mod recognise;
mod redirect;
mod transfer;

use std::fmt;
use std::fs::File;
use std::io::{self, Read as _};
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use aami_api::client::{ClientError, Trust, tls_config};
use ureq::http::{Response, Uri};

pub use backoff::Backoff;
pub use credential::{Credential, CredentialError};
pub use error::{DownloadError, storage_code};
pub use proxy::Proxies;
pub use recognise::Format;

use self::transfer::{Partial, Transfer};
use crate::components::Sha256Sum;

/// How to fetch.
#[derive(Clone)]
pub struct Settings {
    /// Which proxy to ask for which address.
    pub proxies: Proxies,
    /// The longest a connection may take to be made.
    pub connect: Duration,
    /// The longest the other side may stay silent.
    pub silence: Duration,
    /// The longest one attempt may take.
    pub total: Duration,
    /// How many redirects are followed; 0 for whoever is to be asked and nobody else.
    pub redirects: u32,
    /// How often a passing failure is met before giving up; at least 1.
    pub attempts: u32,
    /// How long to wait between attempts.
    pub backoff: Backoff,
}

impl Settings {
    /// The usual settings; `random` answers a number from 0 to 1.
    pub fn new(proxies: Proxies, random: fn() -> f64) -> Self {
        Self {
            proxies,
            connect: Duration::from_secs(10),
            silence: Duration::from_secs(30),
            total: Duration::from_secs(600),
            redirects: 5,
            attempts: 4,
            backoff: Backoff {
                first: Duration::from_millis(500),
                most: Duration::from_secs(15),
                random,
                sleep: std::thread::sleep,
            },
        }
    }
}

/// How a place is entered.
#[derive(Debug, Clone, Default)]
pub struct Access {
    /// Whose certificates to believe.
    pub trust: Trust,
    /// Sent to the address asked for and never to one it redirects to.
    pub credential: Option<Credential>,
}

/// What to fetch.
#[derive(Debug, Clone)]
pub struct Wanted<'a> {
    /// From where.
    pub url: &'a str,
    /// Whose certificates to believe, and what to show.
    pub access: &'a Access,
    /// The sum it must have.
    pub sha256: Sha256Sum,
    /// What its first bytes must look like.
    pub format: Format,
    /// The most it may be, in bytes.
    pub largest: u64,
}

/// A file that has the SHA-256 that was asked for. There is no other way to make one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verified {
    path: PathBuf,
    size: u64,
    sha256: Sha256Sum,
}

impl Verified {
    /// Where it lies.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Its size in bytes.
    pub const fn size(&self) -> u64 {
        self.size
    }

    /// Its sum.
    pub const fn sha256(&self) -> Sha256Sum {
        self.sha256
    }

    /// Copies a local file into `folder`, provided that it has the sum. The copy, not the original, is
    /// what is used: nobody else can change it after it was judged.
    pub fn from_local(path: &Path, sha256: Sha256Sum, folder: &Path) -> Result<Self, DownloadError> {
        let storage = |path: &Path| {
            let path = path.to_owned();
            move |source| DownloadError::Storage { path, source }
        };
        let partial = Partial::at(folder, sha256);
        let mut from = File::open(path).map_err(storage(path))?;
        let mut into = File::create(&partial.partial).map_err(storage(&partial.partial))?;
        io::copy(&mut from, &mut into).map_err(storage(&partial.partial))?;
        let (actual, size) = transfer::sum_of(&partial.partial).map_err(storage(&partial.partial))?;
        partial.keep(&path.display().to_string(), actual, size)
    }
}

/// Fetches files.
pub struct Downloader {
    settings: Settings,
    /// An agent for each CA that was asked for; the system's has the empty text.
    agents: Mutex<Vec<(String, ureq::Agent)>>,
}

impl fmt::Debug for Downloader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Downloader").finish_non_exhaustive()
    }
}

/// Called as bytes arrive: how many are here, and how many there will be where that is known. Whoever
/// answers [`ControlFlow::Break`] calls the download off.
pub type Progress<'a> = &'a mut dyn FnMut(u64, Option<u64>) -> ControlFlow<()>;

impl Downloader {
    /// Makes a downloader; nothing is sent yet.
    pub const fn new(settings: Settings) -> Self {
        Self {
            settings,
            agents: Mutex::new(Vec::new()),
        }
    }

    fn agent(&self, trust: &Trust) -> Result<ureq::Agent, ClientError> {
        let name = match trust {
            Trust::System => "",
            Trust::Only(pem) => pem,
        };
        let mut agents = self.agents.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, agent)) = agents.iter().find(|(known, _)| known == name) {
            return Ok(agent.clone());
        }
        let settings = &self.settings;
        let agent = ureq::Agent::config_builder()
            .tls_config(tls_config(trust)?)
            .http_status_as_error(false)
            // Followed here, so that each place is asked by its own way, and named where it fails.
            .max_redirects(0)
            .user_agent(concat!("aami/", env!("CARGO_PKG_VERSION")))
            .proxy(None)
            .timeout_connect(Some(settings.connect))
            .timeout_recv_response(Some(settings.silence))
            .timeout_per_read(Some(settings.silence))
            .timeout_global(Some(settings.total))
            .build()
            .new_agent();
        agents.push((name.to_owned(), agent.clone()));
        Ok(agent)
    }

    /// Fetches a file into `folder`, which is the caller's and nobody else's. What is there already
    /// from an earlier call is used: a whole file at once, a part of one as a beginning.
    pub fn fetch(
        &self,
        wanted: &Wanted<'_>,
        folder: &Path,
        progress: Progress<'_>,
    ) -> Result<Verified, DownloadError> {
        let partial = Partial::at(folder, wanted.sha256);
        if let Some(verified) = partial.whole() {
            return Ok(verified);
        }
        let mut attempt = 0;
        let mut judged_a_resumed_one = false;
        loop {
            attempt += 1;
            let had = partial.len();
            match self.attempt(wanted, &partial, progress) {
                Err(DownloadError::Checksum { .. }) if had > 0 && !judged_a_resumed_one => {
                    // The beginning may be of another version of the file. Once more, from nothing.
                    judged_a_resumed_one = true;
                }
                Err(error) if error.is_passing() && attempt < self.settings.attempts.max(1) => {
                    self.settings.backoff.pause(attempt - 1, error.retry_after());
                }
                other => return other,
            }
        }
    }

    /// Fetches a small text, such as a list of checksums; `None` when there is no such file.
    pub fn text(&self, url: &str, access: &Access, largest: u64) -> Result<Option<String>, DownloadError> {
        let mut attempt = 0;
        loop {
            attempt += 1;
            match self.text_at_once(url, access, largest) {
                Err(error) if error.is_passing() && attempt < self.settings.attempts.max(1) => {
                    self.settings.backoff.pause(attempt - 1, error.retry_after());
                }
                other => return other,
            }
        }
    }

    /// The same, without trying a second time.
    pub fn text_at_once(
        &self,
        url: &str,
        access: &Access,
        largest: u64,
    ) -> Result<Option<String>, DownloadError> {
        match self.text_once(url, access, largest) {
            Err(DownloadError::NotFound { .. }) => Ok(None),
            other => other.map(Some),
        }
    }

    fn text_once(&self, url: &str, access: &Access, largest: u64) -> Result<String, DownloadError> {
        let (response, url) = self.get(url, access, 0)?;
        let mut bytes = Vec::new();
        let mut reader = response.into_body().into_reader().take(largest + 1);
        reader
            .read_to_end(&mut bytes)
            .map_err(|error| DownloadError::BrokeOff {
                url: url.clone(),
                got: bytes.len() as u64,
                of: None,
                why: error.to_string(),
            })?;
        if bytes.len() as u64 > largest {
            return Err(DownloadError::TooLarge { url, largest });
        }
        recognise::judge(&bytes, Format::Text, &url)?;
        String::from_utf8(bytes).map_err(|_| DownloadError::NotWhatItSays {
            url,
            found: "text that is not UTF-8".to_owned(),
            expected: Format::Text.name(),
        })
    }

    /// One GET, from byte `from` on, wherever it leads. Answers only 200 and 206, and how the place that answered is told
    /// of.
    fn get(
        &self,
        url: &str,
        access: &Access,
        from: u64,
    ) -> Result<(Response<ureq::Body>, String), DownloadError> {
        let mut at = url.to_owned();
        let mut shown = url.to_owned();
        // For the address asked for alone: a redirect can lead anywhere.
        let mut credential = access.credential.as_ref();
        let mut left = self.settings.redirects;
        loop {
            let response = self.ask((&at, &shown), &access.trust, credential, from)?;
            let status = response.status().as_u16();
            let next = matches!(status, 301..=303 | 307 | 308)
                .then(|| header(&response, "location"))
                .flatten()
                .and_then(|location| redirect::target(&at, location));
            match (status, next) {
                (200 | 206, _) => return Ok((response, shown)),
                (404 | 410, _) => return Err(DownloadError::NotFound { url: shown }),
                (_, Some(next)) if left > 0 => {
                    // From https to http it would be handed to whoever is in between.
                    if redirect::is_https(&at) && !redirect::is_https(&next) {
                        let refused = ureq::Error::RequireHttpsOnly(redirect::shown(&next, url));
                        return Err(DownloadError::transport(&shown, refused, false));
                    }
                    left -= 1;
                    credential = None;
                    shown = redirect::shown(&next, url);
                    at = next;
                }
                _ => {
                    return Err(DownloadError::Status {
                        url: shown,
                        status,
                        retry_after: seconds(&response, "retry-after"),
                    });
                }
            }
        }
    }

    /// Asks one address, which is told of as `shown`.
    fn ask(
        &self,
        (url, shown): (&str, &str),
        trust: &Trust,
        credential: Option<&Credential>,
        from: u64,
    ) -> Result<Response<ureq::Body>, DownloadError> {
        let bad = || DownloadError::BadUrl(shown.to_owned());
        let uri: Uri = url.parse().map_err(|_| bad())?;
        if !matches!(uri.scheme_str(), Some("https" | "http")) {
            return Err(bad());
        }
        let proxy = match self.settings.proxies.for_address(&uri) {
            Some(text) => Some(ureq::Proxy::new(text).map_err(|_| DownloadError::BadProxy)?),
            None => None,
        };
        let agent = self.agent(trust).map_err(|source| DownloadError::Transport {
            url: shown.to_owned(),
            source,
            by_proxy: false,
        })?;
        let by_proxy = proxy.is_some();
        let mut request = agent
            .get(url)
            .config()
            .proxy(proxy)
            .build()
            .header("accept-encoding", "identity");
        if let Some(credential) = credential {
            request = request.header("authorization", credential.header());
        }
        if from > 0 {
            request = request.header("range", format!("bytes={from}-"));
        }
        request
            .call()
            .map_err(|error| DownloadError::transport(shown, error, by_proxy))
    }

    fn attempt(
        &self,
        wanted: &Wanted<'_>,
        partial: &Partial,
        progress: Progress<'_>,
    ) -> Result<Verified, DownloadError> {
        let url = wanted.url;
        let storage = |source| DownloadError::Storage {
            path: partial.partial.clone(),
            source,
        };
        let mut transfer = Transfer::open(&partial.partial, wanted).map_err(storage)?;
        let (response, answered_by) = match self.get(url, wanted.access, transfer.size) {
            // The part here is longer than the file there, or the like: begin anew.
            Err(DownloadError::Status { status: 416, .. }) if transfer.size > 0 => {
                transfer.restart().map_err(storage)?;
                self.get(url, wanted.access, 0)?
            }
            other => other?,
        };
        let continues = response.status().as_u16() == 206
            && header(&response, "content-range")
                .is_some_and(|range| range.starts_with(&format!("bytes {}-", transfer.size)));
        if transfer.size > 0 && !continues {
            transfer.restart().map_err(storage)?;
            if response.status().as_u16() == 206 {
                return Err(DownloadError::BrokeOff {
                    url: url.to_owned(),
                    got: 0,
                    of: None,
                    why: "another part came than was asked for".to_owned(),
                });
            }
        }
        let total = length(&response).map(|length| transfer.size.saturating_add(length));
        if total.is_some_and(|total| total > wanted.largest) {
            return Err(DownloadError::TooLarge {
                url: url.to_owned(),
                largest: wanted.largest,
            });
        }
        // A redirect may have led elsewhere; a complaint names the place that answered.
        transfer.receive(response.into_body().into_reader(), total, &answered_by, progress)?;
        let (actual, size) = transfer.finish().map_err(storage)?;
        partial.keep(url, actual, size)
    }
}

fn header<'a>(response: &'a Response<ureq::Body>, name: &str) -> Option<&'a str> {
    response.headers().get(name)?.to_str().ok()
}

fn length(response: &Response<ureq::Body>) -> Option<u64> {
    header(response, "content-length")?.trim().parse().ok()
}

fn seconds(response: &Response<ureq::Body>, name: &str) -> Option<Duration> {
    Some(Duration::from_secs(header(response, name)?.trim().parse().ok()?))
}

/// The SHA-256 of a file.
pub fn sum_of(path: &Path) -> io::Result<Sha256Sum> {
    transfer::sum_of(path).map(|(sum, _)| sum)
}
