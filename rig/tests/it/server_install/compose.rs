//! The same server as containers, on a real Docker engine and no systemd.
//!
//! The engine runs in a root of its own with a network, processes and mounts that end with the test. There is no
//! registry: the base image is made of that root itself. Debian's compose is an older one than the preflight asks for,
//! so the preflight is skipped.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use rig::{Process, cache};

use super::stage::load;

/// What the root holds.
const PACKAGES: &str = "iproute2,curl,ca-certificates,docker.io,docker-compose,procps";
/// The whole story, the image and the containers included.
const LIMIT: Duration = Duration::from_secs(400);

/// Puts the root together from what is cached, what is written, and what the kernel gives; then becomes the story.
const ENTER: &str = "set -e
mount --make-rprivate /
mkdir -p $1/upper $1/work $1/root $1/docker
mount -t overlay overlay -o lowerdir=$2,upperdir=$1/upper,workdir=$1/work $1/root
cd $1/root
mkdir -p root etc/docker var/lib/docker
mount --bind $1/docker var/lib/docker
cp -r $1/given/. .
mount -t proc proc proc; mount --rbind /sys sys; mount --rbind /dev dev
mount -t tmpfs tmpfs run; mount -t tmpfs tmpfs tmp
exec chroot . /bin/bash /root/story";

/// What an operator types; each line that begins with `==` is looked for.
const STORY: &str = r#"
set -u
export PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin HOME=/root
ip link set lo up
head -c 16 /dev/urandom | od -An -tx1 | tr -d ' \n' > /etc/machine-id
echo '{"iptables": false, "ip6tables": false, "bridge": "none"}' > /etc/docker/daemon.json
dockerd > /root/dockerd.log 2>&1 &
for i in $(seq 200); do docker version > /dev/null 2>&1 && break; sleep 0.2; done
tar --create --one-file-system --exclude=./root --exclude=./var --exclude=./usr/bin/docker* --directory=/ . \
  | docker import - docker.io/library/debian:12-slim || { cat /root/dockerd.log; exit 1; }
# Without the copies that the account tools leave of their own tables.
picture() {
  find / -xdev \( -path /root -o -path /proc -o -path /sys -o -path /dev -o -path /run -o -path /tmp -o -path /var/log \
    -o -path /var/lib/docker -o -path /var/lib/containerd \) -prune -o -printf '%p %y %m %U:%G %l\n' \
    | grep -Ev '^/etc/(passwd|group|shadow|gshadow|subuid|subgid)- ' | sort
}
install() { /root/aami server install --unattended --skip-preflight --components-dir /root/components "$@"; }
picture > /root/before
install --runtime auto --dry-run 2>&1 | grep -q COMPONENT_MISSING && echo "== no image by a tag"
install --runtime auto --image "$(docker images --no-trunc --quiet debian)" && echo "== installed"
/root/aami server status && echo "== well"
rules() { /root/aami alerts apply-preset "$1" --data-dir /var/lib/aami/server; }
rules gpu-production | grep -qx '✅ Applied preset gpu-production (8 rules)' && echo "== rules are loaded"
stat -c %a /etc/aami/.env | grep -qx 600 && echo "== variables are root's alone"
docker ps --format '{{.Names}} {{.ID}}' | sort > /root/first
install && docker ps --format '{{.Names}} {{.ID}}' | sort | diff - /root/first && echo "== left alone"
install --expose 2>&1 | grep -q 'Prometheus 2.* cannot be told of new rules' && echo "== an old one that cannot be told is named"
rules thermal 2>&1 | grep -q ALERT_RULES_NOT_LOADED && echo "== and its rules are known to be old"
install --expose=false && rules storage && echo "== and told again"
docker stop aami-prometheus > /dev/null
/root/aami server status | grep -q 'prometheus is exited' && echo "== named"
install --repair && /root/aami server status > /dev/null && echo "== mended"
/root/aami server uninstall --purge-data --yes
test -z "$(docker ps --all --quiet)" && echo "== no container is left"
picture > /root/after
diff /root/before /root/after && echo "== as before"
kill %1; wait
"#;

#[test]
fn a_docker_engine_runs_the_same_server() -> Result<()> {
    let engine = cache::entry(
        "rootfs-docker-bookworm",
        &format!("mmdebstrap minbase {PACKAGES}"),
        |path| {
            let made = Command::new("mmdebstrap")
                .args(["--quiet", "--variant=minbase", "--format=directory"])
                .arg(format!("--include={PACKAGES}"))
                .arg("bookworm")
                .arg(path)
                .status()
                .context("cannot start mmdebstrap")?;
            ensure!(made.success(), "mmdebstrap: {made}");
            Ok(())
        },
    )?;
    // Not in memory: the engine keeps its layers there.
    let folder = tempfile::Builder::new()
        .prefix("aami-rig-docker-")
        .tempdir_in("/var/tmp")?;
    let given = folder.path().join("given");
    let mut put = |path: &str, bytes: &[u8], mode: u32| -> Result<()> {
        let path = given.join(path.trim_start_matches('/'));
        fs::create_dir_all(path.parent().context("no folder")?)?;
        fs::write(&path, bytes)?;
        Ok(fs::set_permissions(&path, fs::Permissions::from_mode(mode))?)
    };
    load(&mut put)?;
    put("/root/story", STORY.as_bytes(), 0o755)?;

    let mut command = Command::new("unshare");
    command
        .args([
            "--mount",
            "--net",
            "--pid",
            "--uts",
            "--ipc",
            "--fork",
            "--kill-child",
        ])
        .args(["bash", "-c", ENTER, "bash"])
        .arg(folder.path())
        .arg(&engine);
    let mut story = Process::start("the story", command, &folder.path().join("log"))?;
    story.wait(LIMIT).with_context(|| story.log())?;
    let log = story.log();
    for line in [
        "no image by a tag",
        "installed",
        "well",
        "rules are loaded",
        "variables are root's alone",
        "left alone",
        "an old one that cannot be told is named",
        "and its rules are known to be old",
        "and told again",
        "named",
        "mended",
        "no container is left",
        "as before",
    ] {
        ensure!(log.contains(&format!("== {line}\n")), "not {line}:\n{log}");
    }
    Ok(())
}
