//! What stays when a server is taken back: its data, and the users the data belongs to.
//!
//! The services' data is no effect of the plan, so no receipt names it; but the folders it lies in and
//! their owners are, and taking those back would leave data that belongs to numbers of nobody, or of
//! somebody else one day. This plan claims them under a name of its own. The stack then leaves them as
//! another plan's, and a later purge takes them back.

use aami_install::root::Entry;
use aami_install::{Content, Effect, EffectError, HostPath, Owner, Plan, PlanError, Step, StepError, Survey};

use super::config::broken;
use super::layout::Layout;
use super::part::Part;
use super::place::{SECRETS, account, folder, owner, targets_owner};
use super::wishes::{Note, Wishes};

/// The plan's name.
pub(crate) const NAME: &str = "stack-data";

/// The plan that claims what stays.
pub(crate) fn plan(wishes: &Wishes) -> Result<Plan, PlanError> {
    let step = Claim {
        wishes: wishes.clone(),
    };
    Plan::new(NAME, "AAMI Server Data", vec![Box::new(step)])
}

struct Claim {
    wishes: Wishes,
}

impl Claim {
    /// The folders from the root down to `path`, as far as the stack made them.
    fn folders(survey: &Survey<'_>, path: &HostPath) -> Vec<Effect> {
        let mut chain = vec![path.clone()];
        while let Some(parent) = chain.last().and_then(HostPath::parent) {
            chain.push(parent);
        }
        // The folders the plans' own memory lies in go with that.
        let memory = HostPath::new("/var/lib/aami").ok();
        let holds_memory = |path: &HostPath| memory.as_ref().is_some_and(|memory| memory.is_within(path));
        let all = chain.iter().rev().filter(|path| !holds_memory(path)).map(folder);
        all.filter(|effect| survey.record(&effect.key()).is_some())
            .collect()
    }
}

impl Step for Claim {
    fn id(&self) -> &str {
        "data"
    }

    fn title(&self) -> String {
        "Keeping data".to_owned()
    }

    fn desired(&self, survey: &Survey<'_>) -> Result<Vec<Effect>, StepError> {
        let layout = Layout::of(&self.wishes).map_err(broken)?;
        let is_there = |path: &HostPath| {
            let entry = survey.host().root.entry(path);
            entry
                .map(|entry| entry != Entry::Absent)
                .map_err(EffectError::from)
        };
        let mut effects = Vec::new();
        let mut folders = Vec::new();
        for part in Part::ALL {
            let data = layout.data_of(part).map_err(broken)?;
            if is_there(&data)? {
                effects.extend(account(part)?);
                folders.push(Effect::directory(data, 0o700, Some(owner(part))));
            }
        }
        effects.extend(Self::folders(survey, &layout.data));
        effects.extend(folders);
        effects.extend(Self::folders(survey, &layout.configuration));
        if is_there(&layout.targets)? {
            let owner = Some(targets_owner(&self.wishes));
            effects.push(Effect::directory(layout.targets.clone(), 0o755, owner));
        }
        // What was chosen, so that a later install or purge knows where to look.
        if let (Some(note), path) = (Note::read(survey.host()), Note::path().map_err(broken)?) {
            let text = note
                .text()
                .map_err(|error| StepError::new(aami_model::code::STEP_FAILED, error.to_string()))?;
            let content = Content::bytes(text);
            effects.push(Effect::file(path, content, 0o644, Some(Owner::root())));
        }
        let as_it_is = || Content::once(|_| Err(std::io::ErrorKind::NotFound.into()));
        // And what the mirror wants to see, which is here by what was chosen.
        if self.wishes.mirror_credential && is_there(&layout.mirror_credential)? {
            let root = || Some(Owner::root());
            effects.push(Effect::directory(layout.secrets.clone(), SECRETS, root()));
            effects.push(Effect::file(
                layout.mirror_credential.clone(),
                as_it_is(),
                0o600,
                root(),
            ));
        }
        // The operator's own routing of alerts; a declared fleet's is made from its configuration each time.
        let routing = layout.file_of(Part::Alertmanager).map_err(broken)?;
        if self.wishes.control_plane && is_there(&routing)? {
            let owner = Some(super::place::reader(Part::Alertmanager));
            effects.push(Effect::file(routing, as_it_is(), 0o640, owner));
        }
        Ok(effects)
    }
}
