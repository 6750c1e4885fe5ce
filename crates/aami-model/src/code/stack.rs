//! Installing the server: the control plane and what runs beside it.

use super::codes;

codes! { Stack;
    STACK_INCOMPLETE = 1, Partial, 422;
    "A part of the server could not be had; everything else is installed.";
    "Make the part available at the mirror or in the folder, then run the same command with --resume.";
    "Prometheus, Alertmanager, Grafana and the agent for nodes are fetched one by one. One that no source has is named \
     and left out, the others are installed and run, and the command ends with exit code 7. Running it again with \
     --resume fetches what was missing and finishes the installation; what runs already is not touched."

    STACK_UNHEALTHY = 2, Failed, 503;
    "A service of the server does not answer.";
    "Read the last lines of its log in the message, mend the cause, then run the same command again.";
    "Each service was started and then asked at its own health address until a deadline. The message names the one \
     that did not answer, what it said last and the last lines of its log."

    ACME_NOT_YET = 3, Usage, 501;
    "Certificates from Let's Encrypt come in a later version.";
    "Leave --https out: the control plane speaks TLS with a CA of its own, or with yours by --tls-cert and --tls-key.";
    "The control plane speaks TLS from its first start. Without a certificate it makes a CA of its own, and nodes trust \
     that CA by a pin in the line they are enrolled with. A certificate of your own is taken with --tls-cert and \
     --tls-key."

    VERSION_ELSEWHERE = 4, Usage, 422;
    "This program installs its own version and no other.";
    "Fetch the release that is wanted with install.sh --version, and run its `aami server install`.";
    "What is installed is the program that is running, so that what was verified is what is placed. Another version \
     is installed by that version's own program."

    RUNTIME_MISSING = 5, Failed, 422;
    "What the server shall run under is not on this machine.";
    "Install it, or choose the other with --runtime.";
    "The runtime `systemd` needs systemd as the running init; the runtime `compose` needs a Docker engine that answers \
     and its compose plugin. `--runtime auto` takes the first of the two that is there."

    STACK_ELSEWHERE = 6, Conflict, 409;
    "The server is installed in another way already.";
    "Leave the option out, or take the server back with `aami server uninstall` first; data is kept by default.";
    "The data folder and the runtime are chosen once. Changing them would leave the old ones behind, running or \
     holding data, so it is refused. Everything else may be changed by running the install command again."

    SECRET_UNUSABLE = 7, Usage, 422;
    "A password cannot be used.";
    "Give a file that holds one line of 1 to 256 printable characters.";
    "Passwords are taken from a file or, with a warning, from the command line. An empty one, one of several lines or \
     one with control characters is refused before anything is changed."

    FOLDER_UNFIT = 8, Usage, 422;
    "A folder that was named for the server cannot be used as it is.";
    "Name a folder of the server's own with --data-dir or --install-dir: one that is empty, or not there yet.";
    "A folder that is there keeps the mode and owner it has. So it has to be one that the services' users may enter \
     and that not everybody may write into, and each folder above it too. Below the data folder each part has one of \
     its own; where such a folder is there already, holds something and is not from an earlier installation, it is \
     somebody else's and is not taken over. Data that was moved here from another server is put in its place after \
     the installation, with the services stopped."

    SOURCE_UNTRUSTED = 9, Usage, 422;
    "What would be installed from could be replaced by somebody else.";
    "Put it into a folder of root's own, e.g. below /root, and make it and every folder above it writable for root alone.";
    "An agent that lies beside this program, and a folder named with --release, are handed out to every node and run as \
     root there. So each of them, and every folder above it, has to belong to root or to whoever runs the command, and \
     nobody else may write there. The message names the place that is not so."

    CERTIFICATE_UNUSABLE = 10, Usage, 422;
    "The certificate or its key cannot be used.";
    "Give the chain with --tls-cert and the key of its first certificate with --tls-key, both as PEM files.";
    "A certificate of your own is judged before anything is changed: both files are read, and the key has to belong to \
     the certificate. The message names the file and what is wrong with it, and never what the key holds. Whether nodes \
     trust who signed it is theirs to say: its CA has to be among those their system trusts."
}
