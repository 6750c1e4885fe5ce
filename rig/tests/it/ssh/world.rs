//! An operator's machine, nodes with users, and the keys between them.

use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command as Program;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use aami_ssh::{
    AgentSocket, Ask, Client, Command, Connection, Host, HostKeyPolicy, Identities, Output, Passphrase,
    Question, Settings, SshError, Trust,
};
use anyhow::{Context as _, Result, ensure};
use rig::{Net, Node, Release, wait_until};
use tempfile::TempDir;

/// What the operator types where something is asked.
#[derive(Default)]
pub(crate) struct Person {
    answers: Mutex<Vec<String>>,
    pub(crate) asked: Mutex<Vec<Question>>,
}

impl Ask for Person {
    fn ask(&self, question: &Question) -> Option<Passphrase> {
        self.asked.lock().expect("not poisoned").push(question.clone());
        let mut answers = self.answers.lock().expect("not poisoned");
        (!answers.is_empty()).then(|| Passphrase::new(answers.remove(0)))
    }
}

/// An operator on a network of nodes.
pub(crate) struct World {
    pub(crate) net: Net,
    operator: rig::Host,
    folder: TempDir,
}

impl World {
    pub(crate) fn new() -> Result<Self> {
        let net = Net::new()?;
        let operator = net.host("operator")?;
        let folder = tempfile::tempdir().context("no folder")?;
        let key = folder.path().join("id_ed25519");
        keygen(&["-q", "-t", "ed25519", "-N", "", "-f", &key.to_string_lossy()])?;
        Ok(Self {
            net,
            operator,
            folder,
        })
    }

    /// Boots a node whose root lets the operator in.
    pub(crate) fn node(&self, name: &str) -> Result<Node> {
        let node = Node::boot(&self.net, Release::Bookworm, name)?;
        self.let_in(&node, "root")?;
        wait_until(Duration::from_secs(20), "sshd listens", || {
            node.sh("ss -ltn | grep -q ':22 '")?.ok()
        })?;
        Ok(node)
    }

    /// Makes a user with a shell, who lets the operator in.
    pub(crate) fn user(&self, node: &Node, user: &str, shell: &str) -> Result<()> {
        node.sh(&format!("useradd --create-home --shell {shell} {user}"))?
            .ok()?;
        self.let_in(node, user)
    }

    fn let_in(&self, node: &Node, user: &str) -> Result<()> {
        let public = std::fs::read_to_string(self.path("id_ed25519.pub")).context("the public key")?;
        let script = format!(
            "h=$(getent passwd {user} | cut -d: -f6); install -d -o {user} -m 700 $h/.ssh && \
             cat > $h/.ssh/authorized_keys && chown {user} $h/.ssh/authorized_keys && chmod 600 $h/.ssh/authorized_keys"
        );
        node.sh_within(Duration::from_secs(20), &script, public.as_bytes())?
            .ok()?;
        Ok(())
    }

    /// A file of the operator's.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(crate) fn known_hosts(&self) -> PathBuf {
        self.path("known_hosts")
    }

    /// A node as the operator reaches it.
    pub(crate) fn host(&self, node: &Node, user: &str) -> Host {
        Host {
            keys: vec![self.path("id_ed25519")],
            agent: AgentSocket::None,
            ..Host::new(node.name(), &node.address().to_string(), user)
        }
    }

    pub(crate) fn client(&self, policy: HostKeyPolicy) -> Client {
        self.client_of(policy, &[]).0
    }

    /// A client whose operator answers what is asked with these, one after the other.
    pub(crate) fn client_of(&self, policy: HostKeyPolicy, answers: &[&str]) -> (Client, Arc<Person>) {
        let person = Arc::new(Person::default());
        *person.answers.lock().expect("not poisoned") =
            answers.iter().map(|text| (*text).to_owned()).collect();
        let trust = Trust::new(policy, vec![self.known_hosts()], Vec::new());
        let identities = Identities::new(Arc::clone(&person) as Arc<dyn Ask>);
        (Client::new(settings(), trust, identities), person)
    }

    /// Does something on the operator's machine.
    pub(crate) fn operate<T: Send>(&self, work: impl AsyncFnOnce() -> T + Send) -> Result<T> {
        self.operator.within(move || {
            let runtime = tokio::runtime::Builder::new_multi_thread()
                .worker_threads(2)
                .enable_all()
                .build()
                .context("no runtime")?;
            Ok(runtime.block_on(work()))
        })?
    }

    /// Connects, runs one command and keeps what it says.
    pub(crate) fn run(
        &self,
        client: &Client,
        host: &Host,
        command: &Command,
    ) -> Result<Result<Output, SshError>> {
        self.operate(async || {
            let connection: Connection = client.connect(host).await?;
            connection.output(command, 100_000).await
        })
    }
}

pub(crate) fn settings() -> Settings {
    Settings {
        kill_after: Duration::from_secs(1),
        ..Settings::default()
    }
}

/// Runs ssh-keygen on this machine.
pub(crate) fn keygen(arguments: &[&str]) -> Result<()> {
    let output = Program::new(rig::ssh::client("ssh-keygen")?)
        .args(arguments)
        .output()?;
    ensure!(
        output.status.success(),
        "ssh-keygen: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    Ok(())
}

/// Takes a private key back from everybody else.
pub(crate) fn only_mine(path: &Path) -> Result<()> {
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600)).context("mode")
}

/// What a command said, as text.
pub(crate) fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}
