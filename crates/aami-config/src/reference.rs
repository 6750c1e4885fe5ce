//! The table of every field, for the guide.

use std::fmt::Write as _;

use crate::config::Config;
use crate::section::{Field, Fields as _, Presence};

/// The table, in Markdown, in the order of the schema.
pub fn table() -> String {
    let mut text = String::from("| field | what it means | what it may be | default |\n|---|---|---|---|\n");
    rows("", &Config::fields(), &mut text);
    text
}

fn rows(before: &str, fields: &[Field], text: &mut String) {
    for field in fields {
        let name = format!("{before}{}", field.key);
        let default = match field.presence {
            Presence::Required => "required".to_owned(),
            Presence::Optional | Presence::Section => String::new(),
            Presence::Default(value) => format!("`{value}`"),
        };
        let cell = |text: &str| text.replace('|', "\\|");
        let _ = writeln!(
            text,
            "| `{name}` | {} | {} | {default} |",
            cell(&field.about),
            cell(&field.words)
        );
        if let Some((between, below)) = &field.below {
            rows(&format!("{name}{between}"), below, text);
        }
    }
}
