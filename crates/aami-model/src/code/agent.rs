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
}
