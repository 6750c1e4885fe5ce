//! What is found wrong before anything is changed.

use super::codes;

codes! { Preflight;
    NOT_ROOT = 1, NotAuthorised, 403;
    "This needs root.";
    "Run it again with sudo.";
    "Installing a service writes below /etc, /opt and /var/lib and talks to systemd, which only root may do. \
     `--dry-run` shows the plan without root, and `aami-agent bootstrap --foreground --root DIR` enrols a machine \
     without touching the system."

    OS_UNSUPPORTED = 2, Failed, 422;
    "This operating system lacks something AAMI needs.";
    "Use a Linux with systemd 239 or newer, or run the foreground form.";
    "What counts are facts, not names: a Linux kernel, systemd as the running init, and a writable /etc. The message \
     names the missing fact and where it was read."

    PORT_IN_USE = 12, Conflict, 409;
    "A port that is needed is already in use.";
    "Stop the program that holds it, or choose another port with --port.";
    "Another program listens on the port. The message names its process id, program and, where there is one, its \
     systemd unit. AAMI never stops a program it did not start. A listener that AAMI itself installed is not a \
     conflict and passes."

    DISK_FULL = 13, Failed, 507;
    "There is not enough free disk space.";
    "Free some space on the mount named, then run the same command again.";
    "The space is measured on the mount that will be written, in blocks and inodes, before the first change and again \
     when a write fails. What had been changed is recorded, so running the same command again continues."

    READ_ONLY = 14, Failed, 507;
    "A place that must be written is read-only.";
    "Remount it read-write, or choose another folder.";
    "Either the file system is mounted read-only (look at `findmnt -T PATH`), or the kernel has made it so after a \
     disk error (look at `dmesg`)."

    TOOL_MISSING = 15, Failed, 422;
    "A program that is needed is not installed.";
    "Install the package named.";
    "The message names the program and the package that carries it on this distribution."

    CLOCK_SKEW = 16, Failed, 422;
    "This machine's clock is far from the control plane's.";
    "Set the clock, for example with `timedatectl set-ntp true`.";
    "The offset is measured from the control plane's Date header before any expiry is judged. Enrolment itself goes on \
     where it can, since its certificates are trusted by pin; tokens and metrics with a wrong time would mislead you."
}
