//! A field that a command is to change.

use aami_config::document::{EditError, FieldPath};
use aami_model::code;

use crate::cli::failure::Failure;

/// Reads the name of a field.
pub(super) fn named(text: &str) -> Result<FieldPath, Failure> {
    text.parse().map_err(|error: EditError| {
        Failure::found_with(
            code::INVALID,
            error.to_string(),
            "`aami config show` lists the fields that hold, and `aami config schema` all there are.",
        )
    })
}
