//! Reaching hosts by SSH, and becoming root there.

use super::codes;

codes! { Ssh;
    SSH_UNREACHABLE = 1, Failed, 502;
    "The host cannot be reached over the network.";
    "Look at the address and the route: `ping ADDRESS`, `ip route get ADDRESS`; over a jump host, from there.";
    "The name cannot be looked up, or the network says that there is no way to the address. Over a jump host it is the \
     jump host that looks up and connects, so look from there. It is tried again a few times, since networks recover."

    SSH_REFUSED = 2, Failed, 502;
    "Nothing listens on the host's SSH port.";
    "Start the SSH server there, or correct the port in the configuration.";
    "The host answered that no program listens on that port. Either the SSH server is not running (yet: a host that \
     boots refuses for a while, so it is tried again), or it listens on another port."

    SSH_TIMEOUT = 3, Pending, 504;
    "The host did not answer in time.";
    "See whether a firewall drops the packets, and whether the host is alive; the message says how far it got.";
    "The TCP connection, the greeting and the key exchange have one time together, `ssh.connect_timeout`; the login has \
     its own. No TCP connection points to a firewall or a host that is down; a connection without a greeting to a host \
     that is overloaded, out of memory, or a port that something else listens on; a greeting without a key exchange to a \
     path that drops large packets (MTU) or a host that has no processor time left."

    SSH_HOST_KEY_CHANGED = 4, Integrity, 502;
    "The host's key is not the one that is known for it.";
    "If the host was reinstalled, remove the line named with `ssh-keygen -R HOST`; otherwise find out who answers.";
    "Either the host has got new keys, as after a reinstallation, or another machine answers under its address. The \
     message names the known and the offered fingerprint, and the file and line that hold the known key. Nothing was \
     sent to the host, and it is never tried again by itself. Compare the offered fingerprint on the host's own console: \
     `ssh-keygen -lf /etc/ssh/ssh_host_ed25519_key.pub`."

    SSH_HOST_KEY_UNKNOWN = 5, Integrity, 502;
    "The host's key is not known, and keys are not learned.";
    "Compare the fingerprint and add the key, or use the policy `accept-new`.";
    "With the policy `strict` only hosts whose key stands in a file of known hosts, or whose certificate is signed by an \
     authority that stands there, are connected to. `ssh-keyscan HOST` fetches a key; compare its fingerprint with what \
     the host's console shows before it is added."

    SSH_HOST_KEY_REVOKED = 6, Integrity, 502;
    "The host's key is revoked.";
    "Give the host new keys, and find out why the old ones were revoked.";
    "The key that the host offered, or the authority that signed its certificate, stands in a line that begins with \
     `@revoked`. Whoever holds a revoked key may be anybody. The message names file and line."

    SSH_HOST_CERTIFICATE_INVALID = 7, Integrity, 502;
    "The host's certificate is not valid.";
    "Sign the host's key anew, for the name it is reached by.";
    "A host certificate counts when its signature is right, an authority in a `@cert-authority` line for that host \
     signed it, it names the host among its principals, and the time is between its dates. The message says which of \
     these does not hold. Look at it with `ssh-keygen -Lf /etc/ssh/ssh_host_ed25519_key-cert.pub` on the host."

    SSH_AUTHENTICATION_FAILED = 8, NotAuthorised, 401;
    "The host did not let the user sign in.";
    "See which keys were offered and which methods the host accepts; `ssh -v USER@HOST` shows the same by hand.";
    "Every key of the agent and every key file was offered in OpenSSH's order, and none was accepted. Usual causes: the \
     wrong user, a public key that does not stand in authorized_keys, a home folder that others may write, or an agent \
     with so many keys that the host gives up before the right one (set `IdentitiesOnly yes`). It is never tried again \
     by itself: that would lock accounts."

    SSH_KEY_UNUSABLE = 9, NotAuthorised, 422;
    "A private key file cannot be used.";
    "Look at the path, the mode (0600) and the format; `ssh-keygen -yf FILE` tells whether it is readable.";
    "Read are OpenSSH's own format and PEM (PKCS#1, PKCS#8, SEC1), with and without a passphrase. A passphrase is asked \
     for once, where there is a terminal; in scripts use an agent. A file that others may read is refused, as OpenSSH \
     does."

    SSH_BUSY = 10, Pending, 503;
    "The host or its jump host takes no more connections at the moment.";
    "Try fewer at a time, or raise MaxStartups on the host that is named.";
    "An SSH server drops connections while too many are signing in (MaxStartups), or for a while after failures \
     (PerSourcePenalties). It is tried again with growing pauses. Many targets behind one jump host share one \
     connection to it, so that this does not happen there."

    SSH_NOT_SSH = 11, Failed, 502;
    "What listens on the port does not speak SSH as AAMI does.";
    "Look at what listens there; if it is an SSH server, update it.";
    "Something else than SSH answered, or a server that has no algorithm in common with us. Algorithms that are broken \
     (SHA-1 signatures, DSA, CBC) are not offered. The message says what was wrong."

    SSH_CONNECTION_LOST = 12, Interrupted, 502;
    "The connection to the host was lost.";
    "Run it again; what runs detached on the host goes on meanwhile.";
    "The connection stood and then broke: the host went down, the network was cut, or nothing answered several \
     keep-alives. A command that was running is ended on the host when its own time is up. Commands that may have run \
     are not repeated by themselves."

    SSH_NO_SHELL = 13, Failed, 502;
    "The host's login shell did not run the command.";
    "See what `ssh USER@HOST true` says; give the user a shell, or use another user.";
    "The login was accepted, but instead of our command something else ran: the shell is nologin or false, the key is \
     bound to a forced command, or start files of the shell exit or wait for input. The message carries the beginning of \
     what it said."

    SSH_COMMAND_TIMEOUT = 14, Pending, 504;
    "A command on the host took longer than it may and was ended.";
    "Allow more time with --timeout, or look on the host for what it waits for.";
    "The command and everything in its process group got SIGTERM and then SIGKILL, by a second channel of the same \
     connection and, where that is gone, by a watch that was started beside it on the host."

    SSH_COMMAND_FAILED = 15, Failed, 502;
    "A command on the host failed.";
    "See what it said, and run it by hand there.";
    "The command ran and ended with another exit code than 0, or by a signal. 127 means that a program is missing, 126 \
     that it may not be run."

    SSH_FORWARDING_FORBIDDEN = 16, Failed, 502;
    "The jump host does not forward connections.";
    "Allow it there with AllowTcpForwarding and PermitOpen, or use another jump host.";
    "The login at the jump host was accepted, but it refused to open a connection to the next host by its own rules. \
     `AllowTcpForwarding local` in its sshd_config is enough."

    SSH_KNOWN_HOSTS_UNUSABLE = 17, Failed, 500;
    "A file of known hosts cannot be read or written.";
    "Look at its owner, mode and size.";
    "Without it no host key can be judged, so nothing is connected to. A file that does not exist is no error: it is \
     made when the first key is learned."

    SSH_UPLOAD_FAILED = 18, Failed, 507;
    "A file could not be placed on the host.";
    "Look at the free space and the rights of the folder named.";
    "The file is written beside its place under another name, its SHA-256 is compared on the host, and only then it \
     takes its place. What was there before stays when any of this fails."

    SSH_LOCAL = 19, Failed, 422;
    "Something on this machine stands in the way of the command.";
    "The message says what; nothing was sent to the host.";
    "A local file could not be read, or a command is too long to be sent as one. Put long scripts into the input."

    NODE_TIME_UP = 20, Pending, 504;
    "A host was not done within the time all its attempts together may take.";
    "Look on the host for what it waits for, allow more time, or do it for this host alone.";
    "Beside the limits of a single connection and a single command there is one for a host as a whole, so that one that \
     hangs holds up nobody. Its work was asked to end and then cut off."

    RESUME_FILE_UNUSABLE = 21, Failed, 500;
    "The file to resume from cannot be read or written.";
    "Look at its folder's rights and free space.";
    "While many hosts are worked on, a file of this machine notes which are done, so that an interrupted command can go \
     on. What was done on the hosts is not affected."

    RESUME_FILE_INVALID = 22, Usage, 422;
    "The file does not say how to resume this command.";
    "Name the file the interrupted command told, and run the same command again.";
    "A resume file belongs to one command: it is not used for another. Its first line names the command and all hosts, \
     each further line a host that is done."

    RESUME_FILE_IN_USE = 23, Conflict, 409;
    "Another command goes on from this file.";
    "Wait for it to end.";
    "Two commands that worked on the same hosts at the same time would get in each other's way."

    SUDO_PASSWORD_WRONG = 30, NotAuthorised, 401;
    "sudo on the host does not accept the password.";
    "Check the password by hand with `sudo -v` on one host.";
    "The password was given once, over the command's input, and refused. It is not tried again: that would lock the \
     account. It never stands on a command line, in a log or in a file."

    SUDO_PASSWORD_NEEDED = 31, NotAuthorised, 401;
    "sudo on the host asks for a password.";
    "Set `ssh.sudo.password` in the configuration, or allow sudo without one in the host's sudoers.";
    "Without a password only `sudo -n` is used. A line such as `USER ALL=(root) NOPASSWD: ALL` in /etc/sudoers.d lets \
     the user become root without one."

    SUDO_MISSING = 32, Failed, 422;
    "There is no sudo on the host.";
    "Install sudo there, or sign in as root.";
    "The command needs root, another user signed in, and the program sudo is not in the search path or in /usr/bin, \
     /usr/local/bin, /bin."

    SUDO_REFUSED = 33, NotAuthorised, 403;
    "sudo on the host does not let the user become root.";
    "Add the user to the sudoers there, or sign in as another user.";
    "sudo runs and says no: the user does not stand in the sudoers file, may not run /bin/sh, or a policy of the host \
     forbids it. The message carries sudo's own words."

    SUDO_NEEDS_TERMINAL = 34, Failed, 422;
    "sudo on the host wants a terminal.";
    "Remove `requiretty` for this user: `Defaults:USER !requiretty` in the sudoers.";
    "`requiretty` in the sudoers lets sudo run only from a terminal. It protects from nothing that matters here, and \
     was dropped from distributions' defaults years ago."
}
