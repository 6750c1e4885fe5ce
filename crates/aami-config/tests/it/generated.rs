//! Files that are generated from the declaration of the sections. `AAMI_WRITE_SCHEMA=1` writes them.

use std::fs;
use std::path::{Path, PathBuf};

const BEGIN: &str = "<!-- the table of fields: `cargo xtask schema` writes it -->\n";
const END: &str = "<!-- the end of the table -->\n";

pub(crate) fn docs(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../../docs")
        .join(name)
}

fn writes() -> bool {
    std::env::var_os("AAMI_WRITE_SCHEMA").is_some()
}

#[test]
fn the_checked_in_schema_is_the_one_the_program_prints() {
    let path = docs("config.schema.json");
    let wanted = aami_config::schema::text();
    if writes() {
        fs::write(&path, &wanted).unwrap();
    }
    let found = fs::read_to_string(&path).unwrap_or_default();
    assert!(
        found == wanted,
        "docs/config.schema.json differs; run `cargo xtask schema`"
    );
}

#[test]
fn the_guide_has_every_field() {
    let path = docs("guide/configuration.md");
    let text = fs::read_to_string(&path).unwrap();
    let (before, rest) = text.split_once(BEGIN).unwrap();
    let (found, after) = rest.split_once(END).unwrap();
    let wanted = aami_config::reference::table();
    if writes() {
        fs::write(&path, format!("{before}{BEGIN}{wanted}{END}{after}")).unwrap();
        return;
    }
    assert!(
        found == wanted,
        "the table in docs/guide/configuration.md differs; run `cargo xtask schema`"
    );
}
