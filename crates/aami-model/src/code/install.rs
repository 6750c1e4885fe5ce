//! Changing a host, and undoing it.

use super::codes;

codes! { Install;
    LOCKED = 1, Conflict, 409;
    "Another installer is at work on this host.";
    "Wait for it to end, or look at it with --status.";
    "One installer at a time may change a host. The lock is an advisory lock on a file that names the process and its \
     plan, so it is gone the moment that process ends, however it ended: there is never a stale lock to remove."

    STEP_FAILED = 2, Failed, 500;
    "A step of the plan failed.";
    "Mend what the message names, then run the same command again: it continues where it stopped.";
    "Everything done before is recorded with what undoing it needs. Running the same command again probes the host and \
     continues; the uninstall command takes back what was done."

    INTERRUPTED = 3, Interrupted, 500;
    "The run was interrupted.";
    "Run the same command again to continue.";
    "A signal stopped the run between two effects. The step that was under way is treated as unknown and probed when \
     the run continues."

    CHECKSUM_MISMATCH = 4, Integrity, 502;
    "A downloaded file is not the one expected.";
    "Check the mirror and any proxy in between, then try again; nothing was placed.";
    "The SHA-256 of what arrived differs from the one pinned. The message gives both. A proxy that answers with a \
     sign-in page, a mirror with another build under the same name and a broken transfer all look like this."

    DOWNLOAD_FAILED = 5, Failed, 502;
    "A file could not be downloaded.";
    "Check the address, the proxy and the network, then run the same command again.";
    "The message names the address and what failed: name lookup, connection, TLS, the HTTP status, or a transfer that \
     ended early."

    NOT_A_PROGRAM = 6, Integrity, 502;
    "What was downloaded is not what its name says.";
    "Check whether a proxy or captive portal answers in the place of the server.";
    "The content is a web page or another format where an archive or a program was expected. Nothing was placed."

    ARCH_MISMATCH = 7, Failed, 422;
    "The program is built for another processor.";
    "Fetch the build for this machine's architecture.";
    "The header of the executable names a machine type other than this host's. It was not placed."

    COMPONENT_MISSING = 8, Failed, 422;
    "A component cannot be had for this machine.";
    "Name a mirror that carries it with --mirror, or leave it out.";
    "The catalogue has no entry for the component on this architecture, or no source that answers for it."

    UNIT_FAILED = 9, Failed, 500;
    "A service did not start.";
    "Read its journal with the command in the message.";
    "systemd reports the unit as failed or it never became ready in time. The message carries the result systemd gives \
     and the last lines of its output."

    RECEIPT_UNREADABLE = 10, Failed, 500;
    "The record of what was installed cannot be read.";
    "Keep the file, and run with --repair to rebuild the record from what is on the host.";
    "The receipt exists but is not a receipt of a version this program knows. It is set aside, never overwritten."

    EXTRACTION_REFUSED = 11, Integrity, 502;
    "An archive holds something that may not be unpacked.";
    "Use the publisher's own archive.";
    "An entry was found that is not taken from an archive: an absolute path, a path that climbs out, a link that leads \
     out, a hard link, a device, a name that stands there twice, or more than fits. Where only a program is wanted, any \
     link is refused. Nothing of the archive was placed."

    CATALOGUE_INVALID = 12, Usage, 422;
    "The component catalogue cannot be used.";
    "Mend the line named.";
    "The catalogue is TOML with one table per component. The message names the line and the field."

    APPROVAL_MISSING = 13, Usage, 422;
    "Something that cannot be taken back needs an approval.";
    "Give the approval that the message names, if what it describes is really wanted.";
    "A few effects cannot be undone. Each names the approval it needs, and is done only in a run that was given it; \
     --dry-run lists them."

    UNDO_INCOMPLETE = 14, Failed, 500;
    "Not everything could be taken back.";
    "Mend what the message names, then run the same command again: it goes on with what is left.";
    "What could be undone was undone, and the record keeps exactly the effects that could not. Nothing is lost by \
     running the command again."
}
