//! What is wrong with the way to others: names, addresses, captive portals, proxies.

use super::super::stage::{OLD, OLD_CA};
use super::{Fault, STOP, Say, fault, start, stranger};

pub(super) fn network(control: &str, portal: &str) -> Vec<Fault> {
    let towards = |name, code, names, url: String| {
        let arguments = format!("--mode node --server {url} --ca-file /srv/ca.pem");
        fault(name, code, names, "", "").on(Say::This(arguments))
    };
    let control_url = format!("https://{control}:8080");
    let mut all = vec![
        towards("a server that is not there", "CONNECTION_REFUSED", ":8099", format!("https://{control}:8099")),
        towards("a server whose packets vanish", "NO_ANSWER", ":8098", format!("https://{control}:8098")),
        towards("no route to the server", "NO_ROUTE", "203.0.113.9", "https://203.0.113.9:8080".to_owned())
            .and("ip route del default", "ip route add default via 10.77.0.254 dev host0"),
        towards("a name server that is silent", "DNS_FAILED", "control.example", "https://control.example:8080".to_owned()),
        towards("a server whose name is unknown", "NAME_UNKNOWN", "contrlo.example", "https://contrlo.example:8080".to_owned())
            .and(&format!("{}\necho nameserver 127.0.0.1 > /srv/resolv && mount --bind /srv/resolv /etc/resolv.conf", start("names nowhere")), &format!("umount /etc/resolv.conf; rm /srv/resolv; {STOP}")),
        towards("a name server that knows every name", "DNS_WILDCARD", "127.0.0.77", "https://contrlo.example:8080".to_owned())
            .and(&format!("{}\necho nameserver 127.0.0.1 > /srv/resolv && mount --bind /srv/resolv /etc/resolv.conf", start("names 127.0.0.77")), &format!("umount /etc/resolv.conf; rm /srv/resolv; {STOP}")),
        towards("plain HTTP where TLS was expected", "TLS_FAILED", ":80", format!("https://{portal}:80")),
        towards("a captive portal", "CAPTIVE_PORTAL", "web page", format!("http://{portal}/page")),
        towards("some other service", "NOT_AAMI", "other than a control plane", format!("http://{portal}/other")),
        towards("a server that is not well", "SERVER_UNWELL", "503", format!("http://{portal}/ill")),
        towards("a server under another name", "CERTIFICATE_NAME", "other.example", "https://other.example:8080".to_owned())
            .and(&format!("(cat /etc/hosts; echo {control} other.example) > /srv/hosts && mount --bind /srv/hosts /etc/hosts"), "umount /etc/hosts; rm /srv/hosts"),
        fault("a server signed by nobody known", "SERVER_NOT_TRUSTED", "nobody who is trusted", "", "")
            .on(Say::This(format!("--mode node --server {control_url}"))),
        fault("the CA of another", "SERVER_NOT_TRUSTED", "nobody who is trusted", "", "")
            .on(Say::This(format!("--mode node --server {control_url} --ca-file /srv/f/other-ca.pem"))),
        fault("a CA file that is missing", "CA_FILE_INVALID", "/srv/none.pem", "", "")
            .on(Say::This(format!("--mode node --server {control_url} --ca-file /srv/none.pem"))),
        fault("a CA file that is none", "CA_FILE_INVALID", "/srv/page.html", "", "")
            .on(Say::This(format!("--mode node --server {control_url} --ca-file /srv/page.html"))),
        fault("a server whose certificate has run out", "CERTIFICATE_EXPIRED", "not valid now", "", "")
            .on(Say::This(format!("--mode node --server https://{portal}:{OLD} --ca-file /srv/f/{OLD_CA}"))),
        fault("no loopback", "LOOPBACK_DOWN", "loopback", "ip link set lo down", "ip link set lo up"),
    ];
    for (name, file, side) in [
        ("a clock decades ahead", "clock-1994", "ahead of"),
        ("a clock decades behind", "clock-2099", "behind"),
        ("a clock a year behind", "clock-year", "behind"),
        ("a clock minutes ahead", "clock-minutes", "ahead of"),
    ] {
        let arguments = "--mode node --server http://127.0.0.1:8091".to_owned();
        all.push(
            stranger(
                name,
                "CLOCK_SKEW",
                side,
                &format!("listen 127.0.0.1 8091 control /srv/f/{file}"),
            )
            .on(Say::This(arguments))
            .warns(),
        );
    }
    let mirror = |name, code, names, url: String| Fault {
        mirror: url,
        ..fault(name, code, names, "", "").on(Say::Server)
    };
    all.push(mirror(
        "a mirror that is not there",
        "CONNECTION_REFUSED",
        ":81",
        format!("http://{portal}:81"),
    ));
    all.push(mirror(
        "a portal in the mirror's place",
        "CAPTIVE_PORTAL",
        "web page",
        format!("http://{portal}/page"),
    ));
    all
}

pub(super) fn proxies(control: &str) -> Vec<Fault> {
    let by = |name, code, names, answers: &str, proxy: &str| {
        let mut fault = fault(name, code, names, "", "").after(&format!("env https_proxy={proxy} "));
        if !answers.is_empty() {
            fault = fault.and(
                &start(&format!("listen 127.0.0.1 3128 proxy /srv/f/{answers}")),
                STOP,
            );
        }
        fault
    };
    let local = "http://127.0.0.1:3128";
    vec![
        by(
            "a proxy that wants a password",
            "PROXY_AUTH",
            "127.0.0.1:3128",
            "proxy-407",
            local,
        ),
        by(
            "a proxy that refuses",
            "PROXY_REFUSED",
            "127.0.0.1:3128",
            "proxy-403",
            local,
        ),
        by(
            "a proxy that is down",
            "PROXY_UNREACHABLE",
            "127.0.0.1:3128",
            "",
            local,
        ),
        by(
            "a proxy whose packets vanish",
            "PROXY_UNREACHABLE",
            ":8098",
            "",
            &format!("http://{control}:8098"),
        ),
        by("a proxy that is none", "PROXY_INVALID", "proxy", "", "http://"),
    ]
}
