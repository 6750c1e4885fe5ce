//! Releases: what is downloaded to install the server from, and how it is known to be ours.

use super::codes;

codes! { Release;
    RELEASE_MISSING = 1, NotFound, 404;
    "There is no such release at that address.";
    "Check --base-url and --version: the release's folder holds SHA256SUMS and SHA256SUMS.minisig.";
    "A release is a folder, named like its version, that any web server can serve. The address given has no folder of \
     that name, or the folder has no SHA256SUMS. `latest` is a file beside the folders that names one of them."

    SIGNATURE_MISSING = 2, Integrity, 502;
    "The release has no signature.";
    "Fetch it from the place that publishes it, with its SHA256SUMS.minisig.";
    "SHA256SUMS names the checksum of every file of the release, and SHA256SUMS.minisig signs it. Without the \
     signature anybody on the way could have written both. Nothing unsigned is installed."

    SIGNATURE_INVALID = 3, Integrity, 502;
    "The signature of the release does not hold.";
    "Do not install it. Fetch the release again from the place that publishes it, and compare the public key.";
    "SHA256SUMS was changed after it was signed, or it was signed by another key, or the signature itself is damaged. \
     The signature is minisign's, and `minisign -Vm SHA256SUMS -P KEY` says the same."

    RELEASE_DAMAGED = 4, Integrity, 502;
    "A file of the release is not the one that was released.";
    "Fetch the file that is named again; check whether a proxy or captive portal answers in the place of the server.";
    "The SHA-256 of the file differs from the one in the signed list, or the file is missing, or it is there and not in \
     the list. A transfer that ended early, a sign-in page in the place of the file and a changed file all look like \
     this. Nothing was placed."

    RELEASE_MISMATCH = 5, Integrity, 502;
    "The release is another version than the one asked for.";
    "Check what the mirror has under that name.";
    "The signature also covers the version. An old release under the name of a new one is signed, whole, and not what \
     was asked for."

    ARCH_NOT_SUPPORTED = 6, NotFound, 404;
    "The release has no program for this machine's processor.";
    "AAMI runs on amd64 and arm64; check which of them the release was built for.";
    "A release is built for one architecture or several; the message names this machine's. `uname -m` prints it."

    VERIFIER_MISSING = 7, Integrity, 422;
    "The signature of the release cannot be checked on this machine.";
    "Install minisign, or use the install.sh of the release itself.";
    "The install.sh of a release knows the checksum of that release's own program, which checks signatures. One that \
     was not written for a release needs minisign, and the public key with --public-key. Without either nothing is \
     installed."
}
