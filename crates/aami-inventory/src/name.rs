//! What the machine calls itself.

use aami_model::hostname::Hostname;

use crate::error::{InventoryError, one_line};
use crate::host::Host;

const KERNEL: &str = "/proc/sys/kernel/hostname";
const FILE: &str = "/etc/hostname";
const HOSTS: &str = "/etc/hosts";
/// The kernel takes 64 bytes; a file may hold more, of which nobody needs to see all.
const MOST_SHOWN: usize = 80;

/// The machine's name, fully qualified where the machine knows its domain without asking anybody.
///
/// The running kernel's name decides; `/etc/hostname` where there is none. A short name is
/// completed from `/etc/hosts` as `hostname -f` does it (the first name of the line that carries
/// the short one), else from `/etc/hostname` where that holds the long form. DNS is not asked: an
/// answer that depends on the resolver of the day is no name to be known by.
pub fn hostname(host: &Host<'_>) -> Result<Hostname, InventoryError> {
    let (text, source_path) = match (host.read(KERNEL), host.read(FILE)) {
        (Some(name), _) if name != "(none)" => (name, KERNEL),
        (_, Some(text)) => (text, FILE),
        _ => return Err(InventoryError::NoHostname),
    };
    // The kernel's name is all of it, and takes any bytes, line ends too. A file's is its first line.
    let name = match source_path {
        KERNEL => text.as_str(),
        _ => text.lines().next().unwrap_or_default().trim_end(),
    };
    let short: Hostname = name.parse().map_err(|reason| InventoryError::BadHostname {
        name: name.chars().take(MOST_SHOWN).collect(),
        source_path,
        reason,
    })?;
    if short.as_str().contains('.') {
        return Ok(short);
    }
    let from_hosts = host.read(HOSTS).and_then(|text| qualified_in(&text, &short));
    let from_file = || {
        let long: Hostname = one_line(&host.read(FILE)?).parse().ok()?;
        extends(&long, &short).then_some(long)
    };
    Ok(from_hosts.or_else(from_file).unwrap_or(short))
}

/// Whether a name is one that half the machines of the world carry.
pub fn is_generic(name: &Hostname) -> bool {
    let first = name.as_str().split('.').next().unwrap_or_default();
    matches!(
        first,
        "localhost" | "localhost4" | "localhost6" | "debian" | "ubuntu"
    )
}

/// The canonical name of the line of an `/etc/hosts` that carries `short`, when it extends it.
fn qualified_in(hosts: &str, short: &Hostname) -> Option<Hostname> {
    hosts.lines().find_map(|line| {
        let line = line.split('#').next().unwrap_or_default();
        let mut names = line.split_whitespace().skip(1);
        let canonical: Hostname = names.next()?.parse().ok()?;
        let is_named = canonical == *short
            || extends(&canonical, short)
            || names.any(|alias| alias.parse::<Hostname>().is_ok_and(|alias| alias == *short));
        (is_named && extends(&canonical, short)).then_some(canonical)
    })
}

/// Whether `long` is `short` with a domain behind it.
fn extends(long: &Hostname, short: &Hostname) -> bool {
    long.as_str()
        .strip_prefix(short.as_str())
        .is_some_and(|rest| rest.starts_with('.'))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn qualified(hosts: &str) -> Option<String> {
        let short = "gpu-01".parse().unwrap();
        qualified_in(hosts, &short).map(|name| name.to_string())
    }

    #[test]
    fn a_short_name_is_completed_as_hostname_f_does_it() {
        let debian = "127.0.0.1 localhost\n127.0.1.1\tGPU-01.example.com gpu-01\n";
        assert_eq!(qualified(debian).as_deref(), Some("gpu-01.example.com"));
        let commented = "# 127.0.1.1 gpu-01.wrong.example gpu-01\n10.0.0.7 gpu-01.right.example # gpu-01\n";
        assert_eq!(qualified(commented).as_deref(), Some("gpu-01.right.example"));
        assert_eq!(qualified("127.0.1.1 gpu-01 gpu-01.example.com\n"), None);
        assert_eq!(qualified("127.0.1.1 gpu-010.example.com gpu-010\n"), None);
        assert_eq!(qualified("nonsense\n\0\n127.0.0.1\n"), None);
    }

    #[test]
    fn names_everybody_has_are_known() {
        assert!(is_generic(&"localhost.localdomain".parse().unwrap()));
        assert!(!is_generic(&"gpu-01".parse().unwrap()));
    }
}
