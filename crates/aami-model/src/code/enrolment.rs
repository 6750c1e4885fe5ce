//! Bootstrap tokens and registration.

use super::codes;

codes! { Enrolment;
    TOKEN_INVALID = 1, NotAuthorised, 401;
    "The bootstrap token is not valid.";
    "Create a new one with `aami tokens create` and copy the whole line.";
    "The token is unknown to this control plane: mistyped, cut off, deleted, or made by another control plane."

    TOKEN_EXPIRED = 2, NotAuthorised, 401;
    "The bootstrap token has expired.";
    "Create a new one with `aami tokens create --ttl 24h`.";
    "Tokens last 24 hours unless said otherwise. Nodes already enrolled with it are not affected."

    TOKEN_EXHAUSTED = 3, NotAuthorised, 403;
    "The bootstrap token has been used as often as it may be.";
    "Create a new one, or raise its --max-uses.";
    "Each enrolled node takes one use. A machine that enrols again with the same key takes none."

    TOKEN_REVOKED = 4, NotAuthorised, 401;
    "The bootstrap token has been revoked.";
    "Ask whoever revoked it, or create a new one.";
    "An operator deleted the token. Nodes already enrolled keep their own credentials."

    TOKEN_FOREIGN = 5, NotAuthorised, 401;
    "That is not a bootstrap token.";
    "Bootstrap tokens begin with `aami_`.";
    "What was given has the shape of another secret: `aamik_` is an API key, `aamin_` a node's and `aamir_` a run's \
     credential. None of them enrols a machine."

    ALREADY_ENROLLED = 6, Conflict, 409;
    "A node with this hostname or on this machine is already enrolled with another key.";
    "Post /allow-reenrol for it, use a token made with --allow-reenrol, or retire the old node.";
    "A node is known by the key it made when it first enrolled. A machine that was installed anew has lost that key; \
     so would somebody who takes over its name. AAMI does not guess: an operator allows it once, for an hour."

    NODE_DECOMMISSIONED = 7, Conflict, 409;
    "This node has been retired.";
    "Restore it with `aami nodes restore`.";
    "A retired node may not register or connect until an operator restores it."

    PROOF_INVALID = 8, NotAuthorised, 401;
    "The registration is not signed by the key it names.";
    "Run the bootstrap again; if it persists, something in between changes requests.";
    "The header AAMI-Proof must be an Ed25519 signature over `aami-register-1` and the exact body by the key in node_key."

    ADDRESS_REFUSED = 9, Usage, 422;
    "That address may not be registered.";
    "Register the address the node is reached at, with --address.";
    "Link-local, multicast and unspecified addresses are refused always; loopback and the control plane's own addresses \
     are accepted only from the control plane's own machine. The configuration can change the latter."

    TOO_MANY_RUNS = 10, Pending, 429;
    "Too many installations are unfinished.";
    "Wait for some to finish; `aami runs list` shows which are under way.";
    "One token may have at most max_uses + 100 unfinished runs; of those that operators open, 100 may be under way in an \
     organisation. Runs without an event are removed after an hour."

    NOT_VERIFIED = 11, NotHealthy, 424;
    "The node is registered, but its metrics cannot be reached from the control plane.";
    "Open the port named on the hop named.";
    "After registration the control plane itself fetches each exporter once. The message names the hop that failed: \
     name lookup, no route, refused (nothing listens or a firewall rejects), timeout (a firewall drops), or an answer \
     that is not metrics."

    AGENT_ARCH_MISSING = 12, Failed, 404;
    "This control plane has no agent for that processor.";
    "Build it with the command in the guide and place it in the data folder's dist/.";
    "The control plane hands out the agents in its dist/ folder. None is there for the architecture asked for."

    TOKEN_REQUIRED = 13, Usage, 400;
    "A bootstrap token is needed.";
    "Give it with --token-file, or on the terminal when asked.";
    "No token was given on the command line, in a file, or at the prompt."

    TOKEN_FOR_ANOTHER_NODE = 14, NotAuthorised, 403;
    "The install token was made for another node than this machine.";
    "Run it on the machine of that name, give this machine its name, or make one for it: `aami nodes token NODE`.";
    "A token that was made for one node enrols that node and no other. A machine is that node when it calls itself by \
     its name, with or without the domain."

    CREDENTIAL_REVOKED = 15, NotAuthorised, 409;
    "This key or credential was revoked for this node.";
    "Run the newest install script of the node again, as `aami nodes token NODE` prints it: it makes new ones.";
    "An operator rotated the node's identity because it may be in other hands. What was used before opens nothing any \
     more, also not together with a new token: the node has to make another key and credential, which the agent does by \
     itself when it is run with a token. That has to be one for this node alone: whoever has the old credential may have \
     another token too, one of the node's group for instance."

    AGENT_VERSION_MISSING = 16, NotFound, 404;
    "This control plane knows no such version of the agent.";
    "Place the release's folder in dist/, or name its checksums in the setting release_checksums.";
    "An install script carries the checksum of the agent it downloads. The control plane takes it from release_checksums, \
     or from the file itself: dist/VERSION/ARCH/aami-agent, and dist/ARCH/aami-agent for its own version."
}
