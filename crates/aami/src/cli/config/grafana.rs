//! `aami config grafana`.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use aami_model::{Exit, code};
use aami_monitor::dashboard;
use aami_monitor::grafana::{DataSources, files};
use clap::Args;
use clap::builder::PossibleValuesParser;
use serde::Serialize;

use crate::cli::each::Done;
use crate::cli::failure::Failure;
use crate::cli::screen::Screen;
use crate::cli::secret::written;
use crate::cli::table::Table;

/// Print a dashboard for Grafana, or write all of them for a Grafana of your own
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  aami config grafana
  aami config grafana aami-gpu > aami-gpu.json
  sudo aami config grafana --write /etc/grafana/provisioning --prometheus http://127.0.0.1:9090
  aami config grafana --write /etc/grafana/provisioning --dry-run")]
pub(crate) struct Grafana {
    /// The dashboard to print, by its id; they are listed where none is named
    #[arg(
        value_name = "DASHBOARD",
        conflicts_with = "write",
        value_parser = PossibleValuesParser::new(dashboard::all().iter().map(|dashboard| dashboard.uid))
    )]
    dashboard: Option<String>,
    /// Write the dashboards, and where they lie, below this folder, as Grafana is provisioned with; files of AAMI that
    /// are there are replaced
    #[arg(long, value_name = "DIR")]
    write: Option<PathBuf>,
    /// Write a data source as well: Prometheus, as Grafana reaches it
    #[arg(long, value_name = "URL", requires = "write", value_parser = url)]
    prometheus: Option<String>,
    /// Write a data source as well: Alertmanager, as Grafana reaches it
    #[arg(long, value_name = "URL", requires = "write", value_parser = url)]
    alertmanager: Option<String>,
    /// Say what --write would write, and write nothing
    #[arg(long, requires = "write")]
    dry_run: bool,
}

#[derive(Serialize)]
struct Listed {
    id: &'static str,
    title: &'static str,
    description: &'static str,
}

impl Grafana {
    pub(super) fn run(self, screen: &mut Screen) -> Result<Exit, Failure> {
        match (&self.dashboard, &self.write) {
            (Some(id), _) => screen.write(&named(id)?)?,
            (None, Some(folder)) => {
                let sources = DataSources {
                    prometheus: self.prometheus.clone(),
                    alertmanager: self.alertmanager.clone(),
                };
                match self.dry_run {
                    true => would_write(screen, folder, &sources)?,
                    false => write(screen, folder, &sources)?,
                }
            }
            (None, None) => {
                let listed = listed();
                screen.show(&listed, |_| table(&listed))?;
            }
        }
        Ok(Exit::Ok)
    }
}

fn url(text: &str) -> Result<String, String> {
    let rest = text
        .strip_prefix("http://")
        .or_else(|| text.strip_prefix("https://"));
    let sound = rest.is_some_and(|rest| !rest.is_empty() && !rest.starts_with('/'))
        && text.bytes().all(|byte| byte.is_ascii_graphic());
    sound
        .then(|| text.to_owned())
        .ok_or_else(|| "it is http://HOST:PORT or https://HOST:PORT".to_owned())
}

fn named(id: &str) -> Result<String, Failure> {
    let found = dashboard::all().into_iter().find(|dashboard| dashboard.uid == id);
    found.map(|dashboard| dashboard.render()).ok_or_else(|| {
        Failure::unknown(
            code::NOT_FOUND,
            format!("there is no dashboard {id:?}"),
            id,
            dashboard::all().into_iter().map(|one| one.uid),
            "`aami config grafana` lists them.",
        )
    })
}

fn listed() -> Vec<Listed> {
    dashboard::all()
        .into_iter()
        .map(|dashboard| Listed {
            id: dashboard.uid,
            title: dashboard.title,
            description: dashboard.description,
        })
        .collect()
}

fn table(listed: &[Listed]) -> Table {
    let mut table = Table::new(&["ID", "TITLE", "SHOWS"], "no dashboards");
    for one in listed {
        table.row([
            one.id.to_owned(),
            one.title.to_owned(),
            one.description.to_owned(),
        ]);
    }
    table
}

/// Writes the files, where the dashboards lie last: Grafana then finds all of them.
fn write(screen: &mut Screen, folder: &Path, sources: &DataSources) -> Result<(), Failure> {
    fs::create_dir_all(folder).map_err(written(folder))?;
    // Grafana starts in a folder of its own: what it is told has to be whole.
    let folder = fs::canonicalize(folder).map_err(written(folder))?;
    let mut count = 0;
    for (path, text) in planned(&folder, sources)? {
        let parent = path.parent().unwrap_or(&folder);
        fs::create_dir_all(parent).map_err(written(parent))?;
        let draft = path.with_extension("new");
        fs::write(&draft, &text)
            .and_then(|()| fs::rename(&draft, &path))
            .map_err(written(&path))?;
        count += 1;
    }
    screen.note(&format!(
        "aami: wrote {count} files below {}; Grafana reads them when it is restarted",
        folder.display()
    ));
    Ok(())
}

/// The files below a folder, each with what it holds.
fn planned(folder: &Path, sources: &DataSources) -> Result<Vec<(PathBuf, String)>, Failure> {
    let files = files(&folder.to_string_lossy(), sources)
        .map_err(|error| Failure::found(code::INVALID, error.to_string()))?;
    let is_without_sources = *sources == DataSources::default();
    Ok((files.into_iter())
        .filter(|file| !(is_without_sources && file.path.starts_with("datasources/")))
        .map(|file| (folder.join(&file.path), file.text))
        .collect())
}

/// Says which files would be written.
fn would_write(screen: &mut Screen, folder: &Path, sources: &DataSources) -> Result<(), Failure> {
    let folder = std::path::absolute(folder).map_err(written(folder))?;
    for (path, text) in planned(&folder, sources)? {
        let done = match fs::read(&path) {
            Ok(there) if there == text.as_bytes() => "is as it would be already",
            Ok(_) => "would be replaced",
            Err(error) if error.kind() == io::ErrorKind::NotFound => "would be written",
            Err(error) => return Err(written(&path)(error)),
        };
        let line = format!("{} {done}", path.display());
        let done = Done::would(path.display(), line);
        screen.show_one(&done, &done.line())?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dashboard_that_is_listed_is_printed_by_its_id() {
        for one in listed() {
            let text = named(one.id).unwrap();
            assert!(text.contains(&format!("\"uid\": \"{}\"", one.id)), "{}", one.id);
        }
        assert!(named("gpu").is_err());
    }

    #[test]
    fn what_is_written_is_whole_and_is_written_again() {
        let folder = tempfile::tempdir().unwrap();
        let sources = DataSources {
            prometheus: Some("http://127.0.0.1:9090".into()),
            ..DataSources::default()
        };
        let mut screen = Screen::new(Default::default());
        for sources in [&DataSources::default(), &sources] {
            write(&mut screen, folder.path(), sources).unwrap();
            let has_sources = folder.path().join("datasources/aami.yaml").exists();
            assert_eq!(has_sources, sources.prometheus.is_some());
        }
        let provider = std::fs::read_to_string(folder.path().join("dashboards/aami.yaml")).unwrap();
        let named = fs::canonicalize(folder.path()).unwrap().join("json");
        assert!(provider.contains(&*named.to_string_lossy()), "{provider}");
        assert_eq!(fs::read_dir(named).unwrap().count(), listed().len());
    }

    #[test]
    fn a_dry_run_writes_nothing_and_makes_no_folder() {
        let folder = tempfile::tempdir().unwrap();
        let below = folder.path().join("provisioning");
        let mut screen = Screen::new(Default::default());
        would_write(&mut screen, &below, &DataSources::default()).unwrap();
        assert!(!below.exists());
        let planned = planned(&below, &DataSources::default()).unwrap();
        assert_eq!(
            planned.len(),
            listed().len() + 1,
            "each dashboard, and where they lie"
        );
    }

    #[test]
    fn what_grafana_is_to_ask_is_a_url() {
        for wrong in [
            "",
            "localhost:9090",
            "ftp://x",
            "http://",
            "http:///x",
            "http://a b",
            "http://a\nb",
        ] {
            assert!(url(wrong).is_err(), "{wrong:?}");
        }
        assert!(url("http://127.0.0.1:9090").is_ok());
    }
}
