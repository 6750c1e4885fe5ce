//! What is expensive to make is made once: `${XDG_CACHE_HOME:-~/.cache}/aami-rig`.
//!
//! An entry is keyed by its recipe, so changing how it is made makes a new one. It appears whole or not at all,
//! and two tests that want it at once make it once.

use std::fs::{self, File};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use sha2::{Digest as _, Sha256};

use crate::{Release, tool};

/// Where the entries are.
pub fn folder() -> Result<PathBuf> {
    let set = |name| {
        std::env::var_os(name)
            .filter(|value| !value.is_empty())
            .map(PathBuf::from)
    };
    let cache = set("XDG_CACHE_HOME")
        .or_else(|| set("HOME").map(|home| home.join(".cache")))
        .context("neither XDG_CACHE_HOME nor HOME is set, so there is no place for the cache")?;
    Ok(cache.join("aami-rig"))
}

/// The entry `name` made by `recipe`: a file or folder that `make` writes at the path it is given.
pub fn entry(name: &str, recipe: &str, make: impl FnOnce(&Path) -> Result<()>) -> Result<PathBuf> {
    entry_in(&folder()?, name, recipe, make)
}

fn entry_in(
    cache: &Path,
    name: &str,
    recipe: &str,
    make: impl FnOnce(&Path) -> Result<()>,
) -> Result<PathBuf> {
    let key = hex(&Sha256::digest(recipe));
    let path = cache.join(format!("{name}-{}", &key[..16]));
    if path.exists() {
        return Ok(path);
    }
    fs::create_dir_all(cache).with_context(|| format!("cannot make {}", cache.display()))?;
    let lock_path = path.with_extension("lock");
    let lock = File::create(&lock_path).with_context(|| format!("cannot make {}", lock_path.display()))?;
    // Held until the file closes, by the kernel's word even if we are killed.
    lock.lock()
        .with_context(|| format!("cannot lock {}", lock_path.display()))?;
    if path.exists() {
        return Ok(path);
    }
    let unfinished = path.with_extension("unfinished");
    remove(&unfinished)?;
    make(&unfinished).with_context(|| format!("cannot make the cached {name}"))?;
    fs::rename(&unfinished, &path).with_context(|| format!("cannot keep {}", path.display()))?;
    Ok(path)
}

/// Debian packages unpacked side by side, nothing installed. From this machine's own release, or another.
pub fn packages(release: Option<Release>, names: &[&str]) -> Result<PathBuf> {
    let recipe = format!("{release:?} {names:?}");
    let label = release.map_or("own", Release::codename);
    entry(
        &format!("deb-{label}-{}", names.first().unwrap_or(&"none")),
        &recipe,
        |path| {
            let mut command = std::process::Command::new(tool::script("apt-unpack.sh"));
            if let Some(release) = release {
                command.args(["--release", release.codename()]);
            }
            tool::run(command.arg(path).args(names)).map(drop)
        },
    )
}

fn remove(path: &Path) -> Result<()> {
    let removed = match fs::symlink_metadata(path) {
        Ok(found) if found.is_dir() => fs::remove_dir_all(path),
        Ok(_) => fs::remove_file(path),
        Err(_) => return Ok(()),
    };
    removed.with_context(|| format!("cannot remove the unfinished {}", path.display()))
}

/// Bytes as lower-case hexadecimal digits.
pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        use std::fmt::Write as _;
        let _ = write!(text, "{byte:02x}");
        text
    })
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use anyhow::bail;

    use super::*;

    #[test]
    fn two_that_want_one_entry_at_once_make_it_once() {
        let cache = tempfile::tempdir().expect("a folder");
        let made = AtomicU32::new(0);
        let make = |path: &Path| {
            made.fetch_add(1, Ordering::SeqCst);
            Ok(fs::write(path, "content")?)
        };
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| entry_in(cache.path(), "thing", "v1", make).expect("it is made"));
            }
        });
        assert_eq!(made.load(Ordering::SeqCst), 1);
    }

    #[test]
    fn one_that_failed_half_way_is_not_kept_and_does_not_hinder() {
        let cache = tempfile::tempdir().expect("a folder");
        let failed = entry_in(cache.path(), "thing", "v1", |path| {
            fs::create_dir(path)?;
            bail!("no network")
        });
        assert!(format!("{:#}", failed.expect_err("it failed")).contains("no network"));

        let path = entry_in(cache.path(), "thing", "v1", |path| {
            Ok(fs::write(path, "content")?)
        });
        assert_eq!(
            fs::read_to_string(path.expect("it is made")).expect("it is there"),
            "content"
        );
    }

    #[test]
    fn another_recipe_is_another_entry() {
        let cache = tempfile::tempdir().expect("a folder");
        let entry = |recipe: &str| {
            entry_in(cache.path(), "thing", recipe, |path| Ok(fs::write(path, recipe)?)).expect("it is made")
        };
        assert_ne!(entry("v1"), entry("v2"));
    }
}
