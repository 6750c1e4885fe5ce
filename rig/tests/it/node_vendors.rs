//! GPU exporters beside a dcgm-exporter from a file: all-smi where AMD's or Intel's GPUs are or somebody asks for it,
//! dcgm-exporter in a container, and a site's own. The vendors' tools say what was recorded of them; each exporter is
//! scraped from another machine, as Prometheus does, and leaves nothing when it goes.

use anyhow::{Context as _, Result, ensure};
use rig::{Net, Node, Picture, Place, Release};

use crate::node_parts::{
    ALL_SMI, DCGM_EXPORTER, Offered, give_gpus, left_since, metrics, not_well, on_the_bus, registered,
    serves_status,
};
use crate::site::{Site, Typing as _, is_as_before, root};

/// A vendor's GPUs, as the bus and the vendor's tool show them.
struct Gpus {
    node: &'static str,
    /// Vendor and class on the bus, and where they sit.
    bus: (&'static str, &'static str),
    addresses: &'static [&'static str],
    /// The tool's path, what it is asked, and what it says.
    tool: (&'static str, &'static str, &'static str),
    labels: [(&'static str, &'static str); 3],
    summary: &'static str,
}

const AMD: Gpus = Gpus {
    node: "amd-01",
    // A processing accelerator, as the Instinct cards are.
    bus: ("0x1002", "0x120000"),
    addresses: &["0000:05:00.0", "0000:26:00.0"],
    tool: (
        "/opt/rocm/bin/rocm-smi",
        "--showproductname --showuniqueid --showserial --showbus --showmeminfo vram --json",
        include_str!("../../../crates/aami-inventory/tests/fixtures/rocm_smi_showallinfo.json.txt"),
    ),
    labels: [
        ("gpu_vendor", "amd"),
        ("gpu_count", "2"),
        ("gpu_model", "Instinct MI300X OAM"),
    ],
    summary: "2x Instinct MI300X OAM (AMD)",
};

const INTEL: Gpus = Gpus {
    node: "intel-01",
    bus: ("0x8086", "0x038000"),
    addresses: &["0000:3a:00.0"],
    tool: (
        "/usr/local/bin/xpu-smi",
        "discovery -j",
        include_str!("../../../crates/aami-inventory/tests/fixtures/xpu_smi_discovery.json.txt"),
    ),
    labels: [
        ("gpu_vendor", "intel"),
        ("gpu_count", "1"),
        ("gpu_model", "Data Center GPU Max 1550"),
    ],
    summary: "1x Data Center GPU Max 1550 (Intel)",
};

impl Gpus {
    /// Gives them to a node.
    fn give(&self, node: &Node) -> Result<()> {
        let (path, question, answer) = self.tool;
        node.write("/etc/gpus.json", answer.as_bytes(), 0o644)?;
        let tool = format!("#!/bin/sh\n[ \"$*\" = '{question}' ] || exit 2\ncat /etc/gpus.json\n");
        node.write(path, tool.as_bytes(), 0o755)?;
        let addresses: Vec<String> = self.addresses.iter().map(ToString::to_string).collect();
        on_the_bus(node, self.bus, &addresses)
    }
}

/// What a machine elsewhere scrapes off a node's port; fails unless each of these metrics is there.
fn scraped(site: &Site, node: &Node, port: u16, names: &[&str]) -> Result<()> {
    let url = format!("http://{}:{port}/metrics", node.address());
    let text = Place::On(site.host()).get(&url, &[])?;
    for name in names {
        let is_there = text.lines().any(|line| line.starts_with(&format!("{name}{{")));
        ensure!(is_there, "{name} is not served at {url}:\n{text}");
    }
    Ok(())
}

/// What alerts and dashboards are made of.
const OF_ALL_SMI: [&str; 4] = [
    "all_smi_gpu_utilization",
    "all_smi_gpu_memory_used_bytes",
    "all_smi_gpu_temperature_celsius",
    "all_smi_gpu_power_consumption_watts",
];

/// Fails unless Prometheus is told to scrape a port of the node under this job.
fn is_discovered(site: &Site, node: &Node, port: u16, job: &str) -> Result<()> {
    let groups = site.get("/api/v1/sd/prometheus")?;
    let target = format!("{}:{port}", node.address());
    let found = groups.as_array().into_iter().flatten().any(|group| {
        let mut targets = group["targets"].as_array().into_iter().flatten();
        group["labels"]["job"] == job && targets.any(|one| *one == target.as_str())
    });
    ensure!(found, "{target} is not there as {job}: {groups:#}");
    Ok(())
}

/// Takes an exporter off a node, and fails unless nothing of it is left.
fn goes(site: &Site, node: &Node, name: &str, port: u16, before: &Picture) -> Result<()> {
    node.types_well(&format!("aami-agent exporters remove {name}"))?;
    ensure!(metrics(node, port).is_err(), "{name} still answers");
    let all = registered(site, node.name())?;
    ensure!(!all.iter().any(|one| one.ends_with(&port.to_string())), "{all:?}");
    let changes = left_since(before, node)?;
    ensure!(changes.is_empty(), "left by {name}: {changes:#?}");
    Ok(())
}

fn other_vendors_gpus_are_watched_by_all_smi(gpus: &Gpus) -> Result<()> {
    let net = Net::new()?;
    let site = Site::start(&net)?;
    ALL_SMI.hand_out(&site)?;
    let node = Node::boot(&net, Release::Bookworm, gpus.node)?;
    gpus.give(&node)?;
    let before = node.picture()?;
    let token = site.token(&["--name", "rack"])?;

    // Given such GPUs, when the node is enrolled, then it is told what they are, and all-smi is there without a word.
    let said = node.types_well(&token.one_line)?.all();
    ensure!(said.contains(gpus.summary), "no {:?}:\n{said}", gpus.summary);
    ensure!(registered(&site, gpus.node)? == ["node_exporter-9100", "all_smi-9401"]);
    let known = site.node(gpus.node)?;
    for (label, value) in gpus.labels {
        ensure!(known["labels"][label] == value, "{label}: {:#}", known["labels"]);
    }
    scraped(&site, &node, 9401, &OF_ALL_SMI)?;
    is_discovered(&site, &node, 9401, "all_smi")?;
    serves_status(&node, "gpu_count", 0)?;
    ensure!(not_well(&node)?.is_empty(), "{:?}", not_well(&node)?);

    // It goes without a trace, stays away though the hardware asks for it, and comes back when asked for.
    node.types_well("aami-agent exporters remove all-smi")?;
    node.types_well("aami-agent bootstrap --repair")?;
    ensure!(registered(&site, gpus.node)? == ["node_exporter-9100"]);
    ensure!(metrics(&node, 9401).is_err(), "it still answers");
    let without = node.picture()?;
    node.types_well("aami-agent exporters install all-smi")?;
    scraped(&site, &node, 9401, &OF_ALL_SMI)?;
    goes(&site, &node, "all-smi", 9401, &without)?;

    node.types_well("aami-agent uninstall")?;
    is_as_before(&node, &before, "uninstalling")
}

#[test]
fn gpus_of_amd_are_watched_by_all_smi() -> Result<()> {
    other_vendors_gpus_are_watched_by_all_smi(&AMD)
}

#[test]
fn gpus_of_intel_are_watched_by_all_smi() -> Result<()> {
    other_vendors_gpus_are_watched_by_all_smi(&INTEL)
}

/// A site's own exporter, told its port as its catalogue says.
const OWN: Offered = Offered {
    name: "rack-exporter",
    version: "1.2.0",
    port: 9555,
    program: "rack-exporter",
    stands_in: ALL_SMI.stands_in,
    more: "arguments = [\"api\", \"--port\", \"{port}\"]\n",
};

#[test]
fn exporters_come_and_go_on_request_by_their_scripts_and_by_their_names() -> Result<()> {
    let net = Net::new()?;
    let site = Site::start(&net)?;
    let node = Node::boot(&net, Release::Bookworm, "node1")?;
    // Given a machine without GPUs, the scripts, and a folder of exporters that the site built itself,
    for script in ["install-all-smi.sh", "install-dcgm-exporter.sh"] {
        let text = std::fs::read(root().join("scripts/node").join(script))?;
        node.write(&format!("/root/{script}"), &text, 0o755)?;
    }
    let mut catalogue = "format = 1\n".to_owned();
    for offered in [ALL_SMI, DCGM_EXPORTER, OWN] {
        let bytes = std::fs::read(offered.stands_in)?;
        node.write(&format!("/root/exporters/{}", offered.program), &bytes, 0o644)?;
        catalogue.push_str(&offered.entry(&bytes));
    }
    node.write("/root/exporters/components.toml", catalogue.as_bytes(), 0o644)?;
    let before = node.picture()?;

    // a script says what comes first,
    node.types_in_vain("/root/install-all-smi.sh", 5, "aami-agent is not on this machine")?;
    is_as_before(&node, &before, "a refusal")?;
    let token = site.token(&["--name", "rack"])?;
    node.types_well(&token.one_line)?;
    ensure!(registered(&site, "node1")? == ["node_exporter-9100"]);
    let enrolled = node.picture()?;
    // and where nobody offers it, that is said before anything changes.
    node.types_in_vain("/root/install-all-smi.sh", 1, "COMPONENT_MISSING")?;
    ensure!(left_since(&enrolled, &node)?.is_empty());

    let from = "--components /root/exporters";
    for (line, offered, kind, names) in [
        ("/root/install-all-smi.sh", ALL_SMI, "all_smi", &OF_ALL_SMI[..]),
        (
            "/root/install-dcgm-exporter.sh",
            DCGM_EXPORTER,
            "dcgm_exporter",
            &["DCGM_FI_DEV_FB_TOTAL", "DCGM_EXP_XID_ERRORS_COUNT"][..],
        ),
        (
            "aami-agent exporters install rack-exporter",
            OWN,
            "custom",
            &OF_ALL_SMI[..1],
        ),
    ] {
        let (name, port) = (offered.name, offered.port);
        // When it is asked for, then it is there, registered, and scraped,
        node.types_well(&format!("{line} {from}"))
            .with_context(|| name.to_owned())?;
        let all = registered(&site, "node1")?;
        ensure!(
            all == ["node_exporter-9100".to_owned(), format!("{kind}-{port}")],
            "{all:?}"
        );
        scraped(&site, &node, port, names)?;
        let list = node.types_well("aami-agent exporters list")?.stdout;
        let is_listed = list
            .lines()
            .any(|line| line.starts_with(name) && line.contains("installed"));
        ensure!(is_listed, "{list}");
        ensure!(not_well(&node)?.is_empty(), "{name}: {:?}", not_well(&node)?);
        // a node without GPUs does not become one with them by that,
        ensure!(site.node("node1")?["labels"]["gpu_vendor"].is_null());
        // asked for again it is as it was,
        let installed = node.picture()?;
        node.types_well(&format!("{line} {from}"))?;
        let changes = left_since(&installed, &node)?;
        ensure!(changes.is_empty(), "{name}: a second time changed {changes:#?}");
        // a site's own has no rights,
        if kind == "custom" {
            let user = node
                .sh("systemctl show -P User aami-exporter-rack-exporter")?
                .ok()?;
            ensure!(user.trim() == "aami-exporter", "{user}");
        }
        // and it goes without a trace.
        goes(&site, &node, name, port, &enrolled)?;
    }
    node.types_well("aami-agent uninstall")?;
    is_as_before(&node, &before, "uninstalling")
}

/// Docker's client, as far as the unit of an exporter meets it. It takes the flags that Docker takes, no others, refuses
/// what Docker refuses, and runs what the image holds.
const DOCKER: &str = r#"#!/bin/sh
fail() { echo "docker: $1." >&2; exit 125; }
case $1 in
rm) [ "$2" = --force ] || fail "unknown flag: $2"
    echo "Error: No such container: $3" >&2; exit 1 ;;
run) shift ;;
*) fail "'$1' is not a docker command" ;;
esac
gpus='' network='' name=''
while [ $# -gt 0 ]; do
    case $1 in
    --rm) ;;
    --name) name=$2; shift ;;
    --network) network=$2; shift ;;
    --cap-add) [ "$2" = SYS_ADMIN ] || fail "more rights than it needs: $2"; shift ;;
    --gpus) gpus=$2; shift ;;
    --volume) from=${2%%:*}
        [ "$2" = "$from:$from:ro" ] || fail "$2 may be written"
        [ -f "$from" ] || fail "$from is not there, and a folder would be made of it"
        shift ;;
    -*) fail "unknown flag: $1" ;;
    *) break ;;
    esac
    shift
done
[ "$name $network $gpus" = 'aami-dcgm-exporter host all' ] || fail "$name, $network, $gpus"
grep -qxF "$1" /srv/images/list || fail "Unable to find image '$1' locally"
shift
exec /srv/images/dcgm-exporter "$@"
"#;

/// An image by its digest, which is this letter all through.
fn image(letter: char) -> String {
    let digest = letter.to_string().repeat(64);
    format!("nvcr.io/nvidia/k8s/dcgm-exporter@sha256:{digest}")
}

#[test]
fn dcgm_exporter_runs_in_a_container_where_nobody_offers_a_program() -> Result<()> {
    let net = Net::new()?;
    let site = Site::start(&net)?;
    let node = Node::boot(&net, Release::Bookworm, "gpu-01")?;
    give_gpus(&node)?;
    // Given GPUs of NVIDIA, Docker with two images, and no program of dcgm-exporter anywhere,
    let program = std::fs::read(DCGM_EXPORTER.stands_in)?;
    node.write("/srv/images/dcgm-exporter", &program, 0o755)?;
    let images = format!("{}\n{}\n", image('a'), image('b'));
    node.write("/srv/images/list", images.as_bytes(), 0o644)?;
    node.write("/usr/bin/docker", DOCKER.as_bytes(), 0o755)?;
    let before = node.picture()?;
    let token = site.token(&["--name", "rack"])?;
    let bootstrap = |more: &str| format!("{} -s -- {more}", token.one_line);

    // then nothing is guessed, and an image that could be moved is refused, before anything is changed.
    let said = node.types_in_vain(&token.one_line, 1, "COMPONENT_MISSING")?.all();
    ensure!(said.contains("--dcgm-image"), "{said}");
    let tag = "--dcgm-image nvcr.io/nvidia/k8s/dcgm-exporter:4.5.3";
    let said = node.types(&bootstrap(tag))?;
    ensure!(said.code == 2 && said.all().contains("sha256"), "{}", said.all());
    is_as_before(&node, &before, "refusals")?;

    // When one is named by its digest, then it runs, registered and scraped like any other,
    node.types_well(&bootstrap(&format!("--dcgm-image {}", image('a'))))?;
    let both = ["node_exporter-9100", "dcgm_exporter-9400"];
    ensure!(registered(&site, "gpu-01")? == both);
    let names = [
        "DCGM_FI_DEV_FB_TOTAL",
        "DCGM_FI_DEV_XID_ERRORS",
        "DCGM_EXP_XID_ERRORS_COUNT",
    ];
    scraped(&site, &node, 9400, &names)?;
    is_discovered(&site, &node, 9400, "dcgm")?;
    let known = site.node("gpu-01")?;
    let labels = &known["labels"];
    ensure!(
        labels["gpu_vendor"] == "nvidia" && labels["gpu_count"] == "2",
        "{labels:#}"
    );
    ensure!(not_well(&node)?.is_empty(), "{:?}", not_well(&node)?);
    let unit = || node.sh("systemctl cat aami-dcgm-exporter")?.ok();
    ensure!(unit()?.contains(&image('a')), "{}", unit()?);

    // stays as it is in runs that do not name it,
    let installed = node.picture()?;
    node.types_well("aami-agent bootstrap --repair")?;
    let changes = left_since(&installed, &node)?;
    ensure!(changes.is_empty(), "a repair changed {changes:#?}");
    // and is replaced by another that is.
    let install = format!(
        "aami-agent exporters install dcgm_exporter --dcgm-image {}",
        image('b')
    );
    node.types_well(&install)?;
    ensure!(
        unit()?.contains(&image('b')) && !unit()?.contains(&image('a')),
        "{}",
        unit()?
    );
    scraped(&site, &node, 9400, &names)?;

    // It goes without a trace.
    node.types_well("aami-agent exporters remove dcgm_exporter")?;
    let without = node.picture()?;
    node.types_well(&install)?;
    goes(&site, &node, "dcgm_exporter", 9400, &without)?;
    node.types_well("aami-agent uninstall")?;
    is_as_before(&node, &before, "uninstalling")
}
