//! A fleet that a file declares and SSH reaches, and what needs the one or the other way of keeping nodes.

use super::codes;

codes! { Fleet;
    NEEDS_CONTROL_PLANE = 1, Failed, 501;
    "This needs a control plane, and none was named.";
    "Name one with --server and --key-file (AAMI_SERVER, AAMI_API_KEY) or as `server:` in the configuration; `aami server install` makes one.";
    "Commands act on a control plane or on the file fleet of /etc/aami/config.yaml. A control plane is taken where \
     --server, --key-file or --data-dir, AAMI_SERVER or AAMI_API_KEY, `server:` in the configuration or an admin.key on \
     this machine names one; otherwise it is the file fleet. Enrolment, maintenance, tokens, rollouts and history exist \
     only with a control plane. `aami config import` moves a file fleet into one. `aami COMMAND --help` says by which \
     of the two a command acts."

    NEEDS_FILE_FLEET = 2, Failed, 501;
    "This acts on the file fleet, and a control plane is in charge here.";
    "Use the command for a control plane that the message names.";
    "The command changes /etc/aami/config.yaml or what is made from it, and a control plane was found, which keeps its \
     nodes itself. The message names the command that does the same there. Without --server, AAMI_SERVER, `server:` in \
     the configuration and an admin.key on this machine it is the file fleet; --config names its file."

    FLEET_MISSING = 3, NotFound, 404;
    "There is no configuration that declares a fleet.";
    "Run `aami init`, or name the file with --config.";
    "The file fleet is what /etc/aami/config.yaml declares. `aami init` makes it with every setting explained, and leaves \
     one that is there as it is."

    FLEET_INVALID = 4, Usage, 422;
    "The configuration of the fleet has problems.";
    "Mend the lines named; nothing was changed.";
    "Every problem is named with its line, its field and, for a field nobody knows, the nearest one that is known. A \
     command reads the whole file before it does anything."

    FLEET_LIST_INVALID = 5, Usage, 422;
    "A list of nodes has lines that cannot be taken.";
    "Mend the lines named; nothing was added.";
    "The list is read as a whole: plain lines, CSV, YAML or an Ansible inventory. Every bad line is named with its \
     number, and either all of the list is added or nothing."

    NODE_DECLARED = 6, Conflict, 409;
    "A node of that name or address is declared already.";
    "Choose another, or remove it first with `aami nodes remove`.";
    "Two nodes with one name could not be told apart in any list, and two with one address would be scraped twice. \
     Nothing was added."

    FLEET_UNREACHED = 7, Partial, 502;
    "Some of the nodes could not be reached or did not do what was asked.";
    "Mend what is named, then run the same command with the --resume file it names, or for those nodes alone.";
    "Each node stands on its own: the others are done. The summary folds nodes that failed alike into one line, and each \
     node's log lies in the folder named."

    AGENT_NOT_HERE = 8, NotFound, 404;
    "There is no agent here for a node's processor.";
    "Name it with --agent FILE, or put aami-agent beside the aami program.";
    "The agent is carried to nodes by SSH, so it has to be on this machine: named with --agent, beside this program, in \
     a release folder or in a bundle. Each processor needs its own build; the message names the one that is missing."

    NODE_LOST = 9, Pending, 504;
    "A node was not heard any more while an installation ran there.";
    "Run the same command again: it finds the run on the node and goes on following it.";
    "The installation runs on the node by itself and does not need the connection. The connection was lost and could \
     not be made again before the deadline; how far the node came is in its log here."

    NODE_ANSWER_STRANGE = 10, Failed, 502;
    "A node did not answer as an agent does.";
    "Look at the node's log in the folder named, and try `aami nodes exec` on it.";
    "What came back over SSH is not what the agent's commands print: another program under its name, a shell that \
     rewrites output, or an agent of another version."

    FLEET_CHANGED = 11, Conflict, 409;
    "The configuration was changed by somebody else meanwhile.";
    "Run the command again.";
    "The file is read, changed and written under a lock; an editor that heeds no lock wrote in between. What it wrote \
     is kept, and nothing of this command was."

    NODE_COMMAND_ENDED_BADLY = 12, Failed, 500;
    "A command ended on a node with an exit code other than 0.";
    "Read what it said; `-b` shows together what nodes said alike.";
    "The node was reached and the command ran there to its end. What the exit code means is the command's own affair."

    NODE_NOT_INSTALLED = 13, NotHealthy, 424;
    "Nothing was installed on a node, so nothing there is scraped.";
    "Run `aami nodes install NODE`.";
    "A node that is declared is watched once exporters were installed on it: for a file fleet /var/lib/aami/fleet.json notes \
     that, a control plane hears it from the node. Exporters that were there before are adopted by the installation."
}
