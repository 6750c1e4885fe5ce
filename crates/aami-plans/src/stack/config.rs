//! What each part is configured with. Pure: texts from wishes, never a secret among them.

use aami_install::StepError;
use aami_model::code;
use aami_monitor::grafana::{DataSources, ProvisionedFile};
use aami_monitor::prometheus::Configuration;
use aami_monitor::{alertmanager, grafana as provisioning};

use super::layout::Layout;
use super::part::Part;
use super::reload;
use super::wishes::Wishes;

/// The name of the file the control plane writes its targets to.
pub(crate) const TARGETS: &str = "nodes.json";

/// `server.yaml` of `aami server`: one setting a line. `beside` are the parts that run beside it, whom it asks.
pub(crate) fn server(wishes: &Wishes, layout: &Layout, beside: &[Part]) -> Result<String, StepError> {
    let mut settings = vec![
        ("listen", wishes.listen(Part::ControlPlane).to_string()),
        (
            "data_dir",
            layout.data_of(Part::ControlPlane).map_err(broken)?.to_string(),
        ),
        ("cluster", wishes.cluster.clone()),
        ("file_sd", format!("{}/{TARGETS}", layout.targets)),
    ];
    for (part, setting) in [
        (Part::Prometheus, "prometheus_url"),
        (Part::Alertmanager, "alertmanager_url"),
    ] {
        if beside.contains(&part) {
            settings.push((setting, format!("http://127.0.0.1:{}", wishes.port(part))));
        }
    }
    if beside.contains(&Part::Prometheus) {
        settings.push(("prometheus_rules", layout.delivered.to_string()));
        settings.push(("programs", layout.install.to_string()));
        if reload::is_by_file(wishes) {
            settings.push(("prometheus_reload", layout.reload.to_string()));
        }
    }
    settings.extend(wishes.public_url().map(|url| ("public_url", url)));
    if wishes.own_certificate {
        settings.push(("tls_cert", format!("{}/server.crt", layout.tls)));
        settings.push(("tls_key", format!("{}/server.key", layout.tls)));
    }
    // A JSON text is a YAML text.
    let line = |(name, value): (&str, String)| format!("{name}: {}\n", serde_json::Value::from(value));
    Ok(settings.into_iter().map(line).collect())
}

/// `prometheus.yml`: targets by discovery and from the file beside it, itself, Alertmanager, rules.
pub(crate) fn prometheus(wishes: &Wishes, layout: &Layout, alertmanager: bool) -> Result<String, StepError> {
    let local = |part| format!("127.0.0.1:{}", wishes.port(part));
    let configuration = Configuration {
        list_file: Some(format!("{}/{TARGETS}", layout.targets)),
        rule_files: vec![
            format!("{}/*.yaml", layout.rules),
            format!("{}/*.yml", layout.rules),
            format!("{}/*.yaml", layout.delivered),
        ],
        alertmanagers: alertmanager
            .then(|| local(Part::Alertmanager))
            .into_iter()
            .collect(),
        itself: Some(local(Part::Prometheus)),
        ..Configuration::new(
            wishes.cluster.clone(),
            wishes.near(Part::ControlPlane),
            layout.discovery_key.as_str(),
            0,
        )
    };
    configuration
        .render()
        .map_err(|error| StepError::new(code::INVALID, error.to_string()))
}

/// The first `alertmanager.yml`, which tells nobody. It is the operator's from then on.
pub(crate) fn alertmanager() -> Result<String, StepError> {
    alertmanager::first().map_err(|error| StepError::new(code::STEP_FAILED, error.to_string()))
}

/// `grafana.ini`. The password stands in a file of its own, which Grafana reads by its file provider.
pub(crate) fn grafana(wishes: &Wishes, layout: &Layout) -> Result<String, StepError> {
    let data = layout.data_of(Part::Grafana).map_err(broken)?;
    let listen = wishes.listen(Part::Grafana);
    Ok(format!(
        "[paths]\n\
         data = {data}\n\
         logs = {data}/log\n\
         plugins = {data}/plugins\n\
         provisioning = {provisioning}\n\
         \n\
         [server]\n\
         http_addr = {ip}\n\
         http_port = {port}\n\
         domain = {domain}\n\
         \n\
         [security]\n\
         admin_user = admin\n\
         admin_password = $__file{{{password}}}\n\
         disable_gravatar = true\n\
         \n\
         [users]\n\
         allow_sign_up = false\n\
         \n\
         [auth.anonymous]\n\
         enabled = false\n\
         \n\
         [analytics]\n\
         reporting_enabled = false\n\
         check_for_updates = false\n\
         check_for_plugin_updates = false\n\
         feedback_links_enabled = false\n\
         \n\
         [news]\n\
         news_feed_enabled = false\n\
         \n\
         [plugins]\n\
         preinstall_disabled = true\n\
         \n\
         [snapshots]\n\
         external_enabled = false\n\
         \n\
         [log]\n\
         mode = console\n",
        provisioning = layout.provisioning,
        ip = listen.ip(),
        port = listen.port(),
        domain = wishes.domain.as_deref().unwrap_or("localhost"),
        password = layout.grafana_password,
    ))
}

/// What Grafana is provisioned with: those of the data sources that are installed, the dashboards, and where they lie.
pub(crate) fn provisioned(
    wishes: &Wishes,
    layout: &Layout,
    prometheus: bool,
    alertmanager: bool,
) -> Result<Vec<ProvisionedFile>, StepError> {
    let near = |part, has: bool| has.then(|| wishes.near(part));
    let sources = DataSources {
        prometheus: near(Part::Prometheus, prometheus),
        alertmanager: near(Part::Alertmanager, alertmanager),
    };
    provisioning::files(layout.provisioning.as_str(), &sources)
        .map_err(|error| StepError::new(code::STEP_FAILED, error.to_string()))
}

/// A name of ours that makes no path: a fault of this program.
pub(crate) fn broken(error: aami_install::NotAHostPath) -> StepError {
    StepError::new(code::STEP_FAILED, error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stack() -> (Wishes, Layout) {
        let wishes = Wishes {
            domain: Some("aami.example.com".to_owned()),
            ..Wishes::usual().unwrap()
        };
        let layout = Layout::of(&wishes).unwrap();
        (wishes, layout)
    }

    #[test]
    fn the_control_planes_file_has_a_setting_a_line() {
        let (wishes, layout) = stack();
        assert_eq!(
            server(&wishes, &layout, &[Part::Prometheus]).unwrap(),
            "listen: \"0.0.0.0:8080\"\ndata_dir: \"/var/lib/aami/server\"\ncluster: \"default\"\n\
             file_sd: \"/var/lib/aami/targets/nodes.json\"\nprometheus_url: \"http://127.0.0.1:9090\"\n\
             prometheus_rules: \"/var/lib/aami/targets/rules\"\nprograms: \"/opt/aami\"\n\
             public_url: \"https://aami.example.com:8080\"\n"
        );
        let both = [Part::Prometheus, Part::Alertmanager];
        let text = server(&wishes, &layout, &both).unwrap();
        assert!(
            text.contains("alertmanager_url: \"http://127.0.0.1:9093\"\n"),
            "{text}"
        );
    }

    #[test]
    fn prometheus_asks_with_a_key_in_a_file_and_tells_alertmanager() {
        let (wishes, layout) = stack();
        let text = prometheus(&wishes, &layout, true).unwrap();
        for part in [
            "/etc/aami/secrets/discovery.key",
            "http://127.0.0.1:8080/",
            "/var/lib/aami/targets/nodes.json",
            "127.0.0.1:9090",
            "127.0.0.1:9093",
            "/etc/aami/rules/*.yaml",
            "/var/lib/aami/targets/rules/*.yaml",
        ] {
            assert!(text.contains(part), "{part}\n{text}");
        }
        assert!(!prometheus(&wishes, &layout, false).unwrap().contains("9093"));
    }

    #[test]
    fn grafana_reads_its_password_from_a_file_and_tells_nobody() {
        let (wishes, layout) = stack();
        let text = grafana(&wishes, &layout).unwrap();
        assert!(text.contains("admin_password = $__file{/etc/aami/secrets/grafana-admin-password}\n"));
        assert!(text.contains("http_addr = 127.0.0.1\nhttp_port = 3000\n"));
        for silent in [
            "reporting_enabled = false\n",
            "news_feed_enabled = false\n",
            "preinstall_disabled = true\n",
        ] {
            assert!(text.contains(silent), "{silent}");
        }
    }

    #[test]
    fn grafana_shows_every_dashboard_out_of_what_is_installed() {
        let (wishes, layout) = stack();
        let files = provisioned(&wishes, &layout, true, false).unwrap();
        let sources = &files[0].text;
        assert!(
            sources.contains("http://127.0.0.1:9090") && !sources.contains("9093"),
            "{sources}"
        );
        for name in ["fleet", "node", "gpu", "xid", "installation"] {
            let path = format!("json/aami-{name}.json");
            assert!(files.iter().any(|file| file.path == path), "{path}");
        }
    }

    #[test]
    fn alertmanager_tells_nobody_until_somebody_says_whom() {
        let text = alertmanager().unwrap();
        assert!(text.starts_with("# Yours: AAMI wrote this file once"), "{text}");
        assert!(
            !text.contains("slack_configs") && text.contains("receiver: nobody"),
            "{text}"
        );
    }
}
