//! What a plan acts on, as values: the filesystem root, the clock, randomness, commands, the
//! service manager, users and groups. Tests hand in others; nothing in this crate reaches around
//! them.

mod accounts;
mod clock;
mod command;
mod random;
mod spawn;
mod systemctl;
mod units;

use std::fmt;
use std::io;
use std::path::Path;
use std::sync::Arc;

pub use accounts::{AccountError, Accounts, Group, User};
pub use clock::{Clock, SystemClock};
pub use command::{Command, CommandError, Commands, Ended, Output};
pub use random::{Random, SystemRandom};
pub use spawn::Spawn;
pub use systemctl::Systemctl;
pub use units::{Unit, UnitError, Units, telling};

use crate::root::Root;

/// One host.
#[derive(Clone)]
pub struct Host {
    /// Its filesystem.
    pub root: Arc<Root>,
    /// Its clock.
    pub clock: Arc<dyn Clock>,
    /// Where random bytes come from.
    pub random: Arc<dyn Random>,
    /// How commands are run on it; `None` where only the folder is ours and commands would act on
    /// the system around it.
    pub commands: Option<Arc<dyn Commands>>,
    /// Its service manager; `None` where there is none.
    pub units: Option<Arc<dyn Units>>,
}

impl Host {
    /// The running system. A service manager is there when systemd is the init
    /// (`sd_booted(3)`: `/run/systemd/system` is a folder).
    pub fn system() -> io::Result<Self> {
        let root = Root::open(Path::new("/"))?;
        let commands: Arc<dyn Commands> = Arc::new(Spawn::new());
        let booted = Path::new("/run/systemd/system").is_dir();
        let clock: Arc<dyn Clock> = Arc::new(SystemClock::new());
        Ok(Self {
            root: Arc::new(root),
            units: booted
                .then(|| Arc::new(Systemctl::new(commands.clone(), clock.clone())) as Arc<dyn Units>),
            clock,
            random: Arc::new(SystemRandom),
            commands: Some(commands),
        })
    }

    /// A folder that stands for a host: files go below it, and whatever would act on the system
    /// around it (users, units, packages) cannot be done at all.
    pub fn folder(path: &Path) -> io::Result<Self> {
        Ok(Self {
            root: Arc::new(Root::open(path)?),
            clock: Arc::new(SystemClock::new()),
            random: Arc::new(SystemRandom),
            commands: None,
            units: None,
        })
    }

    /// Its users and groups.
    pub fn accounts(&self) -> Accounts<'_> {
        Accounts::of(self)
    }
}

impl fmt::Debug for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Host")
            .field("root", &self.root)
            .finish_non_exhaustive()
    }
}
