//! From a URL to a store.

use std::path::Path;
use std::sync::Arc;

use crate::Store;
use crate::error::StoreError;
use crate::memory::MemoryStore;
use crate::sqlite::{SqliteOptions, SqliteStore};

/// Opens the store that `url` names:
///
/// - `memory:` a new one that ends with the process;
/// - `sqlite:PATH` the SQLite file at that path, made when it is not there;
/// - `etcd://HOST:PORT,HOST:PORT` an etcd cluster.
///
/// Fails with [`StoreError::Url`] when it names none of these, and with whatever the engine says.
pub async fn open(url: &str) -> Result<Arc<dyn Store>, StoreError> {
    if url == "memory:" {
        return Ok(Arc::new(MemoryStore::new()));
    }
    if let Some(path) = url.strip_prefix("sqlite:") {
        if path.is_empty() {
            return Err(refuse(url, "it has no path"));
        }
        return Ok(Arc::new(
            SqliteStore::open(Path::new(path), SqliteOptions::default()).await?,
        ));
    }
    if url.starts_with("postgres://") || url.starts_with("postgresql://") {
        return Err(refuse(
            url,
            "this version has no PostgreSQL backend; use sqlite: or etcd://",
        ));
    }
    if let Some(places) = url.strip_prefix("etcd://") {
        return open_etcd(url, places).await;
    }
    Err(refuse(url, "it begins with none of memory:, sqlite:, etcd://"))
}

#[cfg(feature = "etcd")]
async fn open_etcd(url: &str, places: &str) -> Result<Arc<dyn Store>, StoreError> {
    let members: Vec<&str> = places.trim_end_matches('/').split(',').collect();
    if members.iter().any(|member| !is_host_and_port(member)) {
        return Err(refuse(url, "it wants etcd://HOST:PORT,HOST:PORT"));
    }
    Ok(Arc::new(crate::etcd::EtcdStore::open(&members).await?))
}

#[cfg(not(feature = "etcd"))]
async fn open_etcd(url: &str, _places: &str) -> Result<Arc<dyn Store>, StoreError> {
    Err(refuse(url, "this program was built without the etcd backend"))
}

#[cfg(feature = "etcd")]
fn is_host_and_port(text: &str) -> bool {
    let Some((host, port)) = text.rsplit_once(':') else {
        return false;
    };
    let host_fits = host
        .bytes()
        .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b'[' | b']' | b':'));
    !host.is_empty() && host_fits && port.parse::<u16>().is_ok_and(|port| port > 0)
}

/// What may be shown of a URL: a password before `@` may not.
fn refuse(url: &str, reason: &str) -> StoreError {
    let shown = match (url.split_once("://"), url.rsplit_once('@')) {
        (Some((scheme, _)), Some((_, place))) => format!("{scheme}://{place}"),
        _ => url.to_owned(),
    };
    StoreError::Url {
        url: shown,
        reason: reason.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn refused(url: &str) -> String {
        match open(url).await {
            Ok(_) => panic!("{url} opened"),
            Err(error) => error.to_string(),
        }
    }

    #[tokio::test]
    async fn a_url_of_no_store_is_named_without_its_password() {
        let told = refused("postgres://aami:secret@db/aami").await;
        assert!(
            told.contains("postgres://db/aami") && told.contains("PostgreSQL"),
            "{told}"
        );
        assert!(!told.contains("secret"), "{told}");
        assert!(refused("redis://x").await.contains("memory:, sqlite:, etcd://"));
        for places in [
            "",
            "db",
            "db:0",
            "db:70000",
            "a:1,,b:2",
            "user:pass@db:2379",
            "db/x:1",
        ] {
            let told = refused(&format!("etcd://{places}")).await;
            assert!(
                told.contains("HOST:PORT") || cfg!(not(feature = "etcd")),
                "{told}"
            );
        }
        assert!(refused("sqlite:").await.contains("no path"));
    }
}
