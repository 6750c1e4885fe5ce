//! Requests the control plane cannot act on.

use super::codes;

codes! { Api;
    MALFORMED = 1, Usage, 400;
    "The request cannot be read.";
    "The detail names the place and what was expected.";
    "The body is not JSON of the shape this route takes, is nested too deeply, or is not UTF-8."

    INVALID = 2, Usage, 422;
    "The request holds a value that is not allowed.";
    "The detail names the field and the rule.";
    "The shape is right but a value breaks a rule: a label name, a host name, an address, a port, a path or an interval."

    NOT_FOUND = 3, NotFound, 404;
    "There is no such thing.";
    "List what there is; ids are never reused.";
    "Nothing with that id exists, or it belongs to an organisation this credential does not see. The answer is the same."

    METHOD_NOT_ALLOWED = 4, Usage, 405;
    "This route does not take that method.";
    "The Allow header names the ones it takes.";
    "The path exists, but not with this HTTP method. See /api/v1/openapi.json for every route."

    TOO_LARGE = 5, Usage, 413;
    "The request body is too large.";
    "Send less; the limit is in the detail.";
    "Every route has a limit on its body, far above what a well-behaved client sends."

    RATE_LIMITED = 6, Pending, 429;
    "Too many requests.";
    "Wait for the time in Retry-After.";
    "Open routes are limited by client address, so that nobody can wear the control plane out by guessing tokens."

    TIMED_OUT = 7, Pending, 408;
    "The request took too long to arrive.";
    "Send the whole request within the limit.";
    "Headers and bodies have a deadline, so that slow clients cannot hold connections open."

    PRECONDITION_FAILED = 8, Conflict, 412;
    "The thing has changed since you read it.";
    "Read it again and repeat the change.";
    "The request carried If-Match and the ETag is another one now. The current state is in the answer's `current`."

    CONFLICT = 9, Conflict, 409;
    "That would clash with something that exists.";
    "The detail names it.";
    "A name, hostname or other unique value is already taken."

    TRANSITION_REFUSED = 10, Conflict, 409;
    "That cannot happen to it in its present state.";
    "The detail names the state and what is possible from it.";
    "States follow a fixed table. The detail says which state the thing is in and why the step is refused."

    IDEMPOTENCY_REUSED = 11, Conflict, 422;
    "This Idempotency-Key was used for another request.";
    "Use a fresh key for a different request.";
    "A key stands for one request. The same key with another body or route is refused rather than guessed at."

    INTERNAL = 12, Failed, 500;
    "Something went wrong inside the control plane.";
    "Look for the request id in its log.";
    "This is a defect. The answer carries the request id that stands in the log line with the cause."

    SHUTTING_DOWN = 13, Pending, 503;
    "The control plane is shutting down.";
    "Try again in a moment.";
    "The process is draining: it finishes what it has begun and takes nothing new."

    UNREACHABLE = 14, Failed, 502;
    "The control plane cannot be reached.";
    "Check the address, the port and any firewall; the detail names the hop that failed.";
    "Name lookup, connection, TLS and the HTTP answer are told apart in the message."

    NOT_AAMI = 15, Failed, 502;
    "The address answers, but it is not an AAMI control plane.";
    "Check the URL, and whether a proxy or captive portal answers in its place.";
    "The answer was not the JSON a control plane sends. Its first line is in the message."

    CONFIG_INVALID = 16, DaemonConfig, 422;
    "The configuration is not valid.";
    "Mend the setting named; `aami server --print-config` shows each value and where it came from.";
    "A setting from a flag, an AAMI_ variable or the configuration file cannot be used. The message names it."

    ADDRESS_IN_USE = 17, Conflict, 409;
    "The address to listen on is already in use.";
    "Choose another with --listen, or stop the program that holds it.";
    "Another process listens there. AAMI never stops a program it did not start."

    BATCHES_RUNNING = 18, Pending, 429;
    "As many batches are being worked through as there may be at once.";
    "Wait until one has ended, or call one off: `aami batches list --status running`.";
    "Batches are bounded so that one organisation's bulk actions cannot hold up everybody else's. Nodes that belong \
     together are better selected by one batch, by group or label."
}
