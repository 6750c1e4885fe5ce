//! Who may do what.

use super::codes;

codes! { Access;
    UNAUTHENTICATED = 1, NotAuthorised, 401;
    "This needs a valid credential.";
    "Send an API key as `Authorization: Bearer KEY`, or name its file with --key-file.";
    "The request carried no credential, or one that is unknown, revoked or expired. The answer does not say which."

    FORBIDDEN = 2, NotAuthorised, 403;
    "This credential may not do that.";
    "Use a key with the role the message names.";
    "Viewers read; operators also change nodes, groups, exporters, tokens and runs; admins also keys, audit and purge. \
     Scoped keys (discovery, region, node, run, events-in) do only what their scope names."

    TLS_REQUIRED = 3, NotAuthorised, 403;
    "Plain HTTP is answered only to this machine itself.";
    "Use the https address in the message.";
    "The port speaks TLS and plain HTTP. To anyone but loopback, plain HTTP answers health and nothing else, unless the \
     control plane was started with --plain-http or the peer is a --trusted-proxy."

    SERVER_NOT_TRUSTED = 4, Integrity, 403;
    "The control plane's certificate cannot be trusted.";
    "Give its CA with --ca-file, or its key's pin with --pin; both are printed by `aami tokens create`.";
    "The certificate is not signed by a CA this machine trusts, is for another name, or has another key than the pin \
     says. Nothing was downloaded."

    LAST_ADMIN = 5, Conflict, 409;
    "This is the last admin key.";
    "Create another admin key first.";
    "Without an admin key nobody could create one again, except on the server machine with `aami keys create --store`."

    KEY_FILE_UNREADABLE = 6, NotAuthorised, 401;
    "The key file cannot be read.";
    "Check its path and mode; it should be readable by you alone.";
    "The command line reads its key from --key-file, AAMI_API_KEY, or the admin.key beside the control plane's data."
}
