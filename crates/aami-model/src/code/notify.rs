//! Telling others of events, and being told.

use super::codes;

codes! { Notify;
    EVENT_SIGNATURE_INVALID = 1, NotAuthorised, 401;
    "The event is not signed by anybody known here.";
    "Give the sender a secret that stands in the file events_in_secret_file names, and let both clocks be right.";
    "Events of another control plane are signed as Standard Webhooks says: HMAC-SHA256 over webhook-id, \
     webhook-timestamp and the body. Where events_in_secret_file names secrets, each request must carry a signature by \
     one of them, made within five minutes of this control plane's clock."

    DELIVERY_FAILED = 2, Failed, 502;
    "A destination did not take an event.";
    "See what it answered with `aami webhooks deliveries`; send it again with `aami webhooks replay`.";
    "The address was refused, nobody answered in time, the certificate is not believed, or the answer was no success. \
     Events that find nobody are tried again by themselves; those that are refused three times are kept as dead letters."
}
