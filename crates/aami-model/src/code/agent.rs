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
     library differ in version. The GPUs are still counted from the PCI bus."

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
}
