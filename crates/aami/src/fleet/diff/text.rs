//! Files against what should stand in them.

use std::fs;
use std::io::{self, Read as _};
use std::path::Path;
use std::time::Duration;

use similar::TextDiff;

use super::masked::Mask;
use crate::cli::table::harmless;

/// The longest file that is read.
const LONGEST: u64 = 64 * 1024 * 1024;
/// How long two texts may be compared; then what differs is shown more coarsely.
const PATIENCE: Duration = Duration::from_secs(5);
/// How many lines around a change are shown.
const AROUND: usize = 3;
/// The longest diff that is shown, in lines.
const MOST: usize = 2_000;
/// How the first line of a file begins that an installation placed.
const MARK: &str = "Written by AAMI (plan ";

/// How a file compares with what should stand in it.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Compared {
    /// The same.
    Same,
    /// There is none.
    Missing,
    /// Another text; the differences as a unified diff, where they were asked for.
    Changed(Option<String>),
    /// It cannot be read: why.
    Unreadable(String, bool),
}

/// Compares a file with a text; `full` asks for what differs. Where an installation put its mark does not count.
pub(crate) fn compared(path: &Path, wanted: &str, full: bool) -> Compared {
    let there = match read(path) {
        Ok(there) => there,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Compared::Missing,
        Err(error) => {
            return Compared::Unreadable(error.to_string(), error.kind() == io::ErrorKind::PermissionDenied);
        }
    };
    let there = unmarked(&there);
    let wanted = unmarked(wanted);
    if there == wanted {
        return Compared::Same;
    }
    Compared::Changed(full.then(|| unified(path, there, wanted)))
}

fn read(path: &Path) -> io::Result<String> {
    let mut bytes = Vec::new();
    fs::File::open(path)?.take(LONGEST + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > LONGEST {
        return Err(io::ErrorKind::FileTooLarge.into());
    }
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// A text without the first line by which an installation says that it is its own.
fn unmarked(text: &str) -> &str {
    match text.split_once('\n') {
        Some((first, rest)) if first.trim_start_matches(['#', ';', ' ']).starts_with(MARK) => rest,
        _ => text,
    }
}

fn unified(path: &Path, there: &str, wanted: &str) -> String {
    // Masked before they are compared, so that no secret is in what is compared; one that changed is told all the same.
    let clean = |text: &str| -> String {
        let mut mask = Mask::default();
        text.lines()
            .map(|line| mask.line(&harmless(line)) + "\n")
            .collect()
    };
    let (before, after) = (clean(there), clean(wanted));
    if before == after {
        return "(what differs is hidden: a secret, or the end of lines)\n".to_owned();
    }
    let diff = TextDiff::configure()
        .timeout(PATIENCE)
        .diff_lines(&before, &after);
    let shown = diff
        .unified_diff()
        .context_radius(AROUND)
        .header(&path.display().to_string(), "declared")
        .to_string();
    let lines = shown.lines().count();
    if lines <= MOST {
        return shown;
    }
    let mut cut: String = shown.split_inclusive('\n').take(MOST).collect();
    cut.push_str(&format!("({} lines more)\n", lines - MOST));
    cut
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(text: &str) -> tempfile::NamedTempFile {
        let file = tempfile::NamedTempFile::new().unwrap();
        fs::write(file.path(), text).unwrap();
        file
    }

    #[test]
    fn a_mark_does_not_count_and_a_change_is_shown_without_secrets() {
        let there =
            file("# Written by AAMI (plan stack, cluster default). Change it.\na: 1\npassword: old\n");
        assert_eq!(
            compared(there.path(), "a: 1\npassword: old\n", true),
            Compared::Same
        );
        assert_eq!(
            compared(there.path(), "a: 2\npassword: old\n", false),
            Compared::Changed(None)
        );
        let Compared::Changed(Some(diff)) = compared(there.path(), "a: 2\npassword: new\n", true) else {
            panic!("it is another text");
        };
        assert!(diff.contains("-a: 1\n+a: 2\n"), "{diff}");
        assert!(!diff.contains("old") && !diff.contains("new"), "{diff}");
        // A secret that changed is a change, and it is not shown.
        let Compared::Changed(Some(diff)) = compared(there.path(), "a: 1\npassword: new\n", true) else {
            panic!("it is another text");
        };
        assert!(diff.contains("hidden") && !diff.contains("new"), "{diff}");
    }

    #[test]
    fn what_is_not_there_or_not_to_be_read_is_told_apart() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(
            compared(&folder.path().join("none"), "", false),
            Compared::Missing
        );
        assert!(matches!(
            compared(folder.path(), "", false),
            Compared::Unreadable(_, false)
        ));
    }

    #[test]
    fn a_long_diff_is_cut_and_moves_no_cursor() {
        let there = file(&"\u{1b}[2J\n".repeat(3_000));
        let Compared::Changed(Some(diff)) = compared(there.path(), &"b\n".repeat(3_000), true) else {
            panic!("it is another text");
        };
        assert!(
            diff.lines().count() <= MOST + 1 && diff.contains("lines more"),
            "{}",
            diff.len()
        );
        assert!(!diff.contains('\u{1b}'));
    }
}
