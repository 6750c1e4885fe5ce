//! Secrets are shown only to a person, and once.

use std::os::unix::fs::PermissionsExt as _;

use crate::plane::Plane;

#[test]
fn a_script_gets_the_file_of_a_token_and_not_the_token() {
    let plane = Plane::start();
    for form in ["table", "json", "yaml"] {
        let made = plane.aami(&["tokens", "create", "--name", form, "-o", form]);
        assert_eq!(made.exit, 0, "{made:?}");
        assert!(
            !made.out.contains("aami_") && !made.err.contains("aami_"),
            "{made:?}"
        );
    }
    let made = plane
        .aami(&["tokens", "create", "--name", "t", "-o", "json"])
        .json();
    assert!(
        made.get("token").is_none() && made.get("one_line").is_none(),
        "{made}"
    );
    let file = std::path::Path::new(made["token_file"].as_str().unwrap());
    let token = std::fs::read_to_string(file).unwrap();
    assert!(
        token.starts_with(&format!("aami_{}_", made["id"].as_str().unwrap())),
        "{token}"
    );
    assert_eq!(file.metadata().unwrap().permissions().mode() & 0o777, 0o600);
    // It is shown nowhere afterwards.
    let listed = plane.aami(&["tokens", "list", "-o", "json"]);
    assert!(
        !listed.out.contains(token.trim()) && !listed.out.contains("hash"),
        "{listed:?}"
    );
}

#[test]
fn a_token_is_shown_only_when_that_is_asked_for() {
    let plane = Plane::start();
    let made = plane.aami(&["tokens", "create", "--name", "t", "--show-secret"]);
    let token = made
        .out
        .split("Bearer ")
        .nth(1)
        .unwrap()
        .split('\'')
        .next()
        .unwrap();
    assert!(token.starts_with("aami_"), "{made:?}");
    assert!(
        made.out.contains("curl -fsSLk --pinnedpubkey 'sha256//"),
        "{made:?}"
    );
    assert!(made.out.contains("/bootstrap.sh | sudo sh"), "{made:?}");
    assert!(!plane.folder.path().join(".local").exists(), "nothing was saved");
}

#[test]
fn a_file_that_exists_keeps_what_it_holds_and_no_token_is_made() {
    let plane = Plane::start();
    let file = plane.folder.path().join("mine");
    std::fs::write(&file, "mine").unwrap();
    let refused = plane.aami(&[
        "tokens",
        "create",
        "--name",
        "t",
        "--save-to",
        file.to_str().unwrap(),
    ]);
    assert_eq!(refused.exit, 6, "{refused:?}");
    assert_eq!(std::fs::read_to_string(&file).unwrap(), "mine");
    assert_eq!(
        plane.aami(&["tokens", "list", "-o", "json"]).json(),
        serde_json::json!([])
    );
}

#[test]
fn the_admin_key_is_never_said() {
    let plane = Plane::start();
    let key = std::fs::read_to_string(plane.data().join("admin.key")).unwrap();
    for arguments in [
        ["status", "-o", "json"],
        ["keys", "list", "--output=wide"],
        ["audit", "list", "--output=wide"],
    ] {
        let said = plane.aami(&arguments);
        assert!(
            !said.out.contains(key.trim()) && !said.err.contains(key.trim()),
            "{said:?}"
        );
        assert!(
            said.err.contains("admin.key"),
            "it says which key it uses: {said:?}"
        );
    }
}
