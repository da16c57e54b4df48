//! UDP ports for media: an even one for RTP, the next one for RTCP (RFC 3550 section 11).

use std::collections::VecDeque;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::ops::RangeInclusive;
use std::sync::{Arc, Mutex, PoisonError};

use socket2::{Domain, Protocol, Socket, Type};

/// Media of one call that waits to be read: at 50 packets of 200 bytes a second, two seconds.
const RECEIVE_BUFFER: usize = 64 << 10;

/// The pairs that are free. One that was given back last is used last: late packets of the call before find nobody.
#[derive(Clone)]
pub(crate) struct Ports(Arc<Mutex<VecDeque<u16>>>);

/// A pair, and the right to it until it is dropped.
pub(crate) struct PortPair {
    /// RTP.
    pub(crate) rtp: std::net::UdpSocket,
    /// RTCP.
    pub(crate) rtcp: std::net::UdpSocket,
    /// The even one.
    pub(crate) port: u16,
    /// Gives the pair back.
    pub(crate) lease: Lease,
}

/// Gives a pair back when it is dropped.
pub(crate) struct Lease {
    port: u16,
    ports: Ports,
}

impl Drop for Lease {
    fn drop(&mut self) {
        self.ports.0.lock().unwrap_or_else(PoisonError::into_inner).push_back(self.port);
    }
}

impl Ports {
    /// All pairs of a range.
    pub(crate) fn new(range: RangeInclusive<u16>) -> Self {
        let (low, high) = (*range.start(), *range.end());
        let even = (low..high).filter(|port| port.is_multiple_of(2));
        Self(Arc::new(Mutex::new(even.collect())))
    }

    /// Pairs that are free.
    pub(crate) fn free(&self) -> usize {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).len()
    }

    /// Binds the next pair that can be had; one that somebody else holds is passed over. `None`: all are in use.
    pub(crate) fn take(&self, address: IpAddr) -> Option<PortPair> {
        for _ in 0..self.free() {
            let port = self.0.lock().unwrap_or_else(PoisonError::into_inner).pop_front()?;
            let lease = Lease { port, ports: self.clone() };
            let bind = |port| bind(SocketAddr::new(address, port));
            match (bind(port), bind(port + 1)) {
                (Ok(rtp), Ok(rtcp)) => return Some(PortPair { rtp, rtcp, port, lease }),
                (Err(error), _) | (_, Err(error)) => {
                    tracing::debug!(port, %error, "a media port is in use elsewhere");
                }
            }
        }
        None
    }
}

fn bind(address: SocketAddr) -> io::Result<std::net::UdpSocket> {
    let socket = Socket::new(Domain::for_address(address), Type::DGRAM, Some(Protocol::UDP))?;
    socket.set_recv_buffer_size(RECEIVE_BUFFER)?;
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    Ok(socket.into())
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;

    const HOME: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

    /// A range of two pairs that nobody uses, as far as can be known.
    fn free_range() -> RangeInclusive<u16> {
        loop {
            let probe = bind(SocketAddr::new(HOME, 0)).unwrap();
            let low = probe.local_addr().unwrap().port() & !3;
            drop(probe);
            if low > 1_024 && (low..low + 4).all(|port| bind(SocketAddr::new(HOME, port)).is_ok()) {
                return low..=low + 3;
            }
        }
    }

    #[test]
    fn a_pair_is_taken_once_and_comes_back() {
        let ports = Ports::new(free_range());
        assert_eq!(ports.free(), 2);
        let first = ports.take(HOME).unwrap();
        assert!(first.port.is_multiple_of(2));
        assert_eq!(first.rtcp.local_addr().unwrap().port(), first.port + 1);
        let second = ports.take(HOME).unwrap();
        assert!(ports.take(HOME).is_none(), "all are in use");
        let port = first.port;
        drop(first);
        assert_eq!(ports.free(), 1);
        assert_eq!(ports.take(HOME).unwrap().port, port);
        drop(second);
        assert_eq!(ports.free(), 2);
    }

    #[test]
    fn a_port_that_somebody_else_holds_is_passed_over_and_tried_again_later() {
        let range = free_range();
        let ports = Ports::new(range.clone());
        let other = bind(SocketAddr::new(HOME, *range.start() + 1)).unwrap();
        let pair = ports.take(HOME).unwrap();
        assert_eq!(pair.port, *range.start() + 2);
        assert!(ports.take(HOME).is_none());
        drop(other);
        assert_eq!(ports.take(HOME).unwrap().port, *range.start());
    }
}
