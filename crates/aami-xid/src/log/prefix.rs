//! What may stand before the kernel's words in a line of a log.
//!
//! | as written by | before the words |
//! |---|---|
//! | `dmesg`, with `-x`, `-r` | `[  812.004411] `, `kern  :err   : [  812.004411] `, `<3>[  812.004411] ` |
//! | `dmesg -T`, `--time-format iso` | `[Fri Nov 21 22:17:01 2026] `, `2026-11-21T22:17:01,004411+00:00 ` |
//! | `journalctl -k`, syslog | `Nov 21 22:17:01 gpu01 kernel: `, also with the time in brackets behind it |
//! | `/dev/kmsg` | `3,1234,812004411,-;` |
//!
//! Anything else is somebody else's line: a process can write what it likes into a log, but not who it is.

/// More words than this are no time and no name of a machine.
const MOST_WORDS: usize = 8;

/// The time in what stands before a message, as it is written there. `None` when the line is not the kernel's.
pub(super) fn when(prefix: &str) -> Option<Option<String>> {
    let text = prefix.trim();
    if let Some(record) = text.strip_suffix(';') {
        return raw(record);
    }
    let (text, bracketed) = without_brackets(text);
    let text = text.strip_suffix("kernel:").map_or_else(
        || level(text).then_some("").or_else(|| one_time(text)),
        |before| plain_words(before).then_some(before),
    )?;
    // The machine's name stands behind the time.
    let time = match text.trim().rsplit_once(' ') {
        Some((time, _machine)) => Some(time.trim().to_owned()),
        None => Some(text.trim().to_owned()),
    };
    Some(time.filter(|time| !time.is_empty()).or(bracketed))
}

/// A record of `/dev/kmsg`: facility and level, number, microseconds. Facility 0 is the kernel.
fn raw(record: &str) -> Option<Option<String>> {
    let mut fields = record.split(',');
    let level: u32 = fields.next()?.parse().ok()?;
    let (_number, micros) = (fields.next()?, fields.next()?.parse::<u64>().ok()?);
    (level < 8).then(|| Some(format!("{}.{:06}", micros / 1_000_000, micros % 1_000_000)))
}

/// Takes off the last groups in brackets that look like a time or a thread, and gives the first of them.
fn without_brackets(mut text: &str) -> (&str, Option<String>) {
    let mut time = None;
    while let Some(rest) = text.strip_suffix(']')
        && let Some((before, inside)) = rest.rsplit_once('[')
        && inside.len() <= 40
        && inside.contains(|c: char| c.is_ascii_digit())
        && inside
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || matches!(c, ' ' | '.' | ':' | ',' | '+' | '-'))
        // `python3[999]`: brackets that belong to a word are a process.
        && (before.is_empty() || before.ends_with([' ', ']', '>']))
    {
        time = Some(inside.trim().to_owned());
        text = before.trim_end();
    }
    (text, time)
}

/// Nothing, or how `dmesg` shows a level: `<3>`, `kern  :err   :`.
fn level(text: &str) -> bool {
    if let Some(number) = text.strip_prefix('<').and_then(|rest| rest.strip_suffix('>')) {
        return number.parse::<u32>().is_ok_and(|number| number < 8);
    }
    let mut words = text.split(':').map(str::trim);
    match (words.next(), words.next(), words.next(), words.next()) {
        (Some(""), None, ..) => true,
        (Some("kern"), Some(level), Some(""), None) => level.chars().all(|c| c.is_ascii_lowercase()),
        _ => false,
    }
}

/// A time in one word: `2026-11-21T22:17:01,004411+00:00`.
fn one_time(text: &str) -> Option<&str> {
    let fits = |c: char| c.is_ascii_digit() || matches!(c, '-' | '+' | ':' | ',' | '.' | 'T' | 'Z');
    (text.starts_with(|c: char| c.is_ascii_digit()) && text.chars().all(fits)).then_some(text)
}

/// Words of a time and a machine's name: none of them names a program.
fn plain_words(text: &str) -> bool {
    let mut words = text.split_whitespace();
    words.by_ref().take(MOST_WORDS).all(|word| !word.ends_with(':')) && words.next().is_none()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_way_of_writing_a_time_is_known() {
        for (prefix, time) in [
            ("", None),
            ("[  812.004411] ", Some("812.004411")),
            ("<3>[  812.004411] ", Some("812.004411")),
            ("[  812.004411][ T1234] ", Some("812.004411")),
            ("kern  :err   : [  812.004411] ", Some("812.004411")),
            ("[Fri Nov 21 22:17:01 2026] ", Some("Fri Nov 21 22:17:01 2026")),
            (
                "2026-11-21T22:17:01,004411+00:00 ",
                Some("2026-11-21T22:17:01,004411+00:00"),
            ),
            ("Nov 21 22:17:01 gpu01 kernel: ", Some("Nov 21 22:17:01")),
            (
                "Nov 21 22:17:01 gpu01 kernel: [  812.004411] ",
                Some("Nov 21 22:17:01"),
            ),
            (
                "2026-11-21T22:17:01+0000 gpu01 kernel: ",
                Some("2026-11-21T22:17:01+0000"),
            ),
            ("4,1234,812004411,-;", Some("812.004411")),
        ] {
            assert_eq!(when(prefix), Some(time.map(str::to_owned)), "{prefix:?}");
        }
    }

    #[test]
    fn a_line_of_somebody_else_is_not_believed() {
        for prefix in [
            "[ 2200.000000] python3[999]: segfault at 0 ip 0 sp 0 in libc.so ",
            "Nov 21 22:17:01 gpu01 python3[999]: ",
            "Nov 21 22:17:01 gpu01 python3[999]: kernel: ",
            "Nov 21 22:17:01 gpu01 root: [ 812.0] ",
            "python3[999]",
            "12,1234,812004411,-;",
            "see ",
        ] {
            assert_eq!(when(prefix), None, "{prefix:?}");
        }
    }
}
