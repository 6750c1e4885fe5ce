//! `prometheus:`.

use std::collections::BTreeMap;
use std::path::PathBuf;

use aami_model::label::Labels;

use crate::duration::PromDuration;
use crate::section::section;

section! {
    /// The Prometheus that watches the fleet.
    pub struct Prometheus {
        /// How long samples are kept.
        retention: PromDuration, default "15d", Prom::between("1h", "36500d");
        /// How much room samples may take, such as `500GB`; without bound where nothing is given.
        retention_size: Option<String>, optional, Text::size();
        /// Where samples are kept.
        storage_path: PathBuf, default "/var/lib/aami/prometheus", FilePath::any();
        /// The TCP port it listens on.
        port: u16, default "9090", Port;
        /// How often nodes are scraped.
        scrape_interval: PromDuration, default "15s", Prom::between("1s", "1h");
        /// How often rules are evaluated.
        evaluation_interval: PromDuration, default "15s", Prom::between("1s", "1h");
        /// Labels on everything that leaves this Prometheus.
        external_labels: Labels, default "{}", LabelMap;
        /// Where samples are sent as well.
        remote_write: Vec<RemoteWrite>, default "[]", List::of(Section::<RemoteWrite>::KIND).up_to(16);
    }
}

section! {
    /// Somewhere samples are sent as well (Prometheus remote write).
    pub struct RemoteWrite {
        /// Where they are posted to.
        url: String, required, Url::http();
        /// A name for it in Prometheus' own metrics.
        name: Option<String>, optional, Text::name();
        /// Who to sign in as (basic authentication).
        username: Option<String>, optional, Text::line();
        /// A file with that user's password, read by Prometheus.
        password_file: Option<PathBuf>, optional, FilePath::any();
        /// A file with a bearer token, read by Prometheus; instead of a user.
        bearer_token_file: Option<PathBuf>, optional, FilePath::any();
        /// Its CA certificate (PEM), where the system does not know it.
        ca_file: Option<PathBuf>, optional, FilePath::any();
        /// Headers sent along, such as `X-Scope-OrgID`. No secrets: they stand in prometheus.yml.
        headers: BTreeMap<String, String>, default "{}", TextMap;
    }
}
