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
    /// The page it is on, as a path below the repository's root.
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

/// What the repository at `root` calls `program` with in its prose: what stands in backquotes there and begins with the
/// program's name. It is seldom whole, so that only its words can be judged.
///
/// Fails where a page cannot be read.
pub fn named(root: &Path, program: &str) -> Result<Vec<Typed>> {
    let mut all = Vec::new();
    for (page, text) in pages(root)? {
        for span in spans(&text) {
            let called = span.strip_prefix("sudo ").unwrap_or(&span);
            if let Some(rest) = called
                .strip_prefix(program)
                .and_then(|rest| rest.strip_prefix(' '))
            {
                all.push(Typed {
                    page: page.clone(),
                    words: rest.split_whitespace().map(str::to_owned).collect(),
                    line: span,
                });
            }
        }
    }
    Ok(all)
}

/// What stands in backquotes in a page, outside its code blocks.
pub fn spans(text: &str) -> Vec<String> {
    let mut fenced = false;
    let prose: Vec<&str> = text
        .lines()
        .filter(|line| {
            let fence = line.trim_start().starts_with("```");
            fenced ^= fence;
            !fence && !fenced && !line.starts_with("    ")
        })
        .collect();
    // A span may go on in the next line of a paragraph, and in no other paragraph.
    prose
        .split(|line| line.is_empty())
        .flat_map(|paragraph| {
            let text = paragraph.join(" ");
            let parts: Vec<&str> = text.split('`').collect();
            // The last part is closed by nothing.
            let closed = parts.len().saturating_sub(1);
            let spans = parts.iter().take(closed).skip(1).step_by(2);
            spans.map(|span| (*span).to_owned()).collect::<Vec<_>>()
        })
        .collect()
}

/// The lines of the code blocks of one page, a continued line as one; of the part below a heading, where one is named.
///
/// Fails where there is no such page or heading.
pub fn commands(root: &Path, page: &str, heading: Option<&str>) -> Result<Vec<String>> {
    let path = root.join(page);
    let text = fs::read_to_string(&path).with_context(|| path.display().to_string())?;
    let part = match heading {
        Some(heading) => {
            let from = text.split_once(&format!("\n{heading}\n"));
            let (_, from) = from.with_context(|| format!("{page} has no {heading:?}"))?;
            let marks = heading.split(' ').next().unwrap_or_default();
            from.split(&format!("\n{marks} ")).next().unwrap_or(from)
        }
        None => &text,
    };
    Ok(lines(part).into_iter().filter(|line| !line.is_empty()).collect())
}

/// Every page, by its path below `root`.
///
/// Fails where one cannot be read.
pub fn pages(root: &Path) -> Result<Vec<(String, String)>> {
    let mut paths = vec!["README.md".to_owned(), "CONTRIBUTING.md".to_owned()];
    for entry in fs::read_dir(root.join("docs/guide"))? {
        paths.push(format!("docs/guide/{}", entry?.file_name().to_string_lossy()));
    }
    paths.sort();
    paths
        .into_iter()
        .map(|path| {
            let text = fs::read_to_string(root.join(&path)).with_context(|| path.clone())?;
            Ok((path, text))
        })
        .collect()
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
    fn prose_names_what_is_in_backquotes_and_no_code_block_does() {
        let text = "Say `aami nodes\nlist` or `x`.\n\n    aami `in a block`\n\n```\n`fenced`\n```\nAnd `y`, one ` alone.\n\n`z`\n";
        assert_eq!(spans(text), ["aami nodes list", "x", "y", "z"]);
    }

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
