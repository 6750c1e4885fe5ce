//! The registry of everything a person can be told went wrong.
//!
//! One [`Code`] per condition: a symbol for programs (`PORT_IN_USE`), a number for people
//! (`AAMI-P-0012`), one sentence, a hint, the exit code of a command that ends with it, the HTTP
//! status of an answer that carries it, and the text of its page in `docs/explain/`, which
//! `cargo xtask explain` generates from here. Entries live in one file per [`Area`]; numbers are
//! never reused.
//!
//! The sentence here is the general one. A room that knows more (which port, held by whom) says so
//! in its own error text and keeps the code.

mod access;
mod agent;
mod alert;
mod api;
mod connection;
mod discovery;
mod enrolment;
mod fleet;
mod install;
mod notify;
mod preflight;
mod release;
mod ssh;
mod stack;
mod store;
mod tools;

pub use access::*;
pub use agent::*;
pub use alert::*;
pub use api::*;
pub use connection::*;
pub use discovery::*;
pub use enrolment::*;
pub use fleet::*;
pub use install::*;
pub use notify::*;
pub use preflight::*;
pub use release::*;
pub use ssh::*;
pub use stack::*;
pub use store::*;
pub use tools::*;

use std::fmt;

/// The room a code belongs to; its letter stands in the number people see.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Area {
    /// Who may do what: keys, roles, scopes, TLS.
    Access,
    /// The node's binary and what it finds on its host.
    Agent,
    /// Alert rules: presets and an operator's own.
    Alerts,
    /// Requests the control plane cannot act on.
    Api,
    /// The connection between a node and the control plane, and what is told over it.
    Connection,
    /// Telling Prometheus what to scrape.
    Discovery,
    /// Bootstrap tokens and registration.
    Enrolment,
    /// A fleet that a file declares.
    Fleet,
    /// Changing a host and undoing it.
    Install,
    /// Telling others of events, and being told.
    Notify,
    /// What is checked before anything is changed.
    Preflight,
    /// What is downloaded to install from, and its signature.
    Release,
    /// Reaching hosts by SSH, and becoming root there.
    Ssh,
    /// Installing the server: the control plane and what runs beside it.
    Stack,
    /// The control plane's store.
    Store,
    /// What a host's own tools refuse: packages, firewall, containers.
    Tools,
}

impl Area {
    /// Every area, in the order of their letters.
    pub const ALL: [Self; 16] = [
        Self::Access,
        Self::Agent,
        Self::Alerts,
        Self::Api,
        Self::Connection,
        Self::Discovery,
        Self::Enrolment,
        Self::Fleet,
        Self::Install,
        Self::Notify,
        Self::Preflight,
        Self::Release,
        Self::Ssh,
        Self::Stack,
        Self::Store,
        Self::Tools,
    ];

    /// The letter in `AAMI-<letter>-0000`.
    pub const fn letter(self) -> char {
        match self {
            Self::Access => 'A',
            Self::Agent => 'G',
            Self::Alerts => 'W',
            Self::Api => 'H',
            Self::Connection => 'C',
            Self::Discovery => 'D',
            Self::Enrolment => 'E',
            Self::Fleet => 'F',
            Self::Install => 'I',
            Self::Notify => 'N',
            Self::Preflight => 'P',
            Self::Release => 'R',
            Self::Ssh => 'L',
            Self::Stack => 'V',
            Self::Store => 'S',
            Self::Tools => 'T',
        }
    }

    const fn entries(self) -> &'static [Code] {
        match self {
            Self::Access => access::ENTRIES,
            Self::Agent => agent::ENTRIES,
            Self::Alerts => alert::ENTRIES,
            Self::Api => api::ENTRIES,
            Self::Connection => connection::ENTRIES,
            Self::Discovery => discovery::ENTRIES,
            Self::Enrolment => enrolment::ENTRIES,
            Self::Fleet => fleet::ENTRIES,
            Self::Install => install::ENTRIES,
            Self::Notify => notify::ENTRIES,
            Self::Preflight => preflight::ENTRIES,
            Self::Release => release::ENTRIES,
            Self::Ssh => ssh::ENTRIES,
            Self::Stack => stack::ENTRIES,
            Self::Store => store::ENTRIES,
            Self::Tools => tools::ENTRIES,
        }
    }
}

/// How a command ends. The numbers are part of the interface: scripts branch on them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Exit {
    /// Done.
    Ok = 0,
    /// Failed, for a reason none of the others names.
    Failed = 1,
    /// The command line itself was wrong.
    Usage = 2,
    /// Looked, and what was looked at is not healthy.
    NotHealthy = 3,
    /// Not signed in, or not allowed.
    NotAuthorised = 4,
    /// The thing named does not exist.
    NotFound = 5,
    /// Somebody else holds it, or it changed meanwhile.
    Conflict = 6,
    /// Some of many failed.
    Partial = 7,
    /// Still pending, or the time allowed ran out.
    Pending = 8,
    /// Stopped in the middle; `--resume` continues.
    Interrupted = 9,
    /// A checksum, signature or certificate did not match.
    Integrity = 10,
    /// A daemon was started with a bad invocation.
    DaemonUsage = 64,
    /// A daemon's configuration is wrong.
    DaemonConfig = 78,
}

impl Exit {
    /// The number handed to the operating system.
    pub const fn number(self) -> u8 {
        self as u8
    }

    /// Every one.
    pub const ALL: [Self; 13] = [
        Self::Ok,
        Self::Failed,
        Self::Usage,
        Self::NotHealthy,
        Self::NotAuthorised,
        Self::NotFound,
        Self::Conflict,
        Self::Partial,
        Self::Pending,
        Self::Interrupted,
        Self::Integrity,
        Self::DaemonUsage,
        Self::DaemonConfig,
    ];

    /// The one of a number; none where there is none.
    pub fn from_number(number: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|exit| exit.number() == number)
    }
}

/// One condition a person can be told about.
#[derive(Clone, Copy)]
pub struct Code {
    /// The JSON member `code`, e.g. `PORT_IN_USE`. Programs branch on it.
    pub symbol: &'static str,
    /// The room it belongs to.
    pub area: Area,
    /// Unique within the area, never reused.
    pub number: u16,
    /// One sentence, for a reader who knows nothing of the internals.
    pub sentence: &'static str,
    /// What to do next.
    pub hint: &'static str,
    /// How a command that ends with this condition exits.
    pub exit: Exit,
    /// The status of an HTTP answer that carries it.
    pub http: u16,
    /// The body of its page: how it comes about, how to look, how to mend it.
    pub explain: &'static str,
}

impl Code {
    /// The number people see and search for, e.g. `AAMI-P-0012`; the JSON member `id`.
    pub fn id(&self) -> String {
        format!("AAMI-{}-{:04}", self.area.letter(), self.number)
    }

    /// Every code, by area, then in the order written.
    pub fn all() -> impl Iterator<Item = &'static Self> {
        Area::ALL.into_iter().flat_map(|area| area.entries().iter())
    }

    /// Finds a code by symbol (`PORT_IN_USE`) or id (`AAMI-P-0012`), in either case.
    pub fn find(name: &str) -> Option<&'static Self> {
        Self::all()
            .find(|code| code.symbol.eq_ignore_ascii_case(name) || code.id().eq_ignore_ascii_case(name))
    }
}

impl PartialEq for Code {
    fn eq(&self, other: &Self) -> bool {
        self.symbol == other.symbol
    }
}

impl Eq for Code {}

impl fmt::Debug for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.symbol)
    }
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.symbol)
    }
}

/// Declares the codes of one area: a constant each, and `ENTRIES` in the order written.
macro_rules! codes {
    ($area:ident; $( $symbol:ident = $number:literal, $exit:ident, $http:literal; $sentence:literal; $hint:literal; $explain:literal )+) => {
        $(
            #[doc = $sentence]
            pub const $symbol: crate::code::Code = crate::code::Code {
                symbol: stringify!($symbol),
                area: crate::code::Area::$area,
                number: $number,
                sentence: $sentence,
                hint: $hint,
                exit: crate::code::Exit::$exit,
                http: $http,
                explain: $explain,
            };
        )+
        pub(super) const ENTRIES: &[crate::code::Code] = &[$($symbol),+];
    };
}
use codes;

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_code_is_unique_and_complete() {
        let mut symbols = BTreeSet::new();
        let mut ids = BTreeSet::new();
        for code in Code::all() {
            assert!(symbols.insert(code.symbol), "{} stands twice", code.symbol);
            assert!(ids.insert(code.id()), "{} is given twice", code.id());
            assert!(
                code.sentence.ends_with('.'),
                "{}: the sentence is not one",
                code.symbol
            );
            assert!(
                code.hint.ends_with('.'),
                "{}: the hint is not a sentence",
                code.symbol
            );
            assert!(code.explain.len() > 50, "{}: its page says nothing", code.symbol);
            assert!(
                (400..600).contains(&code.http),
                "{}: {} is no error status",
                code.symbol,
                code.http
            );
        }
    }

    #[test]
    fn a_code_is_found_by_either_name() {
        let code = Code::find("aami-p-0012").expect("the id is registered");
        assert_eq!(code.symbol, "PORT_IN_USE");
        assert_eq!(Code::find("port_in_use"), Some(code));
        assert_eq!(Code::find("nothing"), None);
    }
}
