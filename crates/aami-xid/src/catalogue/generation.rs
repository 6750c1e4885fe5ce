//! The generations of data-centre GPUs for which the vendor says which codes can occur.

use serde::Serialize;

/// A generation, named after the part it began with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
pub enum Generation {
    /// Ampere.
    A100,
    /// Hopper.
    H100,
    /// Blackwell.
    B100,
    /// Grace Blackwell.
    #[serde(rename = "GB200")]
    Gb200,
}

impl Generation {
    /// All of them, oldest first.
    pub const ALL: [Self; 4] = [Self::A100, Self::H100, Self::B100, Self::Gb200];

    /// As it is written.
    pub const fn name(self) -> &'static str {
        match self {
            Self::A100 => "A100",
            Self::H100 => "H100",
            Self::B100 => "B100",
            Self::Gb200 => "GB200",
        }
    }

    const fn bit(self) -> u8 {
        match self {
            Self::A100 => 1,
            Self::H100 => 2,
            Self::B100 => 4,
            Self::Gb200 => 8,
        }
    }
}

/// Some of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Generations(pub(super) u8);

impl Generations {
    /// Whether this one is among them.
    pub const fn contains(self, generation: Generation) -> bool {
        self.0 & generation.bit() != 0
    }

    /// Each of them, oldest first.
    pub fn iter(self) -> impl Iterator<Item = Generation> {
        Generation::ALL.into_iter().filter(move |one| self.contains(*one))
    }
}
