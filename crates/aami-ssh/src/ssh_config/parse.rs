//! Files into sections.

use std::fs::File;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use super::{Opt, Section, SshConfig, words};
use crate::HostKeyPolicy;
use crate::trust::pattern;

/// A file that is larger is no configuration.
const LARGEST: u64 = 4 * 1024 * 1024;
/// How deep files include files, as in OpenSSH.
const DEEPEST: usize = 16;
/// How many files are read in all, and how many lines that are passed over are noted.
const FILES: usize = 256;
const NOTES: usize = 200;

/// A line that was passed over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Note {
    /// The file.
    pub file: PathBuf,
    /// The line, from 1; 0 for the whole file.
    pub line: usize,
    /// Why.
    pub why: String,
}

/// Where something stands.
struct Reader<'a> {
    config: &'a mut SshConfig,
    base: &'a Path,
    home: &'a Path,
    files: usize,
}

/// What the lines read now hold for.
#[derive(Clone)]
struct Scope {
    hosts: Vec<Vec<String>>,
    /// Inside `Match`, which is not understood.
    skipped: bool,
}

pub(super) fn file(config: &mut SshConfig, path: &Path, base: &Path, home: &Path) {
    let mut reader = Reader {
        config,
        base,
        home,
        files: 0,
    };
    let scope = Scope {
        hosts: Vec::new(),
        skipped: false,
    };
    reader.file(path, &scope, 0, true);
}

impl Reader<'_> {
    fn file(&mut self, path: &Path, outer: &Scope, depth: usize, may_miss: bool) {
        self.files += 1;
        if self.files > FILES || depth > DEEPEST {
            return self.note(path, 0, "too many files include each other".to_owned());
        }
        let text = match read(path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound && may_miss => return,
            Err(error) => return self.note(path, 0, error.to_string()),
        };
        let mut scope = outer.clone();
        self.section(&scope);
        for (at, line) in text.lines().enumerate() {
            let number = at + 1;
            match words::split(line) {
                Ok(None) => {}
                Ok(Some((keyword, arguments))) => {
                    if let Err(why) = self.line(&keyword, &arguments, &mut scope, outer, depth) {
                        self.note(path, number, why);
                    }
                }
                Err(why) => self.note(path, number, why.to_owned()),
            }
        }
        // What follows in the including file belongs to its own section again.
        self.section(outer);
    }

    fn line(
        &mut self,
        keyword: &str,
        arguments: &[String],
        scope: &mut Scope,
        outer: &Scope,
        depth: usize,
    ) -> Result<(), String> {
        match keyword {
            "host" => {
                if arguments.is_empty() {
                    scope.skipped = true;
                    return Err("Host without a pattern; its lines are passed over".to_owned());
                }
                scope.hosts = outer.hosts.clone();
                scope.hosts.push(arguments.to_vec());
                scope.skipped = outer.skipped;
                self.section(scope);
                Ok(())
            }
            "match" => {
                // `Match all` is the one that needs no program and no session.
                let all = matches!(arguments, [word] if word.eq_ignore_ascii_case("all"));
                scope.hosts = outer.hosts.clone();
                scope.skipped = outer.skipped || !all;
                self.section(scope);
                if all {
                    Ok(())
                } else {
                    Err("Match is not understood; its lines are passed over".to_owned())
                }
            }
            _ if scope.skipped => Ok(()),
            "include" => {
                for name in arguments {
                    for included in self.included(name)? {
                        let scope = scope.clone();
                        self.file(&included, &scope, depth + 1, false);
                    }
                }
                Ok(())
            }
            _ => {
                if let Some(option) = option(keyword, arguments)?
                    && let Some(section) = self.config.sections.last_mut()
                {
                    section.options.push(option);
                }
                Ok(())
            }
        }
    }

    fn section(&mut self, scope: &Scope) {
        self.config.sections.push(Section {
            hosts: scope.hosts.clone(),
            options: Vec::new(),
        });
    }

    fn note(&mut self, file: &Path, line: usize, why: String) {
        if self.config.notes.len() < NOTES {
            self.config.notes.push(Note {
                file: file.to_owned(),
                line,
                why,
            });
        }
    }

    /// The files that an `Include` names, in the order of their names.
    fn included(&self, name: &str) -> Result<Vec<PathBuf>, String> {
        let full = match name.strip_prefix("~/") {
            Some(rest) => self.home.join(rest),
            None => self.base.join(name),
        };
        let mut found = vec![PathBuf::new()];
        for part in full.components() {
            let text = part.as_os_str().to_string_lossy();
            if !text.contains(['*', '?']) {
                for path in &mut found {
                    path.push(part);
                }
                continue;
            }
            let mut next = Vec::new();
            for folder in &found {
                let Ok(entries) = std::fs::read_dir(folder) else {
                    continue;
                };
                let names = entries.flatten().take(10 * FILES).map(|entry| entry.file_name());
                let mut taken: Vec<PathBuf> = names
                    .filter(|name| {
                        let name = name.to_string_lossy();
                        !name.starts_with('.') && pattern::matches(&text, &name)
                    })
                    .map(|name| folder.join(name))
                    .collect();
                taken.sort();
                next.extend(taken);
            }
            found = next;
        }
        found.retain(|path| path.exists());
        if found.len() > FILES {
            return Err(format!("it includes {} files, more than {FILES}", found.len()));
        }
        Ok(found)
    }
}

fn read(path: &Path) -> io::Result<String> {
    let file = File::open(path)?;
    if file.metadata()?.len() > LARGEST {
        return Err(io::Error::other("it is too large for a configuration of ssh"));
    }
    let mut bytes = Vec::new();
    file.take(LARGEST).read_to_end(&mut bytes)?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// Reads one option. None for those that say nothing about what is done here.
fn option(keyword: &str, arguments: &[String]) -> Result<Option<Opt>, String> {
    let one = || match arguments {
        [value] => Ok(value.as_str()),
        [] => Err(format!("{keyword} has no value")),
        _ => Err(format!("{keyword} takes one value")),
    };
    Ok(Some(match keyword {
        "hostname" => Opt::HostName(one()?.to_owned()),
        "user" => Opt::User(one()?.to_owned()),
        "port" => Opt::Port(
            one()?
                .parse()
                .ok()
                .filter(|port| *port > 0)
                .ok_or("port is a number from 1 to 65535")?,
        ),
        "identityfile" => Opt::IdentityFile(one()?.to_owned()),
        "identitiesonly" => Opt::IdentitiesOnly(yes(one()?)?),
        "identityagent" => Opt::IdentityAgent(one()?.to_owned()),
        "proxyjump" => Opt::ProxyJump(one()?.to_owned()),
        "userknownhostsfile" if !arguments.is_empty() => Opt::UserKnownHostsFile(arguments.to_vec()),
        "stricthostkeychecking" => Opt::StrictHostKeyChecking(policy(one()?)?),
        "hashknownhosts" => Opt::HashKnownHosts(yes(one()?)?),
        "hostkeyalias" => Opt::HostKeyAlias(one()?.to_owned()),
        "connecttimeout" => Opt::ConnectTimeout(
            one()?
                .parse()
                .ok()
                .filter(|seconds| *seconds > 0)
                .ok_or("connecttimeout is a number of seconds")?,
        ),
        "proxycommand" if !arguments.is_empty() => Opt::ProxyCommand(arguments.join(" ")),
        "proxyusefdpass" => {
            return Err(format!(
                "{keyword} is not supported: hosts are reached directly or over ProxyJump"
            ));
        }
        known if WITHOUT_MEANING.contains(&known) => return Ok(None),
        other => return Err(format!("{other:?} is not used")),
    }))
}

/// `ask` is a question nobody is there to answer for a thousand hosts: unknown keys are refused.
fn policy(word: &str) -> Result<HostKeyPolicy, String> {
    match word.to_ascii_lowercase().as_str() {
        "yes" | "ask" => Ok(HostKeyPolicy::Strict),
        "accept-new" => Ok(HostKeyPolicy::AcceptNew),
        "no" | "off" => Ok(HostKeyPolicy::Off),
        _ => Err("stricthostkeychecking is yes, accept-new, ask or no".to_owned()),
    }
}

fn yes(word: &str) -> Result<bool, String> {
    match word.to_ascii_lowercase().as_str() {
        "yes" | "true" => Ok(true),
        "no" | "false" => Ok(false),
        _ => Err(format!("{word:?} is neither yes nor no")),
    }
}

/// Options that are right in such a file and change nothing here.
const WITHOUT_MEANING: &[&str] = &[
    "addkeystoagent",
    "addressfamily",
    "batchmode",
    "canonicalizehostname",
    "checkhostip",
    "clearallforwardings",
    "compression",
    "controlmaster",
    "controlpath",
    "controlpersist",
    "dynamicforward",
    "enableescapecommandline",
    "escapechar",
    "exitonforwardfailure",
    "forwardagent",
    "forwardx11",
    "forwardx11trusted",
    "gssapiauthentication",
    "gssapidelegatecredentials",
    "hostbasedauthentication",
    "ignoreunknown",
    "kbdinteractiveauthentication",
    "localcommand",
    "localforward",
    "loglevel",
    "logverbose",
    "nohostauthenticationforlocalhost",
    "numberofpasswordprompts",
    "passwordauthentication",
    "permitlocalcommand",
    "preferredauthentications",
    "pubkeyauthentication",
    "rekeylimit",
    "remotecommand",
    "remoteforward",
    "requesttty",
    "sendenv",
    "serveralivecountmax",
    "serveraliveinterval",
    "sessiontype",
    "setenv",
    "stdinnull",
    "streamlocalbindunlink",
    "syslogfacility",
    "tcpkeepalive",
    "tunnel",
    "updatehostkeys",
    "usekeychain",
    "verifyhostkeydns",
    "visualhostkey",
    "xauthlocation",
];
