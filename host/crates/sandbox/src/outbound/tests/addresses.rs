//! Who is asked and dialled: names, and the addresses they lead to.

use super::super::Reason;
use super::server::Server;
use super::{HELLO, bench};

/// hostile 98, 99, 100: addresses that are not public, and those of the machine's metadata, which
/// nobody can grant, in the URL itself. Nothing is looked up.
#[tokio::test]
async fn addresses_that_are_not_public_are_not_dialled() {
    let spellings = [
        ("169.254.169.254", "metadata_address"),
        ("2852039166", "metadata_address"),
        ("0xa9fea9fe", "metadata_address"),
        ("0251.0376.0251.0376", "metadata_address"),
        ("169.254.170.2", "metadata_address"),
        ("169.254.170.23", "metadata_address"),
        ("[fd00:ec2::23]", "metadata_address"),
        ("[fd00:ec2::254]", "metadata_address"),
        ("[::ffff:169.254.169.254]", "metadata_address"),
        ("[64:ff9b::a9fe:a9fe]", "metadata_address"),
        ("10.0.0.1", "private_address"),
        ("192.168.1.1", "private_address"),
        ("172.16.0.1", "private_address"),
        ("100.64.0.1", "shared_address"),
        ("[fc00::1]", "private_address"),
        ("[fe80::1]", "link_local_address"),
        ("224.0.0.1", "multicast_address"),
        ("0.0.0.0", "unspecified_address"),
        ("[::]", "unspecified_address"),
        ("127.0.0.1", "loopback_address"),
        ("[::1]", "loopback_address"),
        ("[::ffff:127.0.0.1]", "loopback_address"),
    ];
    for (host, code) in spellings {
        let url = format!("http://{host}/latest/meta-data");
        // Granted by its canonical name, or there would be no look at the address at all.
        let target = par_policy::outbound::OutboundTarget::parse("GET", &url).unwrap();
        let mut bench = bench(&[&format!("http://{}", target.host())]);
        bench.addresses.clear();
        let way = bench.build();

        assert_eq!(way.refused(&["GET", &url]).await, (Reason::Denied, code), "{host}");
        assert_eq!(way.recorded(), [format!("outbound denied {code}")], "{host}");
        assert_eq!(way.asked(), [""; 0], "{host}");
    }
}

/// hostile 98, 101: a granted name that resolves to such an address, alone or among public ones.
#[tokio::test]
async fn a_name_does_not_lead_to_an_address_that_is_not_public() {
    let server = Server::answering(HELLO).await;
    for (answer, code) in [
        (vec!["169.254.169.254"], "metadata_address"),
        (vec!["127.0.0.1"], "loopback_address"),
        (vec!["93.184.215.14", "10.0.0.1"], "private_address"),
        (vec!["::ffff:169.254.170.2"], "metadata_address"),
    ] {
        let mut bench = bench(&[&format!("http://api.example:{}", server.port)]);
        bench.addresses.clear();
        bench.answers = vec![answer];
        let way = bench.build();

        let url = format!("http://api.example:{}/", server.port);
        assert_eq!(way.refused(&["GET", &url]).await, (Reason::Denied, code));
        assert_eq!(way.recorded(), [format!("outbound denied {code}")]);
    }
    assert_eq!(server.connections(), 0);
}

/// hostile 101: the address that is judged is the one that is dialled. A second look-up, which would
/// lead elsewhere, does not happen for the request.
#[tokio::test]
async fn a_name_is_looked_up_once_for_a_connection() {
    let server = Server::answering(HELLO).await;
    let mut bench = bench(&[&format!("http://api.example:{}", server.port)]);
    bench.answers = vec![vec!["127.0.0.1"], vec!["169.254.169.254"]];
    let way = bench.build();

    let url = format!("http://api.example:{}/", server.port);
    assert_eq!(way.send(&["GET", &url]).await.unwrap().0, 200);

    assert_eq!(way.asked(), ["api.example"]);
    assert_eq!(server.connections(), 1);
}

/// hostile 106, 111, 114: no name is looked up before a rule grants the request, whatever is wrong with it.
#[tokio::test]
async fn nothing_is_looked_up_before_the_rule() {
    let way = bench(&["https://api.example", "https://*.wild.example"]).build();
    let denied = [
        ("GET", "https://stolen-data.attacker.example/", "host_not_granted"),
        ("GET", "https://wild.example/", "host_not_granted"),
        ("GET", "http://api.example/", "scheme_not_granted"),
        ("GET", "https://api.example:8443/", "port_not_granted"),
        ("GET", "https://api.example.attacker.example/", "host_not_granted"),
        ("GET", "https://api.example@attacker.example/", "url_credentials"),
        ("GET", "ftp://api.example/", "unsupported_scheme"),
        ("GET", "file:///etc/passwd", "unsupported_scheme"),
        ("GET", "https://api.example:0/", "invalid_port"),
        ("GET", "/only/a/path", "invalid_url"),
        ("GET", "https://api.example/\r\nx-injected: 1", "invalid_url"),
        ("GET", "https://api.example\\@attacker.example/", "invalid_url"),
        ("CONNECT", "https://api.example/", "forbidden_method"),
        ("TRACE", "https://api.example/", "forbidden_method"),
        ("G ET", "https://api.example/", "invalid_method"),
        ("GET\r\nx: 1", "https://api.example/", "invalid_method"),
    ];

    for (method, url, code) in denied {
        assert_eq!(way.refused(&[method, url]).await, (Reason::Denied, code), "{method} {url}");
    }

    assert_eq!(way.asked(), [""; 0]);
    assert_eq!(way.recorded().len(), denied.len());
}
