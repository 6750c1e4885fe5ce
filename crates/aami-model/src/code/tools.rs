//! What a host's own tools refuse: package managers, firewalls, container engines.

use super::codes;

codes! { Tools;
    PACKAGE_UNKNOWN = 1, Failed, 422;
    "No package repository of this host has a package that is needed.";
    "Enable a repository that carries it, or place it on the mirror this host uses.";
    "The package manager knows its repositories and none of them offers a package of this name for this system. The \
     message names the package. On an offline host the lists may be old or empty."

    PACKAGES_UNREACHABLE = 2, Failed, 502;
    "The package repositories cannot be reached.";
    "Check name resolution, the proxy and the network to the address in the message, then run again.";
    "The package manager could not fetch its lists or a package. Nothing was installed: everything is fetched before \
     anything is unpacked."

    PACKAGES_UNTRUSTED = 3, Integrity, 502;
    "A package or repository is not signed by somebody this host trusts.";
    "Install the repository's signing key, or use the distribution's own repositories.";
    "The package manager found no valid signature. AAMI never tells it to go on without one."

    PACKAGES_CONFLICT = 4, Failed, 409;
    "The packages that are needed would remove others.";
    "Decide which of them this host shall have, and remove the other by hand.";
    "AAMI installs packages only where nothing installed has to go for them. The package manager's simulation says that \
     something would, and the message quotes it."

    PACKAGES_FAILED = 5, Failed, 500;
    "The package manager failed.";
    "Read its last lines in the message, mend what they name, then run the same command again.";
    "The package manager ended with an error that AAMI has no better word for. What it did before stays recorded and is \
     taken back by uninstalling."

    FIREWALL_FAILED = 6, Failed, 500;
    "The firewall did not take or give back a rule.";
    "Look at the firewall with the tool the message names, then run the same command again.";
    "AAMI opens a port only where a firewall is active, through that firewall's own tool (firewalld, ufw or nft), and \
     closes only what it opened."

    CONTAINERS_UNAVAILABLE = 7, Failed, 422;
    "No container engine answers on this host.";
    "Start it with `systemctl start docker`, or install it; `docker info` says more.";
    "Containers are run by `docker compose` or `docker-compose`. Either the program is missing, or the engine behind it \
     does not answer, or this user may not talk to it."

    IMAGE_UNAVAILABLE = 8, Failed, 502;
    "A container image cannot be had.";
    "Check the image's name and the way to its registry, or load the image with `docker load`.";
    "The engine could not pull an image that the compose file names. The message quotes the engine."

    PROJECT_FAILED = 9, Failed, 500;
    "The containers did not come up.";
    "Read their output with `docker compose logs` for the project in the message.";
    "`docker compose up` failed, or a service of the project was not running when it was looked at afterwards."

    RECEIPT_NEWER = 10, Failed, 409;
    "The record of what was installed was written by a newer AAMI.";
    "Use the version of AAMI that wrote it, or a later one.";
    "The record holds a version or a kind of effect that this program does not know. Undoing only the part it knows would \
     leave the host half installed, so nothing was changed. The newer program reads every older record."

    SCRAPERS_UNKNOWN = 11, Failed, 422;
    "It is not known whom the firewall should let in to scrape the exporters.";
    "Name the addresses that Prometheus scrapes from with `--scrape-from`, or leave the firewall alone with \
     `--skip-firewall`.";
    "A firewall is at work on this host, and the ports of exporters are opened in it for the control plane's addresses \
     alone. Its name could not be looked up here: name resolution is broken, or only a proxy knows the name. A door \
     without addresses would be open for everybody, so none is opened. `--scrape-from 10.0.0.0/8` (an address or a \
     network, as often as needed) says who comes; `--scrape-from 0.0.0.0/0` is everybody, if that is what you want."
}
