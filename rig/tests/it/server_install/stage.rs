//! A machine with everything an installation needs at hand, and what an operator looks at afterwards.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use rig::{Ended, Net, Node, Packed, Picture, Release, wait_until};
use serde_json::Value;

use crate::site::{ARCH, Said, Typing as _, built, lean};

/// What is typed; more options may follow.
pub(crate) const INSTALL: &str = "/root/aami server install --components-dir /root/components";

/// How long one command at a terminal may take.
const LIMIT: Duration = Duration::from_secs(120);

/// Our units, the control plane first.
const UNITS: [&str; 4] = [
    "aami-server",
    "aami-prometheus",
    "aami-alertmanager",
    "aami-grafana",
];

/// Grafana's page, as its folder has it.
pub(crate) const PAGE: &str = "<html>Grafana</html>";

/// A machine that has this build's programs and a folder of components in `/root`.
pub(crate) struct Stage {
    pub(crate) node: Node,
}

/// A component that is taken away and put back.
pub(crate) struct Hidden<'a> {
    stage: &'a Stage,
}

impl Hidden<'_> {
    /// Puts it back.
    pub(crate) fn show(self) -> Result<()> {
        self.stage
            .node
            .sh("rm -r /root/components && mv /root/all-components /root/components")?
            .ok()?;
        Ok(())
    }
}

impl Stage {
    /// Boots one.
    pub(crate) fn boot(net: &Net, release: Release, name: &str) -> Result<Self> {
        let node = Node::boot(net, release, name)?;
        load(&mut |path, bytes, mode| node.write(path, bytes, mode))?;
        Ok(Self { node })
    }

    /// Takes a component out of the folder, as a site that has none.
    pub(crate) fn hide(&self, name: &str) -> Result<Hidden<'_>> {
        let script = format!(
            "set -e; cp -r /root/components /root/all-components; rm /root/components/{name}-*; \
             awk 'BEGIN {{ RS = \"\\n\\\\[\\\\[\"; ORS = \"\" }} NR == 1 {{ print; next }} !/name = \"{name}\"/ {{ print \"\\n[[\" $0 }}' \
             /root/all-components/components.toml > /root/components/components.toml; \
             printf '\\n[[absent]]\\nname = \"{name}\"\\nkind = \"server\"\\nwhy = \"this site has none\"\\n' \
             >> /root/components/components.toml"
        );
        self.node.sh(&script)?.ok()?;
        Ok(Hidden { stage: self })
    }

    /// Runs a command at a terminal at which somebody types `answers`, and gives how it ended and what stood on it.
    pub(crate) fn answered_at_a_terminal(&self, command: &str, answers: &str) -> Result<Ended> {
        let script = format!("TERM=xterm script --quiet --return --command '{command}' /dev/null");
        self.node.sh_within(LIMIT, &script, answers.as_bytes())
    }

    /// Runs a command at a terminal, and gives what stood on it.
    pub(crate) fn at_a_terminal(&self, command: &str) -> Result<String> {
        let ended = self.answered_at_a_terminal(command, "")?;
        ensure!(
            ended.code == 0,
            "{command}: exit {}\n{}\n{}",
            ended.code,
            ended.said(),
            self.journal()
        );
        Ok(ended.stdout)
    }

    /// The line that makes a machine a node.
    pub(crate) fn one_line(&self) -> Result<String> {
        Ok(self
            .node
            .sh("cat /etc/aami/secrets/first-one-line")?
            .ok()?
            .trim()
            .to_owned())
    }

    /// Fails unless every part runs as its own user and says that it is well.
    pub(crate) fn all_well(&self) -> Result<()> {
        let said = self.node.types("aami server status --json")?;
        let status: Value = serde_json::from_str(&said.stdout).with_context(|| said.all())?;
        ensure!(
            said.code == 0 && status["healthy"] == true,
            "{status:#}\n{}",
            self.journal()
        );
        for unit in UNITS {
            let user = self
                .node
                .sh(&format!("stat -c %U /proc/$(systemctl show -P MainPID {unit})"))?
                .ok()?;
            let own = if unit == "aami-server" { "aami" } else { unit };
            ensure!(user.trim() == own, "{unit} runs as {user}");
        }
        Ok(())
    }

    /// What `aami server status` says of each step that is not well: its name, then why.
    pub(crate) fn not_well(&self) -> Result<Vec<(String, String)>> {
        let said = self.node.types("/root/aami server status --json")?;
        let status: Value = serde_json::from_str(&said.stdout).with_context(|| said.all())?;
        let steps = status["install"]["steps"].as_array().context("no steps")?;
        let bad = steps
            .iter()
            .filter(|step| !matches!(step["standing"].as_str(), Some("holds" | "not_applicable")));
        let text = |step: &Value, member: &str| step[member].as_str().unwrap_or_default().to_owned();
        Ok(bad.map(|step| (text(step, "id"), text(step, "reason"))).collect())
    }

    /// The main process of each unit, 0 where none runs.
    pub(crate) fn pids(&self) -> Result<Vec<String>> {
        let said = self
            .node
            .sh(&format!("systemctl show -P MainPID {}", UNITS.join(" ")))?
            .ok()?;
        Ok(said.split_whitespace().map(str::to_owned).collect())
    }

    /// What Prometheus answers.
    pub(crate) fn prometheus(&self, path: &str) -> Result<Value> {
        let answer = self
            .node
            .sh(&format!("curl -sfG 'http://127.0.0.1:9090{path}'"))?
            .ok()?;
        serde_json::from_str(&answer).with_context(|| answer.clone())
    }

    /// The values an instant query gives.
    pub(crate) fn query(&self, expression: &str) -> Result<Vec<String>> {
        let answer = self
            .node
            .sh(&format!(
                "curl -sfG http://127.0.0.1:9090/api/v1/query --data-urlencode 'query={expression}'"
            ))?
            .ok()?;
        let answer: Value = serde_json::from_str(&answer)?;
        let samples = answer["data"]["result"].as_array().cloned().unwrap_or_default();
        Ok(samples
            .iter()
            .filter_map(|sample| sample["value"][1].as_str().map(str::to_owned))
            .collect())
    }

    /// A picture without what the services write while they run.
    pub(crate) fn settled_picture(&self) -> Result<Picture> {
        self.node.picture()
    }

    /// What changed since, beside the services' own data.
    pub(crate) fn changes_since(&self, picture: &Picture) -> Result<Vec<String>> {
        let mut changes = picture.changes_in(&self.node.picture()?);
        changes.retain(|change| {
            !["server", "prometheus", "alertmanager", "grafana", "targets"]
                .iter()
                .any(|part| change.contains(&format!(": /var/lib/aami/{part}")))
        });
        Ok(changes)
    }

    /// What our units said.
    pub(crate) fn journal(&self) -> String {
        let said = self.node.sh("journalctl --no-pager -u 'aami-*' | tail -n 80");
        said.map(|ended| ended.stdout).unwrap_or_default()
    }

    /// Types a command, and waits until a unit runs again that was stopped by it.
    pub(crate) fn breaks(&self, line: &str) -> Result<Said> {
        let said = self.node.types(line)?;
        wait_until(Duration::from_secs(10), "nothing is about to change", || {
            let jobs = self.node.sh("systemctl list-jobs --no-legend")?.stdout;
            ensure!(jobs.trim().is_empty() || jobs.contains("No jobs"), "{jobs}");
            Ok(())
        })?;
        Ok(said)
    }
}

/// Puts a file somewhere: a path, what it holds, its mode.
pub(crate) type Put<'a> = dyn FnMut(&str, &[u8], u32) -> Result<()> + 'a;

/// Puts this build's programs and a folder of components into `/root` of some machine, with `put`: a path there,
/// what it holds, its mode.
pub(crate) fn load(put: &mut Put<'_>) -> Result<()> {
    let mut copy = |from: &Path, to: &str, mode| {
        let bytes =
            fs::read(from).with_context(|| format!("no {}; `make test-build` builds it", from.display()))?;
        put(to, &bytes, mode)
    };
    copy(&lean("aami")?, "/root/aami", 0o755)?;
    // Another one than `make agent` builds, for those who try out theirs.
    let agent = std::env::var_os("AAMI_RIG_AGENT").map_or_else(
        || root().join("target/dist").join(ARCH).join("aami-agent"),
        PathBuf::from,
    );
    copy(&agent, "/root/aami-agent", 0o755)?;
    // Debian's Alertmanager looks for these where its package has them; the publisher's carries them inside.
    let templates = "usr/share/prometheus/alertmanager";
    let package = rig::cache::packages(None, &["prometheus-alertmanager"])?;
    for name in ["default.tmpl", "email.tmpl"] {
        let from = package.join(templates).join(name);
        if from.exists() {
            copy(&from, &format!("/{templates}/{name}"), 0o644)?;
        }
    }
    let mut catalogue = "format = 1\n".to_owned();
    for packed in components()? {
        copy(
            &packed.path,
            &format!("/root/components/{}", packed.file_name()),
            0o644,
        )?;
        catalogue.push_str(&entry(&packed));
    }
    put("/root/components/components.toml", catalogue.as_bytes(), 0o644)
}

/// Everything a server installs, as this machine's release has it, and what its nodes download.
pub(super) fn components() -> Result<Vec<Packed>> {
    // Laid out as Grafana's own archive is.
    let grafana = [("bin/grafana", built("grafana-stand-in")?)];
    let beside = [
        ("conf/defaults.ini", "[paths]\ndata = data\n"),
        ("public/index.html", PAGE),
        ("public/build/app.js", "// pages\n"),
        ("VERSION", "0.0.1\n"),
    ];
    Ok(vec![
        Packed::prometheus()?,
        Packed::alertmanager()?,
        Packed::with("grafana", "0.0.1", &grafana, &beside)?,
        Packed::node_exporter()?,
    ])
}

/// An entry of a site's own catalogue.
fn entry(packed: &Packed) -> String {
    let programs: &[&str] = match packed.name.as_str() {
        "prometheus" => &["prometheus", "promtool"],
        "alertmanager" => &["alertmanager", "amtool"],
        "grafana" => &["bin/grafana"],
        _ => &["node_exporter"],
    };
    let stem = packed.file_name().replace(".tar.gz", "");
    let programs: Vec<String> = programs
        .iter()
        .map(|path| {
            let name = path.rsplit('/').next().unwrap_or(path);
            format!("{name} = \"{stem}/{path}\"")
        })
        .collect();
    // What is carried to nodes, and what is not.
    let kind = match packed.name.as_str() {
        "node_exporter" => "exporter\"\nports = [9100]",
        _ => "server\"",
    };
    format!(
        "\n[[component]]\nname = \"{}\"\nversion = \"{}\"\nkind = \"{kind}\nlicense = \"Apache-2.0\"\n\
         archive = \"tar.gz\"\n\n[component.build.{ARCH}]\nfile = \"{}\"\nsha256 = \"{}\"\nprograms = {{ {} }}\n{}",
        packed.name,
        packed.version,
        packed.file_name(),
        packed.sha256,
        programs.join(", "),
        if packed.name == "grafana" {
            format!("tree = \"{stem}\"\n")
        } else {
            String::new()
        }
    )
}

fn root() -> &'static Path {
    let rig = Path::new(env!("CARGO_MANIFEST_DIR"));
    rig.parent().unwrap_or(rig)
}
