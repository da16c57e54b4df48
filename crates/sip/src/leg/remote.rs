use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

/// Once the peer's media came from one address, another one is followed only after this much silence: a router or a
/// border controller has changed its mind. The address that its SDP names needs no such wait: a peer that has moved is
/// heard at once, whoever still sends from where it was.
const FOLLOWS_AFTER: Duration = Duration::from_secs(2);
/// The same for reports, which come every few seconds.
const REPORTS_FOLLOW_AFTER: Duration = Duration::from_secs(15);

/// Where the peer is: what its SDP says, corrected by where its packets come from (symmetric RTP, RFC 4961), as long as
/// that is in the same network. Nobody else can draw a call's media to himself.
#[derive(Clone, Copy, Debug)]
pub(super) struct Remote {
    rtp: Option<SocketAddr>,
    rtcp: Option<SocketAddr>,
    /// Where the last packet came from, and when.
    source: Option<(SocketAddr, Instant)>,
    reports: Option<(SocketAddr, Instant)>,
}

impl Remote {
    pub(super) const fn new(rtp: Option<SocketAddr>, rtcp: Option<SocketAddr>) -> Self {
        Self { rtp, rtcp, source: None, reports: None }
    }

    /// The peer says that it is elsewhere. If it says nothing new, what was learned stays.
    pub(super) fn change(&mut self, rtp: Option<SocketAddr>, rtcp: Option<SocketAddr>) {
        if rtp.is_some() && rtp != self.rtp {
            *self = Self::new(rtp, rtcp);
        } else {
            self.rtp = rtp;
            self.rtcp = rtcp;
        }
    }

    /// Whether a packet of media may be the peer's.
    pub(super) fn admits(&self, now: Instant, from: SocketAddr) -> bool {
        self.follows(self.source, self.rtp, FOLLOWS_AFTER, now, from)
    }

    /// Whether a report may be the peer's.
    pub(super) fn admits_reports(&self, now: Instant, from: SocketAddr) -> bool {
        self.follows(self.reports, self.rtcp, REPORTS_FOLLOW_AFTER, now, from)
    }

    fn follows(
        &self,
        known: Option<(SocketAddr, Instant)>,
        said: Option<SocketAddr>,
        after: Duration,
        now: Instant,
        from: SocketAddr,
    ) -> bool {
        match known {
            Some((source, _)) if source == from || said == Some(from) => true,
            Some((_, last)) => self.is_near(from) && now.saturating_duration_since(last) >= after,
            None => self.is_near(from),
        }
    }

    /// A packet was the peer's.
    pub(super) fn heard(&mut self, now: Instant, from: SocketAddr) {
        self.source = Some((from, now));
    }

    /// A report was the peer's.
    pub(super) fn reported(&mut self, now: Instant, from: SocketAddr) {
        self.reports = Some((from, now));
    }

    /// Whether an address is in the network that the SDP names.
    fn is_near(&self, from: SocketAddr) -> bool {
        self.rtp.is_some_and(|rtp| same_network(rtp.ip(), from.ip()))
    }

    /// Where our media goes; nowhere while the peer wants none.
    pub(super) fn rtp(&self) -> Option<SocketAddr> {
        self.rtp.map(|said| self.source.map_or(said, |(source, _)| source))
    }

    /// Where our reports go.
    pub(super) fn rtcp(&self) -> Option<SocketAddr> {
        self.rtcp.map(|said| self.reports.map_or(said, |(source, _)| source))
    }
}

/// A /24 of IPv4, a /64 of IPv6.
fn same_network(one: IpAddr, other: IpAddr) -> bool {
    match (one.to_canonical(), other.to_canonical()) {
        (IpAddr::V4(one), IpAddr::V4(other)) => one.to_bits() >> 8 == other.to_bits() >> 8,
        (IpAddr::V6(one), IpAddr::V6(other)) => one.to_bits() >> 64 == other.to_bits() >> 64,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(text: &str) -> SocketAddr {
        text.parse().unwrap()
    }

    fn start() -> Instant {
        #[expect(clippy::disallowed_methods, reason = "an origin for made-up time")]
        Instant::now()
    }

    #[test]
    fn media_follows_the_peer_within_its_network_and_nobody_else() {
        let (now, said) = (start(), address("192.0.2.7:4000"));
        let mut remote = Remote::new(Some(said), None);
        assert_eq!(remote.rtp(), Some(said));
        assert!(!remote.admits(now, address("203.0.113.9:4000")), "a stranger");
        let behind_nat = address("192.0.2.99:61000");
        assert!(remote.admits(now, behind_nat));
        remote.heard(now, behind_nat);
        assert_eq!(remote.rtp(), Some(behind_nat));
        let neighbour = address("192.0.2.100:61000");
        assert!(!remote.admits(now + Duration::from_millis(20), neighbour), "two who speak at once: the first goes on");
        let later = now + FOLLOWS_AFTER;
        assert!(remote.admits(later, neighbour));
        remote.heard(later, neighbour);
        assert_eq!(remote.rtp(), Some(neighbour));
    }

    #[test]
    fn who_sends_on_from_where_the_peer_was_does_not_hold_its_media_up() {
        let (now, before, said) = (start(), address("192.0.2.7:4000"), address("192.0.2.7:5000"));
        let mut remote = Remote::new(Some(before), None);
        remote.heard(now, before);
        remote.change(Some(said), None);
        assert_eq!(remote.rtp(), Some(said));
        // Still under way.
        assert!(remote.admits(now, before));
        remote.heard(now, before);
        assert!(remote.admits(now, said));
        remote.heard(now, said);
        assert_eq!(remote.rtp(), Some(said));
        assert!(!remote.admits(now, before));
    }

    #[test]
    fn reports_follow_nobody_while_the_peer_sends_his() {
        let (now, said) = (start(), address("192.0.2.7:4001"));
        let mut remote = Remote::new(Some(address("192.0.2.7:4000")), Some(said));
        remote.reported(now, said);
        let neighbour = address("192.0.2.8:4001");
        let seconds = |seconds| now + Duration::from_secs(seconds);
        assert!(!remote.admits_reports(seconds(6), neighbour), "a report is due every five seconds");
        assert!(remote.admits_reports(seconds(6), said));
        assert!(remote.admits_reports(seconds(15), neighbour));
        assert_eq!(remote.rtcp(), Some(said));
    }

    #[test]
    fn a_change_forgets_what_was_learned_and_a_repetition_does_not() {
        let (now, said, learned) = (start(), address("192.0.2.7:4000"), address("192.0.2.8:5000"));
        let mut remote = Remote::new(Some(said), None);
        remote.heard(now, learned);
        remote.change(Some(said), None);
        assert_eq!(remote.rtp(), Some(learned));
        remote.change(None, None);
        assert_eq!(remote.rtp(), None, "on hold");
        let elsewhere = address("198.51.100.1:4000");
        remote.change(Some(elsewhere), None);
        assert_eq!(remote.rtp(), Some(elsewhere));
        assert!(!remote.admits(now, learned));
    }

    #[test]
    fn networks_are_told_apart() {
        for (one, other, same) in [
            ("192.0.2.1:1", "192.0.2.254:2", true),
            ("192.0.2.1:1", "192.0.3.1:1", false),
            ("[2001:db8::1]:1", "[2001:db8::2]:1", true),
            ("[2001:db8::1]:1", "[2001:db8:0:1::1]:1", false),
            ("192.0.2.1:1", "[::ffff:192.0.2.9]:1", true),
            ("192.0.2.1:1", "[2001:db8::1]:1", false),
        ] {
            assert_eq!(same_network(address(one).ip(), address(other).ip()), same, "{one} {other}");
        }
    }
}
