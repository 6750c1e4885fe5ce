//! What the guide shows, as it is.

use std::fs;

use aami_config::{Environment, FileState, read};

use crate::generated::docs;

#[test]
fn every_configuration_in_the_guide_is_sound() {
    let text = fs::read_to_string(docs("guide/configuration.md")).unwrap();
    let world = Environment {
        variables: &|_| Some("https://example.com/x".to_owned()),
        home: Some(std::path::Path::new("/root")),
        files: &|_| FileState::Readable,
        presets: None,
    };
    let mut shown = 0;
    for block in text.split("```yaml\n").skip(1) {
        let block = block.split("```").next().unwrap();
        if block.contains("cluster:") {
            shown += 1;
            if let Err(problems) = read(block.as_bytes(), &world) {
                panic!("{block}\n{problems}");
            }
        }
    }
    assert!(shown >= 2, "{shown} shown");
}

#[test]
fn every_list_in_the_guide_is_taken() {
    let text = fs::read_to_string(docs("guide/configuration.md")).unwrap();
    let lists = text.split_once("## Lists of nodes").unwrap().1;
    let mut shown = 0;
    for block in lists.split("```text\n").skip(1) {
        let block = block.split("```").next().unwrap();
        shown += 1;
        if let Err(problems) =
            aami_config::list::read(block.as_bytes(), None, &|_| aami_config::list::Addresses::new())
        {
            panic!("{block}\n{problems}");
        }
    }
    assert_eq!(shown, 5);
}
