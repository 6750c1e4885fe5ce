//! The codes 144 to 150: one number for fatal and harmless events of an NVLink 5, told apart by the words of the line.
//!
//! `149, NETIR_LINK_EVT Fatal XC0 i0 Link 08 (0x004505c6 0x00000000 ...)`: the unit, whether the driver calls it fatal,
//! the link, and registers, of which the first says which interrupt it was and the second its status. [`Told`] is those
//! words, [`Rule`] a row of the vendor's table. The bits of the interrupt moved with driver R575.

use aami_model::finding::Severity;

use crate::catalogue::Resolution;

include!(concat!(env!("OUT_DIR"), "/nvlink5.rs"));

/// The first driver branch with the newer layout of the interrupt word.
const MOVED: u32 = 575;

/// The codes whose lines look like this.
pub const CODES: std::ops::RangeInclusive<u32> = 144..=150;

/// What a line says of one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Told {
    /// The unit of the link, e.g. `RLW_REMAP`.
    pub unit: String,
    /// Whether the driver printed `Fatal`.
    pub is_fatal: bool,
    /// The link.
    pub link: Option<u16>,
    /// Which interrupt it was.
    pub interrupt: u32,
    /// Its status.
    pub status: u32,
}

impl Told {
    /// The number by which the vendor tells apart events of one unit, e.g. 4 in "149.4": bits 20 to 25 of the interrupt.
    pub const fn sub_code(&self) -> u32 {
        self.interrupt >> 20 & 0x3f
    }

    /// The gravest row of the table that says this, for the driver's branch (e.g. 580) where it is known. `None` where
    /// the table has no such event.
    pub fn rule(&self, code: u32, branch: Option<u32>) -> Option<Verdict> {
        let rows = || RULES.iter().filter(|rule| rule.is_of(code, &self.unit));
        let exact = rows().filter(|rule| rule.status.is_empty() || rule.status.contains(&self.status));
        let gravest = |found: &mut dyn Iterator<Item = &'static Rule>| {
            found
                .filter_map(|rule| rule.verdict(self.interrupt, branch))
                .max_by_key(|verdict| verdict.gravity())
        };
        gravest(&mut exact.into_iter()).or_else(|| {
            // Several bits at once are in no row; each of them is.
            gravest(&mut rows().filter(|rule| {
                let one_bit = |status: &&u32| status.is_power_of_two() && self.status & **status != 0;
                rule.status.iter().any(|status| one_bit(&status))
            }))
        })
    }

    /// How grave it is: as the table says, and where it says nothing, as the driver does.
    pub fn severity(&self, code: u32, branch: Option<u32>) -> Severity {
        match self.rule(code, branch) {
            Some(verdict) => verdict.severity(),
            None if self.is_fatal => Severity::Critical,
            None => Severity::Warning,
        }
    }
}

/// One row of the vendor's table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rule {
    /// The Xid.
    pub code: u32,
    /// The unit as printed; several names separated by `/`.
    pub units: &'static str,
    before_r575: Mask,
    since_r575: Mask,
    /// The statuses it is about; empty for any.
    pub status: &'static [u32],
    /// What to do.
    pub resolution: Resolution,
    second: Option<Second>,
    /// What to look into afterwards, in the vendor's words.
    pub investigate: &'static str,
    /// Whether the vendor calls it fatal.
    pub is_fatal: bool,
    /// Hardware, software, firmware, as `HW`, `SW`, `HW/SW`, `FW`.
    pub part: &'static str,
}

/// A row that holds, and what it says for this interrupt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Verdict {
    /// The row.
    pub rule: &'static Rule,
    /// What to do.
    pub resolution: Resolution,
}

/// The bits of the interrupt that count, and what they are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Mask {
    care: u32,
    want: u32,
}

/// A row's other resolution, for interrupts that it lists apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Second {
    before_r575: Mask,
    since_r575: Mask,
    resolution: Resolution,
}

impl Mask {
    const fn holds(self, interrupt: u32) -> bool {
        interrupt & self.care == self.want
    }

    /// One layout where the branch is known, else either.
    fn one_holds(before: Self, since: Self, interrupt: u32, branch: Option<u32>) -> bool {
        match branch {
            Some(branch) if branch < MOVED => before.holds(interrupt),
            Some(_) => since.holds(interrupt),
            None => before.holds(interrupt) || since.holds(interrupt),
        }
    }
}

impl Rule {
    fn is_of(&self, code: u32, unit: &str) -> bool {
        // The table writes one of them with a space.
        let letters = |name: &str| name.replace(' ', "_").to_ascii_uppercase();
        self.code == code && self.units.split('/').any(|name| letters(name) == letters(unit))
    }

    fn verdict(&'static self, interrupt: u32, branch: Option<u32>) -> Option<Verdict> {
        let verdict = |resolution| Verdict {
            rule: self,
            resolution,
        };
        if let Some(second) = self.second
            && Mask::one_holds(second.before_r575, second.since_r575, interrupt, branch)
        {
            return Some(verdict(second.resolution));
        }
        Mask::one_holds(self.before_r575, self.since_r575, interrupt, branch)
            .then(|| verdict(self.resolution))
    }
}

impl Verdict {
    /// How grave it is: what asks for a reset is critical, what asks for nothing at all is only worth knowing.
    pub fn severity(&self) -> Severity {
        match self.resolution {
            Resolution::ResetGpu => Severity::Critical,
            Resolution::Ignore if self.rule.investigate == "IGNORE" => Severity::Info,
            _ => Severity::Warning,
        }
    }

    fn gravity(&self) -> (Severity, bool) {
        (self.severity(), self.rule.is_fatal)
    }
}

/// The rows of a code, in the table's order.
pub fn rules(code: u32) -> impl Iterator<Item = &'static Rule> {
    RULES.iter().filter(move |rule| rule.code == code)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(unit: &str, interrupt: u32, status: u32) -> Told {
        Told {
            unit: unit.to_owned(),
            is_fatal: true,
            link: None,
            interrupt,
            status,
        }
    }

    #[test]
    fn a_lost_cartridge_link_needs_a_reset() {
        let told = told("NETIR_LINK_EVT", 0x0045_05c6, 0);
        let verdict = told.rule(149, None).unwrap();
        assert_eq!(verdict.resolution, Resolution::ResetGpu);
        assert_eq!(verdict.rule.investigate, "INVESTIGATE_LINK_SI");
        assert_eq!(told.sub_code(), 4);
        assert_eq!(told.severity(149, Some(570)), Severity::Critical);
    }

    #[test]
    fn the_layout_follows_the_drivers_branch() {
        // 4 in the newer layout is the unit's own number; in the older it is nobody's.
        let told = told("RLW_REMAP", 0x4, 0x8000_0000);
        assert_eq!(told.rule(145, Some(580)).unwrap().resolution, Resolution::Ignore);
        assert_eq!(told.rule(145, Some(570)), None);
        assert!(told.rule(145, None).is_some());
        // And the printed word decides where the table does not.
        assert_eq!(told.severity(145, Some(570)), Severity::Critical);
    }

    #[test]
    fn several_bits_are_as_grave_as_the_gravest() {
        // 0x100 is to be ignored, 0x40 asks for a reset.
        assert_eq!(
            told("RLW_REMAP", 0x4, 0x140).severity(145, Some(580)),
            Severity::Critical
        );
        assert_eq!(
            told("RLW_REMAP", 0x4, 0x100).severity(145, Some(580)),
            Severity::Info
        );
    }

    #[test]
    fn an_interrupt_listed_apart_has_its_own_resolution() {
        let usual = told("RLW_RXPIPE", 0b0000_0110, 1);
        let apart = told("RLW_RXPIPE", 0b1000_0110, 1);
        assert_eq!(usual.rule(145, Some(580)).unwrap().resolution, Resolution::Ignore);
        assert_eq!(
            apart.rule(145, Some(580)).unwrap().resolution,
            Resolution::ResetGpu
        );
    }

    #[test]
    fn every_code_has_rows_and_every_row_can_be_met() {
        for code in CODES {
            assert!(rules(code).next().is_some(), "{code}");
        }
        for rule in RULES {
            let unit = rule.units.split('/').next().unwrap();
            let status = rule.status.first().copied().unwrap_or(0);
            for (branch, interrupt) in [(570, rule.before_r575.want), (580, rule.since_r575.want)] {
                let told = told(unit, interrupt, status);
                assert!(told.rule(rule.code, Some(branch)).is_some(), "{rule:?}");
            }
        }
    }
}
