//! The key Prometheus asks with: it allows discovery and metrics, nothing else.

use std::fs;
use std::path::Path;

use aami_api::client::ClientError;
use aami_api::key::CreateKey;
use aami_model::access::Scope;

use super::beginning::{Plane, read_key};
use crate::cli::failure::Failure;
use crate::cli::secret;

/// Sees to it that `path` holds a key that is good; makes one where it does not.
pub(super) fn ensure(plane: &Plane, path: &Path) -> Result<(), Failure> {
    if let Ok(key) = read_key(path) {
        let asked = plane
            .client
            .with_bearer(&key)
            .get::<serde_json::Value>("/api/v1/sd/prometheus");
        match asked {
            Ok(_) => return Ok(()),
            // Revoked, or of another control plane's data.
            Err(ClientError::Refused(problem)) if matches!(problem.status, 401 | 403) => {}
            Err(error) => return Err(error.into()),
        }
    }
    let created = plane.client.create_key(&CreateKey {
        name: "prometheus of aami up".to_owned(),
        scopes: vec![Scope::Discovery],
        ..CreateKey::default()
    })?;
    let draft = path.with_extension("new");
    // Left by a start that was cut short; it never became the key.
    let _ = fs::remove_file(&draft);
    secret::save(&draft, &created.key)?;
    fs::rename(&draft, path).map_err(secret::written(path))
}
