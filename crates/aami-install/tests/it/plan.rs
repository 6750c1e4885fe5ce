//! A plan like the one that makes a host a node: every kind of effect a bootstrap uses.

use std::io::Write;
use std::path::PathBuf;
use std::sync::Arc;

use aami_install::effect::{CreateGroup, CreateUser, GroupMembership, Placement, Registration, UnitState};
use aami_install::{
    Content, Digest, Effect, Fetch, Mark, Owner, Plan, Probe, Step, StepContext, StepError, Survey, Voice,
};
use aami_model::run::StepOutcome;

use crate::house::{ControlPlane, House, path};

/// What the mirror gives.
pub(crate) const PROGRAM: &[u8] = b"\x7fELF a node_exporter";

/// A mirror in memory.
pub(crate) struct Mirror(pub(crate) &'static [u8]);

impl Fetch for Mirror {
    fn fetch(&self, voice: &Voice<'_>, into: &mut dyn Write) -> Result<(), StepError> {
        for piece in self.0.chunks(7) {
            voice.check()?;
            into.write_all(piece)
                .map_err(|error| StepError::new(aami_model::code::DOWNLOAD_FAILED, error.to_string()))?;
        }
        Ok(())
    }
}

type Desired = Box<dyn Fn() -> Vec<Effect> + Send + Sync>;

/// A step that says what must hold.
pub(crate) struct Wants {
    pub(crate) id: &'static str,
    pub(crate) needs: &'static [&'static str],
    pub(crate) effects: Desired,
}

impl Wants {
    pub(crate) fn step(
        id: &'static str,
        needs: &'static [&'static str],
        effects: impl Fn() -> Vec<Effect> + Send + Sync + 'static,
    ) -> Box<dyn Step> {
        Box::new(Self {
            id,
            needs,
            effects: Box::new(effects),
        })
    }
}

impl Step for Wants {
    fn id(&self) -> &str {
        self.id
    }
    fn title(&self) -> String {
        format!("Making {}", self.id)
    }
    fn needs(&self) -> Vec<String> {
        self.needs.iter().map(|need| (*need).to_owned()).collect()
    }
    fn desired(&self, _survey: &Survey<'_>) -> Result<Vec<Effect>, StepError> {
        Ok((self.effects)())
    }
}

/// A step that looks at something in every run and changes nothing.
pub(crate) struct Looks(pub(crate) &'static str, pub(crate) &'static [&'static str]);

impl Step for Looks {
    fn id(&self) -> &str {
        self.0
    }
    fn title(&self) -> String {
        format!("Checking {}", self.0)
    }
    fn needs(&self) -> Vec<String> {
        self.1.iter().map(|need| (*need).to_owned()).collect()
    }
    fn probe(&self, _survey: &Survey<'_>) -> Result<Probe, StepError> {
        Ok(Probe::Missing("looked at in every run".into()))
    }
    fn apply(&self, context: &mut StepContext<'_>) -> Result<StepOutcome, StepError> {
        context.note("looks well");
        Ok(StepOutcome::AlreadySo)
    }
}

const UNIT: &str = "[Unit]\nDescription=node_exporter\n[Service]\nUser=node_exporter\nExecStart=/usr/local/bin/node_exporter\n\
                    EnvironmentFile=/etc/default/node_exporter\n[Install]\nWantedBy=multi-user.target\n";

/// Which variant of the plan.
#[derive(Clone, Copy)]
pub(crate) struct Recipe {
    pub(crate) program: &'static [u8],
    pub(crate) pinned: &'static [u8],
    pub(crate) arguments: &'static str,
}

impl Default for Recipe {
    fn default() -> Self {
        Self {
            program: PROGRAM,
            pinned: PROGRAM,
            arguments: "ARGS=--web.listen-address=:9100\n",
        }
    }
}

/// Users, folders, a program, a link in place of another, configuration in place of another, a unit,
/// another's unit with new configuration, a credential, a registration.
pub(crate) fn node(house: &House) -> Plan {
    node_by(house, Recipe::default())
}

pub(crate) fn node_by(house: &House, recipe: Recipe) -> Plan {
    let root = || Some(Owner::root());
    let exporter = || Some(Owner::new("node_exporter", "root"));
    let steps = vec![
        Box::new(Looks("preflight", &[])) as Box<dyn Step>,
        Wants::step("accounts", &["preflight"], || {
            vec![
                Effect::CreateGroup(CreateGroup::system("node_exporter")),
                Effect::CreateUser(CreateUser::system(
                    "node_exporter",
                    "node_exporter",
                    path("/nonexistent"),
                    path("/usr/sbin/nologin"),
                )),
                Effect::GroupMembership(GroupMembership {
                    user: "node_exporter".into(),
                    group: "video".into(),
                }),
            ]
        }),
        Wants::step("folders", &["accounts"], move || {
            vec![
                Effect::directory(path("/etc/aami"), 0o750, root()),
                Effect::directory(path("/opt/aami"), 0o755, root()),
                Effect::directory(path("/opt/aami/1.9.1"), 0o755, root()),
                Effect::directory(path("/var/lib/node_exporter"), 0o755, root()),
                Effect::directory(path("/var/lib/node_exporter/textfile"), 0o2775, exporter()),
            ]
        }),
        Wants::step("node_exporter", &["folders"], move || {
            let program = path("/opt/aami/1.9.1/node_exporter");
            let pinned = Some(Digest::of(recipe.pinned));
            let content = Content::fetched("node_exporter 1.9.1", pinned, Arc::new(Mirror(recipe.program)));
            let unit = path("/etc/systemd/system/node_exporter.service");
            let arguments = path("/etc/default/node_exporter");
            vec![
                Effect::binary(program.clone(), content, root()),
                Effect::link(
                    path("/usr/local/bin/node_exporter"),
                    "../../../opt/aami/1.9.1/node_exporter",
                ),
                Effect::WriteFile(
                    Placement::new(arguments.clone(), Content::bytes(recipe.arguments), 0o644, root())
                        .marked(Mark::Hash),
                ),
                Effect::WriteFile(
                    Placement::new(unit.clone(), Content::bytes(UNIT), 0o644, root()).marked(Mark::Hash),
                ),
                Effect::UnitState(UnitState::up("node_exporter.service", [program, arguments, unit])),
            ]
        }),
        Wants::step("prometheus", &["preflight"], move || {
            let config = path("/etc/prometheus.yml");
            let text = Content::bytes("scrape_configs: [{job_name: aami}]\n");
            vec![
                Effect::WriteFile(Placement::new(config.clone(), text, 0o640, root()).marked(Mark::Hash)),
                Effect::UnitState(UnitState::up("prometheus.service", [config])),
            ]
        }),
        register(house.control_plane(), house.real("/etc/aami/credential")),
        Box::new(Looks("verify", &["register", "node_exporter"])),
    ];
    Plan::new("node", "AAMI Node Bootstrap", steps).unwrap()
}

fn register(control_plane: ControlPlane, credential: PathBuf) -> Box<dyn Step> {
    let control_plane = Arc::new(control_plane);
    Wants::step("register", &["folders"], move || {
        let (control_plane, credential) = (Arc::clone(&control_plane), credential.clone());
        let file = path("/etc/aami/credential");
        let make = |random: &dyn aami_install::host::Random| {
            let mut bytes = [0; 16];
            random.fill(&mut bytes)?;
            Ok(bytes
                .iter()
                .map(|byte| format!("{byte:02x}"))
                .collect::<String>()
                .into_bytes())
        };
        vec![
            Effect::file(file.clone(), Content::once(make), 0o600, Some(Owner::root())),
            Effect::Registration(Registration::new(
                "https://aami.example:8080",
                file,
                move |_, voice| {
                    let node = control_plane.register(&credential);
                    voice.note(format!("registered as {node}"));
                    Ok(node)
                },
            )),
        ]
    })
}
