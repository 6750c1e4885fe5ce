//! The real Prometheus, from the download cache of `aami up`; fetched by the project's own script when
//! it is not there.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

/// The folder with `prometheus` and `promtool`.
pub(crate) fn prometheus() -> &'static Path {
    static FOLDER: OnceLock<PathBuf> = OnceLock::new();
    FOLDER.get_or_init(|| {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../scripts/fetch-components.sh");
        let components = Path::new(env!("CARGO_TARGET_TMPDIR")).join("components");
        let shared = std::env::var_os("XDG_CACHE_HOME")
            .map(PathBuf::from)
            .or_else(|| Some(PathBuf::from(std::env::var_os("HOME")?).join(".cache")))
            .map_or(components, |cache| cache.join("aami/components"));
        run(Command::new(script).arg(&shared));
        unpacked(&shared)
    })
}

fn unpacked(components: &Path) -> PathBuf {
    let archive = std::fs::read_dir(components)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .find(|path| {
            path.file_name()
                .unwrap()
                .to_string_lossy()
                .starts_with("prometheus-")
        })
        .expect("the cache holds Prometheus");
    let name = archive
        .file_name()
        .unwrap()
        .to_string_lossy()
        .replace(".tar.gz", "");
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(&name);
    if !folder.exists() {
        // Several test processes may do this at once; each unpacks aside and one rename wins.
        let aside = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
        run(Command::new("tar")
            .arg("-xzf")
            .arg(&archive)
            .arg("-C")
            .arg(aside.path()));
        let _ = std::fs::rename(aside.path().join(&name), &folder);
    }
    assert!(
        folder.join("promtool").exists(),
        "{} holds no promtool",
        folder.display()
    );
    folder
}

/// Runs a command that has to succeed; what it says otherwise is the failure.
pub(crate) fn run(command: &mut Command) -> String {
    let output = command
        .output()
        .unwrap_or_else(|error| panic!("{command:?}: {error}"));
    let said = format!(
        "{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    assert!(output.status.success(), "{command:?} failed: {said}");
    said
}
