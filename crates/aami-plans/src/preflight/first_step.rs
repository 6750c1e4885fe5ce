//! What the first step of a plan asks: the machine alone, without the way to other machines.
//!
//! The plan knows its control plane, its ports and its hardware by itself, and says what is wrong with them.
//! What is left is what every plan stands on: the system, its programs, and the folders it writes.

use aami_inventory::gpu::Gpus;
use aami_inventory::{Commands, Host};
use aami_model::Timestamp;
use aami_model::code::{self, Code};

use super::facts::{Facts, World};
use super::report::{Category, Outcome};
use super::request::{Mode, Request, Sizes};
use super::road::{Lookup, Road, Seen, Target};

/// Something a plan's first step says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Said {
    /// The condition.
    pub code: Code,
    /// One sentence.
    pub message: String,
    /// Whether the plan cannot work; else somebody should know.
    pub is_fatal: bool,
}

/// What a node's plan cannot do without. Anything else that a look finds is a warning there: a package
/// manager at work, say, is in nobody's way.
const FATAL: [Code; 12] = [
    code::SYSTEMD_NOT_RUNNING,
    code::OS_UNSUPPORTED,
    code::TOOL_MISSING,
    code::NOEXEC,
    code::NOT_WRITABLE,
    code::NOT_A_FOLDER,
    code::READ_ONLY,
    code::INODES_FULL,
    code::DISK_FULL,
    code::CGROUPS_MISSING,
    code::ACCOUNTS_LOCKED,
    code::UNIT_BLOCKED,
];

/// Nothing is asked of it, and it says that all is well.
struct NoRoad;

impl Road for NoRoad {
    fn look_up(&self, _: &str) -> Lookup {
        Lookup::Unknown
    }

    fn ask(&self, _: &Target) -> Seen {
        Seen::default()
    }
}

/// Looks at the machine this runs on for a node's plan. `gpus` are those the plan knows of already: their
/// tool is not run again. Where the plan was carried out before (`is_installed`), nothing is written to try it.
pub fn node(commands: &dyn Commands, gpus: Gpus, now: Timestamp, is_installed: bool) -> Vec<Said> {
    let request = Request {
        mode: Some(Mode::Node),
        sizes: Sizes::Written,
        installing: true,
        try_folders: !is_installed,
        skip_firewall: true,
        ..Request::new(Mode::Node)
    };
    let world = World {
        host: Host::this(commands),
        road: &NoRoad,
        now,
    };
    let report = super::check(&request, &Facts::gather_with(&world, &request, Some(gpus)));
    let ours = |category| {
        matches!(
            category,
            Category::System | Category::Software | Category::Permissions
        )
    };
    let checks = report
        .checks
        .iter()
        .filter(|check| check.is_issue() && ours(check.category));
    checks
        .filter_map(|check| {
            let code = check.code?;
            Some(Said {
                code,
                message: check.message.clone(),
                is_fatal: check.outcome == Outcome::Failed && FATAL.contains(&code),
            })
        })
        .collect()
}
