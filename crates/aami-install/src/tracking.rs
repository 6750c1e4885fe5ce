//! Where the memory of a plan lies: `<base>/install/<cluster>/<plan>/` with `receipt.json`,
//! `state.json`, `log`, `saved/` and, while a run is at work, `staging/`.

use std::time::SystemTime;

use crate::content::PART;
use crate::host::Host;
use crate::lock::Holder;
use crate::path::HostPath;
use crate::root::{Entry, FsError, Root};

/// Which plan in which cluster.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PlanId {
    /// The cluster's name, `default` where nobody says otherwise.
    pub cluster: String,
    /// The plan's name, e.g. `node`.
    pub plan: String,
}

/// A name that cannot be a folder's.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "{name:?} is no name for a cluster or plan: 1 to 63 of a-z, 0-9, '-', '_' and '.', not starting with '.'"
)]
pub struct NotAName {
    /// What was given, cut to 100 characters.
    pub name: String,
}

impl PlanId {
    /// Checks both names.
    pub fn new(cluster: &str, plan: &str) -> Result<Self, NotAName> {
        Ok(Self {
            cluster: name(cluster)?,
            plan: name(plan)?,
        })
    }
}

impl std::fmt::Display for PlanId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}", self.cluster, self.plan)
    }
}

fn name(text: &str) -> Result<String, NotAName> {
    let fits = (1..=63).contains(&text.len())
        && !text.starts_with('.')
        && !text.contains("..")
        && text
            .bytes()
            .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'-' | b'_' | b'.'));
    if fits {
        Ok(text.to_owned())
    } else {
        Err(NotAName {
            name: text.chars().take(100).collect(),
        })
    }
}

/// The folder under which all plans of a host are tracked, and the lock that keeps two installers
/// apart.
#[derive(Debug, Clone)]
pub struct Tracking {
    base: HostPath,
    /// Whether the base folder is named after us, so that it goes when it is empty.
    base_is_ours: bool,
    lock: HostPath,
}

impl Tracking {
    /// `/var/lib/aami`, locked at `/run/aami/install.lock`: the whole host.
    pub fn host() -> Self {
        Self {
            base: HostPath::root().below("var/lib/aami"),
            base_is_ours: true,
            lock: HostPath::root().below("run/aami/install.lock"),
        }
    }

    /// A data folder somebody chose, e.g. where there is no root; the lock lies in it too.
    pub fn folder_in(base: HostPath) -> Self {
        Self {
            lock: base.below("install.lock"),
            base,
            base_is_ours: false,
        }
    }

    /// `~/.aami`: one user's own, without root.
    pub fn home(home: &HostPath) -> Self {
        Self {
            base_is_ours: true,
            ..Self::folder_in(home.below(".aami"))
        }
    }

    /// The lock file.
    pub fn lock(&self) -> &HostPath {
        &self.lock
    }

    /// Who is at work here now; nothing where nobody is, or it cannot be told.
    pub fn holder(&self, host: &Host) -> Option<Holder> {
        crate::lock::holder(host, &self.lock)
    }

    pub(crate) fn folder(&self, id: &PlanId) -> Folder {
        Folder::new(self.base.below(&format!("install/{}/{}", id.cluster, id.plan)))
    }

    /// Every plan that has a folder here.
    pub(crate) fn plans(&self, root: &Root) -> Result<Vec<PlanId>, FsError> {
        let install = self.base.below("install");
        let mut plans = Vec::new();
        for cluster in root.list(&install)?.unwrap_or_default() {
            let Ok(cluster) = name(&cluster) else { continue };
            for plan in root.list(&install.below(&cluster))?.unwrap_or_default() {
                if let Ok(plan) = name(&plan) {
                    plans.push(PlanId {
                        cluster: cluster.clone(),
                        plan,
                    });
                }
            }
        }
        Ok(plans)
    }

    /// Makes the folder of a plan, durably. Nothing is done where it is there.
    pub(crate) fn make(&self, root: &Root, folder: &Folder) -> Result<(), FsError> {
        if root.entry(&folder.path)? != Entry::Absent {
            return Ok(());
        }
        let missing = self
            .chain(folder)
            .into_iter()
            .filter_map(|path| match root.entry(&path) {
                Ok(Entry::Absent) => Some(Ok(path)),
                Ok(_) => None,
                Err(error) => Some(Err(error)),
            });
        let missing = missing.collect::<Result<Vec<_>, _>>()?;
        root.make_folders(&self.base, 0o755)?;
        root.make_folders(&folder.path, 0o700)?;
        for made in missing {
            if let Some(parent) = made.parent() {
                root.sync_folder(&parent)?;
            }
        }
        Ok(())
    }

    /// Removes the empty folders from a plan's own up to the base.
    pub(crate) fn prune(&self, root: &Root, folder: &Folder) -> Result<(), FsError> {
        for path in self.chain(folder).into_iter().rev() {
            let goes = path != self.base || self.base_is_ours;
            if !goes || !root.remove_folder(&path)? {
                break;
            }
        }
        Ok(())
    }

    /// The base, and every folder from there to the plan's own.
    fn chain(&self, folder: &Folder) -> Vec<HostPath> {
        let mut chain = vec![folder.path.clone()];
        while let Some(parent) = chain.last().and_then(HostPath::parent) {
            if !parent.is_within(&self.base) {
                break;
            }
            chain.push(parent);
        }
        chain.reverse();
        chain
    }
}

/// The folder of one plan.
#[derive(Debug, Clone)]
pub(crate) struct Folder {
    path: HostPath,
    receipt: HostPath,
    state: HostPath,
    log: HostPath,
    saved: HostPath,
    staging: HostPath,
}

impl Folder {
    fn new(path: HostPath) -> Self {
        Self {
            receipt: path.below("receipt.json"),
            state: path.below("state.json"),
            log: path.below("log"),
            saved: path.below("saved"),
            staging: path.below("staging"),
            path,
        }
    }

    pub(crate) const fn path(&self) -> &HostPath {
        &self.path
    }

    pub(crate) const fn receipt(&self) -> &HostPath {
        &self.receipt
    }

    pub(crate) const fn state(&self) -> &HostPath {
        &self.state
    }

    pub(crate) const fn log(&self) -> &HostPath {
        &self.log
    }

    pub(crate) const fn saved(&self) -> &HostPath {
        &self.saved
    }

    pub(crate) const fn staging(&self) -> &HostPath {
        &self.staging
    }

    /// Removes everything of ours in the folder but the receipt, which goes last and by itself.
    pub(crate) fn clear(&self, root: &Root, keep_saved: bool) -> Result<(), FsError> {
        empty(root, &self.staging)?;
        if !keep_saved {
            empty(root, &self.saved)?;
        }
        for file in [&self.log, &self.log.beside("", ".1"), &self.state] {
            root.remove(file)?;
            root.remove_leftover(file)?;
        }
        root.remove_leftover(&self.receipt)
    }

    /// Removes what was staged, but for so many parts of files: those that were written to last.
    pub(crate) fn clear_staging(&self, root: &Root, parts: usize) -> Result<(), FsError> {
        let mut kept = Vec::new();
        for name in root.list(&self.staging)?.unwrap_or_default() {
            let path = self.staging.below(&name);
            match written(root, &path)? {
                Some(at) if name.ends_with(PART) && parts > 0 => kept.push((at, path)),
                _ => root.remove(&path)?,
            }
        }
        kept.sort();
        let surplus = kept.len().saturating_sub(parts);
        for (_, path) in kept.drain(..surplus) {
            root.remove(&path)?;
        }
        if kept.is_empty() {
            root.remove_folder(&self.staging)?;
        }
        Ok(())
    }

    /// Removes the parts of files that were staged.
    pub(crate) fn clear_parts(&self, root: &Root) -> Result<(), FsError> {
        let names = root.list(&self.staging)?.unwrap_or_default();
        for name in names.iter().filter(|name| name.ends_with(PART)) {
            root.remove(&self.staging.below(name))?;
        }
        Ok(())
    }
}

/// When a file was last written to; nothing where nothing is in it.
fn written(root: &Root, path: &HostPath) -> Result<Option<SystemTime>, FsError> {
    let file = root.open_file(path)?;
    let meta = file
        .and_then(|file| file.metadata().ok())
        .filter(|meta| meta.len() > 0);
    Ok(meta.and_then(|meta| meta.modified().ok()))
}

/// Removes a folder of plain files.
fn empty(root: &Root, folder: &HostPath) -> Result<(), FsError> {
    if let Some(names) = root.list(folder)? {
        for name in names {
            root.remove(&folder.below(&name))?;
        }
        root.remove_folder(folder)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_cannot_lead_elsewhere() {
        for text in [
            "",
            ".",
            "..",
            "a/b",
            "A",
            ".hidden",
            "a..b",
            "a\n",
            &"x".repeat(64),
        ] {
            assert!(PlanId::new(text, "node").is_err(), "{text:?}");
            assert!(PlanId::new("default", text).is_err(), "{text:?}");
        }
        assert!(PlanId::new("o11y-dev", "node").is_ok());
    }
}
