//! Which control plane is meant, and with which key.

use super::*;

const KEY: &str = "aamik_abc_aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";

fn folder(files: &[(&str, &str)]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for (name, text) in files {
        let path = folder.path().join(name);
        fs::write(&path, text).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
    }
    folder
}

fn in_folder(folder: &tempfile::TempDir) -> Reach {
    Reach {
        data_dir: Some(folder.path().to_owned()),
        ..Reach::default()
    }
}

#[test]
fn the_control_plane_of_this_machine_is_found_by_its_folder_and_said() {
    let folder = folder(&[("admin.key", KEY), ("address", "http://127.0.0.1:9999\n")]);
    let reached = in_folder(&folder)
        .connect(&Surroundings::default(), None)
        .unwrap();
    assert_eq!(reached.client.server(), "http://127.0.0.1:9999");
    let file = folder.path().join("admin.key");
    assert_eq!(
        reached.notes,
        [format!(
            "aami: asking http://127.0.0.1:9999 with the key in {}",
            file.display()
        )]
    );
}

#[test]
fn what_is_named_comes_before_the_environment_and_that_before_what_is_found() {
    let folder = folder(&[("admin.key", KEY), ("mine", KEY)]);
    let surroundings = Surroundings {
        server: Some("https://env:8080".into()),
        api_key: Some(KEY.into()),
        ..Surroundings::default()
    };
    let environment = Reach::default().connect(&surroundings, None).unwrap();
    assert_eq!(environment.client.server(), "https://env:8080");
    assert!(
        environment.notes.is_empty(),
        "nothing was guessed: {:?}",
        environment.notes
    );

    let named = Reach {
        server: Some("https://flag:1/".into()),
        key_file: Some(folder.path().join("mine")),
        ..Reach::default()
    };
    assert_eq!(
        named.connect(&surroundings, None).unwrap().client.server(),
        "https://flag:1"
    );
}

#[test]
fn a_key_that_lies_about_is_not_sent_to_a_stranger() {
    let up = folder(&[]);
    fs::create_dir(up.path().join("aami-up")).unwrap();
    fs::write(up.path().join("aami-up/admin.key"), KEY).unwrap();
    let surroundings = Surroundings {
        server: Some("https://elsewhere:8080".into()),
        data: Some(up.path().to_owned()),
        ..Surroundings::default()
    };
    // A machine that runs these tests may have a control plane of its own; its key is no better.
    let failure = Reach::default().connect(&surroundings, None).unwrap_err();
    let code = failure.code().unwrap();
    assert!(
        [code::UNAUTHENTICATED, code::KEY_FILE_UNREADABLE].contains(&code),
        "{failure}"
    );
}

#[test]
fn what_is_no_key_is_named_and_never_repeated() {
    let token = KEY.replace("aamik_", "aami_");
    for (text, why) in [
        (token.as_str(), "a bootstrap token"),
        ("rubbish-secret", "no API key"),
    ] {
        let folder = folder(&[("admin.key", text)]);
        let failure = in_folder(&folder)
            .connect(&Surroundings::default(), None)
            .unwrap_err();
        assert_eq!(failure.code(), Some(code::KEY_FILE_UNREADABLE));
        let said = failure.to_string();
        assert!(said.contains(why) && !said.contains(text), "{said}");
    }
}

#[test]
fn without_any_key_every_place_is_named() {
    let folder = folder(&[]);
    let failure = in_folder(&folder)
        .connect(&Surroundings::default(), None)
        .unwrap_err();
    assert_eq!(failure.code(), Some(code::UNAUTHENTICATED));
    assert!(failure.to_string().contains("admin.key"), "{failure}");
}

fn configured(text: &str) -> Server {
    let text = format!("cluster: {{name: x}}\n{text}");
    let read = aami_config::read(text.as_bytes(), &aami_config::Environment::bare()).unwrap();
    read.config.server.unwrap()
}

#[test]
fn the_configuration_names_a_control_plane_with_its_own_key() {
    let folder = folder(&[("mine", KEY)]);
    let file = folder.path().join("mine");
    let server = configured(&format!(
        "server:\n  url: https://conf:8080\n  key_file: {}\n",
        file.display()
    ));
    let reached = Reach::default()
        .connect(&Surroundings::default(), Some(&server))
        .unwrap();
    assert_eq!(reached.client.server(), "https://conf:8080");
    assert!(
        reached.notes[0].contains("https://conf:8080"),
        "{:?}",
        reached.notes
    );
    // One that is named otherwise is not given that key.
    let named = Reach {
        server: Some("https://flag:1".into()),
        root: Some(folder.path().to_owned()),
        ..Reach::default()
    };
    let failure = named
        .connect(&Surroundings::default(), Some(&server))
        .unwrap_err();
    assert_eq!(failure.code(), Some(code::UNAUTHENTICATED));
}

#[test]
fn a_key_file_others_can_read_is_said() {
    let folder = folder(&[("admin.key", KEY)]);
    fs::set_permissions(folder.path().join("admin.key"), fs::Permissions::from_mode(0o644)).unwrap();
    let reached = in_folder(&folder)
        .connect(&Surroundings::default(), None)
        .unwrap();
    assert!(
        reached.notes.iter().any(|note| note.contains("chmod 600")),
        "{:?}",
        reached.notes
    );
}
