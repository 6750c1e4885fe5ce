//! What people are told to type: the command lines of our programs in the guide, README and CONTRIBUTING.
//!
//! The programs read them in their own tests, so that what the guide says is understood as it stands: `--help` behind a
//! line would make every conflict and every missing argument well.

use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, Result, ensure};

/// A command line of one of our programs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Typed {
    /// The page it is on.
    pub page: String,
    /// The whole line.
    pub line: String,
    /// What the program is handed, without its own name.
    pub words: Vec<String>,
}

/// A script that hands on its arguments, with the program and the verb that it hands them to.
const SCRIPTS: [(&str, &str, &str); 4] = [
    ("install.sh", "aami", "server install"),
    ("bootstrap.sh", "aami-agent", "bootstrap"),
    ("preflight-check.sh", "aami-agent", "preflight"),
    ("uninstall.sh", "aami-agent", "uninstall"),
];

/// Every command line of `program` that the repository at `root` tells people to type.
///
/// Fails where a page cannot be read, or a line is none that a shell reads.
pub fn typed(root: &Path, program: &str) -> Result<Vec<Typed>> {
    let mut all = Vec::new();
    for (page, text) in pages(root)? {
        for line in lines(&text) {
            for rest in handed(&line, program) {
                let words = words(&rest).with_context(|| format!("{page}: {line}"))?;
                let (page, line) = (page.clone(), line.clone());
                all.push(Typed { page, line, words });
            }
        }
    }
    Ok(all)
}

/// Every page with its name.
///
/// Fails where one cannot be read.
pub fn pages(root: &Path) -> Result<Vec<(String, String)>> {
    let mut paths = vec![root.join("README.md"), root.join("CONTRIBUTING.md")];
    for entry in fs::read_dir(root.join("docs/guide"))? {
        paths.push(entry?.path());
    }
    let mut pages = Vec::new();
    for path in paths {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let text = fs::read_to_string(&path).with_context(|| path.display().to_string())?;
        pages.push((name.into_owned(), text));
    }
    pages.sort();
    Ok(pages)
}

/// The lines of code blocks, a continued line as one.
fn lines(text: &str) -> Vec<String> {
    let joined = text.replace("\\\n", " ");
    let mut fenced = false;
    let mut lines = Vec::new();
    for line in joined.lines() {
        if line.trim_start().starts_with("```") {
            fenced = !fenced;
        } else if fenced {
            lines.push(line.trim().to_owned());
        } else if let Some(line) = line.strip_prefix("    ") {
            lines.push(line.trim().to_owned());
        }
    }
    lines
}

/// What a line hands to `program`, itself or by one of the scripts.
fn handed(line: &str, program: &str) -> Vec<String> {
    let line = &whole(line.split(" # ").next().unwrap_or(line));
    let mut found = Vec::new();
    for part in line.split(['|', ';']).flat_map(|part| part.split("&&")) {
        let part = part.trim();
        let part = part.strip_prefix("sudo ").unwrap_or(part);
        let part = part.strip_prefix("target/debug/").unwrap_or(part);
        if let Some(rest) = part.strip_prefix(program).and_then(|rest| rest.strip_prefix(' ')) {
            found.push(rest.to_owned());
        }
        if let Some((_, rest)) = part.split_once(" -s -- ") {
            let script = SCRIPTS.iter().find(|(script, ..)| line.contains(script));
            let script = script.or_else(|| line.starts_with('…').then_some(&SCRIPTS[1]));
            if let Some((_, by, verb)) = script
                && *by == program
            {
                found.push(format!("{verb} {}", inner(rest)));
            }
        }
    }
    found
}

/// Without what closes something that was opened before: a quotation that began earlier in the line, a bracket.
fn inner(rest: &str) -> &str {
    let closes =
        |last: char| last == ']' || (matches!(last, '\'' | '"') && rest.matches(last).count() % 2 == 1);
    rest.chars()
        .last()
        .filter(|last| closes(*last))
        .map_or(rest, |last| inner(&rest[..rest.len() - last.len_utf8()]))
}

/// A line without what it says may be left out: ` [--json]`. Sets of nodes, `gpu[01-04]`, are words.
fn whole(line: &str) -> String {
    let mut parts = line.split(" [");
    let mut whole = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        whole.push_str(part.split_once(']').map_or(part, |(_, rest)| rest));
    }
    whole
}

/// The words of a command line, as a shell splits them.
fn words(line: &str) -> Result<Vec<String>> {
    let script = "for word in \"$@\"; do printf '%s\\n' \"$word\"; done";
    let output = Command::new("sh")
        .args(["-c", &format!("set -- {line}\n{script}")])
        .output()
        .context("cannot start sh")?;
    ensure!(output.status.success(), "a shell does not read {line:?}");
    Ok(String::from_utf8(output.stdout)?
        .lines()
        .map(str::to_owned)
        .collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_taken_apart_as_a_shell_does() {
        let text = "Prose aami nodes\n\n    sudo aami nodes list \\\n      -o json | jq .  # all\n\n```\naami-agent status\n```\n";
        let lines = lines(text);
        assert_eq!(lines.len(), 2, "{lines:?}");
        assert_eq!(handed(&lines[0], "aami").len(), 1);
        assert_eq!(
            words(&handed(&lines[0], "aami")[0]).unwrap(),
            ["nodes", "list", "-o", "json"]
        );
        assert_eq!(handed(&lines[1], "aami"), Vec::<String>::new());
        assert_eq!(handed(&lines[1], "aami-agent"), ["status"]);
        assert_eq!(
            handed("aami nodes exec gpu[01-04] [--parallel N] -- uptime", "aami"),
            ["nodes exec gpu[01-04] -- uptime"]
        );
        let one_line = "curl https://a/bootstrap.sh | sudo sh -s -- --labels 'rack=a 1'";
        assert_eq!(
            words(&handed(one_line, "aami-agent")[0]).unwrap(),
            ["bootstrap", "--labels", "rack=a 1"]
        );
    }
}
