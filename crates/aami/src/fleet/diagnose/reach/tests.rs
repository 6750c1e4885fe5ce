//! What is made of measurements, without making any.

use std::time::Duration;

use aami_api::node::Probe;
use aami_model::exporter::{Exporter, ExporterKind};
use aami_model::label::Labels;

use super::*;
use crate::fleet::diagnose::Listed;

fn member() -> Member {
    Member {
        name: "gpu-01".into(),
        address: "10.0.0.1".parse().unwrap(),
        port: 22,
        user: "root".into(),
        key: None,
        jump: None,
        labels: Labels::default(),
        id: None,
    }
}

fn subject() -> Subject {
    Subject {
        node: "gpu-01".into(),
        fleet: "a fleet".into(),
        declared: Link::ok(Hop::Declared, ""),
        installed: Link::ok(Hop::Installed, ""),
        member: Some(member()),
        exporters: Vec::new(),
        labels: std::collections::BTreeMap::new(),
        listed: vec![Listed::Unknown(String::new())],
        watcher: Err(Link::skipped(Hop::Prometheus, "")),
        rules: Ok(Vec::new()),
        elsewhere: None,
        unasked: None,
        readdress: "sudoedit /etc/aami/config.yaml".into(),
    }
}

fn measured(ssh: Wire, means: &[&str], instead: Option<Wire>) -> Measured<'static> {
    Measured {
        meaning: Meaning::Addresses(means.iter().map(|ip| ip.parse().unwrap()).collect()),
        ssh,
        instead: instead
            .into_iter()
            .map(|wire| ("10.0.0.9".parse().unwrap(), wire))
            .collect(),
        exporters: Vec::new(),
        who: None,
        unasked: None,
        from: "10.0.0.5".into(),
    }
}

const SILENT: Wire = Wire::Silent(Duration::from_secs(3));

#[test]
fn a_name_is_broken_where_it_leads_away_from_a_dead_address() {
    let stands = |measured: &Measured<'_>| name(&subject(), &member(), measured).standing;
    assert_eq!(stands(&measured(SILENT, &["10.0.0.1"], None)), Standing::Ok);
    // It means another address: that is why, where nobody is at the declared one and somebody there.
    let moved = measured(SILENT, &["10.0.0.9"], Some(Wire::Refused));
    assert_eq!(stands(&moved), Standing::Broken);
    let link = name(&subject(), &member(), &moved);
    assert!(
        link.sentence.contains("10.0.0.9") && link.next.unwrap().contains("config.yaml"),
        "{}",
        link.sentence
    );
    let both = measured(Wire::Refused, &["10.0.0.9"], Some(Wire::Refused));
    assert_eq!(stands(&both), Standing::Warning);
    assert_eq!(
        stands(&measured(SILENT, &["10.0.0.9"], Some(SILENT))),
        Standing::Warning
    );
}

#[test]
fn what_says_that_there_is_no_way_is_told_from_silence() {
    let told = |wire: Wire| route(&member(), &measured(wire, &[], None));
    assert!(
        told(Wire::NoRoute("No route to host".into()))
            .sentence
            .contains("no way")
    );
    assert!(
        told(Wire::Forbidden("EPERM".into()))
            .sentence
            .contains("lets nothing out")
    );
    assert!(told(SILENT).sentence.contains("not even SSH"));
    assert_eq!(told(Wire::Refused).standing, Standing::Ok);
}

#[test]
fn who_scrapes_is_who_counts() {
    let exporter = Exporter::new(ExporterKind::NodeExporter, 9100);
    let probe = |hop, ok| Probe {
        kind: ExporterKind::NodeExporter,
        url: "http://10.0.0.1:9100/metrics".into(),
        ok,
        hop,
        detail: "what it saw".into(),
    };
    let seen = |wire: Wire, probe: &Probe| {
        let measured = Measured {
            exporters: vec![Probed {
                exporter: &exporter,
                at: "10.0.0.1:9100".parse().unwrap(),
                wire,
                page: None,
                elsewhere: Some(probe),
            }],
            who: Some("the control plane"),
            ..measured(SILENT, &["10.0.0.1"], None)
        };
        (
            route(&member(), &measured).standing,
            firewall(&member(), &measured).standing,
            port(&member(), &measured).standing,
        )
    };
    use Standing::{Broken, Ok, Skipped};
    // This machine reaches nobody, and the control plane does: all is well.
    assert_eq!(seen(SILENT, &probe(None, true)), (Ok, Ok, Ok));
    // This machine does, and the control plane does not: a firewall is in its way.
    let open = Wire::Open(Duration::ZERO);
    assert_eq!(
        seen(open.clone(), &probe(Some(Ended::Timeout), false)),
        (Ok, Broken, Skipped)
    );
    assert_eq!(seen(open, &probe(Some(Ended::Refused), false)), (Ok, Ok, Broken));
    assert_eq!(seen(SILENT, &probe(Some(Ended::Timeout), false)).0, Broken);
}

#[test]
fn every_firewall_is_told_in_its_own_words() {
    let ports = BTreeSet::from([9100, 9400]);
    let told = opening("10.0.0.5", &ports, "10.0.0.1".parse().unwrap());
    assert_eq!(
        told[0].1,
        "ufw allow from 10.0.0.5 to any port 9100,9400 proto tcp"
    );
    assert_eq!(told[1].1.matches("--add-rich-rule").count(), 2);
    assert!(told[2].1.contains("'{ 9100, 9400 }'"), "{}", told[2].1);
    let told = opening("fd00::5", &ports, "fd00::1".parse().unwrap());
    assert!(
        told[1].1.contains("ipv6") && told[2].1.contains("ip6 saddr"),
        "{told:?}"
    );
}

#[test]
fn who_is_let_in_is_whoever_scrapes() {
    let watched = |url: &str| Subject {
        watcher: Ok(crate::fleet::diagnose::Watcher {
            prometheus: crate::fleet::engines::Engine::at(url),
            interval: Duration::from_secs(15),
            unit: None,
            finds_by: String::new(),
        }),
        ..subject()
    };
    let to = "127.0.0.9".parse().unwrap();
    assert_eq!(from(&watched("http://10.0.0.5:9090"), to), "10.0.0.5");
    assert_eq!(from(&watched("http://[fd00::5]:9090"), to), "fd00::5");
    assert_eq!(from(&watched("http://127.0.0.1:9090"), to), "127.0.0.1");
    // One of which only a name is known, and none at all.
    assert_eq!(from(&watched("http://mon.example:9090"), to), "PROMETHEUS");
    assert_eq!(from(&subject(), to), "PROMETHEUS");
}

#[test]
fn a_command_means_the_same_on_the_node_as_where_it_is_typed() {
    assert_eq!(
        exec("gpu-01", "systemctl status aami-agent.service"),
        "aami nodes exec gpu-01 --sudo -- systemctl status aami-agent.service"
    );
    // The words are joined with blanks there, and given to a shell: one word is what stands between them.
    let typed = exec(
        "gpu-01",
        "firewall-cmd --add-rich-rule='rule a=\"b\"' && firewall-cmd --reload",
    );
    let words = std::process::Command::new("sh")
        .args([
            "-c",
            &format!("printf '%s\\n' {}", typed.split_once(" -- ").unwrap().1),
        ])
        .output()
        .unwrap();
    assert_eq!(
        String::from_utf8(words.stdout).unwrap(),
        "firewall-cmd --add-rich-rule='rule a=\"b\"' && firewall-cmd --reload\n"
    );
}

#[test]
fn a_port_that_is_refused_while_somebody_listens_is_a_firewalls() {
    let exporter = Exporter::new(ExporterKind::NodeExporter, 9100);
    let measured = Measured {
        exporters: vec![Probed {
            exporter: &exporter,
            at: "10.0.0.1:9100".parse().unwrap(),
            wire: Wire::Refused,
            page: None,
            elsewhere: None,
        }],
        ..measured(Wire::Refused, &["10.0.0.1"], None)
    };
    let mut hops = [firewall(&member(), &measured), port(&member(), &measured)];
    assert!(hops[1].sentence.contains("firewall"), "{}", hops[1].sentence);
    rejected(&mut hops, &BTreeSet::new(), &measured);
    assert_eq!(
        (hops[0].standing, hops[1].standing),
        (Standing::Ok, Standing::Broken)
    );
    rejected(&mut hops, &BTreeSet::from([9100]), &measured);
    assert_eq!(
        (hops[0].standing, hops[1].standing),
        (Standing::Broken, Standing::Skipped)
    );
}
