//! What the address of a mirror may look like on a command line.

/// Reads one: `http://` or `https://`, a host, perhaps a path. A name and password in it are refused, since an
/// address is noted, logged and told to the control plane: they belong into a file.
pub fn mirror_address(text: &str) -> Result<String, String> {
    let rest = ["https://", "http://"]
        .iter()
        .find_map(|scheme| text.strip_prefix(scheme))
        .ok_or("it begins with https:// or http://")?;
    let (authority, _) = rest.split_once('/').unwrap_or((rest, ""));
    if authority.contains('@') {
        return Err(
            "it carries a name or password, which would be noted for everybody to read; name a file with \
                    --mirror-credential-file instead"
                .to_owned(),
        );
    }
    let is_plain = |c: char| !c.is_control() && !c.is_whitespace() && !matches!(c, '?' | '#');
    if authority.is_empty() || authority.starts_with(':') || !text.chars().all(is_plain) {
        return Err("it is a host, perhaps with a port and a path".to_owned());
    }
    Ok(text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_has_a_host_and_no_secret() {
        for good in [
            "https://mirror.example.com/aami",
            "http://10.0.0.1:8000",
            "https://[::1]:8443/a/b",
        ] {
            assert_eq!(mirror_address(good).as_deref(), Ok(good));
        }
        for bad in [
            "",
            "mirror",
            "ftp://a",
            "https://",
            "https://:80",
            "http://a b",
            "https://a/x?token=1",
            "https://a/\n",
        ] {
            assert!(mirror_address(bad).is_err(), "{bad:?}");
        }
        for secret in ["https://user:pw@mirror.example.com", "http://token@10.0.0.1/x"] {
            let why = mirror_address(secret).unwrap_err();
            assert!(why.contains("--mirror-credential-file"), "{why}");
            assert!(!why.contains("pw") && !why.contains("token"), "{why}");
        }
    }
}
