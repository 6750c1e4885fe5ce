//! The scripts that people fetch before they have AAMI, as files: `scripts/node/bootstrap.sh` and the others are what anybody gets from a
//! control plane who brings no token, and `scripts/install-server.sh` is `install.sh` before it is made for a release.
//!
//! They are rendered from the control plane's assets, so that there is one text of each.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use anyhow::{Context as _, Result, ensure};

const ASSETS: &str = "crates/aami-server/assets";

/// A file, the verb of the agent it runs, and what that is for; as the control plane's `http/scripts.rs` says it.
const NODE: [(&str, &str, &str); 3] = [
    (
        "scripts/node/bootstrap.sh",
        "bootstrap",
        "enrols this machine as a node.",
    ),
    (
        "scripts/preflight-check.sh",
        "preflight",
        "looks whether AAMI can be installed on this machine.",
    ),
    (
        "scripts/node/uninstall.sh",
        "uninstall",
        "takes AAMI off this node.",
    ),
];

/// Writes them.
pub(crate) fn write(root: &Path) -> Result<bool> {
    for (name, text) in rendered(root)? {
        let path = root.join(name);
        let folder = path.parent().unwrap_or(root);
        fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))?;
        fs::write(&path, text).with_context(|| format!("cannot write {name}"))?;
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755))?;
    }
    Ok(true)
}

/// Says which differ from what would be written. True when none does.
pub(crate) fn check(root: &Path) -> Result<bool> {
    let mut same = true;
    for (name, text) in rendered(root)? {
        if fs::read_to_string(root.join(name)).unwrap_or_default() != text {
            println!("{name} is not what is rendered; run `cargo xtask scripts`");
            same = false;
        }
    }
    Ok(same)
}

fn rendered(root: &Path) -> Result<Vec<(&'static str, String)>> {
    let node = asset(root, "bootstrap.sh")?;
    let mut all: Vec<_> = NODE
        .iter()
        .map(|(name, verb, purpose)| {
            let text = node.replace("@PURPOSE@", purpose).replace("@VERB@", verb);
            (*name, empty(&text))
        })
        .collect();
    let install = asset(root, "install.sh")?.replacen("@VERSION@", env!("CARGO_PKG_VERSION"), 1);
    all.push((
        "scripts/install-server.sh",
        empty(&install.replace("@VERSION@", "''")),
    ));
    Ok(all)
}

/// `install.sh` as it stands in a release: with its version, key, and the checksum of each `aami`.
pub(crate) fn install(
    root: &Path,
    version: &str,
    base_url: &str,
    key: &str,
    sums: &[(String, String)],
) -> Result<String> {
    for value in [version, base_url, key] {
        ensure!(
            !value.contains(['\'', '\n']),
            "{value:?} cannot stand in a script"
        );
    }
    let mut text = asset(root, "install.sh")?
        .replacen("@VERSION@", version, 1)
        .replace("@VERSION@", &format!("'{version}'"))
        .replace("@BASE_URL@", &format!("'{base_url}'"))
        .replace("@PUBLIC_KEY@", &format!("'{key}'"));
    for (arch, sum) in sums {
        text = text.replace(
            &format!("@SHA256_{}@", arch.to_ascii_uppercase()),
            &format!("'{sum}'"),
        );
    }
    Ok(empty(&text))
}

fn asset(root: &Path, name: &str) -> Result<String> {
    let read = |name: &str| {
        let path = root.join(ASSETS).join(name);
        fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))
    };
    let text = read(name)?.replace("@FETCH@\n", &read("fetch.sh")?);
    Ok(text.replace("@REPORT@\n", &read("silent.sh")?))
}

/// Fills what nobody has said with nothing.
fn empty(text: &str) -> String {
    let mut text = text.replacen("@VERSION@", env!("CARGO_PKG_VERSION"), 1);
    for name in [
        "SERVER",
        "TOKEN",
        "CA",
        "BASE_URL",
        "PUBLIC_KEY",
        "SHA256_AMD64",
        "SHA256_ARM64",
        "URL_AMD64",
        "URL_ARM64",
    ] {
        text = text.replace(&format!("@{name}@"), "''");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::house;

    #[test]
    fn the_scripts_in_the_tree_are_what_is_rendered() {
        assert!(check(&house::root()).unwrap(), "run `cargo xtask scripts`");
    }

    #[test]
    fn nothing_is_left_to_fill_in() {
        for (name, text) in rendered(&house::root()).unwrap() {
            assert!(
                !text.contains("@VERSION@") && !text.contains("='@") && !text.contains("=@"),
                "{name}"
            );
        }
    }

    #[test]
    fn a_release_s_script_carries_version_key_and_checksums() {
        let sums = [("amd64".to_owned(), "ab".repeat(32))];
        let text = install(&house::root(), "1.2.3", "https://x.example/aami", "RWx", &sums).unwrap();
        for line in [
            "made_for='1.2.3'",
            "base='https://x.example/aami'",
            "key='RWx'",
            "sum_arm64=''",
        ] {
            assert!(text.lines().any(|found| found == line), "{line} is not in it");
        }
        assert!(install(&house::root(), "1'; rm -rf /", "", "", &[]).is_err());
    }
}
