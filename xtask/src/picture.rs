//! `docs/bootstrap.svg`, the README's picture of a terminal: drawn from `docs/bootstrap.txt`, which is what a real run
//! showed, colours included. A story of `aami`'s (`one_line.rs`) records that text, and says when a run shows other words.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result, bail};

const TEXT: &str = "docs/bootstrap.txt";
const PICTURE: &str = "docs/bootstrap.svg";
const LABEL: &str = "aami-agent bootstrap: eight steps, from preflight to a verified node";

const PLAIN: &str = "#d6dbe1";
/// One column and one line, the first baseline, and the margin on every side, in pixels.
const COLUMN: f64 = 9.05;
const LINE: usize = 19;
const FIRST: usize = 54;
const MARGIN: f64 = 18.0;

/// Draws it.
pub(crate) fn write(root: &Path) -> Result<bool> {
    let drawn = drawn(root)?;
    fs::write(root.join(PICTURE), drawn).with_context(|| format!("cannot write {PICTURE}"))?;
    Ok(true)
}

/// Says whether it differs from what would be drawn. True when it does not.
pub(crate) fn check(root: &Path) -> Result<bool> {
    let same = fs::read_to_string(root.join(PICTURE)).unwrap_or_default() == drawn(root)?;
    if !same {
        println!("{PICTURE} is not what {TEXT} shows; run `cargo xtask picture`");
    }
    Ok(same)
}

fn drawn(root: &Path) -> Result<String> {
    let text = fs::read_to_string(root.join(TEXT)).with_context(|| format!("cannot read {TEXT}"))?;
    picture(&text)
}

/// A terminal that shows a text.
fn picture(text: &str) -> Result<String> {
    let lines = text.lines().map(inked).collect::<Result<Vec<_>>>()?;
    let columns = |line: &Vec<(&str, &str)>| line.iter().map(|(_, part)| part.chars().count()).sum::<usize>();
    let widest = lines.iter().map(columns).max().unwrap_or(0);
    let width = MARGIN.mul_add(2.0, wide(widest)).round();
    let height = FIRST + LINE * lines.len().saturating_sub(1) + 25;
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{width}\" height=\"{height}\" viewBox=\"0 0 {width} {height}\" \
         role=\"img\" aria-label=\"{LABEL}\">\n\
         <rect width=\"{width}\" height=\"{height}\" rx=\"8\" fill=\"#14181d\"/>\
         <circle cx=\"20\" cy=\"17\" r=\"5\" fill=\"#3a414a\"/><circle cx=\"37\" cy=\"17\" r=\"5\" fill=\"#3a414a\"/>\
         <circle cx=\"54\" cy=\"17\" r=\"5\" fill=\"#3a414a\"/>\n\
         <g font-family=\"ui-monospace,SFMono-Regular,Menlo,DejaVu Sans Mono,monospace\" font-size=\"15\" \
         xml:space=\"preserve\">\n"
    );
    for (at, line) in lines.iter().enumerate() {
        let mut column = 0;
        for (ink, part) in line {
            let (x, y) = (MARGIN + wide(column), FIRST + at * LINE);
            let length = part.chars().count();
            let part = part
                .replace('&', "&amp;")
                .replace('<', "&lt;")
                .replace('>', "&gt;");
            writeln!(
                svg,
                "<text x=\"{x:.1}\" y=\"{y}\" fill=\"{ink}\" textLength=\"{:.1}\" lengthAdjust=\"spacingAndGlyphs\">{part}</text>",
                wide(length)
            )?;
            column += length;
        }
    }
    svg.push_str("</g></svg>\n");
    Ok(svg)
}

/// So many columns, in pixels.
fn wide(columns: usize) -> f64 {
    u32::try_from(columns).map_or(f64::MAX, |columns| f64::from(columns) * COLUMN)
}

/// A line as parts of one colour each (ECMA-48 SGR, as the agent's screen uses it).
fn inked(line: &str) -> Result<Vec<(&'static str, &str)>> {
    let mut parts = line.split("\u{1b}[");
    let mut inked = vec![(PLAIN, parts.next().unwrap_or_default())];
    for part in parts {
        let Some((code, text)) = part.split_once('m') else {
            bail!("{TEXT}: {part:?} is no colour");
        };
        let ink = match code {
            "0" => PLAIN,
            "2" => "#8b949e",
            "31" => "#ff7b72",
            "32" => "#7ddc97",
            "33" => "#e3b341",
            other => bail!("{TEXT}: no ink is known for the colour {other:?}"),
        };
        inked.push((ink, text));
    }
    inked.retain(|(_, text)| !text.is_empty());
    Ok(inked)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::house;

    #[test]
    fn the_picture_in_the_tree_shows_the_text_beside_it() {
        assert!(check(&house::root()).unwrap(), "run `cargo xtask picture`");
    }

    #[test]
    fn every_part_has_its_place_and_its_ink() {
        let svg = picture("│\u{1b}[32m ✓ a<b \u{1b}[0m│\n│ plain │\n").unwrap();
        for part in [
            "<text x=\"18.0\" y=\"54\" fill=\"#d6dbe1\" textLength=\"9.1\"",
            "<text x=\"27.1\" y=\"54\" fill=\"#7ddc97\" textLength=\"63.4\" lengthAdjust=\"spacingAndGlyphs\"> ✓ a&lt;b </text>",
            "y=\"73\" fill=\"#d6dbe1\"",
            "height=\"98\"",
        ] {
            assert!(svg.contains(part), "{part}: {svg}");
        }
        assert!(
            picture("\u{1b}[2J").is_err(),
            "a text that moves the cursor is no picture"
        );
    }
}
