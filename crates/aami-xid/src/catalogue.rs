//! What each Xid and SXid means, how grave it is, and what to do about it.
//!
//! The tables are made by `build.rs` from `data/`, where each entry is a row; edit them there. `data/README.md` says
//! where the facts are from.

mod generation;
mod resolution;

use aami_model::finding::Severity;
use serde::Serialize;

pub use generation::{Generation, Generations};
pub use resolution::Resolution;

include!(concat!(env!("OUT_DIR"), "/catalogue.rs"));

/// Codes that are no fault of the hardware, but worth an alert when they come in numbers: a job owner's.
const APPLICATION: [u32; 4] = [13, 31, 43, 94];

/// One code.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Entry {
    /// The number.
    pub code: u32,
    /// A short name.
    pub name: &'static str,
    /// How grave it is, where the line says no more.
    pub severity: Severity,
    /// The part of the machine or the software, e.g. `memory`, `nvlink`, `app`.
    pub category: &'static str,
    /// What happened, in one or two sentences.
    pub meaning: &'static str,
    /// What can be behind it, separated by `; `.
    causes: &'static str,
    /// What to do, in order, separated by `; `.
    actions: &'static str,
    /// Whether nothing new may start on the node until it is dealt with.
    pub drain: bool,
    /// What has to be reset before the hardware is whole again.
    pub reset: Reset,
    /// Whether the part may have to be replaced.
    pub replace: bool,
    /// What the vendor says to do first.
    pub first: Resolution,
    /// What the vendor says to do when that did not help, in its own words; may be empty.
    pub then: &'static str,
    /// The driver's name for it; may be empty.
    pub mnemonic: &'static str,
    /// The generations on which it can occur, where that is published.
    pub generations: Option<Generations>,
    /// Since when the driver says in an Xid 154 what the GPU needs after this one; may be empty.
    pub recovery_action_since: &'static str,
    /// Where these facts are from.
    pub source: &'static str,
}

impl Entry {
    /// What can be behind it.
    pub fn causes(&self) -> impl Iterator<Item = &'static str> {
        self.causes.split("; ").filter(|cause| !cause.is_empty())
    }

    /// What to do, step by step.
    pub fn actions(&self) -> impl Iterator<Item = &'static str> {
        self.actions.split("; ").filter(|action| !action.is_empty())
    }

    /// What to do, in one line.
    pub const fn action(&self) -> &'static str {
        self.actions
    }

    /// Whether it can occur on a generation; `None` where that is not published.
    pub fn occurs_on(&self, generation: Generation) -> Option<bool> {
        self.generations.map(|all| all.contains(generation))
    }
}

/// What has to be reset. The order is the order of how much work it interrupts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Reset {
    /// Nothing.
    None,
    /// It depends on what the line says: an Xid 154, or a decoded 144 to 150.
    AsTheLineSays,
    /// The GPU.
    Gpu,
    /// All GPUs and switches of the machine together.
    Fabric,
    /// The virtual machine that owns the GPU.
    Vm,
    /// The machine.
    Node,
    /// The machine, by taking its power away.
    Power,
}

impl Reset {
    /// In words, for a sentence that begins with "Reset:".
    pub const fn words(self) -> &'static str {
        match self {
            Self::None => "nothing",
            Self::AsTheLineSays => "as the line says",
            Self::Gpu => "the GPU",
            Self::Fabric => "all GPUs and NVSwitches of the machine together",
            Self::Vm => "the virtual machine that owns the GPU",
            Self::Node => "the machine",
            Self::Power => "the machine, by taking its power away",
        }
    }
}

/// What an Xid means; `None` for a code nobody published. Treat such a one as [`Resolution::ContactSupport`].
pub fn explain(code: u32) -> Option<&'static Entry> {
    find(XIDS, code)
}

/// What an SXid means; `None` for a code nobody published.
pub fn explain_sxid(code: u32) -> Option<&'static Entry> {
    find(SXIDS, code)
}

/// Every Xid, ascending.
pub fn xids() -> &'static [Entry] {
    XIDS
}

/// Every SXid, ascending.
pub fn sxids() -> &'static [Entry] {
    SXIDS
}

/// The Xids somebody alerts on: the critical ones, and those of applications that matter in numbers. Their counters
/// exist before they first occur, because the increase of a counter that is born with its first event is nothing.
pub fn alerted() -> impl Iterator<Item = &'static Entry> {
    XIDS.iter()
        .filter(|entry| entry.severity == Severity::Critical || APPLICATION.contains(&entry.code))
}

/// The SXids somebody alerts on: the critical ones.
pub fn alerted_sxids() -> impl Iterator<Item = &'static Entry> {
    SXIDS.iter().filter(|entry| entry.severity == Severity::Critical)
}

fn find(table: &'static [Entry], code: u32) -> Option<&'static Entry> {
    let at = table.binary_search_by_key(&code, |entry| entry.code).ok()?;
    table.get(at)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn the_codes_an_operator_meets_are_told_as_they_are() {
        let of = |code| explain(code).unwrap();
        assert_eq!(of(79).severity, Severity::Critical);
        assert_eq!(of(79).reset, Reset::Node);
        assert!(of(79).drain && of(79).replace);
        assert_eq!(of(79).first, Resolution::RestartBm);
        assert_eq!(of(79).mnemonic, "ROBUST_CHANNEL_GPU_HAS_FALLEN_OFF_THE_BUS");
        // An application's fault is no reason to page anybody, and 63 is the repair, 64 its failure.
        for code in [13, 31, 43] {
            assert_eq!(of(code).severity, Severity::Warning, "{code}");
            assert!(!of(code).drain, "{code}");
        }
        assert_eq!(of(45).severity, Severity::Info);
        assert_eq!((of(63).severity, of(63).drain), (Severity::Info, false));
        assert_eq!((of(64).severity, of(64).replace), (Severity::Critical, true));
        assert_eq!((of(94).severity, of(94).reset), (Severity::Warning, Reset::Gpu));
        assert_eq!(of(154).reset, Reset::AsTheLineSays);
        assert_eq!(explain(0), None);
        assert_eq!(explain(999), None);
    }

    #[test]
    fn a_switch_that_says_non_fatal_may_still_need_a_reset() {
        let entry = explain_sxid(12028).unwrap();
        assert_eq!(entry.severity, Severity::Critical);
        assert_eq!((entry.reset, entry.drain), (Reset::Fabric, true));
        assert!(entry.meaning.contains("Non-fatal"), "{}", entry.meaning);
        assert!(entry.mnemonic.starts_with("NVSWITCH_ERR_"), "{}", entry.mnemonic);
        assert_eq!(explain_sxid(79), None);
    }

    #[test]
    fn what_cannot_occur_on_a_generation_is_known() {
        assert_eq!(explain(74).unwrap().occurs_on(Generation::A100), Some(true));
        assert_eq!(explain(74).unwrap().occurs_on(Generation::Gb200), Some(false));
        assert_eq!(explain(149).unwrap().occurs_on(Generation::Gb200), Some(true));
        assert_eq!(explain(149).unwrap().occurs_on(Generation::A100), Some(false));
        assert_eq!(explain(173).unwrap().occurs_on(Generation::H100), None);
    }

    #[test]
    fn every_entry_says_what_it_is_and_what_to_do() {
        assert_eq!((XIDS.len(), SXIDS.len()), (176, 400));
        for entry in XIDS.iter().chain(SXIDS) {
            assert!(!entry.name.is_empty(), "{entry:?}");
            assert!(entry.meaning.ends_with('.'), "{entry:?}");
            assert!(entry.actions().next().is_some(), "{entry:?}");
            assert!(entry.causes().next().is_some(), "{entry:?}");
            let text = [entry.name, entry.meaning, entry.causes, entry.actions, entry.then].concat();
            assert!(!text.contains(char::is_control), "{entry:?}");
            assert_eq!(text.trim(), text, "{entry:?}");
        }
    }

    #[test]
    fn what_is_to_be_done_and_the_words_for_it_agree() {
        for entry in XIDS.iter().chain(SXIDS) {
            let code = entry.code;
            if entry.actions.starts_with("drain the node") {
                assert!(entry.drain, "{code} says to drain");
            }
            if entry.drain {
                assert_eq!(entry.severity, Severity::Critical, "{code} drains");
            }
            if entry.actions.contains("RMA") || entry.actions.contains("replace the GPU") {
                assert!(entry.replace, "{code} says to replace");
            }
            match entry.first {
                Resolution::ResetGpu => assert_eq!(entry.reset, Reset::Gpu, "{code}"),
                Resolution::ResetFabric => assert_eq!(entry.reset, Reset::Fabric, "{code}"),
                Resolution::RestartBm => assert_eq!(entry.reset, Reset::Node, "{code}"),
                Resolution::RestartVm => assert_eq!(entry.reset, Reset::Vm, "{code}"),
                Resolution::WorkflowNvlink5Err | Resolution::Xid154 => {
                    assert_eq!(entry.reset, Reset::AsTheLineSays, "{code}");
                }
                _ => {}
            }
        }
    }

    #[test]
    fn what_is_alerted_on_is_few() {
        let codes: Vec<u32> = alerted().map(|entry| entry.code).collect();
        for code in [13, 31, 43, 48, 64, 79, 94, 95, 119] {
            assert!(codes.contains(&code), "{code}");
        }
        assert_eq!(codes.len(), 24 + 4);
    }

    #[test]
    fn the_tables_stay_small() {
        let entries = || XIDS.iter().chain(SXIDS);
        let texts: BTreeSet<&str> = entries()
            .flat_map(|entry| {
                [
                    entry.name,
                    entry.category,
                    entry.meaning,
                    entry.causes,
                    entry.actions,
                    entry.then,
                    entry.mnemonic,
                    entry.recovery_action_since,
                    entry.source,
                ]
            })
            .collect();
        // Equal texts are stored once.
        let bytes: usize = texts.iter().map(|text| text.len()).sum();
        let all = bytes + std::mem::size_of::<Entry>() * entries().count();
        assert!(all < 200 * 1024, "{all} bytes");
    }
}
