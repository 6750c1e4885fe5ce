//! A line into words: double quotes keep spaces together, as in OpenSSH's files.

/// The keyword in lower case and its arguments. None where the line says nothing.
pub(super) fn split(line: &str) -> Result<Option<(String, Vec<String>)>, &'static str> {
    let line = line.trim();
    if line.is_empty() || line.starts_with('#') {
        return Ok(None);
    }
    let end = line
        .find(|c: char| c.is_whitespace() || c == '=')
        .unwrap_or(line.len());
    let keyword = line[..end].to_ascii_lowercase();
    let rest = line[end..].trim_start();
    let rest = rest.strip_prefix('=').unwrap_or(rest);
    Ok(Some((keyword, arguments(rest)?)))
}

fn arguments(text: &str) -> Result<Vec<String>, &'static str> {
    let mut words = Vec::new();
    let mut word = String::new();
    let (mut quoted, mut begun) = (false, false);
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            '"' => {
                quoted = !quoted;
                begun = true;
            }
            '\\' if matches!(chars.peek(), Some('"' | '\\' | '\'')) => {
                word.extend(chars.next());
                begun = true;
            }
            // A comment behind the value.
            '#' if !quoted && !begun => break,
            c if c.is_whitespace() && !quoted => {
                if begun {
                    words.push(std::mem::take(&mut word));
                    begun = false;
                }
            }
            c if c.is_control() => return Err("it holds a control character"),
            c => {
                word.push(c);
                begun = true;
            }
        }
    }
    if quoted {
        return Err("a quotation is not closed");
    }
    if begun {
        words.push(word);
    }
    Ok(words)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(line: &str) -> Vec<String> {
        split(line).expect("understood").expect("says something").1
    }

    #[test]
    fn keywords_and_values_in_all_their_forms() {
        assert_eq!(split("  # comment").expect("fine"), None);
        assert_eq!(split("").expect("fine"), None);
        for line in ["Port 22", "port=22", "PORT = 22", "\tport\t22  # why"] {
            let (keyword, words) = split(line).expect("understood").expect("says something");
            assert_eq!(
                (keyword.as_str(), words),
                ("port", vec!["22".to_owned()]),
                "{line}"
            );
        }
        assert_eq!(
            words(r#"IdentityFile "~/my keys/id" other"#),
            ["~/my keys/id", "other"]
        );
        assert_eq!(words(r#"User a\"b"#), ["a\"b"]);
        assert_eq!(words(r#"User """#), [""]);
        assert!(split("User \"open").is_err());
        assert!(split("User a\u{7}b").is_err());
    }
}
