//! What each part is configured with. Pure: texts from wishes, never a secret among them.

use aami_install::StepError;
use aami_model::code;
use aami_monitor::prometheus::Configuration;

use super::layout::Layout;
use super::part::Part;
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

/// The first `alertmanager.yml`. It is the operator's from then on.
pub(crate) const ALERTMANAGER: &str = "\
# Yours: AAMI wrote this file once and leaves it as you make it.
# Alerts are shown by Alertmanager and sent to nobody until a receiver says where.
route:
  receiver: nobody
  group_by: [alertname, cluster, node]
receivers:
  - name: nobody
";

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

/// The data sources Grafana is provisioned with.
pub(crate) fn data_sources(wishes: &Wishes, prometheus: bool, alertmanager: bool) -> String {
    let mut text = "apiVersion: 1\ndatasources:\n".to_owned();
    if prometheus {
        text.push_str(&format!(
            "  - name: Prometheus\n    uid: aami-prometheus\n    type: prometheus\n    access: proxy\n    \
             url: {}\n    isDefault: true\n",
            wishes.near(Part::Prometheus)
        ));
    }
    if alertmanager {
        text.push_str(&format!(
            "  - name: Alertmanager\n    uid: aami-alertmanager\n    type: alertmanager\n    access: proxy\n    \
             url: {}\n    jsonData:\n      implementation: prometheus\n",
            wishes.near(Part::Alertmanager)
        ));
    }
    if !prometheus && !alertmanager {
        return "apiVersion: 1\ndatasources: []\n".to_owned();
    }
    text
}

/// Where Grafana looks for dashboards.
pub(crate) fn dashboards(layout: &Layout) -> String {
    format!(
        "apiVersion: 1\nproviders:\n  - name: AAMI\n    folder: AAMI\n    type: file\n    \
         allowUiUpdates: true\n    options:\n      path: {}/json\n",
        layout.provisioning
    )
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
        assert_eq!(
            data_sources(&wishes, false, false),
            "apiVersion: 1\ndatasources: []\n"
        );
    }
}
