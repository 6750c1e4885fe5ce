//! A node to break, and the strangers it meets.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rig::engines::{Nginx, Site as Folder};
use rig::{Host, Net, Node, wait_until};
use serde_json::Value;

use crate::site::Site;

/// Where the agent lies on the node; a folder that everybody may enter.
pub(super) const AGENT: &str = "/srv/aami-agent";
/// Where the portal's host answers with a certificate that has run out, and the file with the CA that signed it.
pub(super) const OLD: u16 = 8443;
pub(super) const OLD_CA: &str = "old-ca.pem";
/// What a captive portal sends.
const PAGE: &str = "<!DOCTYPE html>\n<html><body>Please accept the terms of this network.</body></html>\n";

/// A program that answers, in the one language every Debian has.
///
/// `listen ADDRESS PORT NAME [FILE]` accepts connections under a process name of its choice, and answers
/// each with FILE. `names nowhere|ADDRESS` is a name server that knows no name, or all. `lock FILE` holds
/// a record lock as dpkg does, `flock FILE` an advisory one as installers do.
const STRANGER: &str = r#"use strict; use Socket qw(:all); use Fcntl qw(:DEFAULT :flock :seek);
my ($what, @rest) = @ARGV;
sub ready { open my $f, '>', "/run/ready-$$" or die; close $f; rename "/run/ready-$$", "/run/ready" or die; }
if ($what eq 'listen') {
    my ($address, $port, $name, $file) = @rest;
    my $six = $address =~ /:/;
    socket(my $s, $six ? AF_INET6 : AF_INET, SOCK_STREAM, 0) or die $!;
    setsockopt($s, SOL_SOCKET, SO_REUSEADDR, 1);
    setsockopt($s, IPPROTO_IPV6, IPV6_V6ONLY, 1) if $six;
    my $at = $six ? pack_sockaddr_in6($port, inet_pton(AF_INET6, $address)) : pack_sockaddr_in($port, inet_aton($address));
    bind($s, $at) or die $!; listen($s, 16) or die $!;
    $0 = $name; ready();
    while (accept(my $c, $s)) {
        if ($file && open my $f, '<', $file) {
            # All of a request is read before the answer: what is left unread when it is closed would reset it.
            my $asked = '';
            while ($asked !~ /\r\n\r\n/ && $asked !~ /^\x16/ && sysread($c, my $more, 4096)) { $asked .= $more; }
            local $/; syswrite($c, <$f>);
        }
        close $c;
    }
} elsif ($what eq 'names') {
    socket(my $s, AF_INET, SOCK_DGRAM, 0) or die $!;
    bind($s, pack_sockaddr_in(53, inet_aton('127.0.0.1'))) or die $!;
    ready();
    while (my $from = recv($s, my $q, 512, 0)) {
        my ($id) = unpack('n', $q); my $question = substr($q, 12);
        my $type = unpack('n', substr($question, index($question, "\0") + 1, 2));
        my $known = $rest[0] ne 'nowhere' && $type == 1;
        my $flags = $rest[0] eq 'nowhere' ? 0x8183 : 0x8180;
        my $end = index($question, "\0") + 5;
        my $answer = pack('n6', $id, $flags, 1, $known ? 1 : 0, 0, 0) . substr($question, 0, $end);
        $answer .= pack('n3Nn', 0xc00c, 1, 1, 5, 4) . inet_aton($rest[0]) if $known;
        send($s, $answer, 0, $from);
    }
} elsif ($what eq 'lock') {
    open my $f, '>>', $rest[0] or die $!;
    my $whole = pack('s s x4 q q l x4', F_WRLCK, SEEK_SET, 0, 0, 0);
    fcntl($f, F_SETLK, $whole) or die $!;
    ready(); sleep 600;
} elsif ($what eq 'flock') {
    open my $f, '>>', $rest[0] or die $!; flock($f, LOCK_EX) or die $!;
    ready(); sleep 600;
}
"#;

/// A node with everything a look needs, and files that the faults are made of.
pub(super) struct Stage<'a> {
    node: &'a Node,
    url: String,
}

/// What a look said.
pub(super) struct Seen {
    pub(super) code: i32,
    pub(super) json: Value,
}

impl Seen {
    /// The codes of errors, then of warnings.
    pub(super) fn issues(&self) -> (Vec<String>, Vec<String>) {
        let of = |name: &str| {
            let list = self.json[name].as_array().cloned().unwrap_or_default();
            list.iter()
                .filter_map(|issue| Some(issue["code"].as_str()?.to_owned()))
                .collect()
        };
        (of("errors"), of("warnings"))
    }

    /// The sentence that goes with a code.
    pub(super) fn message(&self, code: &str) -> String {
        let all = ["errors", "warnings"]
            .into_iter()
            .filter_map(|name| self.json[name].as_array());
        let mut found = all.flatten().filter(|issue| issue["code"] == code);
        found
            .next()
            .and_then(|issue| issue["message"].as_str())
            .unwrap_or_default()
            .to_owned()
    }
}

impl<'a> Stage<'a> {
    /// Puts the agent and the CA onto a node with room enough for a server.
    pub(super) fn set(node: &'a Node, site: &Site) -> Result<Self> {
        node.write(AGENT, &std::fs::read(site.agent())?, 0o755)?;
        node.write(
            "/srv/ca.pem",
            &std::fs::read(site.data().join("tls/ca.pem"))?,
            0o644,
        )?;
        node.write("/srv/stranger.pl", STRANGER.as_bytes(), 0o644)?;
        node.write("/srv/page.html", PAGE.as_bytes(), 0o644)?;
        // The node's own file system is as large as this machine allows; a real one has a disk.
        let room = "mkdir -p /var/lib/aami /opt && mount -t tmpfs -o size=60g none /var/lib/aami && \
                    mount -t tmpfs -o size=60g none /opt";
        node.sh(room)?.ok()?;
        Ok(Self {
            node,
            url: site.url(),
        })
    }

    /// What a person types to look at a node that will enrol.
    pub(super) fn node_arguments(&self) -> String {
        format!("--mode node --server {} --ca-file /srv/ca.pem", self.url)
    }

    /// What a person types to look at a server, whose mirror is the node's own and is started for it.
    pub(super) fn server_arguments(&self) -> Result<String> {
        let answer = "HTTP/1.1 200 OK\r\nContent-Length: 11\r\nConnection: close\r\n\r\nformat = 1\n";
        self.node.write("/srv/mirror", answer.as_bytes(), 0o644)?;
        self.service("mirror", "mirror", "127.0.0.1", 8090)?;
        Ok("--mode server --mirror http://127.0.0.1:8090".to_owned())
    }

    /// Looks, in a shell that begins with `before`.
    pub(super) fn look(&self, before: &str, arguments: &str) -> Result<Seen> {
        let ended = self
            .node
            .sh(&format!("{before} {AGENT} preflight --json {arguments}"))?;
        ensure!(
            !ended.said().contains("panicked") && matches!(ended.code, 0 | 1),
            "exit {}: {}",
            ended.code,
            ended.said()
        );
        let json = serde_json::from_str(&ended.stdout).with_context(|| ended.said())?;
        Ok(Seen {
            code: ended.code,
            json,
        })
    }

    /// A service called `unit` whose process has a name and listens.
    pub(super) fn service(&self, unit: &str, name: &str, address: &str, port: u16) -> Result<()> {
        let text = format!(
            "[Service]\nExecStart=/usr/bin/perl /srv/stranger.pl listen {address} {port} {name} /srv/{name}\n\
             [Install]\nWantedBy=multi-user.target\n"
        );
        self.node.write(
            &format!("/etc/systemd/system/{unit}.service"),
            text.as_bytes(),
            0o644,
        )?;
        self.node
            .sh(&format!(
                "rm -f /run/ready; systemctl daemon-reload && systemctl start {unit}"
            ))?
            .ok()?;
        wait_until(Duration::from_secs(10), "the stranger listens", || {
            self.node.sh("test -e /run/ready")?.ok()
        })?;
        self.node.sh("rm -f /run/ready")?.ok().map(drop)
    }
}

/// Strangers beside the node, on hosts of their own.
pub(super) struct Strangers {
    pub(super) portal: Host,
}

impl Strangers {
    /// A portal that answers everything with its page, and other web servers that are not what is looked for.
    pub(super) fn meet(net: &Net) -> Result<Self> {
        Ok(Self {
            portal: net.host("portal")?,
        })
    }

    /// Starts what answers on the portal's host.
    pub(super) fn answer(&self, pages: &std::path::Path) -> Result<Nginx<'_>> {
        std::fs::write(pages.join("page.html"), PAGE)?;
        std::fs::write(pages.join("components.toml"), "format = 1\n")?;
        std::fs::write(pages.join("other.json"), "{\"status\":\"up\"}\n")?;
        let address = self.portal.address();
        let old = old_certificate(&address.to_string(), pages)?;
        Nginx::start(
            &self.portal,
            &Folder::of(pages)
                .with(
                    "location /page/ { rewrite ^ /page.html break; }\n\
                     location /other/ { rewrite ^ /other.json break; }\n\
                     location /ill/ { return 503; }",
                )
                .with(&format!("listen {address}:{OLD} ssl;\n{old}")),
        )
    }
}

/// A certificate for an address that was valid in 2020, and its CA, which still is, in `folder`; what nginx is told of it.
fn old_certificate(address: &str, folder: &std::path::Path) -> Result<String> {
    let mut of_ca = CertificateParams::default();
    of_ca.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let ca = CertifiedIssuer::self_signed(of_ca, KeyPair::generate()?)?;
    let mut of_server = CertificateParams::new(vec![address.to_owned()])?;
    of_server.not_before = rcgen::date_time_ymd(2020, 1, 1);
    of_server.not_after = rcgen::date_time_ymd(2020, 12, 31);
    let key = KeyPair::generate()?;
    let certificate = of_server.signed_by(&key, &ca)?;
    let (chain, secret) = (folder.join("old.pem"), folder.join("old.key"));
    std::fs::write(folder.join(OLD_CA), ca.pem())?;
    std::fs::write(&chain, certificate.pem())?;
    std::fs::write(&secret, key.serialize_pem())?;
    Ok(format!(
        "ssl_certificate {}; ssl_certificate_key {};",
        chain.display(),
        secret.display()
    ))
}
