//! Why one attempt on one host failed.

use aami_model::Code;

use crate::{ErrorClass, SshError};

/// A failure as it is scheduled, shown and summed up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// Its kind.
    pub class: ErrorClass,
    /// The condition.
    pub code: Code,
    /// One sentence, without the host's name: hosts with the same one are told together.
    pub sentence: String,
    /// Whether another attempt may follow.
    pub again: bool,
    /// The exit code of the command, where one ran to its end.
    pub exit: Option<u32>,
}

impl Fault {
    /// A failure that is final.
    pub fn new(class: ErrorClass, code: Code, sentence: impl Into<String>) -> Self {
        Self {
            class,
            code,
            sentence: sentence.into(),
            again: false,
            exit: None,
        }
    }

    /// The command ended with this code. It ran, so it is not tried again.
    pub const fn exit(mut self, code: u32) -> Self {
        self.exit = Some(code);
        self
    }

    /// A failure of SSH. `repeatable` says whether what was done may be done twice: where it may not, nothing
    /// follows on a command that may have run.
    pub fn ssh(error: &SshError, repeatable: bool) -> Self {
        let class = error.class();
        Self {
            class,
            code: error.code(),
            sentence: error.to_string(),
            again: class.may_retry() && (repeatable || !error.command_may_have_run()),
            exit: None,
        }
    }
}
