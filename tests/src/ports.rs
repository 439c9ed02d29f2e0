//! Ports nobody else is given.

use std::io::Read;
use std::net::{Ipv4Addr, TcpListener, TcpStream};

/// A free port for a server that is about to start.
///
/// The kernel chooses it. The port is then used for one connection that the server side closes
/// first, so the kernel keeps it for a minute for sockets that ask for exactly this port, and
/// gives it to nobody who asks for any: tests run side by side.
#[must_use]
pub fn free_port() -> u16 {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let address = listener.local_addr().unwrap();
    let mut client = TcpStream::connect(address).unwrap();
    let (server, _) = listener.accept().unwrap();
    drop(server);
    assert_eq!(client.read(&mut [0]).unwrap(), 0, "the server side closes first");
    address.port()
}

#[cfg(test)]
mod tests {
    use std::net::{Ipv4Addr, TcpListener};

    #[test]
    fn a_reserved_port_can_be_bound_and_differs_from_the_others() {
        let ports: Vec<u16> = (0..50).map(|_| super::free_port()).collect();
        let different: std::collections::BTreeSet<_> = ports.iter().collect();
        assert_eq!(different.len(), ports.len());
        for port in ports {
            TcpListener::bind((Ipv4Addr::UNSPECIFIED, port)).unwrap();
        }
    }
}
