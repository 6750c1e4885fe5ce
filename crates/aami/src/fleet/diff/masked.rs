//! Texts of configurations without what lets somebody in: for eyes, never for files.

/// What stands in the place of a secret, as everywhere.
const HIDDEN: &str = "(hidden)";
/// Parts of the names of fields that hold secrets. A name that ends in `_file` names a file instead.
const NAMES: [&str; 9] = [
    "password",
    "passwd",
    "secret",
    "token",
    "credentials",
    "authorization",
    "api_key",
    "apikey",
    "api_url",
];
/// The names of fields that hold addresses which may let their reader in.
const ADDRESSES: [&str; 3] = ["url", "webhook_url", "service_key"];

/// A line of YAML, INI or JSON without secrets.
pub(super) fn masked(line: &str) -> String {
    let Some(at) = line.find([':', '=']) else {
        return without_userinfo(line);
    };
    let (name, rest) = line.split_at(at);
    let key = name
        .trim()
        .trim_start_matches(['-', '+', ' '])
        .trim_matches(['"', '\'', ' '])
        .to_ascii_lowercase();
    let value = rest[1..].trim();
    let holds = NAMES.iter().any(|part| key.contains(part)) && !key.ends_with("_file");
    let is_bare = value.is_empty() || matches!(value, "|" | ">" | "{" | "[");
    if holds && !is_bare && !value.starts_with("$__file{") {
        return format!("{name}{} {HIDDEN}", &rest[..1]);
    }
    if ADDRESSES.contains(&key.as_str()) {
        return format!("{name}{} {}", &rest[..1], origin(value));
    }
    without_userinfo(line)
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
            assert_eq!(masked(line), shown);
        }
    }
}
