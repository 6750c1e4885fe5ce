//! Where an answer sends on to.

use ureq::http::Uri;

/// The address that `location`, answered by `at`, means (RFC 9110, 10.2.2; RFC 3986, 5.2); nothing where it means none.
pub(super) fn target(at: &str, location: &str) -> Option<String> {
    let location = location.split('#').next()?.trim();
    if is_whole(location) {
        return location.parse::<Uri>().is_ok().then(|| location.to_owned());
    }
    let here: Uri = at.parse().ok()?;
    let (scheme, host) = (here.scheme_str()?, here.authority()?.as_str());
    if location.starts_with("//") {
        return Some(format!("{scheme}:{location}"));
    }
    let (path, query) = match location.split_once('?') {
        Some((path, query)) => (path, format!("?{query}")),
        None => (location, String::new()),
    };
    let path = if path.is_empty() {
        here.path().to_owned()
    } else if path.starts_with('/') {
        without_dots(path)
    } else {
        let folder = here.path().rsplit_once('/').map_or("", |(folder, _)| folder);
        without_dots(&format!("{folder}/{path}"))
    };
    Some(format!("{scheme}://{host}{path}{query}"))
}

/// Whether it begins with a scheme and its host; a whole address may also stand in a path or a query.
fn is_whole(location: &str) -> bool {
    let scheme = location.split_once("://").map(|(scheme, _)| scheme);
    scheme.is_some_and(|scheme| !scheme.is_empty() && !scheme.contains(['/', '?', ':']))
}

/// An absolute path without the segments `.` and `..` (RFC 3986, 5.2.4).
fn without_dots(path: &str) -> String {
    let segments: Vec<&str> = path.split('/').skip(1).collect();
    let mut kept = Vec::new();
    for (at, segment) in segments.iter().enumerate() {
        let is_last = at + 1 == segments.len();
        match *segment {
            "." | ".." => {
                if *segment == ".." {
                    kept.pop();
                }
                if is_last {
                    kept.push("");
                }
            }
            segment => kept.push(segment),
        }
    }
    format!("/{}", kept.join("/"))
}

/// Whether nobody in between can read or change what comes from there.
pub(super) fn is_https(url: &str) -> bool {
    let uri: Option<Uri> = url.parse().ok();
    uri.is_some_and(|uri| uri.scheme_str() == Some("https"))
}

/// How an address is told of to which another led: without its query, which signs it for a while in many places.
pub(super) fn shown(url: &str, from: &str) -> String {
    let place = url.split('?').next().unwrap_or(url);
    format!("{place} (where {from} leads)")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_sends_on_to_where_it_says() {
        let at = "https://mirror.example:8443/a/b.tar.gz?x=1";
        for (location, wanted) in [
            ("http://cdn.example/c?sig=1", "http://cdn.example/c?sig=1"),
            ("HTTPS://cdn.example/c#top", "HTTPS://cdn.example/c"),
            ("//cdn.example/c", "https://cdn.example/c"),
            ("/c/d", "https://mirror.example:8443/c/d"),
            ("c.tar.gz", "https://mirror.example:8443/a/c.tar.gz"),
            ("c/d.tar.gz", "https://mirror.example:8443/a/c/d.tar.gz"),
            // Of the same place with something more, as what asks for a token has it.
            (
                "?token=t/../u",
                "https://mirror.example:8443/a/b.tar.gz?token=t/../u",
            ),
            ("../c.tar.gz", "https://mirror.example:8443/c.tar.gz"),
            ("../../../c", "https://mirror.example:8443/c"),
            ("./c/./d/../e/", "https://mirror.example:8443/a/c/e/"),
            ("/c/d/..", "https://mirror.example:8443/c/"),
            // What fetches for others names their addresses in its own.
            (
                "/proxy/https://cdn.example/c",
                "https://mirror.example:8443/proxy/https://cdn.example/c",
            ),
            (
                "get?url=https://cdn.example/c",
                "https://mirror.example:8443/a/get?url=https://cdn.example/c",
            ),
        ] {
            assert_eq!(target(at, location).as_deref(), Some(wanted), "{location}");
        }
        assert_eq!(target(at, "http://["), None);
        assert!(is_https(at) && is_https("HTTPS://cdn.example/c") && !is_https("http://cdn.example"));
    }

    #[test]
    fn what_signs_an_address_is_not_told() {
        assert_eq!(
            shown(
                "https://cdn.example/c?X-Signature=secret",
                "https://mirror.example/c"
            ),
            "https://cdn.example/c (where https://mirror.example/c leads)"
        );
    }
}
