//! The node's binary and what it finds on its host.

use super::codes;

codes! { Agent;
    DETECTION_FAILED = 1, Failed, 500;
    "The host could not be looked at.";
    "The message names the file or program.";
    "Reading /proc, /sys or a vendor tool failed in a way that leaves a fact unknown that is needed."

    VENDOR_TOOL_FAILED = 2, Failed, 500;
    "A vendor's tool failed.";
    "Run it by hand as in the message.";
    "The tool is installed but did not answer in time or ended with an error, for example because its driver and \
     library differ in version. An inventory still counts GPUs from the PCI bus. How many can be used is not known \
     meanwhile: a GPU that the agent found to be lost before stays a finding until the tool answers again."

    DUPLICATE_MACHINE_ID = 3, NotHealthy, 409;
    "Two machines carry the same machine-id.";
    "Make a new one on the copy: remove /etc/machine-id and run `systemd-machine-id-setup`.";
    "Both were copied from one image. AAMI tells them apart by their hardware; other programs may not."

    AGENT_RULES_INVALID = 4, Failed, 422;
    "This node's own rules cannot be used.";
    "Mend /etc/aami/agent.yaml as the message says; until then no check runs.";
    "The file says which checks may run as root on this node. It must be readable YAML, belong to root and be \
     writable by nobody else. A list under `checks: root:` holds entries with `builtin:`, or with `name:` and the \
     `sha256:` of the definition; a list under `checks: keys:` holds entries with `id:` and `public_key:`."

    CHECKS_NOT_RUN = 5, Failed, 500;
    "Checks could not be run.";
    "See what the message names; `systemctl status aami-checks.service` shows the last rounds.";
    "A round of checks reads what it remembers, runs what is due and writes /var/lib/node_exporter/textfile/\
     aami_checks.prom. One of these files or folders could not be read or written. What a single check found is its \
     metric and never this error."

    NODE_NOT_ENROLLED = 6, DaemonConfig, 409;
    "This machine is not enrolled, or its credential cannot be used.";
    "Enrol it with `aami-agent bootstrap`; where it was enrolled, `aami-agent bootstrap --repair` mends it.";
    "The agent's daemon speaks for a node by the credential in /var/lib/aami/agent/credential, which the bootstrap made, \
     and to the control plane named in /var/lib/aami/agent/registration.json. One of them is missing, is not what it \
     should be, or can be read by others than root. The message says which, never what the file holds."

    DAEMON_NOT_STARTED = 7, Failed, 500;
    "The agent's daemon could not start.";
    "See what the message names; `systemctl status aami-agent.service` shows the last starts.";
    "The daemon keeps reports in /var/lib/aami/agent/spool and starts a thread for each of its loops. A folder could not \
     be made or read, or the host had no room for a thread."

    GPU_COUNT_CHANGED = 8, NotHealthy, 409;
    "This node has another number of usable GPUs than it enrolled with.";
    "See `dmesg | grep -i xid` and `nvidia-smi`; after a change that was meant, run `aami-agent bootstrap --repair`.";
    "The agent compares the GPUs that the vendor's tool shows, or the driver has, with those the node registered. One \
     that fell off the bus needs a reset or a reboot; one that was taken out on purpose is told by a new registration."

    COMMAND_NOT_OFFERED = 9, Failed, 501;
    "This node does not offer that command.";
    "The message says what to do instead.";
    "Commands are a closed list, and some need what this node does not have: its service manager, or a newer agent."

    COMMAND_FAILED = 10, Failed, 500;
    "The node tried, and the command failed.";
    "The message carries what the node's own tools said; `diagnose` gathers more.";
    "The command was taken and begun. What it asked the service manager or the disk for was refused."

    COMMAND_BUSY = 11, Conflict, 429;
    "The node has too many commands waiting.";
    "Wait until those before it have ended, and give it again.";
    "A node does one command at a time and keeps a few waiting. This one was not taken and will not be done."

    COMMAND_INTERRUPTED = 12, Interrupted, 500;
    "The agent was restarted while the command was under way; it is not done again.";
    "Look whether it took effect, and give it again where it did not.";
    "A command is done at most once. After a restart nobody knows how far it came, so it is told as failed."

    COMMAND_TIMED_OUT = 13, Pending, 504;
    "The command did not end in the time it was given.";
    "Give it more time, or look at the node with `diagnose`.";
    "What the command waited for was still under way when its time was over. It may end later by itself."

    UPDATE_DOWNGRADE = 14, Conflict, 409;
    "The release is older than the agent that runs, and the agent is not pinned to it.";
    "Pin the group to it: `aami agents update GROUP --version V --pinned`.";
    "An older release may have faults that a newer one has mended, so nobody takes an agent back by accident. A group \
     that is pinned to the version says so to its nodes, and only then they take it. Its signature is asked for in \
     either case."

    UPDATE_ROLLED_BACK = 15, Failed, 500;
    "The new agent did not come up, and the old one is back.";
    "The message says how far the new one came; look at `journalctl -u aami-agent -u aami-agent-update` on the node.";
    "A new agent has to start on the node, be acknowledged by the control plane within two minutes, and stay up for half \
     a minute from then on: first on trial, and then once more as it was installed. One that does not is taken back: the unit runs the agent it ran before, and the file of the new one is removed. A \
     control plane that cannot be reached during that time looks the same from the node."

    UPDATE_KEY_MISSING = 16, Integrity, 422;
    "This node does not know who signs releases.";
    "Place the minisign public key as /etc/aami/release.pub, or run `aami-agent bootstrap --release-key FILE`.";
    "An agent is replaced only by a release that is signed by the key in /etc/aami/release.pub. The bootstrap places it, \
     where the control plane had one as dist/minisign.pub or --release-key named it. The file has to be root's, and \
     nobody else may write it. Without it nothing is updated from afar, whoever asks."

    UPDATE_STUCK = 17, Failed, 500;
    "The new agent did not hold, and the old one could not be taken back.";
    "Run `aami-agent bootstrap --repair` on the node; see `journalctl -u aami-agent -u aami-agent-update` there.";
    "Going back was tried several times, and each time the service manager or the old agent's install failed; the \
     message says at what. What was fetched is kept for as long as the unit might still start it, so the node may \
     well be connected, by either agent."

    RUN_NOT_STARTED = 18, Failed, 500;
    "A detached run could not be started.";
    "The message says why; `systemctl status 'aami-run-*'` and the journal show more.";
    "A run goes on by itself, as a unit of systemd where that is the init and otherwise as a process in a session of its \
     own. Neither came up: the service manager refused, or this program may not be run from where it lies (a mount \
     with noexec, a policy of SELinux or AppArmor). Nothing was changed on the host."
}
