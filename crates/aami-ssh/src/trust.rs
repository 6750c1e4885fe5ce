//! Whose host keys are believed.
//!
//! [`Trust::judge`] is the one place where that is decided: by the lines of the files of known hosts
//! ([`known_file`]), by certificates ([`certificate`]), and by what may be learned ([`learn`]). A key that differs
//! from a known one is never accepted, under no policy that looks at keys.

mod certificate;
mod known_file;
mod learn;
mod names;
mod offered;
pub(crate) mod pattern;
mod standing;

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

use russh::keys::{HashAlg, PublicKey};

use crate::{Host, SshError};
use known_file::{KnownFile, Marker};
use names::Names;
pub(crate) use offered::{Offered, Wanted};
use offered::{every_algorithm, is_kind, kind_of};
use standing::{Standing, changed, standing};

/// What is done with a host's key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum HostKeyPolicy {
    /// Only known keys and valid certificates.
    Strict,
    /// A host that is not known is learned; one that is known must show the key that is known.
    #[default]
    AcceptNew,
    /// Keys are not looked at, but for revoked ones. Whoever answers under the address gets what is sent there.
    Off,
}

/// How a host's key came to be believed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Known {
    /// It stands in a file.
    Before,
    /// It was learned just now.
    Learned {
        /// `SHA256:...`.
        fingerprint: String,
        /// Into this file.
        file: PathBuf,
    },
    /// A certificate vouches for it.
    Certified {
        /// What the authority calls it.
        id: String,
    },
    /// It decides nothing: the policy is [`HostKeyPolicy::Off`]. No login by password is offered to such a host.
    Unchecked {
        /// `SHA256:...`.
        fingerprint: String,
        /// Whether another key is known for the host. Then it gets no password at all.
        differs: bool,
    },
}

/// The files of known hosts, and what is done with keys that do not stand there.
#[derive(Debug)]
pub struct Trust {
    policy: HostKeyPolicy,
    user: Vec<PathBuf>,
    system: Vec<PathBuf>,
    hash: bool,
    clock: fn() -> SystemTime,
    files: Mutex<HashMap<PathBuf, Arc<KnownFile>>>,
    /// Held while one of us writes, so that the lock of a file is only waited for because of other programs.
    learning: Mutex<()>,
}

impl Trust {
    /// Believes what stands in the user's files and the system's. New keys go into the first of the user's.
    pub fn new(policy: HostKeyPolicy, user: Vec<PathBuf>, system: Vec<PathBuf>) -> Self {
        Self {
            policy,
            user,
            system,
            hash: false,
            clock: SystemTime::now,
            files: Mutex::default(),
            learning: Mutex::default(),
        }
    }

    /// Whether names are hashed when they are learned, as `HashKnownHosts` says.
    pub const fn hashed(mut self, hash: bool) -> Self {
        self.hash = hash;
        self
    }

    /// With another clock, for the dates of certificates.
    pub const fn clock(mut self, clock: fn() -> SystemTime) -> Self {
        self.clock = clock;
        self
    }

    /// What is done with unknown keys, where a host does not say otherwise.
    pub const fn policy(&self) -> HostKeyPolicy {
        self.policy
    }

    /// Reads the files that decide about these hosts and about those in between, so that
    /// [`notes`](Self::notes) tells of them before anything is connected to.
    ///
    /// Fails where one cannot be read, or holds a `@revoked` line that is not understood.
    pub fn read(&self, hosts: &[Host]) -> Result<(), SshError> {
        for host in hosts.iter().flat_map(|host| host.jumps.iter().chain([host])) {
            self.files_of(host)?;
        }
        Ok(())
    }

    /// Lines that are not understood and therefore count for nothing, by file and line, with the reason.
    pub fn notes(&self) -> Vec<(PathBuf, usize, String)> {
        let files = self.files.lock().unwrap_or_else(PoisonError::into_inner);
        let mut notes: Vec<(PathBuf, usize, String)> = files
            .values()
            .flat_map(|file| {
                file.notes
                    .iter()
                    .map(|(line, why)| (file.path.clone(), *line, why.clone()))
            })
            .collect();
        notes.sort();
        notes
    }

    /// Decides whether a host is believed, and learns its key where that is allowed.
    pub(crate) fn judge(&self, host: &Host, offered: &Offered) -> Result<Known, SshError> {
        let key = offered.key();
        let blob = key.to_bytes().map_err(|error| unusable(host, &error))?;
        let fingerprint = key.fingerprint(HashAlg::Sha256).to_string();
        let names = Names::of(host);
        let files = self.files_of(host)?;
        let lines = || {
            files
                .iter()
                .flat_map(|file| file.matching(&names.all).map(move |line| (file, line)))
        };

        let signer = match offered {
            Offered::Certificate(certificate) => certificate.signature_key().clone().into(),
            Offered::Key(_) => key.clone(),
        };
        let signer_blob = PublicKey::to_bytes(&signer).map_err(|error| unusable(host, &error))?;
        for (file, line) in lines() {
            if line.marker == Marker::Revoked && (line.blob == blob || line.blob == signer_blob) {
                return Err(SshError::HostKeyRevoked {
                    name: names.shown(),
                    offered: fingerprint,
                    file: file.path.clone(),
                    line: line.number,
                });
            }
        }
        let policy = host.policy.unwrap_or(self.policy);
        if policy == HostKeyPolicy::Off {
            let known = standing(&files, &names, &blob, &kind_of(&key));
            return Ok(Known::Unchecked {
                fingerprint,
                differs: matches!(known, Standing::Other(_)),
            });
        }
        if let Offered::Certificate(certificate) = offered
            && lines().any(|(_, line)| line.marker == Marker::Authority && line.blob == signer_blob)
        {
            return certificate::verify(certificate, &names.principals, self.now())
                .map(|id| Known::Certified { id })
                .map_err(|why| SshError::HostCertificate {
                    name: names.shown(),
                    why,
                });
        }
        match standing(&files, &names, &blob, &kind_of(&key)) {
            Standing::Known => Ok(Known::Before),
            Standing::Other(known) => Err(changed(&names, known, &key, fingerprint)),
            Standing::Unknown if policy == HostKeyPolicy::AcceptNew => {
                // Who waits for its turn to learn holds no file as it was.
                drop(files);
                self.learn(host, &names, &key, &blob, fingerprint)
            }
            Standing::Unknown => Err(SshError::HostKeyUnknown {
                name: names.shown(),
                kind: kind_of(&key),
                offered: fingerprint,
            }),
        }
    }

    /// In which form a host is asked for its key: first those in which it is known, since it shows only one.
    pub(crate) fn algorithms(&self, host: &Host) -> Result<Wanted, SshError> {
        let names = Names::of(host);
        let files = self.files_of(host)?;
        let mut keys = every_algorithm();
        let mut certified = false;
        let mut known: Vec<String> = Vec::new();
        for line in files.iter().flat_map(|file| file.matching(&names.all)) {
            match line.marker {
                Marker::Authority => certified = true,
                Marker::None => known.push(line.kind.clone()),
                Marker::Revoked => {}
            }
        }
        // Stable: within those known, and within the rest, the order is ours.
        keys.sort_by_key(|algorithm| !known.iter().any(|kind| is_kind(algorithm, kind)));
        let certificates = if certified { every_algorithm() } else { Vec::new() };
        Ok(Wanted { keys, certificates })
    }

    fn now(&self) -> u64 {
        (self.clock)()
            .duration_since(UNIX_EPOCH)
            .map_or(0, |since| since.as_secs())
    }

    fn user_files<'a>(&'a self, host: &'a Host) -> &'a [PathBuf] {
        if host.known_hosts.is_empty() {
            &self.user
        } else {
            &host.known_hosts
        }
    }

    fn files_of(&self, host: &Host) -> Result<Vec<Arc<KnownFile>>, SshError> {
        self.user_files(host)
            .iter()
            .chain(&self.system)
            .map(|path| self.file(path))
            .collect()
    }

    /// A file as it is now; read again only when it has changed.
    fn file(&self, path: &Path) -> Result<Arc<KnownFile>, SshError> {
        let mut files = self.files.lock().unwrap_or_else(PoisonError::into_inner);
        let had = files.get(path).cloned();
        let file = known_file::read(path, had).map_err(|source| SshError::KnownHosts {
            file: path.to_owned(),
            source: Arc::new(source),
        })?;
        files.insert(path.to_owned(), Arc::clone(&file));
        Ok(file)
    }

    fn learn(
        &self,
        host: &Host,
        names: &Names,
        key: &PublicKey,
        blob: &[u8],
        fingerprint: String,
    ) -> Result<Known, SshError> {
        let Some(path) = self.user_files(host).first() else {
            return Err(SshError::Local {
                why: "there is no file of known hosts to learn a key into".to_owned(),
            });
        };
        let broken = |source| SshError::KnownHosts {
            file: path.clone(),
            source: Arc::new(source),
        };
        let _learning = self.learning.lock().unwrap_or_else(PoisonError::into_inner);
        let open = learn::open(path).map_err(broken)?;
        // Somebody else may have learned it while we waited for the lock.
        match standing(&self.files_of(host)?, names, blob, &kind_of(key)) {
            Standing::Known => return Ok(Known::Before),
            Standing::Other(known) => return Err(changed(names, known, key, fingerprint)),
            Standing::Unknown => {}
        }
        let hash = host.hash_known_hosts.unwrap_or(self.hash);
        let line = learn::line(names.first(), &kind_of(key), blob, hash).map_err(broken)?;
        let appended = open.append(&line).map_err(broken)?;
        let mut files = self.files.lock().unwrap_or_else(PoisonError::into_inner);
        // Where somebody else looks at it just now it is read again instead.
        if let Some(file) = files.get_mut(path).and_then(Arc::get_mut) {
            file.appended(&line, &appended);
        }
        drop(files);
        Ok(Known::Learned {
            fingerprint,
            file: path.clone(),
        })
    }
}

fn unusable(host: &Host, error: &dyn std::fmt::Display) -> SshError {
    SshError::Protocol {
        endpoint: host.endpoint(),
        why: format!("its host key cannot be used: {error}"),
    }
}

#[cfg(test)]
mod tests;
