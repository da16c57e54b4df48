use std::time::{Duration, Instant};

use bytes::BytesMut;

use super::packet::{Item, NotRtcp, ReportBlock, SenderInfo, parse, write_description, write_goodbye, write_report};
use crate::rtp::{Receiver, Sender};

/// Between two reports (RFC 3550 section 6.2), times 0.5 to 1.5 by chance.
const INTERVAL: Duration = Duration::from_secs(5);
/// 1970 in NTP's seconds, which begin with 1900.
const UNIX_EPOCH: u64 = 2_208_988_800;
/// A round trip above this is none: the peer quotes a report that is not ours.
const LONGEST_ROUND_TRIP: u32 = 10 << 16;

/// Our side of RTCP in one call: when a report is due, what is in it, and what the peer's reports tell.
#[derive(Clone, Debug)]
pub struct Reporter {
    cname: String,
    /// A moment in both clocks.
    clock: (Instant, u64),
    due: Instant,
    rng: fastrand::Rng,
    /// Packets we had sent at the last two reports.
    sent: [u32; 2],
    /// Middle of the NTP time in the peer's last sender report, who that is, and when it came.
    peer: Option<(u32, u32, Instant)>,
    about_us: Option<ReportBlock>,
    round_trip: Option<Duration>,
    left: bool,
}

impl Reporter {
    /// Reports under a canonical name, by chance and new for each call (RFC 7022). `unix_time` is `now` since 1970. The
    /// first report is due in half an interval.
    #[must_use]
    pub fn new(now: Instant, unix_time: Duration, cname: String, mut rng: fastrand::Rng) -> Self {
        let due = now + interval(&mut rng) / 2;
        let clock = (now, ntp(unix_time));
        let (peer, about_us, round_trip) = (None, None, None);
        Self { cname, clock, due, rng, sent: [0; 2], peer, about_us, round_trip, left: false }
    }

    /// When [`Reporter::report`] wants to be called.
    #[must_use]
    pub const fn next_due(&self) -> Instant {
        self.due
    }

    /// Appends a compound of a report and our name: a receiver report if nothing was sent since the report before the
    /// last one. What is said about the peer is what came since the last report.
    pub fn report(&mut self, now: Instant, sender: &Sender, receiver: &mut Receiver, out: &mut BytesMut) {
        let (packets, octets) = sender.sent();
        let [before_last, last] = self.sent;
        let info = (packets != before_last).then(|| SenderInfo {
            ntp: self.ntp_at(now),
            timestamp: sender.timestamp_at(now),
            packets,
            octets,
        });
        self.sent = [last, packets];
        let block = receiver.report().map(|block| match self.peer {
            Some((ssrc, last_sr, came)) if ssrc == block.ssrc => {
                ReportBlock { last_sr, delay: short(now.saturating_duration_since(came)), ..block }
            }
            _ => block,
        });
        write_report(sender.ssrc(), info.as_ref(), block.as_ref(), out);
        write_description(sender.ssrc(), &self.cname, out);
        self.due = now + interval(&mut self.rng);
    }

    /// Appends a last compound: report, name and goodbye.
    pub fn goodbye(&mut self, now: Instant, sender: &Sender, receiver: &mut Receiver, out: &mut BytesMut) {
        self.report(now, sender, receiver, out);
        write_goodbye(sender.ssrc(), out);
    }

    /// Takes a compound of the peer; `ours` is our own source. What others say about others is passed over.
    ///
    /// # Errors
    /// If it is not RTCP to its end. What is right before that counts.
    pub fn take(&mut self, now: Instant, ours: u32, bytes: &[u8]) -> Result<(), NotRtcp> {
        for item in parse(bytes) {
            match item? {
                Item::SenderReport { ssrc, info, blocks } => {
                    self.peer = Some((ssrc, middle(info.ntp), now));
                    blocks.filter(|block| block.ssrc == ours).for_each(|block| self.told(now, block));
                }
                Item::ReceiverReport { blocks, .. } => {
                    blocks.filter(|block| block.ssrc == ours).for_each(|block| self.told(now, block));
                }
                Item::Goodbye { .. } => self.left = true,
                Item::Description { .. } | Item::Other(_) => {}
            }
        }
        Ok(())
    }

    /// The last round trip that the peer's reports gave.
    #[must_use]
    pub const fn round_trip(&self) -> Option<Duration> {
        self.round_trip
    }

    /// How our own packets fare, as the peer last told.
    #[must_use]
    pub const fn about_us(&self) -> Option<ReportBlock> {
        self.about_us
    }

    /// Whether the peer said goodbye. SIP decides whether the call is over.
    #[must_use]
    pub const fn peer_left(&self) -> bool {
        self.left
    }

    fn told(&mut self, now: Instant, block: ReportBlock) {
        self.about_us = Some(block);
        if block.last_sr == 0 {
            return;
        }
        let arrived = middle(self.ntp_at(now));
        let trip = arrived.wrapping_sub(block.last_sr).wrapping_sub(block.delay);
        // clocks are read at different places: a trip may come out a hair below zero
        let trip = if trip > u32::MAX - 0x1_0000 { 0 } else { trip };
        if trip <= LONGEST_ROUND_TRIP {
            self.round_trip = Some(Duration::from_micros((u64::from(trip) * 1_000_000) >> 16));
        }
    }

    fn ntp_at(&self, now: Instant) -> u64 {
        let (moment, ntp_then) = self.clock;
        ntp_then.wrapping_add(fixed(now.saturating_duration_since(moment)))
    }
}

fn interval(rng: &mut fastrand::Rng) -> Duration {
    INTERVAL.mul_f64(0.5 + rng.f64())
}

fn ntp(unix_time: Duration) -> u64 {
    (UNIX_EPOCH << 32).wrapping_add(fixed(unix_time))
}

/// Seconds with 32 bits of fraction; whole seconds wrap.
fn fixed(duration: Duration) -> u64 {
    (duration.as_secs() << 32) | ((u64::from(duration.subsec_nanos()) << 32) / 1_000_000_000)
}

/// In 1/65,536 s, the longest that can be said if it is longer.
fn short(duration: Duration) -> u32 {
    u32::try_from(fixed(duration.min(Duration::from_secs(65_535))) >> 16).unwrap_or(u32::MAX)
}

/// The middle 32 bits of an NTP time.
const fn middle(ntp: u64) -> u32 {
    (ntp >> 16) as u32
}
