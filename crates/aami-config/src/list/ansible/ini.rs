//! The INI form: `[group]`, `[group:children]`, `[group:vars]`, and hosts with `name=value` behind them.

use super::{Inventory, Variables, problem};
use crate::list::draft::Draft;
use crate::problem::{Gathered, Problem};
use crate::text::shown;

/// What the lines of a section are.
enum Section {
    /// Hosts of a group, or of none.
    Hosts(Option<String>),
    Children(String),
    Variables(String),
    /// Nobody knows.
    Unknown,
}

pub(in crate::list) fn read(text: &str, problems: &mut Gathered) -> Vec<Draft> {
    let mut inventory = Inventory::default();
    let mut section = Section::Hosts(None);
    for (at, line) in text.lines().enumerate() {
        if let Err(problem) = one(line.trim(), at + 1, &mut section, &mut inventory) {
            problems.add(problem);
        }
    }
    inventory.into_drafts(problems)
}

fn one(line: &str, number: usize, section: &mut Section, inventory: &mut Inventory) -> Result<(), Problem> {
    if line.is_empty() || line.starts_with(['#', ';']) {
        return Ok(());
    }
    if let Some(rest) = line.strip_prefix('[') {
        *section = Section::Unknown;
        let (name, _) = rest.split_once(']').ok_or_else(|| {
            problem(
                number,
                format!("`{}`: the bracket is not closed", shown(line, 60)),
            )
        })?;
        let (name, kind) = name
            .split_once(':')
            .map_or((name, "hosts"), |(name, kind)| (name, kind));
        inventory.group(name, number)?;
        *section = match kind {
            "hosts" => Section::Hosts(Some(name.to_owned())),
            "children" => Section::Children(name.to_owned()),
            "vars" => Section::Variables(name.to_owned()),
            other => {
                let sentence = format!("`{}` is no kind of section", shown(other, 60));
                return Err(Problem {
                    hint: Some("There are [group], [group:children] and [group:vars].".to_owned()),
                    ..problem(number, sentence)
                });
            }
        };
        return Ok(());
    }
    match section {
        // The section's own line was named.
        Section::Unknown => Ok(()),
        Section::Children(parent) => {
            let child = line.split_whitespace().next().unwrap_or_default().to_owned();
            let parent = parent.clone();
            inventory.group(&child, number)?;
            inventory.group(&parent, number)?.children.push(child);
            Ok(())
        }
        Section::Variables(group) => {
            let (name, value) = line
                .split_once('=')
                .ok_or_else(|| problem(number, format!("`{}` is not `name=value`", shown(line, 60))))?;
            let value = unquoted(value.trim());
            let group = group.clone();
            Inventory::keep(
                &mut inventory.group(&group, number)?.variables,
                name.trim(),
                value,
                number,
            );
            Ok(())
        }
        Section::Hosts(group) => {
            let group = group.clone();
            let words = words(line).map_err(|why| problem(number, why))?;
            let Some((pattern, rest)) = words.split_first() else {
                return Ok(());
            };
            let mut variables = Variables::new();
            for word in rest {
                let (name, value) = word
                    .split_once('=')
                    .ok_or_else(|| problem(number, format!("`{}` is not `name=value`", shown(word, 60))))?;
                Inventory::keep(&mut variables, name, value, number);
            }
            let (pattern, port) = with_port(pattern);
            if let Some(port) = port {
                variables
                    .entry("ansible_port".to_owned())
                    .or_insert_with(|| (port.to_owned(), number));
            }
            for name in inventory.hosts(pattern, number)? {
                inventory.list(name, group.as_deref(), &variables, number)?;
            }
            Ok(())
        }
    }
}

/// `name:2222`; an IPv6 address has more than one colon, and a range has its own in brackets.
fn with_port(pattern: &str) -> (&str, Option<&str>) {
    match pattern.rsplit_once(':') {
        Some((name, port))
            if !port.is_empty() && port.bytes().all(|b| b.is_ascii_digit()) && !is_within(name) =>
        {
            (name, Some(port))
        }
        _ => (pattern, None),
    }
}

/// Whether what follows `name` lies within brackets, or belongs to an IPv6 address.
fn is_within(name: &str) -> bool {
    let opened = name.matches('[').count() > name.matches(']').count();
    let outside = name.rsplit(']').next().unwrap_or(name);
    opened || outside.contains(':')
}

fn unquoted(text: &str) -> &str {
    for quote in ['"', '\''] {
        if let Some(inner) = text.strip_prefix(quote).and_then(|rest| rest.strip_suffix(quote)) {
            return inner;
        }
    }
    text
}

/// Words as a shell would see them; what follows a `#` word is a comment.
fn words(line: &str) -> Result<Vec<String>, String> {
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut quote = None;
    for c in line.chars() {
        match (quote, c) {
            (Some(open), c) if c == open => quote = None,
            (None, '"' | '\'') => {
                quote = Some(c);
                word.get_or_insert_default();
            }
            (None, c) if c.is_whitespace() => words.extend(word.take()),
            (None, '#') if word.is_none() => break,
            (_, c) => word.get_or_insert_default().push(c),
        }
    }
    if quote.is_some() {
        return Err("a quote is opened and never closed".to_owned());
    }
    words.extend(word);
    Ok(words)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_a_shells() {
        assert_eq!(words("a b='c d' e=\"f\" # g").unwrap(), ["a", "b=c d", "e=f"]);
        assert_eq!(words("a b=c#d").unwrap(), ["a", "b=c#d"]);
        assert!(words("a b='c").is_err());
    }

    #[test]
    fn a_port_is_told_from_an_address_and_a_range() {
        assert_eq!(with_port("a:2222"), ("a", Some("2222")));
        assert_eq!(with_port("2001:db8::1"), ("2001:db8::1", None));
        assert_eq!(with_port("gpu[01:10]"), ("gpu[01:10]", None));
        assert_eq!(with_port("gpu[01:10]:22"), ("gpu[01:10]", Some("22")));
    }
}
