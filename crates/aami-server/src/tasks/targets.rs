//! Our own target file: `file_sd` for the Prometheus on the same machine, which forgets an `http_sd` list
//! when it restarts.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use aami_monitor::Shape;
use tokio_util::sync::CancellationToken;

use crate::app::App;
use crate::secret_file;

/// How often it is written at most.
const PAUSE: Duration = Duration::from_secs(1);

/// Writes the file whenever what it says has changed, whole or not at all.
pub(super) async fn write(app: Arc<App>, path: PathBuf, stop: CancellationToken) {
    let mut written = None;
    loop {
        let made = {
            let (app, path) = (app.clone(), path.clone());
            tokio::task::spawn_blocking(move || {
                let (_, flat) = app.discovery.file(&app.view, Shape::Flat);
                let (generation, answer) = app.discovery.file(&app.view, Shape::for_targets(flat.targets()));
                if written == Some(generation) {
                    return Ok(generation);
                }
                secret_file::write(&path, &answer.to_vec(), 0o644).map(|()| generation)
            })
            .await
        };
        match made {
            Ok(Ok(generation)) => written = Some(generation),
            Ok(Err(error)) => {
                tracing::warn!(%error, path = %path.display(), "the target file cannot be written")
            }
            Err(_) => return,
        }
        let revision = app.view.revision().next();
        let news = app.view.reached(revision, Duration::from_secs(30));
        tokio::select! { () = stop.cancelled() => return, _ = news => {} }
        tokio::select! { () = stop.cancelled() => return, () = tokio::time::sleep(PAUSE) => {} }
    }
}
