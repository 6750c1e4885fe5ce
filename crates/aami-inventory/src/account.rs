//! Users and groups, as their files have them, and what keeps them from being changed.
//!
//! The C library's look-ups are not used: a static program would need the host's NSS modules.

use serde::Serialize;

use crate::error::one_line;
use crate::host::Host;

/// A user, as far as it matters here.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct User {
    /// Log-in name.
    pub name: String,
    /// Number.
    pub uid: u32,
    /// Number of the primary group.
    pub gid: u32,
}

/// The user with this number.
pub fn user_by_id(host: &Host<'_>, uid: u32) -> Option<User> {
    users(host).into_iter().find(|user| user.uid == uid)
}

/// The user of this name.
pub fn user_by_name(host: &Host<'_>, name: &str) -> Option<User> {
    users(host).into_iter().find(|user| user.name == name)
}

fn users(host: &Host<'_>) -> Vec<User> {
    let text = host.read("/etc/passwd").unwrap_or_default();
    text.lines().filter_map(user).collect()
}

fn user(line: &str) -> Option<User> {
    let mut fields = line.split(':');
    let name = fields.next().filter(|name| !name.is_empty())?;
    let _password = fields.next()?;
    Some(User {
        name: name.to_owned(),
        uid: fields.next()?.parse().ok()?,
        gid: fields.next()?.parse().ok()?,
    })
}

/// Whether a user is in a group, be it as the primary one; `None` where there is no such group.
pub fn is_in(host: &Host<'_>, user: &str, group: &str) -> Option<bool> {
    let text = host.read("/etc/group")?;
    let line = text.lines().find(|line| line.split(':').next() == Some(group))?;
    // Name, password, number, members.
    let mut fields = line.split(':').skip(2);
    let gid = fields.next().and_then(|gid| gid.parse::<u32>().ok());
    let is_member = fields
        .next()
        .unwrap_or_default()
        .split(',')
        .any(|name| name == user);
    let is_primary = || gid.is_some() && gid == user_by_name(host, user).map(|user| user.gid);
    Some(is_member || is_primary())
}

/// Something that keeps `useradd` and `groupadd` from working.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Obstacle {
    /// The file.
    pub path: String,
    /// The process that holds it, where one does.
    pub holder: Option<u32>,
    /// What is wrong with it, in one line.
    pub what: String,
}

/// What keeps users and groups from being changed: a lock file that shadow's programs would not take
/// over (lockpw.c: one without a living process' number in it is taken over only when it holds a
/// number), and account files that are missing or without root.
pub fn obstacles(host: &Host<'_>) -> Vec<Obstacle> {
    let mut found = Vec::new();
    for path in [
        "/etc/passwd.lock",
        "/etc/group.lock",
        "/etc/shadow.lock",
        "/etc/gshadow.lock",
    ] {
        if !host.exists(path) {
            continue;
        }
        let text = host.read(path).unwrap_or_default();
        match text.trim_matches('\0').trim().parse::<u32>() {
            Ok(pid) if host.exists(&format!("/proc/{pid}")) => found.push(Obstacle {
                path: path.to_owned(),
                holder: Some(pid),
                what: format!("it is held by process {pid}{}", named(host, pid)),
            }),
            Ok(_) => {}
            Err(_) => found.push(Obstacle {
                path: path.to_owned(),
                holder: None,
                what: "it holds no process number, so nothing takes it over".to_owned(),
            }),
        }
    }
    for (path, what) in [("/etc/passwd", "user"), ("/etc/group", "group")] {
        let has_root = host
            .read(path)
            .is_some_and(|text| text.lines().any(|line| line.starts_with("root:")));
        if !has_root {
            found.push(Obstacle {
                path: path.to_owned(),
                holder: None,
                what: format!("it names no {what} root"),
            });
        }
    }
    found
}

fn named(host: &Host<'_>, pid: u32) -> String {
    host.read(&format!("/proc/{pid}/comm"))
        .map_or_else(String::new, |name| format!(" ({})", one_line(&name)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lock_without_a_number_stands_and_one_of_a_dead_process_does_not() {
        let root = crate::made_up::Root::new();
        let host = root.host();
        let write = |path: &str, text: &str| root.write(path, text);
        write(
            "/etc/passwd",
            "root:x:0:0::/root:/bin/sh\ngrafana:x:998:997::/:/x\nbroken\n",
        );
        write("/etc/group", "root:x:0:\ndocker:x:999:alice,bob\n");
        assert_eq!(obstacles(&host), []);
        assert_eq!(user_by_id(&host, 998).unwrap().name, "grafana");
        assert_eq!(is_in(&host, "bob", "docker"), Some(true));
        assert_eq!(is_in(&host, "carol", "docker"), Some(false));
        assert_eq!(is_in(&host, "root", "root"), Some(true), "by its primary group");
        assert_eq!(is_in(&host, "alice", "video"), None);

        write("/etc/passwd.lock", "4194399\0");
        assert_eq!(obstacles(&host), [], "its process is gone");
        write("/etc/passwd.lock", "");
        assert!(obstacles(&host)[0].what.contains("no process number"));
        write("/proc/77/comm", "useradd");
        write("/etc/passwd.lock", "77");
        assert_eq!(obstacles(&host)[0].what, "it is held by process 77 (useradd)");
    }
}
