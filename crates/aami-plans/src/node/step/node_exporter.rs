//! Step 4: node_exporter, as a unit with few rights or as a child process.

use std::sync::Arc;

use aami_install::effect::UnitState;
use aami_install::{Effect, Host, Probe, Step, StepContext, StepError, Survey};
use aami_model::run::StepOutcome;

use super::super::doors::Door;
use super::super::exporter::Setup;
use super::super::session::Session;
use super::super::unit::Hardening;
use super::super::{Form, Purpose, local};
use super::needs;
use crate::place::{host_path, missing_parents};

/// Its unit.
pub(super) const UNIT: &str = crate::units::NODE_EXPORTER;

/// What stands in its metrics.
const EXPECTED: &str = "node_exporter_build_info";

/// Step 4.
pub(super) struct InstallNodeExporter(pub(super) Arc<Session>);

/// Whether a node_exporter that was here before us answers, and is this node's: it is registered as it is, and never
/// touched. A node is enrolled with it by the operator's word alone.
pub(super) fn is_adopted(session: &Arc<Session>, survey: &Survey<'_>) -> Result<bool, StepError> {
    let may =
        session.options.adopt || session.options.purpose != Purpose::Install || session.is_known(survey);
    if !may || session.options.form == Form::Foreground {
        return Ok(false);
    }
    let unit = Effect::UnitState(UnitState::up(UNIT, []));
    let file = host_path(&format!("/etc/systemd/system/{UNIT}"))?;
    let is_ours = survey.record(&unit.key()).is_some()
        || session.installed(survey.host(), "node_exporter").is_some()
        || survey.host().root.outside(&file).exists();
    if is_ours {
        return Ok(false);
    }
    // Not by its whole setup: nothing has to be opened for what is somebody else's.
    let near = session.near(session.port(survey.host())?)?;
    Ok(local::metrics(near).is_ok_and(|text| text.contains(EXPECTED)))
}

/// What is opened for it in a firewall.
pub(super) fn door(session: &Session, host: &Host) -> Result<Option<Door>, StepError> {
    setup(session, host).map(|setup| setup.door)
}

fn setup(session: &Session, host: &Host) -> Result<Setup, StepError> {
    let port = session.port(host)?;
    let textfile = &session.layout.textfile;
    let mut folders = missing_parents(host, textfile)?;
    let is_host = session.options.form == Form::Host;
    // The folder above it is ours, whether or not it is there by now.
    if let Some(above) = textfile
        .parent()
        .filter(|above| is_host && !folders.contains(above))
    {
        folders.push(above);
    }
    folders.push(textfile.clone());
    let folder = super::super::layout::real(host.root.path(), textfile);
    Setup {
        component: "node_exporter".to_owned(),
        program: "node_exporter".to_owned(),
        unit: UNIT.to_owned(),
        user: "node_exporter",
        description: "Prometheus node_exporter, installed by AAMI".to_owned(),
        hardening: Hardening::Tight,
        is_local: false,
        arguments: vec![
            format!("--web.listen-address={}", session.listen(port)?),
            format!("--collector.textfile.directory={}", folder.display()),
        ],
        folders,
        files: Vec::new(),
        port,
        expected: EXPECTED,
        container: None,
        door: None,
    }
    .settled(session, host)
}

impl Step for InstallNodeExporter {
    fn id(&self) -> &str {
        "node_exporter"
    }

    fn title(&self) -> String {
        "Installing node_exporter".to_owned()
    }

    fn needs(&self) -> Vec<String> {
        needs(&["validate_token", "detect_hardware"])
    }

    fn desired(&self, survey: &Survey<'_>) -> Result<Vec<Effect>, StepError> {
        if is_adopted(&self.0, survey)? {
            return Ok(Vec::new());
        }
        setup(&self.0, survey.host())?.effects(&self.0, survey.host())
    }

    fn probe(&self, survey: &Survey<'_>) -> Result<Probe, StepError> {
        if is_adopted(&self.0, survey)? {
            let port = self.0.port(survey.host())?;
            return Ok(Probe::NotApplicable(format!(
                "a node_exporter of this machine's own answers on port {port}; it is registered as it is"
            )));
        }
        let probe = survey.probe(&self.desired(survey)?)?;
        if probe != Probe::Holds {
            return Ok(probe);
        }
        if self.0.options.purpose == Purpose::Install && self.0.options.form == Form::Foreground {
            return Ok(Probe::Missing(
                "its process begins anew with every run".to_owned(),
            ));
        }
        if setup(&self.0, survey.host())?.answers(&self.0)? {
            return Ok(Probe::Holds);
        }
        Ok(Probe::Missing("it is installed and does not answer".to_owned()))
    }

    fn apply(&self, context: &mut StepContext<'_>) -> Result<StepOutcome, StepError> {
        setup(&self.0, context.host())?.apply(&self.0, context)
    }
}
