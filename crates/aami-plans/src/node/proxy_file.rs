//! The proxies of the bootstrap, kept for the services that need them.

use std::fmt::Write as _;

use crate::download::Proxies;

/// Where they are kept. The file may hold a password.
pub const PATH: &str = "/etc/aami/proxy.env";

/// The file as systemd's `EnvironmentFile=` and [`read`] take it; nothing where there is no proxy.
pub(crate) fn text(proxies: &Proxies) -> Option<String> {
    if proxies.http.is_none() && proxies.https.is_none() {
        return None;
    }
    let mut text = "# Proxies, as they were when AAMI was installed.\n".to_owned();
    let without = Some(proxies.without.join(",")).filter(|list| !list.is_empty());
    for (name, value) in [
        ("http_proxy", &proxies.http),
        ("https_proxy", &proxies.https),
        ("no_proxy", &without),
    ] {
        let Some(value) = value else { continue };
        // A line end would begin another variable.
        let clean: String = value.chars().filter(|c| !c.is_control()).collect();
        let quoted = clean.replace('\\', "\\\\").replace('"', "\\\"");
        for name in [name.to_owned(), name.to_ascii_uppercase()] {
            let _ = writeln!(text, "{name}=\"{quoted}\"");
        }
    }
    Some(text)
}

/// Reads the file.
pub fn read(text: &str) -> Proxies {
    let value = |name: &str| {
        let line = text
            .lines()
            .find_map(|line| line.strip_prefix(name)?.strip_prefix('='))?;
        let inner = line.trim().strip_prefix('"')?.strip_suffix('"')?;
        let mut value = String::new();
        let mut letters = inner.chars();
        while let Some(letter) = letters.next() {
            value.extend(if letter == '\\' {
                letters.next()
            } else {
                Some(letter)
            });
        }
        Some(value).filter(|value| !value.is_empty())
    };
    Proxies {
        http: value("http_proxy"),
        https: value("https_proxy"),
        without: value("no_proxy")
            .map(|list| Proxies::split_without(&list))
            .unwrap_or_default(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_kept_reads_back() {
        let proxies = Proxies {
            http: Some("http://user:pa\"ss\\w@proxy:3128".to_owned()),
            https: None,
            without: vec!["10.0.0.0/8".to_owned(), ".example.com".to_owned()],
        };
        let text = text(&proxies).unwrap();
        assert_eq!(read(&text), proxies);
        assert!(
            text.contains("\nHTTP_PROXY=\"http://user:pa\\\"ss\\\\w@proxy:3128\"\n"),
            "{text}"
        );
        assert_eq!(super::text(&Proxies::default()), None);
        let hostile = Proxies {
            http: Some("http://x\nLD_PRELOAD=/evil".to_owned()),
            ..Proxies::default()
        };
        assert_eq!(super::text(&hostile).unwrap().lines().count(), 3);
    }
}
