//! `cluster:`.

use crate::section::section;

section! {
    /// What this fleet is called.
    pub struct Cluster {
        /// Its name; the label `cluster` on every metric and alert.
        name: String, required, Text::name();
    }
}
