//! The connection between a node and the control plane, and what is told over it.

use super::codes;

codes! { Connection;
    NODE_NOT_CONNECTED = 1, Conflict, 409;
    "The node is not connected.";
    "See `aami nodes show` for when it was last seen; on the node, look at `systemctl status aami-agent`.";
    "A command goes over the connection that the node's agent holds, and there is none at this moment. Nothing is kept \
     for later: what was asked for an hour ago may be wrong by then. A node without an agent takes no commands."

    CONNECTION_REPLACED = 2, Conflict, 409;
    "A newer connection of the same node took this one's place.";
    "If the node did not reconnect by itself, two machines carry one credential: enrol one of them anew.";
    "A node has one connection, the newest. After a network fault the old one may linger until it is told this. Two \
     machines made from one image replace each other for ever: the finding DUPLICATE_CREDENTIAL names the node."

    OUT_OF_ORDER = 3, Failed, 409;
    "A frame came that does not follow the one before.";
    "Update the agent; if it goes on, report it with the agent's log.";
    "The node greets once and first, and its reports ascend by one. A connection that does otherwise is closed: what \
     came before is kept, the rest is sent again over the next one."

    COMMANDS_WAITING = 4, Pending, 429;
    "The node has as many unfinished commands as it may have.";
    "Wait until one of them has ended; `aami nodes command NODE` lists them.";
    "Commands to one node are bounded, so that nobody can bury it in work."
}
