//! Whether a file is one to hand out, or a folder one to install from: nobody but root and the caller could have put
//! it there or may replace it.

use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use aami_model::code;

use crate::cli::failure::Failure;

/// Permission bits: others may write, the group may write, only an owner may replace an entry.
const OTHERS: u32 = 0o002;
const GROUP: u32 = 0o020;
const STICKY: u32 = 0o1000;

/// Refuses a path unless it and every folder above it belong to root or the caller and nobody else may write there.
/// Links are followed first. Whoever owns the program that runs is as good as the caller: under sudo that is who
/// built it, and could have built anything into it.
pub(crate) fn check(path: &Path) -> Result<(), Failure> {
    let unreadable = |source| Failure::File {
        path: path.to_owned(),
        doing: "read",
        source,
    };
    let real = fs::canonicalize(path).map_err(unreadable)?;
    let program = std::env::current_exe()
        .and_then(fs::metadata)
        .map_err(unreadable)?;
    let callers = [rustix::process::geteuid().as_raw(), program.uid()];
    let own = usize::from(!real.is_dir());
    for (depth, place) in real.ancestors().enumerate() {
        let meta = fs::metadata(place).map_err(unreadable)?;
        // Far above, a folder like /tmp serves: there nobody replaces what belongs to another.
        let guarded = depth > own && meta.mode() & STICKY != 0;
        if let Some(why) = fault((meta.mode(), meta.uid(), meta.gid()), &callers, guarded) {
            return Err(refused(&real, place, &why));
        }
    }
    Ok(())
}

/// What is wrong with one place.
fn fault((mode, uid, gid): (u32, u32, u32), callers: &[u32], guarded: bool) -> Option<String> {
    // A group of the owner's own number is its alone, as distributions make them.
    let shared_group = mode & GROUP != 0 && gid != 0 && gid != uid;
    if uid != 0 && !callers.contains(&uid) {
        Some(format!("belongs to user {uid}"))
    } else if !guarded && (mode & OTHERS != 0 || shared_group) {
        Some(format!("may be written by others (mode {:04o})", mode & 0o7777))
    } else {
        None
    }
}

fn refused(path: &Path, place: &Path, why: &str) -> Failure {
    let place: PathBuf = place.to_owned();
    let what = format!(
        "{} is not installed from: {} {why}",
        path.display(),
        place.display()
    );
    Failure::found(code::SOURCE_UNTRUSTED, what)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt as _;

    fn mode(path: &Path, mode: u32) {
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    }

    #[test]
    fn an_agent_in_a_folder_for_everybody_is_refused_and_one_in_a_folder_of_ones_own_is_taken() {
        let folder = tempfile::tempdir().unwrap();
        let inner = folder.path().join("release");
        fs::create_dir(&inner).unwrap();
        let agent = inner.join("aami-agent");
        fs::write(&agent, "").unwrap();
        mode(&agent, 0o755);
        for (of_file, of_folder, taken) in [
            (0o755, 0o755, true),
            (0o777, 0o755, false),
            (0o755, 0o777, false),
            (0o755, 0o1777, false),
        ] {
            mode(&agent, of_file);
            mode(&inner, of_folder);
            let found = check(&agent);
            assert_eq!(found.is_ok(), taken, "{of_file:o} in {of_folder:o}: {found:?}");
        }
        // A link does not hide where the file lies.
        let link = folder.path().join("link");
        std::os::unix::fs::symlink(&agent, &link).unwrap();
        let error = check(&link).unwrap_err();
        assert_eq!(error.code(), Some(code::SOURCE_UNTRUSTED));
        assert!(
            error.to_string().contains("release may be written by others"),
            "{error}"
        );
    }

    #[test]
    fn what_belongs_to_a_stranger_is_refused_whatever_its_mode() {
        assert_eq!(fault((0o755, 0, 0), &[1000], false), None);
        assert_eq!(fault((0o755, 1000, 1000), &[1000], false), None);
        assert_eq!(
            fault((0o775, 1000, 1000), &[1000], false),
            None,
            "a group of one's own"
        );
        assert!(fault((0o775, 1000, 100), &[1000], false).is_some());
        assert!(fault((0o755, 1001, 0), &[1000], false).is_some());
        assert!(
            fault((0o1777, 1001, 0), &[1000], true).is_some(),
            "its owner may replace all"
        );
        assert_eq!(fault((0o1777, 0, 0), &[1000], true), None);
    }
}
