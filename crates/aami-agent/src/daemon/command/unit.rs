//! The service manager, asked by its own tool with a deadline.

use std::path::Path;
use std::time::{Duration, Instant};

use aami_inventory::{CommandError, Commands as _, Output, SystemCommands};
use aami_model::{Code, code};
use aami_plans::node::{Form, UPDATE_UNIT};

use super::super::update::Updater;
use super::Node;

/// What a failed tool said is not longer.
const LONGEST: usize = 400;

/// How long the service manager may take for one answer about the updater.
const ANSWER: Duration = Duration::from_secs(10);

/// The unit that replaces the agent.
pub(super) struct Updates<'a> {
    node: &'a Node,
    deadline: Option<Instant>,
}

impl<'a> Updates<'a> {
    /// On this node, for a command that ends then.
    pub(super) const fn of(node: &'a Node, deadline: Option<Instant>) -> Self {
        Self { node, deadline }
    }

    fn deadline(&self) -> Instant {
        let soon = Instant::now() + ANSWER;
        self.deadline.map_or(soon, |deadline| deadline.min(soon))
    }
}

impl Updater for Updates<'_> {
    fn start(&self) -> Result<(), (Code, String)> {
        offered(self.node)?;
        systemctl(&["start", "--no-block", UPDATE_UNIT], self.deadline())
    }

    fn is_idle(&self) -> bool {
        if offered(self.node).is_err() {
            return true;
        }
        let asked = ["show", "--property=ActiveState", UPDATE_UNIT];
        tool("systemctl", &asked, self.deadline()).is_ok_and(|output| {
            matches!(
                output.stdout.trim(),
                "ActiveState=inactive" | "ActiveState=failed"
            )
        })
    }
}

/// Whether this node has units at all.
pub(super) fn offered(node: &Node) -> Result<(), (Code, String)> {
    // sd_booted(3)
    if node.form == Form::Host && Path::new("/run/systemd/system").is_dir() {
        return Ok(());
    }
    let why = "this node has no service manager that AAMI's units are in".to_owned();
    Err((code::COMMAND_NOT_OFFERED, why))
}

/// Runs a tool until it ends, or `deadline`.
pub(super) fn tool(program: &str, arguments: &[&str], deadline: Instant) -> Result<Output, CommandError> {
    let limit = deadline.saturating_duration_since(Instant::now());
    let commands = SystemCommands {
        limit: limit.max(Duration::from_millis(10)),
        most_output: 1024 * 1024,
        ..SystemCommands::default()
    };
    commands.run(program, arguments)
}

/// Tells the service manager, and wants it done.
pub(super) fn systemctl(arguments: &[&str], deadline: Instant) -> Result<(), (Code, String)> {
    let said = match tool("systemctl", arguments, deadline) {
        Ok(output) if output.status == Some(0) => return Ok(()),
        Ok(output) => output.stderr,
        Err(error @ CommandError::TimedOut { .. }) => {
            return Err((code::COMMAND_TIMED_OUT, error.to_string()));
        }
        Err(error) => error.to_string(),
    };
    let said: String = said
        .chars()
        .map(|c| if c.is_control() { ' ' } else { c })
        .take(LONGEST)
        .collect();
    let why = format!("systemctl {} failed: {}", arguments.join(" "), said.trim());
    Err((code::COMMAND_FAILED, why))
}
