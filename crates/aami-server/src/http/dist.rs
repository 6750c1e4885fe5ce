//! What nodes download: the agents and the components placed in the data folder's `dist/`.
//!
//! Only files whose every path part is a plain name are served, and `NAME.sha256` answers with the
//! checksum of `NAME`. A file's checksum is computed once and kept for as long as the file stays as it
//! is.

use std::collections::HashMap;
use std::fs::Metadata;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::SystemTime;

use aami_model::code;
use axum::body::Body;
use axum::extract::{Path as UrlPath, State};
use axum::response::{IntoResponse, Response};
use data_encoding::HEXLOWER;
use http::{HeaderMap, StatusCode, header};
use sha2::{Digest as _, Sha256};
use tokio::io::{AsyncReadExt as _, AsyncSeekExt as _};
use tokio_util::io::ReaderStream;

use crate::app::{App, Refusal};

/// Checksums by path, for as long as length and time of change stay.
#[derive(Default)]
pub(crate) struct Checksums(Mutex<HashMap<PathBuf, Known>>);

/// Length, time of change, checksum.
type Known = (u64, Option<SystemTime>, String);

impl Checksums {
    /// The SHA-256 of a file, lower-case hex.
    pub(crate) fn of(&self, path: &Path) -> std::io::Result<String> {
        let metadata = std::fs::metadata(path)?;
        let (len, changed) = (metadata.len(), metadata.modified().ok());
        let known = self
            .0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .get(path)
            .cloned();
        if let Some((known_len, known_changed, sum)) = known
            && (known_len, known_changed) == (len, changed)
        {
            return Ok(sum);
        }
        let mut file = std::fs::File::open(path)?;
        let mut hasher = Sha256::new();
        let mut buffer = vec![0; 256 * 1024];
        loop {
            let read = file.read(&mut buffer)?;
            if read == 0 {
                break;
            }
            hasher.update(&buffer[..read]);
        }
        let sum = HEXLOWER.encode(&hasher.finalize());
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        known.insert(path.to_owned(), (len, changed, sum.clone()));
        Ok(sum)
    }
}

/// Turns a path as asked into one below `dist/`.
fn below(dist: &Path, asked: &str) -> Option<PathBuf> {
    let plain = |part: &str| {
        !part.is_empty()
            && !part.starts_with('.')
            && part.len() <= 128
            && part
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || b"._+-".contains(&b))
    };
    let parts: Vec<&str> = asked.split('/').collect();
    (parts.len() <= 3 && parts.iter().all(|part| plain(part)))
        .then(|| dist.join(parts.iter().collect::<PathBuf>()))
}

pub(super) async fn download(
    State(app): State<Arc<App>>,
    UrlPath(asked): UrlPath<String>,
    headers: HeaderMap,
) -> Result<Response, Refusal> {
    let dist = app.config.dist_dir();
    let missing = || match asked.split_once('/') {
        Some((arch, "aami-agent" | "aami-agent.sha256")) => Refusal::new(
            code::AGENT_ARCH_MISSING,
            format!("this control plane has no agent for {arch:.20}"),
        ),
        _ => Refusal::not_found("file"),
    };
    let path = below(&dist, &asked).ok_or_else(missing)?;
    if let Some(name) = asked.strip_suffix(".sha256")
        && !path.exists()
    {
        let path = below(&dist, name)
            .filter(|path| path.is_file())
            .ok_or_else(missing)?;
        let file = path
            .file_name()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned();
        let sum = checksum(&app, path).await?;
        return Ok(([(header::CONTENT_TYPE, "text/plain")], format!("{sum}  {file}\n")).into_response());
    }
    let mut file = tokio::fs::File::open(&path).await.map_err(|_| missing())?;
    let metadata = file
        .metadata()
        .await
        .ok()
        .filter(Metadata::is_file)
        .ok_or_else(missing)?;
    let whole = metadata.len();

    // One range from a first byte to the end: what continuing a broken download asks for.
    let from = headers
        .get(header::RANGE)
        .and_then(|value| {
            value
                .to_str()
                .ok()?
                .strip_prefix("bytes=")?
                .strip_suffix('-')?
                .parse::<u64>()
                .ok()
        })
        .filter(|from| *from > 0);
    let mut response = Response::builder()
        .header(header::CONTENT_TYPE, "application/octet-stream")
        .header(header::ACCEPT_RANGES, "bytes");
    let mut left = whole;
    match from {
        Some(from) if from >= whole => {
            response = response
                .status(StatusCode::RANGE_NOT_SATISFIABLE)
                .header(header::CONTENT_RANGE, format!("bytes */{whole}"));
            left = 0;
        }
        Some(from) => {
            file.seek(std::io::SeekFrom::Start(from))
                .await
                .map_err(|_| missing())?;
            response = response.status(StatusCode::PARTIAL_CONTENT).header(
                header::CONTENT_RANGE,
                format!("bytes {from}-{}/{whole}", whole - 1),
            );
            left = whole - from;
        }
        None => {}
    }
    response
        .header(header::CONTENT_LENGTH, left)
        .body(Body::from_stream(ReaderStream::with_capacity(
            file.take(left),
            64 * 1024,
        )))
        .map_err(|_| Refusal::plain(code::INTERNAL))
}

/// Computes a checksum away from the threads that answer.
pub(super) async fn checksum(app: &Arc<App>, path: PathBuf) -> Result<String, Refusal> {
    let app = app.clone();
    tokio::task::spawn_blocking(move || app.checksums.of(&path))
        .await
        .ok()
        .and_then(Result::ok)
        .ok_or_else(|| Refusal::not_found("file"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_outside_dist_can_be_named() {
        let dist = Path::new("/d");
        assert_eq!(
            below(dist, "amd64/aami-agent"),
            Some(PathBuf::from("/d/amd64/aami-agent"))
        );
        for asked in [
            "../admin.key",
            "amd64/../../admin.key",
            "",
            "/",
            "a//b",
            ".hidden",
            "a/b/c/d",
            "a\\b",
            "a b",
            "%2e%2e/x",
        ] {
            assert_eq!(below(dist, asked), None, "{asked:?}");
        }
    }
}
