//! Texts of configurations without what lets somebody in: for eyes, never for files.
//!
//! No parser is asked: what is shown may be broken. In doubt a line is hidden.

/// What stands in the place of a secret, as everywhere.
const HIDDEN: &str = "(hidden)";
/// Parts of the names of fields that hold secrets. A name that ends in `_file` names a file instead.
const NAMES: [&str; 16] = [
    "password",
    "passwd",
    "secret",
    "token",
    "credentials",
    "authorization",
    "api_key",
    "apikey",
    "api_url",
    "access_key",
    "private_key",
    "routing_key",
    "service_key",
    "user_key",
    "securejsondata",
    "cookie",
];
/// The names of fields that hold addresses which may let their reader in.
const ADDRESSES: [&str; 2] = ["url", "webhook_url"];

/// Hides secrets line by line; a secret may go on below its name.
#[derive(Debug, Default)]
pub(super) struct Mask {
    /// What stands further right belongs to a secret.
    below: Option<usize>,
}

impl Mask {
    /// The next line of YAML, INI or JSON, without secrets.
    pub(super) fn line(&mut self, line: &str) -> String {
        let column = column(line);
        if let Some(left) = self.below {
            if line.trim().is_empty() {
                return line.to_owned();
            }
            if column > left {
                return format!("{}{HIDDEN}", " ".repeat(column));
            }
            self.below = None;
        }
        let Some(at) = line.find([':', '=']) else {
            return without_userinfo(line);
        };
        let (name, rest) = line.split_at(at);
        let (first, others) = keys(line);
        let value = rest[1..].trim();
        let is_elsewhere = value.starts_with("$__file{");
        let is_address = ADDRESSES.contains(&first.as_str());
        let is_bare = value.is_empty() || value.starts_with(['|', '>']);
        let is_inside = others
            .iter()
            .any(|key| holds(key) || ADDRESSES.contains(&key.as_str()));
        if (holds(&first) && !is_elsewhere) || is_inside || (is_address && is_bare) {
            self.below = Some(column);
            return if value.is_empty() {
                line.to_owned()
            } else {
                format!("{name}{} {HIDDEN}", &rest[..1])
            };
        }
        if is_address {
            return format!("{name}{} {}", &rest[..1], origin(value));
        }
        without_userinfo(line)
    }
}

/// Whether a field of this name holds what lets somebody in.
fn holds(key: &str) -> bool {
    NAMES.iter().any(|part| key.contains(part)) && !key.ends_with("_file")
}

/// Where what a line says begins, behind the signs of lists and comments.
fn column(line: &str) -> usize {
    let mut rest = line;
    loop {
        let bare = rest.trim_start_matches([' ', '\t', '#']);
        let bare = bare.strip_prefix("- ").unwrap_or(bare);
        if bare.len() == rest.len() {
            return line.len() - rest.len();
        }
        rest = bare;
    }
}

/// Everything on a line that stands before a `:` or a `=`, as names are compared: the first, and the others.
fn keys(line: &str) -> (String, Vec<String>) {
    let ends = line.match_indices([':', '=']).map(|(at, _)| at);
    let mut keys = ends.map(|at| {
        let before = line[..at].trim_end();
        let word = before.strip_suffix(['"', '\'']).unwrap_or(before);
        let begins = word.rfind([':', '=', ',', '{', '[', '"', '\'', '?', '&']);
        let word = begins.map_or(word, |at| &word[at + 1..]);
        word.trim_matches(['-', '+', '#', ' ', '\t'])
            .to_ascii_lowercase()
            .replace(['-', ' '], "_")
    });
    let first = keys.next().unwrap_or_default();
    (first, keys.collect())
}

/// An address without what stands behind its host: webhooks carry their secret there. One of this machine is whole.
fn origin(value: &str) -> String {
    let bare = value.trim_matches(['"', '\'', ',']);
    let Some((scheme, rest)) = bare.split_once("://") else {
        return without_userinfo(value);
    };
    let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    let (host, path) = rest.split_at(end);
    let host = host.rsplit_once('@').map_or(host, |(_, host)| host);
    if matches!(path, "" | "/") {
        return format!("{scheme}://{host}{path}");
    }
    format!("{scheme}://{host}/{HIDDEN}")
}

/// A line in which no address carries a user or a password.
fn without_userinfo(line: &str) -> String {
    let mut out = String::with_capacity(line.len());
    let mut rest = line;
    while let Some(at) = rest.find("://") {
        let (before, after) = rest.split_at(at + 3);
        out.push_str(before);
        let end = after
            .find(|c: char| c.is_whitespace() || matches!(c, '/' | '"' | '\'' | '?' | '#'))
            .unwrap_or(after.len());
        let (host, behind) = after.split_at(end);
        match host.rsplit_once('@') {
            Some((_, host)) => {
                out.push_str(HIDDEN);
                out.push('@');
                out.push_str(host);
            }
            None => out.push_str(host),
        }
        rest = behind;
    }
    out.push_str(rest);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_lets_somebody_in_is_hidden_and_the_rest_stays() {
        for (line, shown) in [
            ("      password: hunter2", "      password: (hidden)"),
            ("  - auth_password: 'a: b'", "  - auth_password: (hidden)"),
            ("admin_password = hunter2", "admin_password = (hidden)"),
            (
                "admin_password = $__file{/etc/x}",
                "admin_password = $__file{/etc/x}",
            ),
            ("      password_file: /etc/x", "      password_file: /etc/x"),
            ("\"bearer_token\": \"abc\",", "\"bearer_token\": (hidden)"),
            ("      credentials: abc", "      credentials: (hidden)"),
            ("      X-Auth-Token: abc", "      X-Auth-Token: (hidden)"),
            (
                "  api_url: https://hooks.slack.com/services/T/B/x",
                "  api_url: (hidden)",
            ),
            (
                "  - url: https://hook.example/in/abc",
                "  - url: https://hook.example/(hidden)",
            ),
            ("  - url: http://127.0.0.1:9090", "  - url: http://127.0.0.1:9090"),
            (
                "  targets: [https://u:p@h:1/x]",
                "  targets: [https://(hidden)@h:1/x]",
            ),
            ("scrape_interval: 15s", "scrape_interval: 15s"),
            ("no field at all", "no field at all"),
        ] {
            assert_eq!(Mask::default().line(line), shown);
        }
    }
    #[test]
    fn what_is_hidden_stays_so_however_it_is_written() {
        let masked = |text: &str| -> String {
            let mut mask = Mask::default();
            text.lines().map(|line| mask.line(line) + "\n").collect()
        };
        for text in [
            "basic_auth: {username: u, password: hunter2}\nafter: 1\n",
            "slack_configs: [{api_url: https://hooks.slack.com/hunter2}]\nafter: 1\n",
            "webhook_configs: [{url: 'https://hook.example/hunter2'}]\nafter: 1\n",
            "  - password: |\n      hunter2\n\n      hunter2\n    after: 1\n",
            "credentials: >-\n  hunter2\nafter: 1\n",
            "password: one\n  hunter2\nafter: 1\n",
            "secrets:\n- hunter2\n- hunter2\nafter: 1\n",
            "url: >-\n  https://hook.example/hunter2\nafter: 1\n",
            "#password: |\n#  hunter2\nafter: 1\n",
            "X-Api-Key: hunter2\nafter: 1\n",
            "'X Api Key' : hunter2\nafter: 1\n",
            "http_headers: {X-Api-Key: {values: [hunter2]}}\nafter: 1\n",
            "{\"a\": 1, \"bearer_token\": \"hunter2\"}\nafter: 1\n",
        ] {
            let shown = masked(text);
            assert!(!shown.contains("hunter2"), "{text}: {shown}");
            assert!(
                shown.contains("(hidden)") && shown.contains("after: 1"),
                "{text}: {shown}"
            );
            assert_eq!(shown.lines().count(), text.lines().count(), "{text}: {shown}");
        }
        let plain = "a:\n  password_file: /etc/x\n  - b: c\n    expr: up == 0\n";
        assert_eq!(masked(plain), plain);
    }
}
