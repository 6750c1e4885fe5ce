use std::net::IpAddr;

use proptest::prelude::*;

use super::*;

fn nobody(_: &BTreeSet<String>) -> Addresses {
    Addresses::new()
}

/// Looks up each of them.
fn each(find: impl Fn(&str) -> Option<IpAddr>) -> impl Fn(&BTreeSet<String>) -> Addresses {
    move |names| {
        let found = |name: &String| (name.clone(), find(name).ok_or(NoAddress::Unknown));
        names.iter().map(found).collect()
    }
}

fn listed(text: &str) -> Vec<String> {
    match read(text.as_bytes(), None, &nobody) {
        Ok(listed) => listed.iter().map(told).collect(),
        Err(problems) => panic!("{problems}"),
    }
}

/// A node in one line.
fn told(listed: &Listed) -> String {
    let node = &listed.node;
    let mut line = format!("{}: {} {}", listed.line, node.name, node.ip);
    for (name, value) in [
        ("group", node.group.clone()),
        ("user", node.ssh_user.clone()),
        ("key", node.ssh_key.clone()),
        ("port", node.ssh_port.map(|port| port.to_string())),
        ("jump", node.proxy_jump.as_ref().map(ToString::to_string)),
    ] {
        if let Some(value) = value {
            line.push_str(&format!(" {name}={value}"));
        }
    }
    for (name, value) in &node.labels.0 {
        line.push_str(&format!(" {name}:{value}"));
    }
    line
}

fn refusal(text: &str) -> String {
    match read(text.as_bytes(), None, &nobody) {
        Ok(listed) => panic!("{listed:?}"),
        Err(problems) => problems.to_string(),
    }
}

#[test]
fn plain_lines_are_nodes() {
    assert_eq!(
        listed(
            "# the third floor\n\ngpu1 10.0.0.1\ngpu2\t2001:db8::2 ops rack=A1 row=2 # old\r\n10.0.0.3 gpu3.example.com\n\
             gpu[04-06] 10.0.0.[4-6]\n"
        ),
        [
            "3: gpu1 10.0.0.1",
            "4: gpu2 2001:db8::2 user=ops rack:A1 row:2",
            "5: gpu3.example.com 10.0.0.3",
            "6: gpu04 10.0.0.4",
            "6: gpu05 10.0.0.5",
            "6: gpu06 10.0.0.6",
        ]
    );
}

#[test]
fn csv_is_read_as_spreadsheets_write_it() {
    assert_eq!(
        listed(
            "\u{feff}Hostname;IP Address;ssh-user;Port;labels;label.site\r\n\"gpu1\";10.0.0.1;ops;2222;\"rack=A1;row=1\";x\r\n\
             # one more\r\ngpu2;10.0.0.2\r\n"
        ),
        [
            "2: gpu1 10.0.0.1 user=ops port=2222 rack:A1 row:1 site:x",
            "4: gpu2 10.0.0.2",
        ]
    );
    assert_eq!(
        listed("name,ip,group,proxy_jump,ssh_key\na,10.0.0.1,\"g1\",ops@b:22,~/.ssh/id\n"),
        ["2: a 10.0.0.1 group=g1 key=~/.ssh/id jump=ops@b:22"]
    );
}

#[test]
fn yaml_is_a_list_alone_or_under_nodes() {
    let wanted = [
        "2: a 10.0.0.1 port=22 rack:A1",
        "5: b1 10.0.1.1",
        "5: b2 10.0.1.2",
    ];
    let items = "- name: a\n  ip: 10.0.0.1\n  labels: {rack: A1}\n";
    let text = format!("---\n{items}- {{name: 'b[1-2]', ip: '10.0.1.[1-2]'}}\n");
    assert_eq!(
        listed(&text.replace("labels", "ssh_port: 22\n  labels"))[0],
        wanted[0]
    );
    assert_eq!(listed(&text)[1..], wanted[1..]);
    assert_eq!(
        listed("nodes:\n  - hostname: a\n    address: 10.0.0.1\n"),
        ["2: a 10.0.0.1"]
    );
}

#[test]
fn an_ansible_inventory_is_read_with_its_groups_and_variables() {
    let text = "\
; ours
bastion ansible_host=10.0.9.9
localhost ansible_connection=local

[gpu]
gpu[01:03] ansible_host=placeholder
gpu01 ansible_host=10.0.0.1
gpu02 ansible_host=10.0.0.2 ansible_user='root' # old
gpu03:2222 ansible_host=10.0.0.3 ansible_become=true

[storage]
gpu01
nas ansible_host=10.0.1.1

[gpu:vars]
ansible_user=ops
ansible_ssh_private_key_file=~/.ssh/fleet
http_proxy=http://proxy

[all:vars]
ansible_user=nobody
ansible_ssh_common_args='-o ProxyJump=ops@bastion -o StrictHostKeyChecking=no'

[site:children]
gpu
storage

[site:vars]
ansible_port=22
";
    assert_eq!(
        listed(text),
        [
            "2: bastion 10.0.9.9 user=nobody jump=ops@bastion",
            "6: gpu01 10.0.0.1 group=gpu user=ops key=~/.ssh/fleet port=22 jump=ops@bastion",
            "6: gpu02 10.0.0.2 group=gpu user=root key=~/.ssh/fleet port=22 jump=ops@bastion",
            "6: gpu03 10.0.0.3 group=gpu user=ops key=~/.ssh/fleet port=2222 jump=ops@bastion",
            "13: nas 10.0.1.1 group=storage user=nobody port=22 jump=ops@bastion",
        ]
    );
    let yaml = "\
all:
  vars: {ansible_user: nobody}
  children:
    gpu:
      vars:
        ansible_user: ops
      hosts:
        gpu01: {ansible_host: 10.0.0.1, ansible_port: 2222}
        'gpu[02:03]': {ansible_host: 'gpu02'}
    ungrouped:
      hosts:
        nas:
          ansible_host: 10.0.1.1
";
    let found = each(|name: &str| (name == "gpu02").then(|| "10.0.0.2".parse().unwrap()));
    let told: Vec<String> = match read(yaml.as_bytes(), None, &found) {
        Err(problems) => problems.list().iter().map(ToString::to_string).collect(),
        Ok(listed) => panic!("{listed:?}"),
    };
    assert_eq!(
        told,
        ["line 9: ip: 10.0.0.2 is listed already in line 9 (Remove one of them.)"]
    );
    let yaml = yaml.replace("gpu[02:03]", "gpu[02:02]");
    let listed: Vec<String> = read(yaml.as_bytes(), None, &found)
        .unwrap()
        .iter()
        .map(super::tests::told)
        .collect();
    assert_eq!(
        listed,
        [
            "8: gpu01 10.0.0.1 group=gpu user=ops port=2222",
            "9: gpu02 10.0.0.2 group=gpu user=ops",
            "12: nas 10.0.1.1 user=nobody",
        ]
    );
}

#[test]
fn names_alone_are_looked_up() {
    let found = each(|name: &str| match name {
        "gpu1" => Some("10.0.0.1".parse().unwrap()),
        "gpu2" => Some("fe80::1".parse().unwrap()),
        _ => None,
    });
    assert_eq!(
        read(b"gpu1\n", None, &found).unwrap()[0].node.ip.to_string(),
        "10.0.0.1"
    );
    let problems = read(b"gpu1\ngpu2\ngpu3\n", None, &found).unwrap_err();
    let lines: Vec<usize> = problems.list().iter().map(|problem| problem.line).collect();
    assert_eq!(lines, [2, 3]);
    assert!(problems.to_string().contains("link-local"), "{problems}");
}

#[test]
fn all_names_of_a_list_are_looked_up_at_once_and_no_address_is() {
    // Given a list of names, addresses and names as addresses, one of them twice,
    let text = "gpu[1-3]\ngpu4 10.0.0.4\ngpu5 storage.example\ngpu6 2001:db8::6\ngpu7 storage.example\n";
    let asked = RefCell::new(Vec::new());
    let late = |names: &BTreeSet<String>| -> Addresses {
        asked.borrow_mut().push(names.clone());
        names
            .iter()
            .map(|name| (name.clone(), Err(NoAddress::Late)))
            .collect()
    };
    // when none of them is found in time, then they were asked for in one go, and each line says so.
    let problems = read(text.as_bytes(), None, &late).unwrap_err();
    let wanted = ["gpu1", "gpu2", "gpu3", "storage.example"].map(str::to_owned);
    assert_eq!(*asked.borrow(), [BTreeSet::from(wanted)]);
    let told = problems.to_string();
    assert!(told.contains("gpu3 could not be looked up in time"), "{told}");
    assert!(
        told.contains("`storage.example` could not be looked up in time"),
        "{told}"
    );
    // A list of addresses asks for nothing.
    let nothing = |_: &BTreeSet<String>| -> Addresses { panic!("nothing is asked for") };
    assert_eq!(read(b"gpu1 10.0.0.1\n", None, &nothing).unwrap().len(), 1);
}

#[test]
fn three_bad_lines_of_twenty_thousand_are_named_and_nothing_is_taken() {
    let mut lines: Vec<String> = (0..20_000_u32)
        .map(|at| {
            let [_, a, b, c] = at.to_be_bytes();
            format!("gpu{at} 10.{a}.{b}.{c}")
        })
        .collect();
    lines[76] = "gpu76 10.0.0.300".to_owned();
    lines[9_999] = "gpu_9999 10.1.2.3".to_owned();
    lines[19_999] = "gpu0 10.200.0.1".to_owned();
    insta::assert_snapshot!(refusal(&lines.join("\n")));
    lines[76] = "gpu76 10.0.0.76".to_owned();
    lines[9_999] = "gpu9999 10.0.39.15".to_owned();
    lines[19_999] = "gpu19999 10.0.78.31".to_owned();
    assert_eq!(
        read(lines.join("\n").as_bytes(), None, &nobody).unwrap().len(),
        20_000
    );
}

#[test]
fn bad_lines_of_every_form_are_named() {
    insta::assert_snapshot!(
        [
            "gpu1 10.0.0.1 ops extra\n10.0.0.2\ngpu3 [::1]\nrack=A1\ngpu5 10.0.0.5 -oProxyCommand=x a=b\ngpu6 10.0.0.6 __x=y\n\
             gpu[7-9] 10.0.0.[7-8]\ngpu[9-1] 10.0.0.9\ngpu10 fe80::1\ngpu11 nowhere\n\u{202e}12 10.0.0.12\n",
            "name,adress,rack\na,10.0.0.1,b,c\n",
            "name,ip,port,key\na,10.0.0.1,0,id\nb,10.0.0.1\n\"c,10.0.0.3\n",
            "ip,user\n10.0.0.1,a\n",
            "nodes:\n  - name: a\n    ip: 10.0.0.1\n    colour: red\n  - b\n  - {ip: 10.0.0.3}\n  - {name: [c], ip: 10.0.0.4}\n",
            "nodes: {a: 1}\n",
            "[gpu\na\n[gpu:thing]\nb\n[gpu:vars]\nx\n[gpu]\nc 'd\ne f\ng[1:2 ansible_host=10.0.0.1\nh ansible_host='{{ ip }}'\n\
             10.0.0.9\n",
            "all:\n  host:\n    a:\n  hosts: [b]\n  children: {c: d}\n",
        ]
        .map(refusal)
        .join("\n--\n")
    );
}

#[test]
fn what_is_no_text_or_too_large_is_named() {
    let told = |bytes: &[u8]| read(bytes, None, &nobody).unwrap_err().to_string();
    assert!(told(b"gpu1 10.0.0.1\ngpu\xe4 10.0.0.2\n").starts_with("line 2: the byte 0xe4 is not UTF-8"));
    assert!(told(&vec![b'a'; MOST_BYTES + 1]).contains("at most"));
    assert!(told(b"").contains("no node is listed"));
    assert!(told(b"# nothing\n").contains("read as plain"));
}

#[test]
fn a_few_lines_cannot_stand_for_more_than_a_fleet() {
    let text = "a[1-60000] b\n".repeat(20_000);
    assert!(refusal(&text).contains("more than 100000 nodes"));
    let ansible = format!("[x]\n{}", "a[1:1000]\n".repeat(5_000));
    assert!(refusal(&ansible).contains("1000000 names"));
    let loops = "[a:children]\nb\n[b:children]\na\n[a]\nx ansible_host=10.0.0.1\n";
    assert_eq!(listed(loops).len(), 1);
}

proptest! {
    #[test]
    fn no_list_is_too_strange(
        text in "(gpu[0-9] |10\\.0\\.0\\.[0-9]|\\n|,|;|\\[|\\]|:|=|name|ip|nodes|hosts|children|- |  |'|\"|#|ansible_host|\\PC){0,40}",
        format in 0_usize..6,
    ) {
        let format = Format::ALL.get(format).copied();
        match read(text.as_bytes(), format, &nobody) {
            Ok(listed) => prop_assert!(!listed.is_empty()),
            Err(problems) => {
                for problem in problems.list() {
                    prop_assert!(!problem.to_string().chars().any(char::is_control), "{:?}", problem);
                    prop_assert!(problem.line <= text.lines().count() + 1, "{:?}", problem);
                }
            }
        }
    }

    #[test]
    fn plain_nodes_come_back(count in 1_u8..200) {
        let text: String = (1..=count).map(|at| format!("n{at} 10.0.0.{at}\n")).collect();
        let folded = format!("n[1-{count}] 10.0.0.[1-{count}]\n");
        let names = |text: &str| read(text.as_bytes(), None, &nobody).unwrap().into_iter().map(|one| one.node).collect::<Vec<_>>();
        prop_assert_eq!(names(&text), names(&folded));
    }
}
