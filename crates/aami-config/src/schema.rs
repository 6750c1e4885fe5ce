//! The JSON schema of the configuration, for editors and other programs.
//!
//! It says what a field may be as far as JSON schema can; what stands twice and which files are there is seen only
//! when the file is read.

use serde_json::{Value, json};

use crate::config::Config;
use crate::section::object;

/// The schema (draft 2020-12).
pub fn schema() -> Value {
    let mut schema = object::<Config>();
    schema["$schema"] = json!("https://json-schema.org/draft/2020-12/schema");
    schema["title"] = json!("AAMI: /etc/aami/config.yaml");
    schema
}

/// The schema as the file that is checked in.
pub fn text() -> String {
    format!("{:#}\n", schema())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_field_says_what_it_means() {
        let schema = schema();
        let mut fields = 0;
        let mut open = vec![&schema];
        while let Some(value) = open.pop() {
            if let Some(properties) = value.get("properties").and_then(Value::as_object) {
                for (name, property) in properties {
                    fields += 1;
                    let about = property["description"].as_str().unwrap_or_default();
                    assert!(about.len() > 10 && about.ends_with('.'), "{name}: {about:?}");
                }
            }
            match value {
                Value::Array(items) => open.extend(items),
                Value::Object(pairs) => open.extend(pairs.values()),
                _ => {}
            }
        }
        assert!(fields > 60, "{fields} fields");
    }

    #[test]
    fn only_the_cluster_must_be_named() {
        let schema = schema();
        assert_eq!(
            schema["properties"]["cluster"]["allOf"][0]["required"],
            json!(["name"])
        );
        assert_eq!(schema["properties"]["ssh"]["allOf"][0]["required"], Value::Null);
        assert_eq!(
            schema["properties"]["prometheus"]["allOf"][0]["properties"]["port"]["default"],
            json!(9090)
        );
    }
}
