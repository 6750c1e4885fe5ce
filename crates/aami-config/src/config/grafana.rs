//! `grafana:`.

use crate::secret::SecretValue;
use crate::section::section;

section! {
    /// The Grafana that shows the fleet.
    pub struct Grafana {
        /// The TCP port it listens on.
        port: u16, default "3000", Port;
        /// The password of its user `admin`, usually a variable: `${GRAFANA_ADMIN_PASSWORD}`. Where it is not
        /// given, one is made at `aami init`.
        admin_password: Option<SecretValue>, optional, Secret::text();
    }
}
