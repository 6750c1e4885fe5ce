use proptest::prelude::*;

use super::*;
use crate::document::change::comments;
use crate::document::plain::Plain;

fn document(text: &str) -> Document {
    Document::parse(text.as_bytes()).unwrap()
}

fn added(text: &str, nodes: &[NewNode]) -> String {
    let mut document = document(text);
    document.add_nodes(nodes).unwrap();
    document.text().to_owned()
}

fn removed(text: &str, names: &[&str]) -> String {
    let mut document = document(text);
    let names: Vec<Hostname> = names.iter().map(|name| name.parse().unwrap()).collect();
    document.remove_nodes(&names, &Environment::bare()).unwrap();
    document.text().to_owned()
}

fn set(text: &str, field: &str, value: &str) -> Result<String, EditError> {
    let mut document = document(text);
    document.set(&field.parse()?, value)?;
    Ok(document.text().to_owned())
}

fn unset(text: &str, field: &str) -> Result<String, EditError> {
    let mut document = document(text);
    document.unset(&field.parse()?)?;
    Ok(document.text().to_owned())
}

fn node(name: &str, ip: &str) -> NewNode {
    NewNode::new(name.parse().unwrap(), ip.parse().unwrap())
}

fn rich() -> NewNode {
    NewNode {
        ssh_user: Some("ops".into()),
        ssh_key: Some("~/.ssh/id".into()),
        ssh_port: Some(2222),
        labels: [("rack", "A1"), ("row", "03"), ("note", "a: b ${X}")]
            .into_iter()
            .collect(),
        ..node("gpu9", "2001:db8::9")
    }
}

const FLEET: &str = "\
# The fleet of the third floor.
cluster:
  name: prod   # never change

nodes:   # ask Ann first
  # the old ones
  - name: gpu1
    ip: 10.0.0.1
    labels: {rack: A1}   # by hand
  # broken since May
  - name: gpu2   # ticket 77
    ip: '10.0.0.2'

  - name: ${THIRD}
    ip: 10.0.0.3
    # no key here
# below

grafana:
  admin_password: ${GRAFANA}
";

#[test]
fn a_node_is_added_as_its_neighbours_are_written() {
    insta::assert_snapshot!(added(FLEET, &[node("gpu4", "10.0.0.4"), rich()]));
}

#[test]
fn the_first_node_opens_the_list_wherever_it_is() {
    for (before, after) in [
        ("nodes: []\n", "nodes:\n  - name: a\n    ip: 10.0.0.1\n"),
        (
            "nodes: [ ]  # none yet\n",
            "nodes:  # none yet\n  - name: a\n    ip: 10.0.0.1\n",
        ),
        ("nodes:\n", "nodes:\n  - name: a\n    ip: 10.0.0.1\n"),
        ("nodes: null\n", "nodes:\n  - name: a\n    ip: 10.0.0.1\n"),
        ("", "nodes:\n  - name: a\n    ip: 10.0.0.1\n"),
        ("# ours", "# ours\nnodes:\n  - name: a\n    ip: 10.0.0.1\n"),
        (
            "cluster: {name: x}",
            "cluster: {name: x}\nnodes:\n  - name: a\n    ip: 10.0.0.1",
        ),
        (
            "nodes: []\r\nssh: {port: 22}\r\n",
            "nodes:\r\n  - name: a\r\n    ip: 10.0.0.1\r\nssh: {port: 22}\r\n",
        ),
        (
            "{cluster: {name: x}}\n",
            "{cluster: {name: x}, nodes: [{name: a, ip: 10.0.0.1}]}\n",
        ),
        (
            "nodes:\n- name: z\n  ip: 10.0.0.9\nssh:\n",
            "nodes:\n- name: z\n  ip: 10.0.0.9\n- name: a\n  ip: 10.0.0.1\nssh:\n",
        ),
        (
            "nodes:\n  -   name: z\n      ip: 10.0.0.9\n",
            "nodes:\n  -   name: z\n      ip: 10.0.0.9\n  -   name: a\n      ip: 10.0.0.1\n",
        ),
        (
            "nodes:\n  - {name: z, ip: 10.0.0.9}  # old\n",
            "nodes:\n  - {name: z, ip: 10.0.0.9}  # old\n  - {name: a, ip: 10.0.0.1}\n",
        ),
        (
            "nodes: [{name: z, ip: 10.0.0.9}]\n",
            "nodes: [{name: z, ip: 10.0.0.9}, {name: a, ip: 10.0.0.1}]\n",
        ),
        (
            "nodes:\n  - name: z\n    ip: 10.0.0.9\n    labels:\n# end\n",
            "nodes:\n  - name: z\n    ip: 10.0.0.9\n    labels:\n  - name: a\n    ip: 10.0.0.1\n# end\n",
        ),
        (
            "\u{feff}nodes: []\n",
            "\u{feff}nodes:\n  - name: a\n    ip: 10.0.0.1\n",
        ),
    ] {
        assert_eq!(added(before, &[node("a", "10.0.0.1")]), after, "{before:?}");
    }
}

#[test]
fn a_node_goes_with_its_own_comments_and_leaves_all_others() {
    insta::assert_snapshot!(removed(FLEET, &["gpu2"]));
}

#[test]
fn the_last_node_leaves_an_empty_list() {
    assert_eq!(
        removed(
            "nodes: # ours\n  # a\n  - name: a\n    ip: 10.0.0.1\n  # b\nssh: {}\n",
            &["a"]
        ),
        "nodes: [] # ours\n  # a\n  # b\nssh: {}\n"
    );
    assert_eq!(
        removed("nodes: [{name: a, ip: 10.0.0.1}]\n", &["a"]),
        "nodes: []\n"
    );
    let three = "nodes: [{name: a}, {name: b}, {name: c}]\n";
    assert_eq!(removed(three, &["a", "b"]), "nodes: [{name: c}]\n");
    assert_eq!(removed(three, &["b", "c"]), "nodes: [{name: a}]\n");
    assert_eq!(removed(three, &["a", "c"]), "nodes: [{name: b}]\n");
}

#[test]
fn a_name_written_with_a_variable_is_found_as_it_reads() {
    let mut document = document(FLEET);
    let lookup = |name: &str| (name == "THIRD").then(|| "gpu3".to_owned());
    let environment = Environment {
        variables: &lookup,
        ..Environment::bare()
    };
    document
        .remove_nodes(&["gpu3".parse().unwrap()], &environment)
        .unwrap();
    assert!(!document.text().contains("${THIRD}") && document.text().contains("${GRAFANA}"));
    let before = document.clone();
    let error = document
        .remove_nodes(
            &["gpu1".parse().unwrap(), "nobody".parse().unwrap()],
            &environment,
        )
        .unwrap_err();
    assert_eq!(error.to_string(), "the node nobody is not in the configuration");
    assert_eq!(document, before, "nothing is removed where one is missing");
}

#[test]
fn a_node_is_changed_where_it_stands() {
    let mut document = document(FLEET);
    let name: Hostname = "gpu1".parse().unwrap();
    let bare = Environment::bare();
    document
        .change_node(&name, "labels.rack", Some("B2"), &bare)
        .unwrap();
    document
        .change_node(&name, "labels.row", Some("7"), &bare)
        .unwrap();
    document
        .change_node(&name, "ssh_user", Some("ops"), &bare)
        .unwrap();
    assert!(
        document
            .text()
            .contains("    labels: {rack: B2, row: 7}   # by hand\n    ssh_user: ops\n"),
        "{}",
        document.text()
    );
    document.change_node(&name, "labels.rack", None, &bare).unwrap();
    document.change_node(&name, "ssh_user", None, &bare).unwrap();
    assert!(
        document
            .text()
            .contains("    labels: {row: 7}   # by hand\n  # broken")
    );
}

#[test]
fn presets_come_and_go() {
    let mut one = document("cluster: {name: x}\n");
    assert!(one.add_preset("gpu-production").unwrap());
    assert!(!one.add_preset("gpu-production").unwrap());
    assert_eq!(
        one.text(),
        "cluster: {name: x}\nalerts:\n  presets:\n    - gpu-production\n"
    );
    assert!(one.add_preset("infiniband").unwrap());
    assert!(one.remove_preset("gpu-production").unwrap());
    assert!(!one.remove_preset("gpu-production").unwrap());
    assert_eq!(
        one.text(),
        "cluster: {name: x}\nalerts:\n  presets:\n    - infiniband\n"
    );
    assert!(one.remove_preset("infiniband").unwrap());
    assert_eq!(one.text(), "cluster: {name: x}\nalerts:\n  presets: []\n");

    let mut flow = document("alerts: {presets: []}\n");
    flow.add_preset("a").unwrap();
    flow.add_preset("b").unwrap();
    assert_eq!(flow.text(), "alerts: {presets: [a, b]}\n");
    let mut short = document("alerts:\n  presets: []  # none\n");
    short.add_preset("a").unwrap();
    assert_eq!(short.text(), "alerts:\n  presets: [a]  # none\n");
}

#[test]
fn a_setting_is_set_where_it_stands_or_where_it_belongs() {
    for (before, field, value, after) in [
        (
            "ssh:\n  port: 22 # usual\n",
            "ssh.port",
            "2222",
            "ssh:\n  port: 2222 # usual\n",
        ),
        ("ssh:\n  user: 'a'\n", "ssh.user", "ops", "ssh:\n  user: ops\n"),
        ("ssh:\n  port:\n", "ssh.port", "22", "ssh:\n  port: 22\n"),
        (
            "ssh:\n  port: ~  # c\n",
            "ssh.port",
            "22",
            "ssh:\n  port: 22  # c\n",
        ),
        ("ssh: {}\n", "ssh.port", "22", "ssh: {port: 22}\n"),
        (
            "ssh: {user: a}\n",
            "ssh.retry.max_attempts",
            "5",
            "ssh: {user: a, retry: {max_attempts: 5}}\n",
        ),
        ("ssh:\n", "ssh.port", "22", "ssh:\n  port: 22\n"),
        (
            "ssh:\n  user: a\n# end\n",
            "ssh.retry.max_attempts",
            "5",
            "ssh:\n  user: a\n  retry:\n    max_attempts: 5\n# end\n",
        ),
        ("", "ssh.port", "22", "ssh:\n  port: 22\n"),
        (
            "grafana:\n  admin_password: old\n",
            "grafana.admin_password",
            "${NEW}",
            "grafana:\n  admin_password: \"${NEW}\"\n",
        ),
        (
            "server: https://a:1\n",
            "server",
            "https://b:2",
            "server: https://b:2\n",
        ),
        (
            "alerts:\n  custom:\n    - name: A\n      expr: |\n        up == 0\n      for: 1m\n",
            "alerts.custom[0].expr",
            "up == 1",
            "alerts:\n  custom:\n    - name: A\n      expr: \"up == 1\"\n      for: 1m\n",
        ),
    ] {
        assert_eq!(set(before, field, value).unwrap(), after, "{before:?} {field}");
    }
}

#[test]
fn a_setting_is_removed_with_its_line() {
    for (before, field, after) in [
        (
            "ssh:\n  port: 22 # usual\n  user: a\n",
            "ssh.port",
            "ssh:\n  user: a\n",
        ),
        ("ssh: {port: 22, user: a}\n", "ssh.port", "ssh: {user: a}\n"),
        ("ssh: {port: 22, user: a}\n", "ssh.user", "ssh: {port: 22}\n"),
        ("ssh: {port: 22}\n", "ssh.port", "ssh: {}\n"),
        ("a: 1\nssh:\n  port: 22\n", "ssh", "a: 1\n"),
        ("ssh:\n  port: 22\n", "ssh.port", "ssh:\n"),
        ("ssh:\n  port: 22\n", "ssh", ""),
        (
            "nodes:\n  - group: a\n    name: x\n",
            "nodes[0].group",
            "nodes:\n  - name: x\n",
        ),
    ] {
        assert_eq!(unset(before, field).unwrap(), after, "{before:?} {field}");
    }
    assert_eq!(
        unset("ssh: {user: a}\n", "ssh.port"),
        Err(EditError::NotThere("ssh.port".into()))
    );
}

#[test]
fn what_cannot_be_changed_safely_is_refused_and_stays() {
    let unknown = set("", "ssh.max_paralel", "1").unwrap_err();
    assert_eq!(
        unknown.to_string(),
        "there is no field ssh.max_paralel; did you mean ssh.max_parallel?"
    );
    for field in [
        "",
        ".",
        "ssh.",
        "ssh[",
        "nodes[x]",
        "ssh.port.x",
        "nodes[0].labels.a.b",
        &"a.".repeat(5_000),
    ] {
        assert!(
            matches!(set("", field, "1"), Err(EditError::UnknownField { .. })),
            "{field:?}"
        );
    }
    assert!(matches!(
        set("alerts:\n  presets:\n    - a\n", "alerts.presets", "b"),
        Err(EditError::ByHand { line: 3, .. })
    ));
    assert!(matches!(
        set("nodes: []\n", "nodes[0].ip", "10.0.0.1"),
        Err(EditError::NotThere(_))
    ));
    // Through an alias, a change would be one of many places.
    let aliased = "x: &l {rack: A1}\nnodes:\n  - {name: a, labels: *l}\n";
    assert!(matches!(
        set(aliased, "nodes[0].labels.rack", "B"),
        Err(EditError::ByHand { line: 3, .. })
    ));
    let mut list = document("y: &n [{name: z}]\nnodes: *n\n");
    assert!(matches!(
        list.add_nodes(&[node("a", "10.0.0.1")]),
        Err(EditError::ByHand { line: 2, .. })
    ));
    // Comments within brackets have no line of their own to stay in.
    let mut flow = document("nodes: [\n  {name: a},  # first\n  {name: b},  # second\n]\n");
    let before = flow.clone();
    let error = flow.remove_nodes(&["b".parse().unwrap()], &Environment::bare());
    assert_eq!(error, Err(EditError::NotReadBack));
    assert_eq!(flow, before);
}

#[test]
fn twenty_thousand_nodes_are_added_and_removed_at_once() {
    let nodes: Vec<NewNode> = (0..20_000_u32)
        .map(|at| {
            let [_, a, b, c] = at.to_be_bytes();
            node(&format!("gpu{at}"), &format!("10.{a}.{b}.{c}"))
        })
        .collect();
    let mut one = document("cluster: {name: x}\nnodes: []\n");
    one.add_nodes(&nodes).unwrap();
    let names: Vec<Hostname> = nodes.iter().map(|node| node.name.clone()).collect();
    one.remove_nodes(&names, &Environment::bare()).unwrap();
    assert_eq!(one.text(), "cluster: {name: x}\nnodes: []\n");
}

// What follows makes texts in many styles, changes them, and compares with the same change made to what they say.

/// A way to write a fleet.
#[derive(Debug, Clone)]
struct Style {
    indent: usize,
    gap: usize,
    flow_items: bool,
    flow_list: bool,
    crlf: bool,
    comments: bool,
    last_break: bool,
    quote: char,
    mark: bool,
}

fn style() -> impl Strategy<Value = Style> {
    (
        0_usize..5,
        1_usize..5,
        any::<[bool; 6]>(),
        prop::sample::select(vec![' ', '\'', '"']),
    )
        .prop_map(
            |(indent, gap, [flow_items, flow_list, crlf, comments, last_break, mark], quote)| Style {
                indent,
                gap,
                flow_items,
                flow_list,
                crlf,
                comments,
                last_break,
                quote,
                mark,
            },
        )
}

impl Style {
    fn write(&self, names: &[String]) -> String {
        let quoted = |text: &str| match self.quote {
            ' ' => text.to_owned(),
            quote => format!("{quote}{text}{quote}"),
        };
        let note = |text: &str| {
            if self.comments {
                format!("  # {text}")
            } else {
                String::new()
            }
        };
        let line = |text: &str| {
            if self.comments {
                format!("# {text}\n")
            } else {
                String::new()
            }
        };
        let spaces = " ".repeat(self.indent);
        let mut text = line("top");
        text.push_str(&format!("cluster: {{name: x}}{}\n\n", note("cluster")));
        text.push_str(&line("above the nodes"));
        if self.flow_list || names.is_empty() {
            let items: Vec<String> = names
                .iter()
                .map(|name| format!("{{name: {}, ip: 10.0.0.1}}", quoted(name)))
                .collect();
            text.push_str(&format!("nodes: [{}]{}\n", items.join(", "), note("nodes")));
        } else {
            text.push_str(&format!("nodes:{}\n", note("nodes")));
            for name in names {
                if self.comments {
                    text.push_str(&format!("{spaces}# above {name}\n"));
                }
                let dash = format!("{spaces}-{}", " ".repeat(self.gap));
                let inner = " ".repeat(self.indent + 1 + self.gap);
                if self.flow_items {
                    text.push_str(&format!(
                        "{dash}{{name: {}, ip: 10.0.0.1}}{}\n",
                        quoted(name),
                        note("item")
                    ));
                } else {
                    text.push_str(&format!("{dash}name: {}{}\n", quoted(name), note("item")));
                    if self.comments {
                        text.push_str(&format!("{inner}# within\n"));
                    }
                    text.push_str(&format!("{inner}ip: 10.0.0.1\n{inner}ssh_user: ${{WHO}}\n"));
                }
            }
        }
        text.push_str(&line("below the nodes"));
        text.push_str(&format!("grafana:\n  admin_password: ${{G}}{}\n", note("secret")));
        text.push_str(&line("the end"));
        if !self.last_break {
            text.truncate(text.trim_end().len());
        }
        if self.crlf {
            text = text.replace('\n', "\r\n");
        }
        if self.mark {
            text.insert(0, '\u{feff}');
        }
        text
    }
}

fn says(text: &str) -> Plain {
    Plain::of(&crate::tree::parse(text.as_bytes()).unwrap().root)
}

fn all_comments(text: &str) -> Vec<String> {
    comments(text).map(|(_, comment)| comment).collect()
}

proptest! {
    #[test]
    fn adding_reads_back_and_keeps_every_comment_and_every_other_byte(
        style in style(),
        names in prop::collection::vec("[a-z]{1,8}", 0..4),
        new in prop::collection::vec("[a-z0-9]{1,8}", 1..4),
    ) {
        let before = style.write(&names);
        let nodes: Vec<NewNode> = new.iter().map(|name| node(name, "10.0.0.2")).collect();
        let after = added(&before, &nodes);
        let mut wanted = says(&before);
        if let Some(items) = wanted.under("nodes").items() {
            items.extend(nodes.iter().map(render::node));
        }
        prop_assert_eq!(says(&after), wanted);
        prop_assert_eq!(all_comments(&after), all_comments(&before));
        prop_assert_eq!(after.matches("\r\n").count() == after.matches('\n').count(), style.crlf);
        // Nothing but what was added is another.
        let (mut old, mut fresh) = (before.chars().filter(|c| !c.is_whitespace()), after.chars());
        let mut wanted = old.next();
        for c in fresh.by_ref() {
            if wanted == Some(c) {
                wanted = old.next();
            }
        }
        prop_assert_eq!(wanted.filter(|c| !"[]".contains(*c)), None, "{}", after);
    }

    #[test]
    fn removing_reads_back_and_keeps_the_comments_of_others(
        style in style(),
        names in prop::collection::hash_set("[a-z]{1,8}", 1..5),
        gone in any::<[bool; 5]>(),
    ) {
        let names: Vec<String> = names.into_iter().collect();
        let going: Vec<&str> = names.iter().zip(gone).filter(|(_, gone)| *gone).map(|(name, _)| name.as_str()).collect();
        let staying: Vec<String> = names.iter().filter(|name| !going.contains(&name.as_str())).cloned().collect();
        let before = style.write(&names);
        let after = removed(&before, &going);
        prop_assert_eq!(says(&after), says(&style.write(&staying)));
        let above = |text: &str| all_comments(text).into_iter().filter(|c| !c.contains("item") && !c.contains("within")).collect::<Vec<_>>();
        prop_assert_eq!(above(&after), above(&before));
    }

    #[test]
    fn setting_and_unsetting_leave_the_text_as_it_was(style in style(), port in 1_u16..) {
        let before = style.write(&["a".to_owned()]);
        let there = set(&before, "ssh.port", &port.to_string()).unwrap();
        prop_assert_eq!(all_comments(&there), all_comments(&before));
        let after = unset(&there, "ssh").unwrap();
        prop_assert_eq!(says(&after), says(&before));
        prop_assert_eq!(after.trim_end(), before.trim_end());
    }

    #[test]
    fn any_value_can_be_set_or_is_refused(value in ".{0,30}", style in style()) {
        let before = style.write(&["a".to_owned()]);
        let after = set(&before, "nodes[0].group", &value).unwrap();
        let mut wanted = says(&before);
        *wanted.under("nodes").items().unwrap()[0].under("group") = Plain::Text(value);
        prop_assert_eq!(says(&after), wanted);
    }

    #[test]
    fn no_text_is_too_strange_for_an_edit(text in "(nodes|ssh|alerts|a|b|- |  |: |\\n|#c|\\[|\\]|\\{|\\}|, |'|\"|\\||&a |\\*a|~){0,24}") {
        let Ok(mut document) = Document::parse(text.as_bytes()) else { return Ok(()) };
        let before = says(&text);
        let comments = all_comments(&text);
        if document.add_nodes(&[node("n", "10.0.0.1")]).is_ok() {
            let mut wanted = before;
            if let Some(items) = wanted.under("nodes").items() {
                items.push(render::node(&node("n", "10.0.0.1")));
            }
            prop_assert_eq!(says(document.text()), wanted);
            prop_assert_eq!(all_comments(document.text()), comments);
        } else {
            prop_assert_eq!(document.text(), text);
        }
    }
}
