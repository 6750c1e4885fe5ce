//! How much an installation writes, where that follows from what is installed.
//!
//! What counts is a program's size once it is unpacked: archives hold a third or a quarter of it.

use crate::components::{Catalogue, Kind};

/// AAMI's own program, as it is released.
const ITSELF: u64 = 64 << 20;

/// How many bytes the parts of a server take.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Room {
    /// Where programs go, of all of them.
    pub programs: u64,
    /// Where downloads lie while they are judged, of the largest.
    pub downloads: u64,
}

impl Room {
    /// Room for AAMI's own program of this size, and nothing else yet.
    pub const fn of_itself(bytes: u64) -> Self {
        Self {
            programs: bytes,
            downloads: 0,
        }
    }

    /// And for a component that unpacks to so much. A folder that is placed whole (`whole`) is unpacked where it stays,
    /// from an archive that lies here twice meanwhile; programs are taken out here first, beside their archive.
    #[must_use]
    pub fn and(self, unpacked: u64, whole: bool) -> Self {
        let meanwhile = if whole {
            unpacked
        } else {
            unpacked.saturating_mul(2)
        };
        Self {
            programs: self.programs.saturating_add(unpacked),
            downloads: self.downloads.max(meanwhile),
        }
    }

    /// For every part of a server, as far as the built-in catalogue knows them.
    pub fn usual() -> Self {
        let Ok(catalogue) = Catalogue::embedded() else {
            return Self::of_itself(ITSELF);
        };
        // What nobody offers as a file is what comes as a whole folder.
        catalogue
            .of_kind(Kind::Server)
            .fold(Self::of_itself(ITSELF), |room, name| {
                room.and(catalogue.unpacked(name).unwrap_or(0), !catalogue.has(name))
            })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn programs_add_up_and_downloads_follow_one_another() {
        let room = Room::of_itself(5).and(100, false).and(150, true).and(20, false);
        assert_eq!(
            room,
            Room {
                programs: 275,
                downloads: 200
            }
        );
        assert_eq!(room.and(u64::MAX, false).programs, u64::MAX);
    }

    #[test]
    fn grafana_is_most_of_what_a_server_usually_takes() {
        let usual = Room::usual();
        assert!(
            (1_400_000_000..2_000_000_000).contains(&usual.programs),
            "{usual:?}"
        );
        assert_eq!(usual.downloads, 1_000_000_000);
    }
}
