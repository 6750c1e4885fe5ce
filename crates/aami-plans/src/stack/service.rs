//! How each part is run: its command line, its unit, and what it is restarted for.

use aami_install::effect::{Placement, UnitState};
use aami_install::{Content, Effect, HostPath, Mark, Owner, StepError};

use super::config::broken;
use super::layout::Layout;
use super::part::Part;
use super::reload;
use super::session::Session;
use super::unit::Unit;

/// One part, ready to be run.
pub(crate) struct Service {
    pub(crate) part: Part,
    /// The program, as the host sees it.
    pub(crate) program: HostPath,
    /// The folder it lies in, with all it needs of its own.
    pub(crate) home: HostPath,
    /// The program and its arguments.
    pub(crate) command: Vec<String>,
    /// Folders it writes to.
    pub(crate) writes: Vec<HostPath>,
    /// Files it reads once, at its start.
    pub(crate) inputs: Vec<HostPath>,
    /// The folder of targets it reads, where no control plane beside it writes them.
    pub(crate) targets: Option<HostPath>,
    homepage: Option<String>,
    /// Whether there is a control plane to start after.
    beside_control_plane: bool,
}

impl Service {
    /// The service of a part, with its program where this plan puts it.
    pub(crate) fn of(session: &Session, part: Part) -> Result<Self, StepError> {
        let (wishes, layout) = (session.wishes(), session.layout());
        let name = part.programs()[0];
        let (home, below, version, homepage) = match part {
            Part::ControlPlane => (
                layout.release.clone(),
                name.to_owned(),
                wishes.version.clone(),
                None,
            ),
            _ => {
                let (component, build) = session.component(part.name(), session.options.arch)?;
                let home = layout.component(part.name(), &component.version);
                let below = build.below_tree(name).unwrap_or(name).to_owned();
                (
                    home.map_err(broken)?,
                    below,
                    component.version,
                    component.homepage,
                )
            }
        };
        let program = home.join(&below).map_err(broken)?;
        let data = layout.data_of(part).map_err(broken)?;
        let file = layout.file_of(part).map_err(broken)?;
        let listen = wishes.listen(part);
        let arguments = match part {
            Part::ControlPlane => vec![
                "server".to_owned(),
                "--config".to_owned(),
                file.to_string(),
                "--log=json".to_owned(),
            ],
            Part::Prometheus => {
                let mut arguments = vec![
                    format!("--config.file={file}"),
                    format!("--storage.tsdb.path={data}"),
                    format!("--web.listen-address={listen}"),
                ];
                arguments.extend(
                    (wishes.retention.as_ref()).map(|time| format!("--storage.tsdb.retention.time={time}")),
                );
                // What installations tell of themselves is written by this machine alone, and so is it told to read its
                // rules again.
                if !wishes.expose {
                    arguments.push("--web.enable-remote-write-receiver".to_owned());
                    arguments.push("--web.enable-lifecycle".to_owned());
                }
                arguments.extend(reload::by_itself(wishes, &version));
                arguments
            }
            Part::Alertmanager => vec![
                format!("--config.file={file}"),
                format!("--storage.path={data}"),
                format!("--web.listen-address={listen}"),
                // One of a kind: it looks for no others.
                "--cluster.listen-address=".to_owned(),
            ],
            Part::Grafana => vec![
                "server".to_owned(),
                format!("--config={file}"),
                format!("--homepath={home}"),
            ],
        };
        let mut writes = vec![data];
        let mut inputs = vec![file];
        match part {
            Part::ControlPlane => writes.push(layout.targets.clone()),
            // It is the operator's to edit, and read again when they say so.
            Part::Alertmanager if wishes.control_plane => inputs.clear(),
            // What a declared fleet's says is made anew each time, and so are the secrets it names. One that is not
            // there is an input as well: it may come.
            Part::Alertmanager => {
                for name in aami_monitor::alertmanager::SECRET_FILES {
                    inputs.push(layout.secrets.join(name).map_err(broken)?);
                }
            }
            // Rules change often, and Prometheus reads them again when it is told to.
            Part::Prometheus => {}
            // What it is configured with before `grafana.ini` is read.
            Part::Grafana => inputs.push(home.join("conf/defaults.ini").map_err(broken)?),
        }
        if part == Part::ControlPlane && wishes.own_certificate {
            for name in ["server.crt", "server.key"] {
                inputs.push(layout.tls.join(name).map_err(broken)?);
            }
        }
        if part == Part::Grafana {
            for folder in ["datasources", "dashboards"] {
                let name = format!("{folder}/{}", aami_monitor::grafana::FILE);
                inputs.push(layout.provisioning.join(&name).map_err(broken)?);
            }
        }
        let command = std::iter::once(program.to_string()).chain(arguments).collect();
        Ok(Self {
            part,
            program,
            home,
            command,
            writes,
            inputs,
            targets: (part == Part::Prometheus && !wishes.control_plane).then(|| layout.targets.clone()),
            homepage,
            beside_control_plane: wishes.control_plane,
        })
    }

    /// One of these, for tests of what is made from it.
    #[cfg(test)]
    pub(crate) fn plain(part: Part, program: HostPath, arguments: &[&str], writes: Vec<HostPath>) -> Self {
        let arguments = arguments.iter().map(|text| (*text).to_owned());
        Self {
            part,
            command: std::iter::once(program.to_string()).chain(arguments).collect(),
            home: program.parent().unwrap_or_else(HostPath::root),
            program,
            writes,
            inputs: Vec::new(),
            targets: None,
            homepage: None,
            beside_control_plane: true,
        }
    }

    /// Its unit file.
    pub(crate) fn unit_file(&self, port: u16) -> Result<Effect, StepError> {
        let part = self.part;
        let after: &[&str] = match part {
            Part::ControlPlane => &[],
            _ if !self.beside_control_plane => &[],
            _ => &[Part::ControlPlane.unit()],
        };
        let text = Unit {
            description: &format!("{part}, installed by AAMI"),
            homepage: self.homepage.as_deref(),
            user: part.user(),
            command: &self.command,
            writes: &self.writes.iter().map(ToString::to_string).collect::<Vec<_>>(),
            after,
            low_port: port < 1024,
            reloads: matches!(part, Part::Prometheus | Part::Alertmanager),
            // By its lifecycle endpoint anybody on this machine can ask it to quit, and then it ends well.
            comes_back: part == Part::Prometheus,
        }
        .text();
        let path = Layout::unit(part.unit()).map_err(broken)?;
        let placement = Placement::new(path, Content::bytes(text), 0o644, Some(Owner::root()));
        Ok(Effect::WriteFile(placement.marked(Mark::Hash)))
    }

    /// That it runs, with what is installed now.
    pub(crate) fn unit_state(&self) -> Result<Effect, StepError> {
        let file = Layout::unit(self.part.unit()).map_err(broken)?;
        let inputs = [file, self.program.clone()]
            .into_iter()
            .chain(self.inputs.clone());
        Ok(Effect::UnitState(UnitState::up(self.part.unit(), inputs)))
    }
}
