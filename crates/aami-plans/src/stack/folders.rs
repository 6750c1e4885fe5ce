//! Whether the folders that were named for a server can be its: nobody else's data in them, and safe to run from.

use std::fs::Metadata;
use std::os::unix::fs::MetadataExt as _;

use aami_install::receipt::{Before, Receipt};
use aami_install::{EffectError, Host, HostPath, StepError, Survey};
use aami_model::code;

use super::config::broken;
use super::layout::Layout;
use super::part::Part;
use super::place::folder;
use super::wishes::{Runtime, Wishes};

/// What a file system of its own brings into its topmost folder.
const NOT_DATA: &str = "lost+found";
/// Permission bits: everybody may write, a group may, everybody may enter.
const WRITES: u32 = 0o002;
const GROUP_WRITES: u32 = 0o020;
const ENTERS: u32 = 0o001;
/// What hardened units see none of, or one of their own.
const HIDDEN: [&str; 5] = ["/home", "/root", "/run/user", "/tmp", "/var/tmp"];
/// Only its owner may replace an entry of such a folder.
const STICKY: u32 = 0o1000;

/// Refuses folders that are somebody else's already, that everybody may write into, and that the services could not
/// enter. What is there keeps its mode and owner, so it has to be fit as it is.
pub(super) fn fit(survey: &Survey<'_>, wishes: &Wishes, layout: &Layout) -> Result<(), StepError> {
    let host = survey.host();
    // Root, but where a test stands in for the host.
    let owner = std::fs::metadata(host.root.outside(&HostPath::new("/").map_err(broken)?))
        .map_or(0, |meta| meta.uid());
    for (flag, path) in [("--install-dir", &layout.install), ("--data-dir", &layout.data)] {
        if wishes.runtime == Runtime::Systemd
            && let Some(hidden) = HIDDEN.into_iter().find(|hidden| is_below(path, hidden))
        {
            let why = format!("{flag}: {path} is below {hidden}, which the services do not see");
            return Err(StepError::new(code::FOLDER_UNFIT, why));
        }
        let mut next = Some(path.clone());
        while let Some(path) = next {
            // What an earlier run made, and was cut off at, is finished by this one.
            if !is_recorded(survey, &path)
                && let Some(meta) = there(host, &path)
            {
                enterable(flag, &path, (&meta, owner), wishes.runtime)?;
            }
            next = path.parent();
        }
    }
    let mut folders = Vec::new();
    // Without a control plane the targets are written by this program.
    folders.extend(
        wishes
            .control_plane
            .then(|| (Part::ControlPlane, layout.targets.clone())),
    );
    for part in Part::ALL.into_iter().filter(|part| wishes.wants(*part)) {
        folders.push((part, layout.data_of(part).map_err(broken)?));
    }
    for (part, path) in folders {
        let is_ours = is_recorded(survey, &path) || is_of(host, part, &path)?;
        if !is_ours && let Some(name) = held(host, &path)? {
            let why = format!("{path} is not the server's and holds {name}, which it would take over");
            return Err(StepError::new(code::FOLDER_UNFIT, format!("--data-dir: {why}")));
        }
    }
    Ok(())
}

fn is_below(path: &HostPath, folder: &str) -> bool {
    path.to_string()
        .strip_prefix(folder)
        .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// Whether a receipt names the folder: an earlier run, or another plan, changed it or was about to.
fn is_recorded(survey: &Survey<'_>, path: &HostPath) -> bool {
    survey.record(&folder(path).key()).is_some()
}

/// Whether this program made the folder, by one of its receipts.
pub(super) fn is_made(receipts: &[Receipt], path: &HostPath) -> bool {
    let key = folder(path).key();
    receipts
        .iter()
        .filter_map(|receipt| receipt.find(&key))
        .any(|record| record.before == Before::Absent)
}

fn there(host: &Host, path: &HostPath) -> Option<Metadata> {
    std::fs::metadata(host.root.outside(path)).ok()
}

fn enterable(
    flag: &str,
    path: &HostPath,
    (meta, owner): (&Metadata, u32),
    runtime: Runtime,
) -> Result<(), StepError> {
    let mode = meta.mode();
    let unfit = |why: &str| {
        let text = format!("{flag}: {path} has mode {:04o}: {why}", mode & 0o7777);
        Err(StepError::new(code::FOLDER_UNFIT, text))
    };
    let (uid, gid) = (meta.uid(), meta.gid());
    if meta.is_dir() && uid != 0 && uid != owner {
        return unfit(&format!("user {uid} may replace what lies in it"));
    }
    // A group of number 0 is root's own, and one of the owner's number its alone.
    if meta.is_dir() && mode & GROUP_WRITES != 0 && gid != 0 && uid != gid && mode & STICKY == 0 {
        return unfit(&format!("group {gid} may replace what lies in it"));
    }
    if meta.is_dir() && mode & WRITES != 0 && mode & STICKY == 0 {
        return unfit("everybody may replace what lies in it");
    }
    if meta.is_dir() && mode & ENTERS == 0 && runtime == Runtime::Systemd {
        return unfit("the services' own users may not enter it");
    }
    Ok(())
}

/// Whether a folder belongs to the user of its part: then it is the server's, even where the receipt is lost.
fn is_of(host: &Host, part: Part, path: &HostPath) -> Result<bool, StepError> {
    let Some(meta) = there(host, path) else {
        return Ok(false);
    };
    let user = host.accounts().user(part.user()).map_err(EffectError::from)?;
    Ok(user.is_some_and(|user| user.uid == meta.uid()))
}

/// One thing that lies in a folder; none where it is empty or absent.
fn held(host: &Host, path: &HostPath) -> Result<Option<String>, StepError> {
    let names = host.root.list(path).map_err(EffectError::from)?;
    let mut names = names.unwrap_or_default().into_iter();
    Ok(names.find(|name| name != NOT_DATA))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_services_do_not_see_is_told_from_what_only_begins_alike() {
        for (path, hidden, expected) in [
            ("/home/aami", "/home", true),
            ("/home", "/home", true),
            ("/homes/aami", "/home", false),
            ("/srv/home", "/home", false),
            ("/var/tmp/x", "/var/tmp", true),
        ] {
            let path = HostPath::new(path).unwrap();
            assert_eq!(is_below(&path, hidden), expected, "{path} {hidden}");
        }
    }
}
