//! Ansible's ranges: `gpu[01:10]`, `rack[a:d]-n[1:9:2]`. Both ends belong to them.

use crate::config::MOST_NODES;
use crate::text::shown;

/// The names a pattern stands for. Fails where it is none, or stands for too many.
pub(super) fn hosts(pattern: &str) -> Result<Vec<String>, String> {
    let mut names = vec![String::new()];
    let mut rest = pattern;
    while let Some((before, after)) = rest.split_once('[') {
        let (range, behind) = after
            .split_once(']')
            .ok_or_else(|| format!("`{}`: the bracket is not closed", shown(pattern, 60)))?;
        let room = MOST_NODES / names.len().max(1);
        let parts = parts(range, room).ok_or_else(|| {
            format!(
                "`[{}]` is no range of at most {MOST_NODES} names; one is `[01:10]`, `[1:9:2]` or `[a:d]`",
                shown(range, 60)
            )
        })?;
        names = names
            .iter()
            .flat_map(|name| parts.iter().map(move |part| format!("{name}{before}{part}")))
            .collect();
        rest = behind;
    }
    for name in &mut names {
        name.push_str(rest);
    }
    Ok(names)
}

fn parts(range: &str, most: usize) -> Option<Vec<String>> {
    let mut words = range.split(':');
    let (first, last) = (words.next()?, words.next()?);
    let step: usize = match words.next() {
        Some(step) => step.parse().ok().filter(|step| *step > 0)?,
        None => 1,
    };
    if words.next().is_some() {
        return None;
    }
    let is_number =
        |text: &str| !text.is_empty() && text.len() <= 18 && text.bytes().all(|b| b.is_ascii_digit());
    if is_number(first) && is_number(last) {
        let (from, to): (u64, u64) = (first.parse().ok()?, last.parse().ok()?);
        let count = usize::try_from(to.checked_sub(from)?).ok()? / step + 1;
        let width = if first.starts_with('0') { first.len() } else { 0 };
        return (count <= most).then(|| {
            (from..=to)
                .step_by(step)
                .map(|number| format!("{number:0width$}"))
                .collect()
        });
    }
    let letter = |text: &str| match text.as_bytes() {
        [one] if one.is_ascii_alphabetic() => Some(*one),
        _ => None,
    };
    let (from, to) = (letter(first)?, letter(last)?);
    let fits = from <= to && from.is_ascii_lowercase() == to.is_ascii_lowercase() && most >= 26;
    fits.then(|| {
        (from..=to)
            .step_by(step)
            .map(|byte| char::from(byte).to_string())
            .collect()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_ends_belong_to_a_range() {
        assert_eq!(hosts("gpu[08:10]").unwrap(), ["gpu08", "gpu09", "gpu10"]);
        assert_eq!(hosts("r[a:b]n[1:5:2].x").unwrap().len(), 6);
        assert_eq!(hosts("r[a:b]n[1:5:2].x").unwrap()[5], "rbn5.x");
        assert_eq!(hosts("plain").unwrap(), ["plain"]);
    }

    #[test]
    fn what_is_no_range_or_too_much_is_refused() {
        for pattern in [
            "a[1:",
            "a[1]",
            "a[2:1]",
            "a[1:2:0]",
            "a[1:99999999999]",
            "a[1:1000][1:1000]",
            "a[a:Z]",
            "a[1:2:3:4]",
            "a[:]",
        ] {
            assert!(hosts(pattern).is_err(), "{pattern}");
        }
    }
}
