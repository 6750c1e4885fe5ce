//! Bringing the Prometheus on this machine to the rules it should have, by the control plane that runs beside it.
//!
//! What is wanted is read off the view, the work is `aami_plans::rules`: judged, placed, loaded, seen to be loaded, or
//! taken back. Whatever came of it is noted where people see it. What failed is tried again, more and more rarely, and at
//! once when something else is wanted; what holds is looked at again now and then, since somebody may have changed the
//! folder, or Prometheus may have come back.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use aami_api::prometheus::{LoadReport, RuleBundle};
use aami_inventory::{CommandError, Commands, Output};
use aami_model::access::Orgs;
use aami_model::prometheus::LoadResult;
use aami_model::{PrometheusId, code};
use aami_plans::rules::{Applied, Engine, Owner, RulesError, Seen, Site, UNIT};
use tokio_util::sync::CancellationToken;

use crate::app::App;
use crate::world::World;

/// How often it is looked whether what holds still holds.
const RECHECK: Duration = Duration::from_secs(60);
/// How often it is looked whether a Prometheus has come that was not there.
const COMING: Duration = Duration::from_secs(2);
/// How long it is waited after the first failure, and at most.
const REST: Duration = Duration::from_secs(2);
const LONGEST_REST: Duration = Duration::from_secs(300);

/// What whoever runs Prometheus needs of the folder, by its mode.
const READABLE: u32 = 0o555;

/// Where it is, and what it is told by.
#[derive(Clone)]
struct Place {
    folder: PathBuf,
    url: String,
    programs: PathBuf,
    /// What is written when it is to read its rules again, where somebody watches that.
    watched: Option<PathBuf>,
    world: World,
}

/// Runs programs; reloading a unit, which this process may not, is asked of whoever watches a file.
struct Asking<'a> {
    others: &'a dyn Commands,
    watched: &'a Path,
}

impl Commands for Asking<'_> {
    fn run(&self, program: &str, arguments: &[&str]) -> Result<Output, CommandError> {
        let ["reload", unit] = arguments else {
            return self.others.run(program, arguments);
        };
        match fs::write(self.watched, format!("{unit}\n")) {
            Ok(()) => Ok(Output {
                status: Some(0),
                ..Output::default()
            }),
            Err(source) => Err(CommandError::NotStarted {
                program: format!("what watches {}", self.watched.display()),
                source,
            }),
        }
    }
}

pub(super) async fn deliver(app: Arc<App>, stop: CancellationToken) {
    let config = &app.config;
    let (Some(folder), Some(url)) = (config.prometheus_rules.clone(), config.prometheus_url.clone()) else {
        return;
    };
    let place = Place {
        folder,
        url,
        programs: config.programs.clone(),
        watched: config.prometheus_reload.clone(),
        world: app.world.clone(),
    };
    let id = app.local_id();
    let mut failures = 0_u32;
    loop {
        let mark = app.view.current().ruled.mark();
        let result = tokio::select! {
            () = stop.cancelled() => return,
            result = round(&app, &place, &id) => result,
        };
        let rest = match result {
            Some(LoadResult::Loaded) => RECHECK,
            Some(LoadResult::Waiting) => COMING,
            Some(LoadResult::Failed) | None => {
                let rest = (REST * 2_u32.saturating_pow(failures.min(10))).min(LONGEST_REST);
                failures = failures.saturating_add(1);
                // Apart from others that wait for the same thing.
                let [random] = app.world.random::<1>();
                rest / 2 + rest * u32::from(random) / 512
            }
        };
        if !matches!(result, Some(LoadResult::Failed) | None) {
            failures = 0;
        }
        let news = tokio::select! {
            () = stop.cancelled() => return,
            news = changed(&app, mark, rest) => news,
        };
        if news {
            // Something else is wanted: what failed before need not fail now.
            failures = 0;
        }
    }
}

/// Waits until sets or Prometheuses changed since, for so long at most; answers whether they did.
async fn changed(app: &App, mark: u64, rest: Duration) -> bool {
    let until = Instant::now() + rest;
    loop {
        let seen = app.view.revision();
        if app.view.current().ruled.mark() != mark {
            return true;
        }
        let left = until.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return false;
        }
        app.view.reached(seen.next(), left).await;
    }
}

/// One try; nothing where it is not known what came of it.
async fn round(app: &App, place: &Place, id: &PrometheusId) -> Option<LoadResult> {
    if let Err(error) = app.keep_local().await {
        tracing::warn!(%error, "the Prometheus on this machine cannot be noted");
        return None;
    }
    let snapshot = app.view.current();
    let prometheus = snapshot.ruled.prometheus(id, &Orgs::All)?.doc.clone();
    let bundle = app.bundle_of(&snapshot, &prometheus).ok()?;
    drop(snapshot);
    let work = (place.clone(), id.clone(), bundle.clone());
    let brought = tokio::task::spawn_blocking(move || bring(&work.0, &work.1, &work.2)).await;
    let report = match brought {
        Ok(Ok(Applied::Loaded(failing))) => report(&bundle, LoadResult::Loaded, None, failing),
        Ok(Ok(Applied::Waiting(why))) => {
            let why = Some((code::ALERT_RULES_NOT_LOADED.symbol, why));
            report(&bundle, LoadResult::Waiting, why, Vec::new())
        }
        Ok(Err(error)) => {
            let why = Some((error.code().symbol, error.sentence()));
            report(&bundle, LoadResult::Failed, why, Vec::new())
        }
        // The thread panicked, or the process is ending.
        Err(_) => return None,
    };
    if let Some(sentence) = &report.sentence {
        tracing::warn!(
            sentence,
            "the Prometheus on this machine does not have the rules it should have"
        );
    }
    if let Err(error) = app.note_local(id, &report).await {
        tracing::warn!(%error, "what came of the rules of the Prometheus on this machine cannot be noted");
    }
    Some(report.result)
}

fn report(
    bundle: &RuleBundle,
    result: LoadResult,
    why: Option<(&str, String)>,
    failing: Vec<String>,
) -> LoadReport {
    let (code, sentence) = why.unzip();
    LoadReport {
        sha256: bundle.sha256.clone(),
        result,
        code: code.map(str::to_owned),
        sentence,
        failing,
    }
}

/// Makes the folder where it is missing: for whoever runs Prometheus to read, whatever this process' mask says. One that
/// was made by a process that died before it could say so is opened as well.
fn make_folder(folder: &Path) -> Result<(), RulesError> {
    if let Ok(meta) = folder.metadata() {
        let mode = meta.permissions().mode();
        if mode & READABLE != READABLE
            && let Err(error) = fs::set_permissions(folder, fs::Permissions::from_mode(mode | READABLE))
        {
            // It is somebody else's, who may have reasons.
            tracing::debug!(%error, folder = %folder.display(), "the folder of rules is not opened");
        }
        return Ok(());
    }
    let failed = |source| RulesError::File {
        path: folder.to_owned(),
        doing: "made",
        source,
    };
    fs::create_dir_all(folder).map_err(failed)?;
    fs::set_permissions(folder, fs::Permissions::from_mode(0o755)).map_err(failed)
}

/// Brings the folder to a bundle where it is not there yet, and Prometheus to the folder.
fn bring(place: &Place, id: &PrometheusId, bundle: &RuleBundle) -> Result<Applied, RulesError> {
    let asking = place.watched.as_deref().map(|watched| Asking {
        others: place.world.commands(),
        watched,
    });
    let site = Site {
        folder: place.folder.clone(),
        owner: Owner::Server {
            prometheus: id.to_string(),
        },
        follows: &|_| false,
        prometheus: Engine::at(&place.url),
        commands: asking
            .as_ref()
            .map_or(place.world.commands(), |asking| asking as &dyn Commands),
        installed: place.programs.clone(),
        unit: asking.as_ref().map(|_| UNIT),
    };
    make_folder(&place.folder)?;
    match site.seen(&bundle.files)? {
        Seen::Loaded(failing) => Ok(Applied::Loaded(failing)),
        Seen::Waiting(why) => Ok(Applied::Waiting(why)),
        Seen::Otherwise(why) => {
            tracing::info!(
                why,
                sha256 = bundle.sha256,
                "rules are brought to the Prometheus on this machine"
            );
            match site.apply(&bundle.files) {
                Ok(placed) => Ok(placed.keep()?.0),
                // Nothing is wrong with it or the rules: it takes them when it has started.
                Err(RulesError::Starting(why)) => Ok(Applied::Waiting(why)),
                Err(error) => Err(error),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Nobody;

    impl Commands for Nobody {
        fn run(&self, program: &str, _: &[&str]) -> Result<Output, CommandError> {
            Err(CommandError::NotInstalled(program.to_owned()))
        }
    }

    #[test]
    fn a_folder_whose_maker_died_is_opened_for_prometheus() {
        let home = tempfile::tempdir().unwrap();
        let folder = home.path().join("rules");
        let mode = || folder.metadata().unwrap().permissions().mode() & 0o777;
        make_folder(&folder).unwrap();
        assert_eq!(mode(), 0o755);
        for (left, opened) in [(0o700, 0o755), (0o770, 0o775), (0o755, 0o755)] {
            fs::set_permissions(&folder, fs::Permissions::from_mode(left)).unwrap();
            make_folder(&folder).unwrap();
            assert_eq!(mode(), opened, "{left:o}");
        }
    }

    #[test]
    fn a_reload_is_asked_for_by_a_file_and_nothing_else_is() {
        let home = tempfile::tempdir().unwrap();
        let folder = home.path().join("reload");
        let asking = Asking {
            others: &Nobody,
            watched: &folder,
        };
        assert!(asking.run("promtool", &["check", "rules"]).is_err());
        assert!(!folder.exists());
        assert_eq!(
            asking.run("systemctl", &["reload", UNIT]).unwrap().status,
            Some(0)
        );
        assert_eq!(fs::read_to_string(&folder).unwrap(), format!("{UNIT}\n"));
    }
}
