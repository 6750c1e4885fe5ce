//! `server:`, the control plane that commands act through.

use std::path::PathBuf;

use crate::kind::OrScalar;
use crate::section::section;

section! {
    /// A control plane: an address alone, or a mapping with its key as well.
    pub struct Server {
        /// Its address, `https://aami.example:8080`.
        url: String, required, Url::http();
        /// A file with an API key (0600). `AAMI_API_KEY` and `--key-file` come first.
        key_file: Option<PathBuf>, optional, FilePath::any();
        /// Its CA certificate (PEM), where the system does not know it.
        ca_file: Option<PathBuf>, optional, FilePath::any();
        /// The pin of its key, `sha256//...`, instead of a CA.
        pin: Option<String>, optional, Text::pin();
    }
}

impl Server {
    /// A mapping, or the address alone.
    pub(crate) const fn kind() -> OrScalar<Self> {
        OrScalar::key("url")
    }
}
