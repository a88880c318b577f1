//! Ports for processes that are told where to listen.

use std::{
    net::{Ipv4Addr, TcpListener},
    ops::Range,
    process,
    sync::atomic::{AtomicU32, Ordering},
};

use anyhow::{Context, Result};

/// Above the ports of well-known services, below those that Linux hands out unasked.
const PORTS: Range<u16> = 10_000..30_000;

/// How far apart the first ports of processes with neighbouring ids lie.
const STRIDE: u32 = 61;

/// A port on loopback that nobody listens on, and that this process has not been given before.
///
/// It is not one of those that the system hands out to whoever connects or asks for any port: one
/// of these could be gone before the process that it is meant for listens.
pub fn free_port() -> Result<u16> {
    static GIVEN: AtomicU32 = AtomicU32::new(0);
    let ports = below(handed_out_from(), PORTS);
    let first = process::id().wrapping_mul(STRIDE);
    (0..ports.len())
        .map(|_| first.wrapping_add(GIVEN.fetch_add(1, Ordering::Relaxed)))
        .map(|number| ports.start + (number % ports.len() as u32) as u16)
        .find(|port| TcpListener::bind((Ipv4Addr::LOCALHOST, *port)).is_ok())
        .with_context(|| format!("no port from {} to {} is free", ports.start, ports.end - 1))
}

/// The first port that Linux hands out unasked; none where it does not say.
fn handed_out_from() -> Option<u16> {
    let range = std::fs::read_to_string("/proc/sys/net/ipv4/ip_local_port_range").ok()?;
    range.split_whitespace().next()?.parse().ok()
}

/// Those of `ports` below `end`, or all if these are none.
fn below(end: Option<u16>, ports: Range<u16>) -> Range<u16> {
    match end {
        Some(end) if ports.start < end && end < ports.end => ports.start..end,
        _ => ports,
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn each_port_is_given_once_and_not_while_somebody_listens() {
        let given: Vec<u16> = (0..100).map(|_| free_port().unwrap()).collect();
        let different: BTreeSet<&u16> = given.iter().collect();
        assert_eq!(different.len(), given.len());
        // The port that is next, if the others are as free as the last ones.
        let next = given[99] + 1;
        let _listener = TcpListener::bind((Ipv4Addr::LOCALHOST, next));
        assert_ne!(free_port().unwrap(), next);
    }

    #[test]
    fn what_the_system_hands_out_is_left_to_it() {
        assert_eq!(below(None, 10..30), 10..30);
        assert_eq!(below(Some(40), 10..30), 10..30);
        assert_eq!(below(Some(20), 10..30), 10..20);
        // Where it hands out all of them there is nothing better.
        assert_eq!(below(Some(5), 10..30), 10..30);
        assert_eq!(below(Some(10), 10..30), 10..30);
    }
}
