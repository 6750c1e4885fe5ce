//! What an uninstall would do, as it is shown before.

use serde_json::{Value, json};

use super::fleet::Declared;

/// What would become of things on this machine.
pub(super) struct Planned {
    /// What was installed or made from a configuration, in the order it is taken back in.
    takes_back: Vec<String>,
    /// What goes with the data, because that is asked for.
    removes: Vec<String>,
    /// What is another's.
    leaves: Vec<String>,
}

impl Planned {
    /// With a declared fleet, the records of its exporter, and those of the stack, both last first.
    pub(super) fn of(
        declared: Option<&Declared>,
        mut exporter: Vec<String>,
        stack: Vec<String>,
        purges: bool,
    ) -> Self {
        exporter.extend(declared.map_or_else(Vec::new, Declared::rules));
        exporter.extend(stack);
        Self {
            takes_back: exporter,
            removes: (declared.filter(|_| purges)).map_or_else(Vec::new, Declared::purges),
            leaves: declared.map_or_else(Vec::new, |declared| declared.others().to_vec()),
        }
    }

    pub(super) fn json(&self, purges: bool, data: &Value) -> Value {
        json!({
            "type": "uninstall_plan", "takes_back": self.takes_back, "removes": self.removes, "leaves": self.leaves,
            "purges": purges, "data": data,
        })
    }

    pub(super) fn lines(&self) -> Vec<String> {
        [
            ("take back   ", &self.takes_back),
            ("remove      ", &self.removes),
            ("leave       ", &self.leaves),
        ]
        .into_iter()
        .flat_map(|(word, list)| list.iter().map(move |what| format!("  {word} {what}")))
        .collect()
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::cli::surroundings::Surroundings;
    use crate::fleet::{Place, Remains};

    #[test]
    fn rules_lists_and_configuration_stand_in_the_plan() {
        // Given a machine with all that the commands of a declared fleet write,
        let root = tempfile::tempdir().unwrap();
        let place = Place::new(Some(root.path()), None, &Surroundings::default());
        for path in [
            "/etc/aami/config.yaml",
            "/etc/aami/rules/aami-custom.yaml",
            "/var/lib/aami/targets/nodes.json",
        ] {
            let path = place.path(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, "x").unwrap();
        }
        let note = r#"{"version": 1, "config": "/etc/aami/config.yaml", "nodes": {}}"#;
        fs::write(place.path("/var/lib/aami/fleet.json"), note).unwrap();
        let declared = Declared::of(Remains::look(&place).unwrap());
        let words = |list: &[&str]| -> Vec<String> { list.iter().map(ToString::to_string).collect() };
        let plan = |purges| {
            Planned::of(
                Some(&declared),
                words(&["unit exporter"]),
                words(&["unit prometheus"]),
                purges,
            )
        };
        let paths = |list: &Value| -> Vec<String> {
            let list = list.as_array().unwrap().iter().map(|one| one.as_str().unwrap());
            list.map(|path| path.replace(root.path().to_str().unwrap(), ""))
                .collect()
        };
        // when it is planned with the data, then all of it is named, for programs and for people;
        let told = plan(true).json(true, &"/var/lib/aami".into());
        assert_eq!(
            paths(&told["takes_back"]),
            [
                "unit exporter",
                "/etc/aami/rules/aami-custom.yaml",
                "unit prometheus"
            ]
        );
        assert_eq!(
            paths(&told["removes"]),
            [
                "/var/lib/aami/targets/nodes.json",
                "/var/lib/aami/fleet.json",
                "/etc/aami/config.yaml"
            ]
        );
        assert_eq!(plan(true).lines().len(), 6);
        // without it, the operator's data is not.
        assert_eq!(plan(false).lines().len(), 3);
    }
}
