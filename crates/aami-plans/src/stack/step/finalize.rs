//! Step 7: the program where people's shells look for it, and the way in for nodes where a firewall is active.

use std::sync::Arc;

use aami_install::effect::FirewallRule;
use aami_install::{Effect, Host, HostPath, Step, StepContext, StepError, Survey};
use aami_model::run::StepOutcome;

use super::super::config::broken;
use super::super::part::Part;
use super::super::place::missing_parents;
use super::super::session::Session;
use super::needs;

/// Where people's shells look.
const LINK: &str = "/usr/local/bin/aami";

/// Step 7.
pub(super) struct Finalize(pub(super) Arc<Session>);

impl Finalize {
    /// The ports that other machines are meant to reach. Where no firewall is active they are open already.
    fn doors(&self) -> Result<Vec<Effect>, StepError> {
        let wishes = self.0.wishes();
        if wishes.leave_firewall {
            return Ok(Vec::new());
        }
        let open = |part: &Part| !wishes.listen(*part).ip().is_loopback();
        let parts = self.0.parts()?.into_iter().filter(open);
        Ok(parts
            .map(|part| Effect::FirewallRule(FirewallRule::tcp(wishes.port(part))))
            .collect())
    }

    fn effects(&self, host: &Host) -> Result<Vec<Effect>, StepError> {
        if !self.0.wishes().control_plane {
            return self.doors();
        }
        let link = HostPath::new(LINK).map_err(broken)?;
        let program = self.0.layout.release.join("aami").map_err(broken)?;
        let mut effects = self.doors()?;
        effects.extend(missing_parents(host, &link)?);
        effects.push(Effect::link(link, program.as_str()));
        Ok(effects)
    }
}

impl Step for Finalize {
    fn id(&self) -> &str {
        "finalize"
    }

    fn title(&self) -> String {
        "Finalizing installation".to_owned()
    }

    fn needs(&self) -> Vec<String> {
        needs(&["bootstrap_token"])
    }

    fn desired(&self, survey: &Survey<'_>) -> Result<Vec<Effect>, StepError> {
        self.effects(survey.host())
    }

    fn apply(&self, context: &mut StepContext<'_>) -> Result<StepOutcome, StepError> {
        let outcome = context.perform(&self.effects(context.host())?)?;
        if self.0.wishes().control_plane {
            context.note(format!("aami is at {LINK}"));
        }
        Ok(outcome)
    }
}
