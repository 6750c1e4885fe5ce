//! The machines of a site whose people follow the guides, called as the guides call them.

use anyhow::{Context as _, Result, ensure};
use rig::{Net, Node, Release};

use super::has;
use super::page::Page;
use crate::node_ten::all_at_once;
use crate::server_install::stage::Stage;
use crate::site::{Said, Typing as _};
use crate::workshop::Workshop;

/// What the guides call the server.
const SERVER: &str = "aami.example.com";

/// A server that is none yet, and three machines that become nodes.
pub(super) struct Guided {
    pub(super) server: Stage,
    /// `gpu-01`, enrolled by the one line.
    pub(super) first: Node,
    /// `gpu-02`, enrolled with many others.
    pub(super) second: Node,
    /// `gpu-07`, declared first.
    pub(super) declared: Node,
}

/// A token as it was printed: the whole line, and what is in it.
pub(super) struct Printed {
    pub(super) one_line: String,
    pub(super) secret: String,
    pub(super) pin: String,
}

/// A line as it is typed in root's home.
pub(super) fn at(line: &str) -> String {
    format!("cd /root && {line}")
}

impl Guided {
    /// Boots them. The server has bundles and nothing of AAMI, and may log in on the one that will be declared.
    pub(super) fn boot(net: &Net, workshop: &Workshop) -> Result<Self> {
        let bundles = ["aami-offline.tar.gz", "aami-offline.tar.zst"];
        let server = workshop.bare_machine(net, "server", &bundles)?;
        let boot = |name| Node::boot(net, Release::Bookworm, name);
        let mut nodes = all_at_once(vec!["gpu-01", "gpu-02", "gpu-07"], boot)?.into_iter();
        let mut node = || nodes.next().context("a machine too few");
        let (first, second, declared) = (node()?, node()?, node()?);
        let hosts = format!("{}{} {SERVER}\n", net.hosts_file(), server.address());
        for node in [&server, &first, &second, &declared] {
            node.write("/etc/hosts", hosts.as_bytes(), 0o644)?;
        }
        let keygen = "install -d -m 700 /root/.ssh && ssh-keygen -q -t ed25519 -N '' -f /root/.ssh/id_ed25519 && \
                      echo 'StrictHostKeyChecking accept-new' > /root/.ssh/config && cat /root/.ssh/id_ed25519.pub";
        let public = server.sh(keygen)?.ok()?;
        declared.sh("install -d -m 700 /root/.ssh")?.ok()?;
        declared.write("/root/.ssh/authorized_keys", public.as_bytes(), 0o600)?;
        Ok(Self {
            server: Stage { node: server },
            first,
            second,
            declared,
        })
    }

    /// Types a line in root's home, which has to work.
    pub(super) fn types(&self, node: &Node, line: &str) -> Result<Said> {
        node.types_well(&at(line))
            .with_context(|| format!("the server:\n{}", self.server.journal()))
    }

    /// Asks `aami` on the server, with the answer as JSON.
    pub(super) fn asks(&self, question: &str) -> Result<serde_json::Value> {
        let said = self
            .server
            .node
            .types_well(&format!("{question} -o json"))?
            .stdout;
        serde_json::from_str(&said).context(said)
    }

    /// Carries a file in root's home from the server to a node's.
    pub(super) fn carries(&self, name: &str, node: &Node) -> Result<()> {
        let path = format!("/root/{name}");
        node.write(&path, &self.server.node.read(&path)?, 0o600)
    }

    /// Makes the token of a rack at a terminal, looks at it, and gives it more uses.
    pub(super) fn makes_a_token(&self, page: &mut Page) -> Result<Printed> {
        let screen = self
            .server
            .at_a_terminal(&at(&page.next("tokens create --name rack-a1")?))?;
        let one_line = screen
            .lines()
            .map(str::trim)
            .find(|line| line.starts_with("curl "));
        let one_line = one_line.with_context(|| format!("no line is printed:\n{screen}"))?;
        let between = |from: &str| {
            let rest = one_line.split_once(from).map(|(_, rest)| rest);
            let value = rest.and_then(|rest| rest.split('\'').next());
            value
                .map(|value| format!("{from}{value}"))
                .context(one_line.to_owned())
        };
        let printed = Printed {
            one_line: one_line.to_owned(),
            secret: between("aami_")?,
            pin: between("sha256//")?,
        };
        let server = &self.server.node;
        has(&self.types(server, &page.next("tokens list")?)?.stdout, "rack-a1")?;
        let shown = self.types(server, &page.next("tokens show rack-a1")?)?;
        ensure!(
            !shown.all().contains(&printed.secret),
            "the secret is shown again"
        );
        self.types(server, &page.next("tokens edit rack-a1")?)?;
        let edited = self.asks("aami tokens show rack-a1")?;
        ensure!(edited["max_uses"] == 60, "{edited:#}");
        Ok(printed)
    }
}

impl Printed {
    /// The line as the guide has it: without what is another for every token and server.
    pub(super) fn elided(&self) -> String {
        self.one_line
            .replace(&self.secret, "aami_…")
            .replace(&self.pin, "sha256//…")
    }
}
