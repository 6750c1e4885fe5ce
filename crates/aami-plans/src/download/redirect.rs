//! Where an answer sends on to.

use ureq::http::Uri;

/// The address that `location`, answered by `at`, means (RFC 9110, 10.2.2); nothing where it means none.
pub(super) fn target(at: &str, location: &str) -> Option<String> {
    let location = location.split('#').next()?.trim();
    if location.contains("://") {
        let is_whole = location.parse::<Uri>().ok()?.scheme().is_some();
        return is_whole.then(|| location.to_owned());
    }
    let here: Uri = at.parse().ok()?;
    let (scheme, host) = (here.scheme_str()?, here.authority()?.as_str());
    if location.starts_with("//") {
        return Some(format!("{scheme}:{location}"));
    }
    if location.starts_with('/') {
        return Some(format!("{scheme}://{host}{location}"));
    }
    let folder = here.path().rsplit_once('/').map_or("", |(folder, _)| folder);
    Some(format!("{scheme}://{host}{folder}/{location}"))
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
