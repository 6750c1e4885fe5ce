//! Where the server's things lie.

use aami_install::{HostPath, NotAHostPath};
use aami_inventory::Arch;

use super::part::Part;
use super::wishes::{CONFIGURATION, Wishes};
use crate::node;

/// The paths of one server.
#[derive(Debug, Clone)]
pub struct Layout {
    /// `/opt/aami`.
    pub install: HostPath,
    /// The folder of this version of AAMI in it.
    pub release: HostPath,
    /// `/var/lib/aami`: the data folders of the parts lie in it.
    pub data: HostPath,
    /// `/etc/aami`.
    pub configuration: HostPath,
    /// Passwords and keys, each for one reader.
    pub secrets: HostPath,
    /// Prometheus' rules; what is put there is the operator's, or a declared fleet's.
    pub rules: HostPath,
    /// Where Prometheus keeps its data.
    pub prometheus_data: HostPath,
    /// What Grafana is provisioned with.
    pub provisioning: HostPath,
    /// The list of targets the control plane writes for Prometheus.
    pub targets: HostPath,
    /// The rules the control plane brings to Prometheus; it makes this folder itself.
    pub delivered: HostPath,
    /// What the control plane writes when Prometheus is to read its rules again, where it cannot tell it otherwise.
    pub reload: HostPath,
    /// What nodes download from the control plane.
    pub dist: HostPath,
    /// The control plane's first admin key.
    pub admin_key: HostPath,
    /// The key Prometheus asks the control plane with.
    pub discovery_key: HostPath,
    /// What the mirror that carries the components wants to see.
    pub mirror_credential: HostPath,
    /// Grafana's first password.
    pub grafana_password: HostPath,
    /// The first bootstrap token.
    pub token: HostPath,
    /// What to paste on a node, with the token in it.
    pub one_line: HostPath,
    /// The operator's certificate and key, where the control plane may read them.
    pub tls: HostPath,
    /// Where a node_exporter of ours, where this machine is a node as well, reads how installations go.
    pub textfile: HostPath,
    /// Where downloads lie while they are judged: the engine's own staging folder for this plan.
    pub staging: HostPath,
}

impl Layout {
    /// The layout of a server.
    pub fn of(wishes: &Wishes) -> Result<Self, NotAHostPath> {
        let configuration = HostPath::new(CONFIGURATION)?;
        let secrets = configuration.join("secrets")?;
        let server = wishes.data_dir.join(Part::ControlPlane.name())?;
        Ok(Self {
            release: wishes.install_dir.join(&wishes.version)?,
            install: wishes.install_dir.clone(),
            data: wishes.data_dir.clone(),
            prometheus_data: match &wishes.prometheus_data {
                Some(named) => named.clone(),
                None => wishes.data_dir.join(Part::Prometheus.name())?,
            },
            rules: configuration.join("rules")?,
            provisioning: configuration.join("grafana")?,
            targets: wishes.data_dir.join("targets")?,
            delivered: wishes.data_dir.join("targets/rules")?,
            reload: wishes.data_dir.join("targets/reload")?,
            dist: server.join("dist")?,
            admin_key: server.join("admin.key")?,
            discovery_key: secrets.join("discovery.key")?,
            mirror_credential: secrets.join("mirror-credential")?,
            grafana_password: secrets.join("grafana-admin-password")?,
            token: secrets.join("first-token")?,
            one_line: secrets.join("first-one-line")?,
            tls: configuration.join("tls")?,
            textfile: node::Layout::of(node::Form::Host, &wishes.cluster)?.textfile,
            staging: HostPath::new(format!(
                "/var/lib/aami/install/{}/{}/staging",
                wishes.cluster,
                super::NAME
            ))?,
            secrets,
            configuration,
        })
    }

    /// A part's data folder.
    pub fn data_of(&self, part: Part) -> Result<HostPath, NotAHostPath> {
        match part {
            Part::Prometheus => Ok(self.prometheus_data.clone()),
            Part::ControlPlane | Part::Alertmanager | Part::Grafana => self.data.join(part.name()),
        }
    }

    /// A part's configuration file.
    pub fn file_of(&self, part: Part) -> Result<HostPath, NotAHostPath> {
        self.configuration.join(match part {
            Part::ControlPlane => "server.yaml",
            Part::Prometheus => "prometheus.yml",
            Part::Alertmanager => "alertmanager.yml",
            Part::Grafana => "grafana.ini",
        })
    }

    /// The folder of a component's version.
    pub fn component(&self, name: &str, version: &str) -> Result<HostPath, NotAHostPath> {
        self.install.join(&format!("{name}-{version}"))
    }

    /// What nodes with this processor download.
    pub fn dist_of(&self, arch: Arch) -> Result<HostPath, NotAHostPath> {
        self.dist.join(arch.name())
    }

    /// A unit's file.
    pub fn unit(name: &str) -> Result<HostPath, NotAHostPath> {
        HostPath::new("/etc/systemd/system")?.join(name)
    }
}
