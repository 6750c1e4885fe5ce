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

    NOT_A_BUNDLE = 8, Integrity, 422;
    "The file is not an offline bundle.";
    "Name a file that `aami bundle create` made, or the folder it was unpacked into.";
    "A bundle is a tar archive under zstd or gzip whose first entry is a manifest; the same, unpacked into a folder, is \
     one as well. The message says what is there in its place. A file that was cut off at its very beginning looks the \
     same, and so does a bundle of a newer AAMI whose manifest has another form."

    BUNDLE_UNREADABLE = 9, NotFound, 404;
    "The offline bundle cannot be read.";
    "Check the path, and whether the medium it lies on is mounted and whole.";
    "The file or folder is not there, may not be read, or the medium failed while it was read. The message carries the \
     system's word for it."

    BUNDLE_UNSIGNED = 10, Integrity, 422;
    "The offline bundle has no signature.";
    "Make it again with `aami bundle create --key FILE`, or accept it as it is with the flag for unsigned bundles.";
    "The signature says who made the bundle. Without it every damage is still found, since the manifest names the \
     checksum of every file, but anybody on the way could have written another bundle with a manifest of its own. \
     `--unsigned` of `aami bundle verify` and `--unsigned-bundle` where it is installed from give up exactly that."

    BUNDLE_SIGNATURE_INVALID = 11, Integrity, 422;
    "The signature of the offline bundle does not hold.";
    "Do not install it. Compare the public key, and fetch the bundle again from whoever made it.";
    "The manifest was changed after it was signed, or it was signed by another key, or the signature is of something \
     else: a release and a bundle are signed with different words, so that neither stands for the other. After \
     unpacking, `minisign -Vm manifest.json -P KEY` says the same."

    BUNDLE_KEY_UNKNOWN = 12, Integrity, 422;
    "It is not known who has to have signed the offline bundle.";
    "Name the public key of whoever made it, or a file with it; or place it as /etc/aami/release.pub.";
    "A bundle is believed for its signature. The key comes from the command line, or from /etc/aami/release.pub, where \
     root alone writes. It never comes from the bundle: whoever could replace the bundle could replace the key in it."

    BUNDLE_DAMAGED = 13, Integrity, 422;
    "The offline bundle is not the one that was made.";
    "Copy or fetch it again, and compare the SHA-256 that `aami bundle create` printed.";
    "Every file in the bundle has its size and SHA-256 in the manifest, and the file as a whole ends with a seal. The \
     message names each entry that differs, with what was expected and what is there. A medium with bad blocks, a copy \
     that was cut short, something appended and a change on purpose all look like this. Nothing was placed."

    BUNDLE_REFUSED = 14, Integrity, 422;
    "The offline bundle holds something that is never taken out of one.";
    "Do not install it. Make it again with `aami bundle create`.";
    "A bundle holds plain files at plain paths, each named in the manifest, in its order, once. A link, a device, an \
     absolute path, one that climbs out, an entry that the manifest does not name or that stands there twice, or more \
     bytes than a file of that length can honestly become: whatever asks for those was not made by `aami bundle \
     create`. Nothing was placed."

    BUNDLE_OTHER_ARCH = 15, NotFound, 404;
    "The offline bundle is for other processors.";
    "Make one with `aami bundle create --arch`, for all the processors of the site, with commas.";
    "Programs are built for one processor each, and a bundle has those it was made for. The message says which; `aami \
     bundle inspect` says it, too."

    BUNDLE_OTHER_VERSION = 16, Conflict, 409;
    "The offline bundle is of another version than this program.";
    "Unpack the bundle and run its own install.sh, or make a bundle with this version.";
    "What is installed is the program that is running, and agents, dashboards and rules have to be of the same version. \
     A bundle carries its own program, which is the right one for it."

    BUNDLE_OCCUPIED = 17, Conflict, 409;
    "The folder a bundle should be placed into is there already.";
    "Name a folder that is not there yet.";
    "A bundle is placed as a whole, into a folder that appears when the last byte was found right. Nothing is ever \
     written over or mixed with what is there."

    BUNDLE_KEY_UNUSABLE = 18, Usage, 422;
    "The key cannot sign a bundle.";
    "Make a key with `aami bundle new-key FILE`, or with `minisign -G -W`.";
    "Bundles are signed by a minisign key without a password, since whoever signs by a program would have to lay the \
     password beside the key. The file with the secret key is for its owner alone; its public half goes to whoever \
     installs."

    BUNDLE_INCOMPLETE = 19, NotFound, 422;
    "Something that the bundle should hold is missing.";
    "Build it with `make static`, or name the folder that has it with --from or --release.";
    "A bundle holds `aami` and `aami-agent` for each processor it is for, as `target/dist` and a release have them in a \
     folder named like the processor. One that lacked some would only be found out at the site without internet, so \
     none is made."
}
