//! Words as a unit file takes them.

/// An argument as a unit file takes it: `%` and `$` mean something there, blanks part arguments
/// (systemd.service(5), COMMAND LINES).
pub(crate) fn quoted(argument: &str) -> String {
    let escaped = argument.replace('%', "%%").replace('$', "$$");
    let plain = |c: char| c.is_ascii_alphanumeric() || "/._-=:,%$@+[]".contains(c);
    if !escaped.is_empty() && escaped.chars().all(plain) {
        return escaped;
    }
    format!("\"{}\"", escaped.replace('\\', "\\\\").replace('"', "\\\""))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_unit_file_reads_an_argument_as_it_was_meant() {
        for (argument, written) in [
            ("--web.listen-address=[::]:9100", "--web.listen-address=[::]:9100"),
            ("", "\"\""),
            ("a b", "\"a b\""),
            ("100%$HOME", "100%%$$HOME"),
            (r#"say "\""#, r#""say \"\\\"""#),
        ] {
            assert_eq!(quoted(argument), written, "{argument:?}");
        }
    }
}
