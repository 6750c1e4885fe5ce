//! Telling Prometheus what to scrape.

use super::codes;

codes! { Discovery;
    PROMETHEUS_UNREACHABLE = 1, Failed, 502;
    "Prometheus does not answer.";
    "Check that it runs and its address.";
    "The address configured for Prometheus refused the connection or answered with something else."

    NODE_NOT_SCRAPED = 2, NotHealthy, 424;
    "Prometheus does not scrape the node yet.";
    "Wait for its next refresh, then look at its targets page.";
    "The node is in service discovery, but Prometheus has not reported `up == 1` for it within the time allowed."

    NODE_UNREACHABLE = 3, NotHealthy, 424;
    "There is no way to a node's address, or nobody answers there.";
    "See whether the host is up and whether the address is still its own: `ping`, `ip route get`, its console.";
    "Connections to the node's exporters and to its SSH port were tried. None was answered, not even by a refusal, which \
     every living host sends for a closed port unless a firewall drops everything; or this machine or a router said that \
     there is no way. Prometheus needs the same way, from where it runs."

    NODE_ADDRESS_STALE = 4, NotHealthy, 424;
    "A node's name leads to another address than the declared one, where nobody answers.";
    "Declare the address it has now.";
    "What is scraped is the declared address, never the name. Here the declared one is dead and the one the name means \
     answers: the node was given another address, or the name another node."

    PORT_DROPPED = 5, NotHealthy, 424;
    "A firewall keeps Prometheus out of an exporter's port.";
    "Open the port for Prometheus' address alone; `aami diagnose NODE` shows the command for each firewall.";
    "The host answers on another port, so it is up and there is a way to it, and connections to the exporter's port are \
     dropped or rejected. The firewall may be on the node, or between. An exporter has no password: open its port for \
     Prometheus' address and for nobody else."

    NOBODY_LISTENS = 6, NotHealthy, 424;
    "Nobody listens on an exporter's port.";
    "See on the node whether the exporter runs: `aami diagnose NODE --ssh` looks.";
    "The connection was refused, which the host itself says where a port is closed: the exporter is stopped, crashed, was \
     never installed, listens on another port or on 127.0.0.1 alone. A firewall that rejects with a reset looks the same \
     from outside."

    NOT_METRICS = 7, NotHealthy, 424;
    "What answers on an exporter's port does not answer with metrics.";
    "Fetch the page with curl and see who it is; `ss -ltnp` on the node names the program.";
    "Prometheus wants status 200 and its text format, whole: one bad line and the whole page is refused. Here came another \
     status, a redirect, a web page, no HTTP at all, or a page without an end. Another program may have the port."

    EXPORTER_SLOW = 8, NotHealthy, 424;
    "An exporter does not answer in time.";
    "Read its log on the node; a driver or a file system that hangs holds up whoever asks it.";
    "Prometheus gives up on a scrape after 10 s unless its configuration says otherwise, and then has nothing of that node. \
     The exporter took the connection, and its page was not at its end when the time was up."

    SERIES_MISSING = 9, NotHealthy, 424;
    "An exporter answers, and has none of the series that rules look at.";
    "See on the node whether the driver answers (`nvidia-smi`), and which counters the exporter was given.";
    "The page is sound, and nothing on it begins as the series of this kind of exporter do, such as DCGM_FI_DEV_. Rules about \
     them never fire then, which looks like health. dcgm-exporter does so when it sees no GPU or was given no counters."

    TARGET_NOT_LISTED = 10, NotHealthy, 424;
    "Prometheus is not told of a node's exporter.";
    "Install it with `aami nodes install`, which lists what answers afterwards; `aami diff` shows all that is missing.";
    "For a file fleet the lists are /var/lib/aami/targets/*.json, written when a node's installation ended well; a control \
     plane lists the exporters of nodes that registered and were verified. What is in no list is scraped by nobody."

    TARGET_NOT_LOADED = 11, NotHealthy, 424;
    "An exporter is listed, and Prometheus does not have it as a target.";
    "See with `aami diff` whether Prometheus runs with the configuration that is wanted.";
    "Prometheus reads lists within seconds. Where it does not have what is listed, it runs with another configuration, could not \
     load the one there is, looks into another folder, or drops the target by its own relabelling."

    TARGET_LABELS_WRONG = 12, NotHealthy, 424;
    "A target does not bear the labels that rules go by.";
    "Compare with `aami diff`; relabelling of one's own may take labels away.";
    "Rules tell nodes apart by `node` and `cluster` and exporters by `job`. A target that lacks one of them, or has another \
     value, is scraped, and no rule about the node finds it."
}
