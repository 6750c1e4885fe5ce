//! One line of the NVIDIA driver: which GPU or switch, which code, and what the line says beside it.
//!
//! [`Event::of_record`] takes a record of `/dev/kmsg` and believes only the kernel; [`Event::of_line`] takes a line as
//! `dmesg` prints it and believes whoever hands it over. How a line is taken apart is in `line.rs`.

mod line;

use aami_model::finding::Severity;

use crate::catalogue::{Entry, Resolution, explain, explain_sxid};
use crate::kmsg::Record;
use crate::nvlink5;
use crate::pci::PciAddress;

/// The Xid the driver means when it says without a number that a GPU fell off the bus.
const FALLEN_OFF: u32 = 79;

/// One line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    /// What kind of line.
    pub kind: Kind,
    /// The GPU, or the switch.
    pub pci: PciAddress,
    /// The slice of the GPU, where the line names one.
    pub mig: Option<Mig>,
    /// The process, where the line names one. Its name is chosen by its user: show it, never decide by it.
    pub process: Option<Process>,
    /// The Xid that this one is a consequence of, where the line says so.
    pub caused_by: Option<u32>,
    /// The line without the driver's name and time, as plain text, at most 500 characters.
    pub line: String,
    /// The driver's branch, where it is known.
    branch: Option<u32>,
}

/// What kind of line it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Kind {
    /// An Xid.
    Xid {
        /// The number.
        code: u32,
        /// The words of a code from 144 to 150.
        nvlink5: Option<nvlink5::Told>,
        /// What an Xid 154 says is needed now.
        recovery: Option<RecoveryAction>,
        /// What it says was needed before.
        recovery_before: Option<RecoveryAction>,
    },
    /// An SXid of an NVSwitch.
    Sxid {
        /// The number.
        code: u32,
        /// The switch's number.
        switch: u32,
        /// The word the driver printed. The catalogue knows better where it has the code.
        is_fatal: Option<bool>,
        /// The link.
        link: Option<u16>,
        /// A further line about the event told before it.
        is_detail: bool,
    },
    /// A GPU fell off the bus; an Xid 79 often says so as well.
    BusLost,
}

/// A slice of a GPU.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Mig {
    /// The GPU instance.
    pub gpu_instance: u32,
    /// The compute instance within it.
    pub compute_instance: Option<u32>,
}

/// A process on whose behalf the driver worked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Process {
    /// Its id.
    pub pid: u32,
    /// Its name, as its user chose it.
    pub name: Option<String>,
}

/// What a GPU needs, in the driver's own judgement.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum RecoveryAction {
    /// Nothing any more.
    None,
    /// A reset of the GPU.
    GpuReset,
    /// A reboot of the machine.
    NodeReboot,
    /// No new traffic between GPUs.
    DrainP2p,
    /// No new work, and then a reset.
    DrainAndReset,
    /// A recovery of the IMEX domain.
    RecoverImexDomain,
    /// One of a newer driver.
    Other(u32),
}

impl From<u32> for RecoveryAction {
    fn from(number: u32) -> Self {
        match number {
            0 => Self::None,
            1 => Self::GpuReset,
            2 => Self::NodeReboot,
            3 => Self::DrainP2p,
            4 => Self::DrainAndReset,
            5 => Self::RecoverImexDomain,
            other => Self::Other(other),
        }
    }
}

impl RecoveryAction {
    /// The driver's number for it.
    pub const fn number(self) -> u32 {
        match self {
            Self::None => 0,
            Self::GpuReset => 1,
            Self::NodeReboot => 2,
            Self::DrainP2p => 3,
            Self::DrainAndReset => 4,
            Self::RecoverImexDomain => 5,
            Self::Other(number) => number,
        }
    }

    /// What it is called, in the driver's words where it has some.
    pub const fn name(self) -> &'static str {
        match self {
            Self::None => "None",
            Self::GpuReset => "GPU Reset Required",
            Self::NodeReboot => "Node Reboot Required",
            Self::DrainP2p => "Drain P2P",
            Self::DrainAndReset => "Drain and Reset",
            Self::RecoverImexDomain => "Recover IMEX Domain",
            Self::Other(_) => "one of a newer driver",
        }
    }

    const fn severity(self) -> Severity {
        match self {
            Self::None => Severity::Info,
            Self::DrainP2p | Self::Other(_) => Severity::Warning,
            Self::GpuReset | Self::NodeReboot | Self::DrainAndReset | Self::RecoverImexDomain => {
                Severity::Critical
            }
        }
    }

    const fn sentence(self) -> &'static str {
        match self {
            Self::None => "nothing: the GPU is whole again",
            Self::GpuReset => "let its work end; reset the GPU",
            Self::NodeReboot => "drain the node; reboot it",
            Self::DrainP2p => "let the work end that uses links between GPUs; start no new such work",
            Self::DrainAndReset => "drain the node; reset the GPU",
            Self::RecoverImexDomain => "drain the node; recover its IMEX domain",
            Self::Other(_) => "do what the line says",
        }
    }
}

impl Event {
    /// What a record of the kernel's log says. Only the kernel is believed: a record that a process wrote to
    /// `/dev/kmsg` carries another facility, which the kernel does not let it choose, and what continues an earlier
    /// line may begin with anything.
    pub fn of_record(record: &Record) -> Option<Self> {
        if !record.is_of_the_kernel() || record.continues {
            return None;
        }
        line::event(&record.text)
    }

    /// What a line says as `dmesg` prints it, with or without the time before it. A message that `dmesg` spreads over
    /// several lines is handed in as one text with line breaks.
    pub fn of_line(line: &str) -> Option<Self> {
        line::event(line::without_time(line))
    }

    /// The same event, judged by what is known of this branch of the driver, e.g. 580 of 580.95.05.
    #[must_use]
    pub const fn on_branch(mut self, branch: Option<u32>) -> Self {
        self.branch = branch;
        self
    }

    /// Whether a switch says it.
    pub const fn is_sxid(&self) -> bool {
        matches!(self.kind, Kind::Sxid { .. })
    }

    /// Whether it only says more about the event told before it.
    pub const fn is_detail(&self) -> bool {
        matches!(self.kind, Kind::Sxid { is_detail: true, .. })
    }

    /// The number. A lost bus without one is an Xid 79.
    pub const fn code(&self) -> u32 {
        match self.kind {
            Kind::Xid { code, .. } | Kind::Sxid { code, .. } => code,
            Kind::BusLost => FALLEN_OFF,
        }
    }

    /// What the catalogue says; `None` for a code nobody published, which is to be told all the same.
    pub fn entry(&self) -> Option<&'static Entry> {
        match self.kind {
            Kind::Sxid { code, .. } => explain_sxid(code),
            Kind::Xid { .. } | Kind::BusLost => explain(self.code()),
        }
    }

    /// What it is called.
    pub fn name(&self) -> &'static str {
        match self.entry() {
            Some(entry) => entry.name,
            None if self.is_sxid() => "SXid without an entry in the catalogue",
            None => "Xid without an entry in the catalogue",
        }
    }

    /// How grave this one is. A consequence of another Xid is only worth knowing; the words of the line come before
    /// the catalogue, the catalogue before the driver's word.
    pub fn severity(&self) -> Severity {
        if self.caused_by.is_some() {
            return Severity::Info;
        }
        match &self.kind {
            Kind::Xid {
                recovery: Some(action),
                ..
            } => action.severity(),
            Kind::Xid {
                code,
                nvlink5: Some(told),
                ..
            } => told.severity(*code, self.branch),
            Kind::Sxid {
                is_fatal: Some(true), ..
            } if self.entry().is_none() => Severity::Critical,
            Kind::Xid { .. } | Kind::Sxid { .. } | Kind::BusLost => {
                self.entry().map_or(Severity::Warning, |entry| entry.severity)
            }
        }
    }

    /// What the vendor's table says of the words of a code from 144 to 150, for the driver's branch where it is known.
    pub fn link_verdict(&self) -> Option<nvlink5::Verdict> {
        match &self.kind {
            Kind::Xid {
                code,
                nvlink5: Some(told),
                ..
            } => told.rule(*code, self.branch),
            Kind::Xid { .. } | Kind::Sxid { .. } | Kind::BusLost => None,
        }
    }

    /// What to do about this one.
    pub fn action(&self) -> &'static str {
        if self.caused_by.is_some() {
            return "follow the Xid that the line names as its cause";
        }
        if let Kind::Xid {
            recovery: Some(action),
            ..
        } = &self.kind
        {
            return action.sentence();
        }
        if let Some(verdict) = self.link_verdict() {
            return verdict.resolution.sentence();
        }
        self.entry()
            .map_or(Resolution::ContactSupport.sentence(), Entry::action)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(line: &str) -> Event {
        Event::of_line(line).unwrap()
    }

    #[test]
    fn a_consequence_is_only_worth_knowing() {
        let event = event(
            "NVRM: Xid (PCI:0000:3a:00): 109, pid=50001, name=python3, Ch 00000011 caused by previous Xid 79",
        );
        assert_eq!((event.severity(), event.caused_by), (Severity::Info, Some(79)));
        assert_eq!(event.action(), "follow the Xid that the line names as its cause");
    }

    #[test]
    fn the_drivers_own_verdict_comes_before_the_catalogue() {
        let told = |to: &str| {
            event(&format!(
                "NVRM: Xid (PCI:0000:ab:00): 154, pid='<unknown>', name=<unknown>, GPU recovery action changed from \
                 0x0 (None) to {to}"
            ))
        };
        let reboot = told("0x2 (Node Reboot Required)");
        assert_eq!(
            (reboot.severity(), reboot.action()),
            (Severity::Critical, "drain the node; reboot it")
        );
        assert_eq!(told("0x0 (None)").severity(), Severity::Info);
        let Kind::Xid {
            recovery,
            recovery_before,
            ..
        } = told("0x9 (Of The Future)").kind
        else {
            panic!("an Xid")
        };
        assert_eq!(
            (recovery_before, recovery),
            (Some(RecoveryAction::None), Some(RecoveryAction::Other(9)))
        );
        // Without the words it knows, the catalogue decides.
        let other = event("NVRM: Xid (PCI:0000:ab:00): 154, something else");
        assert_eq!(other.severity(), Severity::Warning);
    }

    #[test]
    fn a_harmless_event_of_a_link_is_no_alarm() {
        let line =
            "NVRM: Xid (PCI:0018:01:00): 145, RLW_REMAP Nonfatal XC0 i0 Link 03 (0x00000004 0x80000000 0x0)";
        assert_eq!(event(line).severity(), Severity::Warning);
        assert_eq!(
            event(line).on_branch(Some(580)).action(),
            Resolution::Ignore.sentence()
        );
        // An older driver has no such interrupt, so its word counts.
        assert_eq!(event(line).on_branch(Some(570)).severity(), Severity::Warning);
        let fatal =
            "NVRM: Xid (PCI:0018:01:00): 149, NETIR_LINK_EVT Fatal XC0 i0 Link 08 (0x004505c6 0x00000000)";
        assert_eq!(event(fatal).severity(), Severity::Critical);
        assert_eq!(event(fatal).action(), Resolution::ResetGpu.sentence());
    }

    #[test]
    fn a_code_nobody_published_is_told_all_the_same() {
        let unknown = event("NVRM: Xid (PCI:0000:18:00): 999, pid=1, name=a,b, made up");
        assert_eq!(unknown.severity(), Severity::Warning);
        assert_eq!(unknown.action(), Resolution::ContactSupport.sentence());
        assert!(unknown.entry().is_none());
        let switch = |word: &str| {
            event(&format!(
                "nvidia-nvswitch0: SXid (PCI:0000:c4:00.0): 99999, {word}, Link 3 x"
            ))
        };
        assert_eq!(switch("Fatal").severity(), Severity::Critical);
        assert_eq!(switch("Non-fatal").severity(), Severity::Warning);
    }

    #[test]
    fn only_the_kernel_is_believed() {
        let record = |text: &str| Record::parse(text.as_bytes()).unwrap();
        let line = "NVRM: Xid (PCI:0000:ab:00): 79, GPU has fallen off the bus.";
        assert!(Event::of_record(&record(&format!("3,1,1,-;{line}\n"))).is_some());
        // What `echo ... > /dev/kmsg` makes, with any priority it asks for.
        for written in ["12,1,1,-", "11,1,1,-", "28,1,1,-"] {
            assert_eq!(
                Event::of_record(&record(&format!("{written};{line}\n"))),
                None,
                "{written}"
            );
        }
        assert_eq!(Event::of_record(&record(&format!("3,1,1,+;{line}\n"))), None);
        // Records carry no time in their text, so what looks like one was put there.
        assert_eq!(
            Event::of_record(&record(&format!("3,1,1,-;[    1.0] {line}\n"))),
            None
        );
    }
}
