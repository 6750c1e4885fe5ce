//! How a node's tries to update its agent ended, as it is kept.

use aami_model::code;
use aami_model::command::{CommandStatus, NodeCommand};

use crate::view::linked::{CommandDocument, ReportedDocument, TriedDocument, UntakenDocument};

/// Notes how a command to update the agent ended, where it is one that did.
pub(in crate::app) fn note_try(reported: &mut ReportedDocument, ended: &CommandDocument) {
    let NodeCommand::UpdateAgent { version } = &ended.command else {
        return;
    };
    let Some(at) = ended.ended_at else { return };
    let busy = ended.code.as_deref() == Some(code::COMMAND_BUSY.symbol);
    let ok = match ended.status {
        CommandStatus::Completed => true,
        CommandStatus::Failed if !busy => false,
        CommandStatus::Unknown if ended.accepted_at.is_some() => false,
        // One that was never taken was no try.
        CommandStatus::Failed | CommandStatus::Unknown => {
            let before = reported
                .untaken
                .take()
                .filter(|before| before.version == *version);
            reported.untaken = Some(UntakenDocument {
                version: version.clone(),
                times: before.map_or(0, |before| before.times).saturating_add(1),
                at,
            });
            return;
        }
        CommandStatus::Sent | CommandStatus::Accepted => return,
    };
    reported.untaken = None;
    reported.update = Some(TriedDocument {
        version: version.clone(),
        ok,
        code: ended.code.clone(),
        message: ended.message.clone(),
        at,
    });
}
