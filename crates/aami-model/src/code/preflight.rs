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
     when a write fails. Programs count as large as they are once they are unpacked, and places on one mount together. \
     What had been changed is recorded, so running the same command again continues."

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

    OS_UNTESTED = 3, Failed, 422;
    "AAMI has not been run on this distribution.";
    "Go on if you like; what it needs is checked as facts.";
    "The name and version in /etc/os-release are not on the list AAMI is run on. Nothing is refused for a name: \
     systemd, kernel and libc are checked by themselves."

    CPU_TOO_FEW = 4, Failed, 422;
    "This machine has fewer processors than the minimum.";
    "Give the machine more processors.";
    "A control plane needs two, a node one. What counts are the processors the kernel has online, from \
     /proc/cpuinfo."

    MEMORY_TOO_SMALL = 5, Failed, 422;
    "This machine has less memory than the minimum.";
    "Give the machine more memory, or raise the limit of the container.";
    "A control plane needs 4 GB, a node 1 GB. It is measured in bytes, and a fifth less passes: the kernel and \
     the firmware keep some of what is plugged in."

    INODES_FULL = 6, Failed, 507;
    "A file system has no inodes left for new files.";
    "Remove files that are many and small; `df -i` shows where.";
    "A file system can run out of inodes while it has free blocks. Every file needs one."

    NOEXEC = 7, Failed, 422;
    "Programs cannot be run from a place that will hold some.";
    "Remount it with `exec`, or choose another folder.";
    "A small script was written there, and the kernel refused to run it: the mount carries `noexec`. It is tried, \
     not guessed, since security modules refuse in the same way."

    NOT_WRITABLE = 8, Failed, 403;
    "A place that must be written cannot be.";
    "Look at the owner, mode and attributes of the folder named, as root.";
    "A file was to be made there and was refused although the mount takes writes. Immutable attributes \
     (`lsattr`), a security module, a quota or a network file system that maps root to nobody look like this."

    NOT_A_FOLDER = 9, Failed, 409;
    "Something other than a folder stands where a folder is needed.";
    "Move it away, or choose another folder.";
    "A file, or a link that leads nowhere, has the name that a folder must have. AAMI does not remove what it did \
     not make."

    SYSTEMD_NOT_RUNNING = 10, Failed, 422;
    "systemd is not the running init.";
    "Use a machine or container that boots systemd, or --runtime compose for a control plane.";
    "Services are installed as systemd units. Whether systemd runs is told by the folder /run/systemd/system \
     (sd_booted(3)), whether it answers by `systemctl is-system-running`."

    SYSTEMD_DEGRADED = 11, NotHealthy, 422;
    "Some units of this system have failed.";
    "Look at them with `systemctl --failed`.";
    "An install works on a degraded system. The units are named so that a failure seen later is not taken for one \
     of AAMI's."

    MACHINE_ID_INVALID = 17, Failed, 422;
    "This machine has no machine-id.";
    "Make one: `systemd-machine-id-setup`.";
    "/etc/machine-id is missing, empty, `uninitialized` or not 32 hexadecimal digits. The journal, D-Bus and DHCP \
     depend on it, and the control plane tells clones apart with its help."

    HOSTNAME_INVALID = 18, Failed, 422;
    "This machine's host name cannot be used.";
    "Set one: `hostnamectl set-hostname NAME`.";
    "A host name is made of letters, digits and hyphens, in parts of at most 63, with dots between them (RFC \
     1123). The message says where it was read."

    HOSTNAME_GENERIC = 19, Failed, 409;
    "This machine's host name is one that many machines have.";
    "Set one of its own: `hostnamectl set-hostname NAME`.";
    "Nodes are known by their host names. Two that are called localhost could not be told apart, and the second \
     would be refused."

    HOSTNAME_UNRESOLVABLE = 20, Failed, 422;
    "This machine cannot look up its own name.";
    "Add a line `127.0.1.1 NAME` to /etc/hosts.";
    "sudo and many services look the host name up when they start, and wait for a timeout when nothing answers."

    CGROUPS_MISSING = 21, Failed, 422;
    "No control groups are mounted.";
    "Boot with systemd, or mount cgroup2 at /sys/fs/cgroup.";
    "systemd and Docker keep services apart in control groups. Without a mounted hierarchy neither starts a \
     service."

    LIMIT_TOO_LOW = 22, Failed, 422;
    "The limit of open files is too low.";
    "Raise it for the service manager: DefaultLimitNOFILE in /etc/systemd/system.conf.";
    "A connection or file is a descriptor. What counts is the hard limit of process 1, since services begin \
     there."

    NAMESPACES_DISABLED = 23, Failed, 422;
    "The kernel makes no mount namespaces.";
    "Set user.max_mnt_namespaces above 0.";
    "The units AAMI installs see a read-only system (ProtectSystem=), which needs a mount namespace each. Without \
     them they fail with status 226/NAMESPACE."

    USER_NAMESPACE = 24, Failed, 422;
    "Root here is an ordinary user outside.";
    "Install on the host itself, or in a container with the host's user numbers.";
    "In a user namespace root lacks most rights over devices and the kernel. Exporters then show less than there \
     is."

    UMASK_UNUSABLE = 25, Failed, 422;
    "The umask takes rights away from the owner of new files, or gives them to everybody.";
    "Set the usual one: `umask 022`.";
    "AAMI gives its files their modes itself. Package managers and the programs they run do not, and a umask that \
     locks out the owner breaks them; 000 lets everybody write."

    ACCOUNTS_LOCKED = 26, Conflict, 409;
    "Users and groups cannot be changed now.";
    "Wait for the program that holds the lock, or remove the lock it left behind.";
    "useradd and groupadd lock /etc/passwd and its companions by files like /etc/passwd.lock. One that holds no \
     process number is taken over by nobody. The same is said when a file does not name root."

    DOCKER_MISSING = 27, Failed, 422;
    "Docker is not installed.";
    "Install it, or use --runtime systemd, which needs none.";
    "The compose runtime runs the control plane and its companions as containers. The systemd runtime needs no \
     container engine at all."

    DOCKER_TOO_OLD = 28, Failed, 422;
    "Docker is too old.";
    "Upgrade Docker to 20.10 or later.";
    "Versions before 20.10 know neither the Compose plugin nor the control groups of current systems."

    DOCKER_NOT_RUNNING = 29, Failed, 422;
    "The Docker daemon does not answer.";
    "Start it: `systemctl enable --now docker`.";
    "The client is installed and its question to /var/run/docker.sock was not answered. The message carries the \
     client's words."

    DOCKER_DENIED = 30, NotAuthorised, 403;
    "This user may not talk to the Docker daemon.";
    "Run as root, or add the user to the group docker and log in again.";
    "The socket belongs to root and the group docker. Who is in that group is root on this machine in all but \
     name."

    COMPOSE_MISSING = 31, Failed, 422;
    "Docker Compose is not installed.";
    "Install the package docker-compose-plugin (or docker-compose-v2).";
    "Compose is a plugin of Docker, called as `docker compose`; the older program docker-compose 1 is not enough."

    COMPOSE_TOO_OLD = 32, Failed, 422;
    "Docker Compose is too old.";
    "Upgrade it to 2.0 or later.";
    "Version 1 was a Python program with a file format of its own; it is no longer maintained."

    PACKAGES_LOCKED = 33, Conflict, 409;
    "Another program is installing packages.";
    "Wait for it to end, then run the same command again.";
    "The package manager's lock is held, and was for longer than it is waited for. The message names the file and the \
     process where they are known; automatic upgrades after boot are the usual holder."

    PACKAGE_LOCK_STALE = 34, Conflict, 409;
    "A lock of the package manager was left behind.";
    "Remove the file named; its process is gone.";
    "The file names a process that no longer runs. It is called left behind only after that was looked up."

    PACKAGES_BROKEN = 35, Failed, 409;
    "An earlier package installation was interrupted.";
    "Finish it: `dpkg --configure -a`.";
    "dpkg keeps a journal and a state for each package; packages that are unpacked or half configured make every \
     later installation fail."

    FOREIGN_INSTALL = 36, Failed, 409;
    "Monitoring that AAMI did not install is on this machine.";
    "Leave it: AAMI installs beside it and never changes it. Stop it where both want one port.";
    "A node_exporter, Prometheus, Alertmanager, Grafana or dcgm-exporter was found as a package, a unit, a \
     container or a process. AAMI uses names and folders of its own, so both can live side by side on different \
     ports."

    UNIT_BLOCKED = 37, Conflict, 409;
    "A unit with a name that AAMI needs is masked.";
    "Unmask it: `systemctl unmask UNIT`.";
    "Somebody linked the unit's name to /dev/null, so that it cannot be started. AAMI does not undo that by \
     itself."

    DNS_FAILED = 38, Failed, 502;
    "No name server answers.";
    "Look at /etc/resolv.conf and whether the servers in it can be reached.";
    "A name that is needed could not be looked up because nobody answered. Names in /etc/hosts and bare addresses \
     need no name server."

    NAME_UNKNOWN = 39, Failed, 502;
    "A host name that is needed is not known.";
    "Check its spelling, or ask for a record; `getent hosts NAME` asks the same question.";
    "The name servers answer, and say that there is no such name."

    DNS_WILDCARD = 40, Failed, 502;
    "The name server answers for names that do not exist.";
    "Use another name server, or sign in to the network.";
    "A random name below .invalid, which RFC 6761 reserves for names that do not exist, was answered with an \
     address. Captive portals and some providers do this; a typing error then leads to a stranger."

    PROXY_AUTH = 41, NotAuthorised, 502;
    "The proxy asks for a password.";
    "Put it into https_proxy (http://USER:PASSWORD@HOST:PORT).";
    "The proxy answered 407. It may hold a password in its address; that is never shown."

    PROXY_UNREACHABLE = 42, Failed, 502;
    "The proxy cannot be reached.";
    "Check https_proxy and http_proxy, or name the host in no_proxy.";
    "The proxy in the environment is asked first, so when it does not answer nothing else can be reached. The \
     message names the hop."

    PROXY_REFUSED = 43, Failed, 502;
    "The proxy refuses to go on.";
    "Ask for the host to be allowed, or name it in no_proxy.";
    "The proxy answered the request for a tunnel with something other than 200. 403 is a rule of the proxy; 502 \
     and 503 mean that it could not reach the host either."

    PROXY_INVALID = 44, Usage, 422;
    "The proxy setting cannot be understood.";
    "Write it as http://HOST:PORT.";
    "https_proxy, http_proxy or all_proxy is set, and is not a proxy's address."

    CAPTIVE_PORTAL = 45, Failed, 502;
    "A web page answers in the place of the server.";
    "Sign in to the network, or have the machine exempted from the portal.";
    "The answer is HTML where a program's answer was expected. Captive portals and filtering proxies do this."

    TLS_FAILED = 46, Failed, 502;
    "No TLS connection could be made.";
    "Check that the port speaks TLS and that nothing in between takes it apart.";
    "The connection was made and its handshake failed for a reason other than the certificate: the other side \
     does not speak TLS, or offers no version that is safe."

    CERTIFICATE_NAME = 47, Integrity, 502;
    "The server's certificate is for another name.";
    "Use the name in the certificate, or have the address added to it.";
    "Whoever answers has a certificate that can be trusted, for another host. An address in the place of a name, \
     or a rewritten DNS answer, are the usual causes."

    CERTIFICATE_EXPIRED = 48, Integrity, 502;
    "The server's certificate is not valid now.";
    "Look at this machine's clock first, then have the certificate renewed.";
    "Its period of validity does not include this machine's time. A clock that is wrong looks just the same as a \
     certificate that is old."

    CA_FILE_INVALID = 49, Usage, 422;
    "The CA file cannot be used.";
    "Name a file with a PEM certificate.";
    "The file given by --ca-file cannot be read, or holds no certificate in PEM form."

    CONNECTION_REFUSED = 50, Failed, 502;
    "Nothing listens at an address that is needed.";
    "Check host and port, and that the service runs there.";
    "The host answered the connection with a refusal: it is there, and no program listens on that port, or a \
     firewall rejects it."

    NO_ANSWER = 51, Pending, 504;
    "A host that is needed does not answer.";
    "Look for a firewall in between, and at the route.";
    "The connection was neither made nor refused in time. Packets that vanish are usually dropped by a firewall."

    NO_ROUTE = 52, Failed, 502;
    "There is no way to a host that is needed.";
    "Look at `ip route` and the cable.";
    "The kernel, or a router, says that the network or host cannot be reached."

    SERVER_UNWELL = 53, Pending, 502;
    "A server that is needed is not well.";
    "Try again later, or look at the server's log.";
    "It answered with an HTTP status of 500 or above, so it is there and cannot do its work now."

    CLOCK_UNSYNCED = 54, Failed, 422;
    "Nothing keeps this machine's clock right.";
    "Start a time service: `timedatectl set-ntp true`, or install chrony.";
    "No unit of a known time service is at work. Metrics and certificates depend on the time; clocks drift by \
     seconds a week."

    LOOPBACK_DOWN = 55, Failed, 422;
    "The loopback device is down.";
    "Bring it up: `ip link set lo up`.";
    "Services on this machine talk to each other over 127.0.0.1; with the device down none of them can be \
     reached."

    FIREWALL_CLOSED = 56, Failed, 422;
    "A firewall keeps a port closed that others must reach.";
    "Open the port, or run with --fix.";
    "The firewall is at work and has no rule that lets the port in. The command that opens it is in the message. \
     A rule in front of the machine cannot be seen from here."

    PORT_EPHEMERAL = 57, Failed, 409;
    "A port that is needed may be given to any outgoing connection.";
    "Set net.ipv4.ip_local_port_range to begin at 32768, or reserve the port.";
    "The kernel takes ports of outgoing connections from net.ipv4.ip_local_port_range. A port in it can be taken \
     at the moment the service wants it; net.ipv4.ip_local_reserved_ports keeps it free."

    SELINUX_ENFORCING = 58, Failed, 422;
    "SELinux is enforcing.";
    "Go on; look for denials with `ausearch -m avc -ts recent` should a service not start.";
    "AAMI's programs lie in /opt, where policies let services run them. A policy of the site may not; it is named \
     here so that a denial is looked for in the right place."

    GPU_DRIVER_MISSING = 59, Failed, 422;
    "A GPU has no driver.";
    "Install the vendor's driver.";
    "The GPU is on the PCI bus and no kernel driver is bound to it, so nothing can measure it. Monitoring of the \
     rest of the machine works."

    GPU_DRIVER_MISMATCH = 60, Failed, 422;
    "The GPU driver and its library differ in version.";
    "Reload the kernel module, or reboot.";
    "The loaded kernel module is of another version than libnvidia-ml, usually since an upgrade that was not \
     followed by a reboot. Every tool then fails with \"Driver/library version mismatch\"."

    GPU_DEVICE_MISSING = 61, Failed, 422;
    "The GPU's device files are missing.";
    "Make them: `nvidia-modprobe -u -c0`, or start nvidia-persistenced.";
    "The driver is loaded, and /dev/nvidiactl or /dev/nvidiaN is not there. In a container they have to be handed \
     in."

    GPU_NOUVEAU = 62, Failed, 422;
    "The open driver nouveau holds the GPU.";
    "Blacklist nouveau, install NVIDIA's driver, and reboot.";
    "nouveau and NVIDIA's driver exclude each other, and nouveau measures nothing that is wanted of a compute \
     GPU."

    FABRIC_MANAGER_DOWN = 63, Failed, 422;
    "The GPUs' fabric manager is not at work.";
    "Start it: `systemctl enable --now nvidia-fabricmanager`.";
    "On machines with NVSwitches no CUDA program starts before the fabric manager has set the switches up. Its \
     version must be the driver's."

    GPU_LOST = 64, NotHealthy, 422;
    "A GPU on the bus is not shown by its vendor's tool.";
    "Look at `dmesg` for Xid errors; a reset or reboot may bring it back.";
    "The PCI bus has more GPUs than the tool shows. A GPU that fell off the bus looks like this."

    PROXY_NOT_FOR_SERVICES = 65, Failed, 422;
    "A service does not know the proxy of this environment.";
    "Tell it the proxy by a drop-in of systemd, or run with --fix.";
    "The variables of a shell do not reach services: the Docker daemon fetches images by itself and needs its proxy in \
     its own unit or in /etc/docker/daemon.json."

    CONTROLLERS_OFF = 66, Failed, 422;
    "A controller of control groups is switched off.";
    "Go on; or boot with cgroup_enable= and without cgroup_disable= of its name.";
    "Units set limits on memory and processes (MemoryMax=, TasksMax=), and the kernel keeps them by its controllers \
     memory and pids. A kernel that was started with one of them off, as those of some small boards are, runs services \
     without that limit. Everything else works."

    APPARMOR_ENFORCING = 67, Failed, 422;
    "AppArmor confines a program that AAMI runs.";
    "Go on; look for denials with `journalctl -k -g DENIED` should a service not start.";
    "The kernel enforces a profile whose name is that of a program of ours: one of the site's or of a package of the \
     distribution. What the profile does not name is refused, whatever the file's mode says. It is named here so that \
     a denial is looked for in the right place."
}
