//! `aami nodes command`.

use std::time::{Duration, Instant};

use aami_api::command::{CommandView, Commands, GiveCommand, LONGEST_TIMEOUT};
use aami_api::node::NodeView;
use aami_model::command::{CommandStatus, NodeCommand};
use aami_model::exporter::ExporterKind;
use aami_model::version::Version;
use aami_model::{Exit, code};
use clap::{Args, Subcommand};
use http::Method;

use crate::cli::dry::Change;
use crate::cli::duration::Seconds;
use crate::cli::failure::Failure;
use crate::cli::find;
use crate::cli::session::Session;
use crate::cli::table::Table;

/// How often it is asked how far a command is.
const PAUSE: Duration = Duration::from_millis(500);

/// Tell a connected node to do something, or list what it was told
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  aami nodes command gpu-01
  aami nodes command gpu-01 run-checks --wait
  aami nodes command gpu-01 restart-exporter dcgm_exporter
  aami nodes command gpu-01 update-agent 1.4.0 --dry-run")]
pub(crate) struct Command {
    /// Hostname or id
    node: String,
    /// How long it may take, e.g. 5m
    #[arg(long, global = true, value_name = "DURATION")]
    timeout: Option<Seconds>,
    /// Wait for its end, and show what it gave
    #[arg(long, global = true)]
    wait: bool,
    /// Say what would be done, and do nothing
    #[arg(long, global = true)]
    dry_run: bool,
    #[command(subcommand)]
    what: Option<What>,
}

#[derive(Debug, Subcommand)]
enum What {
    /// Run all checks now
    #[command(after_help = "Examples:\n  aami nodes command gpu-01 run-checks --wait")]
    RunChecks,
    /// Look at the hardware again
    #[command(after_help = "Examples:\n  aami nodes command gpu-01 refresh-inventory")]
    RefreshInventory,
    /// Gather states and logs
    #[command(after_help = "Examples:\n  aami nodes command gpu-01 diagnose --wait -o json | jq -r .output")]
    Diagnose,
    /// Restart an exporter that AAMI installed
    #[command(after_help = "Examples:\n  aami nodes command gpu-01 restart-exporter dcgm_exporter --dry-run")]
    RestartExporter {
        /// Which, e.g. node_exporter or dcgm_exporter
        #[arg(value_parser = exporter)]
        exporter: ExporterKind,
    },
    /// Replace the agent by another release
    #[command(after_help = "Examples:\n  aami nodes command gpu-01 update-agent 1.4.0 --timeout 10m --wait")]
    UpdateAgent {
        /// Its version, e.g. 1.4.0
        version: String,
    },
}

fn exporter(text: &str) -> Result<ExporterKind, String> {
    serde_json::from_value(serde_json::Value::String(text.to_owned())).map_err(|error| error.to_string())
}

impl From<What> for NodeCommand {
    fn from(what: What) -> Self {
        match what {
            What::RunChecks => Self::RunChecks,
            What::RefreshInventory => Self::RefreshInventory,
            What::Diagnose => Self::Diagnose,
            What::RestartExporter { exporter } => Self::RestartExporter { exporter },
            What::UpdateAgent { version } => Self::UpdateAgent { version },
        }
    }
}

const fn name(status: CommandStatus) -> &'static str {
    match status {
        CommandStatus::Sent => "sent",
        CommandStatus::Accepted => "accepted",
        CommandStatus::Completed => "completed",
        CommandStatus::Failed => "failed",
        CommandStatus::Unknown => "unknown",
    }
}

impl Command {
    pub(super) fn run(self, session: &mut Session) -> Result<Exit, Failure> {
        let node = find::node(session, &self.node)?;
        let path = format!("/api/v1/nodes/{}/commands", node.id);
        let Some(what) = self.what else {
            let all: Commands = session.client.get(&path)?;
            session.screen.show(&all.commands, |_| table(&all.commands))?;
            return Ok(Exit::Ok);
        };
        let wanted = GiveCommand {
            command: what.into(),
            timeout_seconds: self
                .timeout
                .map(|Seconds(seconds)| u32::try_from(seconds).unwrap_or(u32::MAX)),
        };
        let change = Change::new(Method::POST, path.as_str(), &wanted);
        if self.dry_run {
            judge(&node, &wanted)?;
            let line = format!("{} would be told: {}", node.hostname, wanted.command.name());
            return change.tell(session, &node.id, line);
        }
        let mut command: CommandView = change.send(session)?;
        if self.wait {
            // The control plane ends it itself; this is for when it does not.
            let most = Duration::from_secs(u64::from(command.timeout_seconds) + 120);
            let begun = Instant::now();
            while matches!(command.status, CommandStatus::Sent | CommandStatus::Accepted)
                && begun.elapsed() < most
            {
                std::thread::sleep(PAUSE);
                command = session.client.get(&format!("{path}/{}", command.id))?;
            }
        }
        let mut line = format!(
            "{} is {} ({})",
            command.command.name(),
            name(command.status),
            command.id
        );
        if !command.message.is_empty() {
            line.push_str(&format!(": {}", command.message));
        }
        if let Some(output) = &command.output {
            line.push('\n');
            line.push_str(output.trim_end());
        }
        session.screen.show_one(&command, &line)?;
        Ok(match command.status {
            CommandStatus::Completed => Exit::Ok,
            CommandStatus::Failed => Exit::Failed,
            CommandStatus::Unknown => Exit::Pending,
            CommandStatus::Sent | CommandStatus::Accepted if self.wait => Exit::Pending,
            CommandStatus::Sent | CommandStatus::Accepted => Exit::Ok,
        })
    }
}

/// Refuses what the control plane refuses before it tells a node anything.
fn judge(node: &NodeView, wanted: &GiveCommand) -> Result<(), Failure> {
    if let NodeCommand::UpdateAgent { version } = &wanted.command {
        let read = version.parse::<Version>();
        read.map_err(|error| Failure::invalid(format!("version: {error}")))?;
    }
    if (wanted.timeout_seconds).is_some_and(|seconds| !(5..=LONGEST_TIMEOUT).contains(&seconds)) {
        return Err(Failure::invalid(format!(
            "timeout_seconds: it is 5 to {LONGEST_TIMEOUT}"
        )));
    }
    if !node.connected {
        return Err(Failure::found(
            code::NODE_NOT_CONNECTED,
            format!("{} is not connected at this moment", node.hostname),
        ));
    }
    Ok(())
}

fn table(commands: &[CommandView]) -> Table {
    let mut table = Table::new(&["ID", "COMMAND", "STATUS", "GIVEN", "BY", "SAYS"], "no commands");
    for command in commands {
        table.row(vec![
            command.id.to_string(),
            command.command.name().to_owned(),
            name(command.status).to_owned(),
            command.created_at.to_string(),
            command.created_by.clone(),
            command.message.clone(),
        ]);
    }
    table
}
