//! How a host is changed, and changed back.
//!
//! A [`Plan`] is a graph of [`Step`]s. A step says which [`Effect`]s must hold on a [`Host`];
//! [`Installer`] probes which do not, records durably what undoing them needs, and only then brings
//! them about. So a run can be killed anywhere and run again, a run with nothing to do writes
//! nothing, a dry run is exact, and uninstalling leaves the host as it was.
//!
//! Start at [`executor`] for how a run goes, [`effect`] for what can be done to a host, and
//! [`receipt`] for what is remembered.
//!
//! ```
//! use aami_install::{Content, Effect, Host, HostPath, Installer, Mode, Options, Plan, Step, StepError, Survey};
//!
//! /// A step says what must hold; probing, the dry run, applying and undoing follow from that.
//! struct Greeting(HostPath);
//!
//! impl Step for Greeting {
//!     fn id(&self) -> &str {
//!         "greeting"
//!     }
//!     fn title(&self) -> String {
//!         "Writing the greeting".into()
//!     }
//!     fn desired(&self, _: &Survey<'_>) -> Result<Vec<Effect>, StepError> {
//!         Ok(vec![Effect::file(self.0.clone(), Content::bytes("hello\n"), 0o644, None)])
//!     }
//! }
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let folder = tempfile::tempdir()?;
//! let host = Host::folder(folder.path())?;
//! let plan = Plan::new("greeting", "A greeting", vec![Box::new(Greeting(HostPath::new("/hello")?))])?;
//! let installer = || Installer::new(&host, &plan, Options::default());
//!
//! assert_eq!(installer()?.dry_run()?.steps[0].effects.len(), 1);
//! assert!(installer()?.run(Mode::Fresh)?.wrote);
//! assert!(!installer()?.run(Mode::Fresh)?.wrote, "the second run has nothing to do");
//! installer()?.uninstall(None)?;
//! assert!(!folder.path().join("hello").exists());
//! # Ok(())
//! # }
//! ```
//!
//! This room knows nothing of what is installed: components, downloads and registration come in from
//! the plans. It never prints, never reads the environment, never runs a shell, and changes a host
//! through effects alone.

pub mod cancel;
pub mod checkpoint;
mod content;
mod context;
mod digest;
#[cfg(feature = "doubles")]
pub mod doubles;
pub mod effect;
pub mod executor;
pub mod host;
mod ledger;
mod lock;
mod path;
pub mod plan;
pub mod receipt;
pub mod render;
pub mod root;
mod saved;
pub mod state;
pub mod step;
pub mod stream;
mod tracking;
mod undo;

pub use cancel::Cancel;
pub use content::{Content, Fetch, PART};
pub use context::{StepContext, Survey};
pub use digest::{Digest, NotADigest};
pub use effect::{Described, Effect, EffectError, Mark, Owner};
pub use executor::{Held, InstallError, Installer, Mode, Options, RunReport};
pub use host::Host;
pub use lock::Holder;
pub use path::{HostPath, NotAHostPath};
pub use plan::{Plan, PlanError};
pub use root::{FsError, Root};
pub use step::{Probe, Step, StepError, StepFailure, Voice};
pub use stream::Sink;
pub use tracking::{NotAName, PlanId, Tracking};
pub use undo::{UndoFailure, UninstallReport};
