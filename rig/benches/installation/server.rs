//! How long a machine takes to become a server: control plane, Prometheus and Alertmanager under systemd, whose
//! archives come from a mirror beside it. Grafana is left out, since only its stand-in is at hand.
//!
//! By hand means: download the same archives, check them, unpack, place the same programs, write configurations and
//! units, start all of it, wait until each part answers that it is ready.

use std::time::Duration;

use anyhow::{Context as _, Result};
use rig::{Mirror, Net, Packed, Release};

use crate::again::{Again, median};
use crate::stage::Stage;
use crate::{Pair, timed};

const ROUNDS: usize = 3;
/// What AAMI may take for itself.
const OWN: Duration = Duration::from_secs(10);
const UNITS: [&str; 3] = ["aami-server", "aami-prometheus", "aami-alertmanager"];

pub(crate) fn measure(net: &Net) -> Result<()> {
    let host = net.host("mirror")?;
    let mirror = Mirror::start(&host, |site| site)?;
    let packed = [
        Packed::prometheus()?,
        Packed::alertmanager()?,
        Packed::node_exporter()?,
    ];
    for one in &packed {
        mirror.add(one)?;
    }
    // A look at the mirror asks for it; over plain HTTP nothing in it would be believed.
    mirror.write("components.toml", b"format = 1\n")?;

    let by_hand = by_hand(&mirror.url(), &packed);
    let install = format!(
        "/root/aami server install --unattended --components prometheus,alertmanager --components-dir /root/catalogue \
         --mirror {}",
        mirror.url()
    );
    let (mut all, mut again) = (Vec::new(), Vec::new());
    for round in 0..ROUNDS {
        let stage = Stage::boot(net, Release::Bookworm, &format!("by-hand-{round}"))?;
        let by_hand = timed(&stage.node, &by_hand)?;
        stage.node.stop()?;

        let stage = Stage::boot(net, Release::Bookworm, &format!("server-{round}"))?;
        // What is there is known here, by its sum; the files themselves are the mirror's alone.
        let catalogue = "mkdir /root/catalogue && mv /root/components/components.toml /root/catalogue/ \
                         && rm -r /root/components";
        stage.node.sh(catalogue)?.ok()?;
        let ours = timed(&stage.node, &install)?;
        again.push(Again::of(&stage.node, &install, &UNITS)?);
        stage.node.stop()?;
        all.push(Pair { ours, by_hand });
    }
    Pair::median(all)?.row("server install, beside downloads and service start", OWN);
    median(again)
        .context("no round")?
        .row("second run of an installed server");
    Ok(())
}

/// The same work as a careful person would script it.
fn by_hand(mirror: &str, packed: &[Packed]) -> String {
    let mut script = "set -e; mkdir -p /opt/by-hand /var/lib/by-hand; cd /opt/by-hand\n".to_owned();
    for one in packed {
        let (file, sum) = (one.file_name(), &one.sha256);
        script.push_str(&format!(
            "curl -fsS -O {mirror}/{file}; echo '{sum}  {file}' | sha256sum -c --quiet; tar -xzf {file}\n"
        ));
    }
    script.push_str(
        "cp /root/aami /root/aami-agent .; cp */prometheus */promtool */alertmanager */amtool .
         echo 'scrape_configs: [{job_name: self, static_configs: [{targets: [\"127.0.0.1:9090\"]}]}]' > prometheus.yml
         printf 'route: {receiver: nobody}\\nreceivers: [{name: nobody}]\\n' > alertmanager.yml
         ./promtool check config prometheus.yml > /dev/null; ./amtool check-config alertmanager.yml > /dev/null
         part() { # name, command line
           useradd --system --no-create-home \"hand-$1\"; mkdir -p /var/lib/by-hand/$1; chown \"hand-$1\" /var/lib/by-hand/$1
           printf '[Service]\\nUser=hand-%s\\nExecStart=/opt/by-hand/%s\\n[Install]\\nWantedBy=multi-user.target\\n' \
             \"$1\" \"$2\" > /etc/systemd/system/hand-$1.service
         }
         part server 'aami server --listen 0.0.0.0:8080 --data-dir /var/lib/by-hand/server'
         part prometheus 'prometheus --config.file=/opt/by-hand/prometheus.yml --storage.tsdb.path=/var/lib/by-hand/prometheus'
         part alertmanager 'alertmanager --config.file=/opt/by-hand/alertmanager.yml --cluster.listen-address= \
            --storage.path=/var/lib/by-hand/alertmanager'
         systemctl daemon-reload; systemctl -q enable --now hand-server hand-prometheus hand-alertmanager
         for ready in 8080/health/ready 9090/-/ready 9093/-/ready; do
           until curl -fsk -o /dev/null http://127.0.0.1:$ready; do sleep 0.05; done
         done\n",
    );
    script
}
