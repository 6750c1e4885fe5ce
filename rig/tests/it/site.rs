//! A site: one control plane with agents and components to hand out, and what an operator types there.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use rig::{Host, Net, Node, Packed, Picture, Place, Process, wait_until};
use rustix::process::Signal;
use serde_json::Value;

/// Whether there is time for the long form of a story (`make test-full`).
pub(crate) fn is_full() -> bool {
    std::env::var_os("AAMI_FULL").is_some_and(|full| full == "1")
}

/// This machine's architecture, as AAMI calls it.
pub(crate) const ARCH: &str = if cfg!(target_arch = "aarch64") {
    "arm64"
} else {
    "amd64"
};

/// From the start of the control plane to its first answer.
const START: Duration = Duration::from_secs(30);

/// A running control plane on a host called `control`, reached at port 8080.
pub(crate) struct Site {
    host: Host,
    data: PathBuf,
    flags: Vec<String>,
    variables: Vec<(String, String)>,
    server: Process,
}

/// What `aami tokens create` made.
pub(crate) struct Token {
    pub(crate) id: String,
    pub(crate) secret: String,
    /// What to type on a node.
    pub(crate) one_line: String,
}

/// How a command of the operator ended.
#[derive(Debug)]
pub(crate) struct Said {
    pub(crate) code: i32,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Said {
    /// Everything it said.
    pub(crate) fn all(&self) -> String {
        format!("{}{}", self.stdout, self.stderr)
    }
}

impl Site {
    /// Starts one, on a host called `control`, that can enrol nodes of this architecture.
    pub(crate) fn start(net: &Net) -> Result<Self> {
        Self::start_with(net, "control", &[], &[])
    }

    /// As [`start`](Self::start), on a host of another name, with more flags of `aami server` and variables.
    pub(crate) fn start_with(
        net: &Net,
        name: &str,
        flags: &[&str],
        variables: &[(&str, &str)],
    ) -> Result<Self> {
        let host = net.host(name)?;
        let data = host.folder().join("data");
        stock(&data.join("dist"))?;
        let flags: Vec<String> = flags.iter().map(ToString::to_string).collect();
        let own = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
        let variables: Vec<(String, String)> = variables.iter().map(own).collect();
        let server = launch(&host, &data, &flags, &variables)?;
        let mut site = Self {
            host,
            data,
            flags,
            variables,
            server,
        };
        site.wait()?;
        Ok(site)
    }

    /// The host it runs on.
    pub(crate) fn host(&self) -> &Host {
        &self.host
    }

    /// Its data folder.
    pub(crate) fn data(&self) -> &Path {
        &self.data
    }

    /// How nodes reach it.
    pub(crate) fn url(&self) -> String {
        format!("https://{}:8080", self.host.address())
    }

    /// The agent, as it was built.
    pub(crate) fn agent(&self) -> PathBuf {
        self.data.join("dist").join(ARCH).join("aami-agent")
    }

    /// The exporter's archive, as nodes download it.
    pub(crate) fn served_exporter(&self) -> Result<PathBuf> {
        Ok(self
            .data
            .join("dist")
            .join(ARCH)
            .join(Packed::node_exporter()?.file_name()))
    }

    /// A line that runs the script anybody gets, with `arguments`, on a node that has it by other means.
    pub(crate) fn generic_script(&self, node: &Node, arguments: &str) -> Result<String> {
        let script = Place::On(&self.host).get("http://127.0.0.1:8080/bootstrap.sh", &[])?;
        node.write("/root/script", script.as_bytes(), 0o644)?;
        Ok(format!("sudo bash -s -- {arguments} < /root/script"))
    }

    /// Kills the control plane as a power cut would, and starts it again on what it kept.
    pub(crate) fn kill_and_start_again(&mut self) -> Result<()> {
        self.kill()?;
        self.start_again()
    }

    /// Kills the control plane as a power cut would.
    pub(crate) fn kill(&self) -> Result<()> {
        self.server.signal(Signal::KILL)
    }

    /// Starts it on what it kept, as it was started before.
    pub(crate) fn start_again(&mut self) -> Result<()> {
        // Until it is really gone it holds the data folder.
        self.server.kill()?;
        self.server = launch(&self.host, &self.data, &self.flags, &self.variables)?;
        self.wait()
    }

    /// Stops the control plane's process where it is, or lets it go on.
    pub(crate) fn stands_still(&self, still: bool) -> Result<()> {
        match still {
            true => self.server.freeze(),
            false => self.server.thaw(),
        }
    }

    /// What it logged.
    pub(crate) fn log(&self) -> String {
        self.server.log()
    }

    /// Runs `aami` on the control plane's machine, as its operator.
    pub(crate) fn aami(&self, arguments: &[&str]) -> Result<Said> {
        let mut command = self.host.command(&built("aami")?.to_string_lossy());
        command
            .args(arguments)
            .arg("--data-dir")
            .arg(&self.data)
            .env("HOME", self.host.folder());
        let output = command.output().context("cannot start aami")?;
        Ok(Said {
            code: output.status.code().unwrap_or(-1),
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        })
    }

    /// Runs `aami ... -o json` and reads the answer; fails when the command does.
    pub(crate) fn json(&self, arguments: &[&str]) -> Result<Value> {
        let said = self.aami(&[arguments, &["-o", "json"]].concat())?;
        ensure!(said.code == 0, "aami {}: {said:?}", arguments.join(" "));
        serde_json::from_str(&said.stdout).with_context(|| format!("not JSON: {}", said.stdout))
    }

    /// Makes a bootstrap token; `arguments` are those of `aami tokens create`.
    pub(crate) fn token(&self, arguments: &[&str]) -> Result<Token> {
        let made = self.json(&[&["tokens", "create", "--show-secret"], arguments].concat())?;
        let member = |name: &str| {
            let text = made[name].as_str().map(str::to_owned);
            text.with_context(|| format!("no {name:?} in {made}"))
        };
        Ok(Token {
            id: member("id")?,
            secret: member("token")?,
            one_line: member("one_line")?,
        })
    }

    /// The node called `hostname`, as the API has it.
    pub(crate) fn node(&self, hostname: &str) -> Result<Value> {
        self.json(&["nodes", "show", hostname])
    }

    /// What the API answers to the first admin; `path` begins with `/`.
    pub(crate) fn get(&self, path: &str) -> Result<Value> {
        self.call(path, &[])
    }

    /// The same of a POST.
    pub(crate) fn post(&self, path: &str, body: &Value) -> Result<Value> {
        let body = body.to_string();
        self.call(
            path,
            &["--header", "Content-Type: application/json", "--data", &body],
        )
    }

    fn call(&self, path: &str, options: &[&str]) -> Result<Value> {
        let key = fs::read_to_string(self.data.join("admin.key"))?;
        let bearer = format!("Authorization: Bearer {}", key.trim());
        let url = format!("http://127.0.0.1:8080{path}");
        let answer = Place::On(&self.host).get(&url, &[&["--header", &bearer], options].concat())?;
        serde_json::from_str(&answer).with_context(|| format!("not JSON: {answer}"))
    }

    /// The targets a Prometheus would find now, by hostname.
    pub(crate) fn discovered(&self, path: &str) -> Result<Vec<String>> {
        let groups = self.get(&format!("/api/v1/{path}"))?;
        let groups = groups.as_array().context("no list")?;
        Ok(groups
            .iter()
            .filter_map(|group| group["labels"]["node"].as_str().map(str::to_owned))
            .collect())
    }

    fn wait(&mut self) -> Result<()> {
        wait_until(START, "the control plane is ready", || {
            self.server.check()?;
            Place::On(&self.host).get("http://127.0.0.1:8080/health/ready", &[])
        })
        .map(drop)
        .with_context(|| format!("it said:\n{}", self.server.log()))
    }
}

/// Fills `dist/` with what nodes download: this machine's agent, and a node_exporter that runs on every release.
pub(crate) fn stock(dist: &Path) -> Result<()> {
    let arch = if cfg!(target_arch = "aarch64") {
        "arm64"
    } else {
        "amd64"
    };
    let agents = dist.join(arch);
    fs::create_dir_all(&agents)?;
    // Another one than `make agent` builds, for those who try out theirs.
    let agent = std::env::var_os("AAMI_RIG_AGENT").map_or_else(
        || root().join("target/dist").join(ARCH).join("aami-agent"),
        PathBuf::from,
    );
    fs::copy(&agent, agents.join("aami-agent"))
        .with_context(|| format!("no agent at {}; `make agent` builds it", agent.display()))?;
    let packed = Packed::node_exporter()?;
    fs::copy(&packed.path, agents.join(packed.file_name()))?;
    fs::write(agents.join("components.toml"), catalogue(&packed))?;
    Ok(())
}

/// A catalogue of one component, as a site with its own builds writes it.
pub(crate) fn catalogue(packed: &Packed) -> String {
    let stem = packed.file_name().replace(".tar.gz", "");
    format!(
        "format = 1\n\n[[component]]\nname = \"{name}\"\nversion = \"{version}\"\nkind = \"exporter\"\n\
         license = \"Apache-2.0\"\nports = [9100]\narchive = \"tar.gz\"\n\n[component.build.{arch}]\n\
         file = \"{file}\"\nsha256 = \"{sum}\"\nprograms = {{ {name} = \"{stem}/{name}\" }}\n",
        name = packed.name,
        version = packed.version,
        arch = if cfg!(target_arch = "aarch64") {
            "arm64"
        } else {
            "amd64"
        },
        file = packed.file_name(),
        sum = packed.sha256,
    )
}

fn launch(host: &Host, data: &Path, flags: &[String], variables: &[(String, String)]) -> Result<Process> {
    let mut command: Command = host.command(&built("aami")?.to_string_lossy());
    command
        .arg("server")
        .arg("--data-dir")
        .arg(data)
        .args(["--listen", "0.0.0.0:8080", "--log", "text"])
        .args(flags)
        .env("HOME", host.folder())
        .envs(variables.iter().map(|(name, value)| (name, value)));
    host.start("aami-server", command)
}

/// A program of this build.
pub(crate) fn built(name: &str) -> Result<PathBuf> {
    // .../target/debug/deps/it-0123 -> .../target/debug/NAME
    let here = std::env::current_exe()?;
    let path = here
        .ancestors()
        .nth(2)
        .context("no folder to look in")?
        .join(name);
    if !path.exists() {
        bail!("{} is not built; `make test-build` does it", path.display());
    }
    Ok(path)
}

/// The same program without its symbols, half as large: what is copied onto nodes, and hashed there many times.
pub(crate) fn lean(name: &str) -> Result<PathBuf> {
    let whole = built(name)?;
    let lean = whole.with_file_name(format!("{name}-lean"));
    let made = |path: &Path| std::fs::metadata(path).and_then(|file| file.modified());
    let whole_made = made(&whole)?;
    if made(&lean).is_ok_and(|lean_made| lean_made > whole_made) {
        return Ok(lean);
    }
    // Stories run beside each other: each makes its own, and the last one's stays.
    let folder = tempfile::tempdir_in(whole.parent().context("no folder to write to")?)?;
    let fresh = folder.path().join(name);
    let done = Command::new("strip").arg("-o").arg(&fresh).arg(&whole).status()?;
    ensure!(done.success(), "strip {}: {done}", whole.display());
    std::fs::rename(&fresh, &lean)?;
    Ok(lean)
}

pub(crate) fn root() -> &'static Path {
    let rig = Path::new(env!("CARGO_MANIFEST_DIR"));
    rig.parent().unwrap_or(rig)
}

/// What a person at the node's terminal does.
pub(crate) trait Typing {
    /// Types a line as root into the node's shell.
    fn types(&self, line: &str) -> Result<Said>;

    /// Types a line that has to work; fails with what it and our units said otherwise.
    fn types_well(&self, line: &str) -> Result<Said>;

    /// Types a line that has to be refused: with this exit code, this code of the registry, and a hint.
    fn types_in_vain(&self, line: &str, exit: i32, code: &str) -> Result<Said>;
}

impl Typing for Node {
    fn types(&self, line: &str) -> Result<Said> {
        let ended = self.sh(line)?;
        Ok(Said {
            code: ended.code,
            stdout: ended.stdout,
            stderr: ended.stderr,
        })
    }

    fn types_well(&self, line: &str) -> Result<Said> {
        let said = self.types(line)?;
        if said.code != 0 {
            let units =
                self.sh("systemctl status --no-pager --full 'aami-*'; journalctl --no-pager -u 'aami-*'")?;
            bail!(
                "on {}: {line}: exit {}\n{}\n{}",
                self.name(),
                said.code,
                said.all(),
                units.stdout
            );
        }
        Ok(said)
    }

    fn types_in_vain(&self, line: &str, exit: i32, code: &str) -> Result<Said> {
        let said = self.types(line)?;
        let all = said.all();
        ensure!(
            said.code == exit,
            "on {}: {line}: exit {}, not {exit}\n{all}",
            self.name(),
            said.code
        );
        ensure!(
            all.contains(code),
            "on {}: {line}: no word of {code}\n{all}",
            self.name()
        );
        ensure!(
            all.contains("hint: "),
            "on {}: {line}: no hint\n{all}",
            self.name()
        );
        ensure!(!all.contains("panicked"), "on {}: {line}:\n{all}", self.name());
        Ok(said)
    }
}

/// Fails when a node does not look as it did before; `after` names the story's moment. The folder of the installer's
/// lock may stay: it is in memory, and an installer that waits for the lock needs it.
pub(crate) fn is_as_before(node: &Node, before: &Picture, after: &str) -> Result<()> {
    let mut changes = before.changes_in(&node.picture()?);
    changes.retain(|change| !change.starts_with("appeared: /run/aami (d"));
    ensure!(
        changes.is_empty(),
        "left on {} after {after}: {changes:#?}",
        node.name()
    );
    Ok(())
}
