//! Ports that another program holds, found before the database is touched. The libraries below
//! would take another RPC port, share the network's, or go on without metrics, and say so at most
//! in the log: whoever asked for a port would talk to somebody else's node.

use std::{
    io::ErrorKind,
    net::{IpAddr, SocketAddr, TcpListener},
};

use sc_network::{multiaddr::Protocol, Multiaddr};
use sc_service::Configuration;

/// Makes sure that the node can listen where `config` says, and that it listens nowhere else.
pub fn claim(config: &mut Configuration) -> Result<(), String> {
    for endpoint in config.rpc.addr.iter_mut().flatten() {
        endpoint.retry_random_port = false;
        // An optional one is left out where its address family does not exist.
        if !endpoint.is_optional {
            check(endpoint.listen_addr, "RPC", "--rpc-port")?;
        }
    }
    if let Some(prometheus) = &config.prometheus_config {
        let flag = "--prometheus-port (or none with --no-prometheus)";
        check(prometheus.port, "metrics", flag)?;
    }
    for address in config
        .network
        .listen_addresses
        .iter()
        .filter_map(tcp_address)
    {
        check(address, "the network", "--port")?;
    }
    Ok(())
}

fn check(address: SocketAddr, what: &str, flag: &str) -> Result<(), String> {
    match TcpListener::bind(address) {
        Err(error)
            if matches!(
                error.kind(),
                ErrorKind::AddrInUse | ErrorKind::PermissionDenied
            ) =>
        {
            Err(format!(
                "cannot listen at {address} for {what}: {error}; stop the program that listens \
                 there, or name another port with {flag}"
            ))
        }
        // An address that this machine does not have is the libraries' to refuse or to leave out.
        _ => Ok(()),
    }
}

fn tcp_address(address: &Multiaddr) -> Option<SocketAddr> {
    let mut parts = address.iter();
    let ip: IpAddr = match parts.next()? {
        Protocol::Ip4(ip) => ip.into(),
        Protocol::Ip6(ip) => ip.into(),
        _ => return None,
    };
    match parts.next()? {
        Protocol::Tcp(port) => Some((ip, port).into()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::Ipv4Addr;

    #[test]
    fn a_port_in_use_is_named_with_the_flag_that_changes_it() {
        let taken = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let address = taken.local_addr().unwrap();
        let error = check(address, "RPC", "--rpc-port").unwrap_err();
        assert!(
            error.contains(&address.to_string()) && error.contains("--rpc-port"),
            "{error}"
        );
        // Of all ports that are free, the system chooses one.
        let free = (Ipv4Addr::LOCALHOST, 0).into();
        assert_eq!(check(free, "RPC", "--rpc-port"), Ok(()));
    }

    #[test]
    fn only_tcp_addresses_hold_a_port() {
        let address = |text: &str| tcp_address(&text.parse().unwrap());
        let found = address("/ip4/127.0.0.1/tcp/30333/ws").unwrap();
        assert_eq!(found.to_string(), "127.0.0.1:30333");
        assert_eq!(address("/ip6/::/tcp/1").unwrap().to_string(), "[::]:1");
        assert_eq!(address("/dns/example.org/tcp/30333"), None);
        assert_eq!(address("/ip4/127.0.0.1/udp/30333"), None);
    }
}
