//! The control plane's store.

use super::codes;

codes! { Store;
    STORE_UNAVAILABLE = 1, Failed, 503;
    "The store does not answer.";
    "Try again in a moment; look at the control plane's log and /health/ready.";
    "The engine behind the control plane (SQLite file, etcd) refused or did not answer in time. Nothing was changed."

    OUTCOME_UNKNOWN = 2, Pending, 503;
    "Whether the change was made is not known.";
    "Repeat the request with the same Idempotency-Key.";
    "The connection to the store broke after the transaction was sent. It was either applied whole or not at all. \
     Repeating the request with the same Idempotency-Key gives the first answer if it was applied, and applies it if not."

    VIEW_BEHIND = 3, Pending, 503;
    "This replica has not yet seen the revision asked for.";
    "Try again after the time in Retry-After.";
    "The request carried AAMI-Min-Revision and the replica did not reach that revision within two seconds."

    EPOCH_CHANGED = 4, Conflict, 412;
    "The revision asked for belongs to another life of the store.";
    "Read again from the start.";
    "The store was restored or recreated, so revisions handed out before mean nothing now."

    STORE_LOCKED = 5, Conflict, 409;
    "Another control plane holds this data folder.";
    "Stop it, or choose another --data-dir.";
    "The embedded store belongs to one process. The message names the process that holds the lock."

    STORE_LIMIT = 6, Failed, 413;
    "The change is too large for one transaction.";
    "Split it into smaller ones.";
    "Every backend keeps etcd's limits: 1.5 MiB a request and 128 operations a transaction."

    STORE_CORRUPT = 7, Failed, 500;
    "The store holds something that cannot be read.";
    "Restore the last backup; the message names the key.";
    "A document is not JSON of a version this program reads. It may have been written by a newer version."

    STORE_DISK_FULL = 8, Failed, 507;
    "The disk that holds the store is full.";
    "Free some space; nothing that was acknowledged is lost.";
    "A commit could not be made durable. The change was refused whole. Reads go on."
}
