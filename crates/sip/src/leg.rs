//! The media of one call: packets in, an even stream of frames out, and the other way round.

mod remote;

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};
use trunkline_media::{FRAME_MS, LineCodec, g711};

use crate::dtmf::{BadKeys, KeySender, KeyStep, Keys};
use crate::jitter::{JitterBuffer, Pulled};
use crate::quality::{MosInput, mos};
use crate::rtcp::{Reporter, is_rtcp};
use crate::rtp::{Packet, Receiver, Sender};
use crate::sdp::{self, Agreed, PayloadTypes};
use crate::srtp::{Protect, Unprotect};
use remote::Remote;

/// One call's media, from its answer to its end. Frames are 20 ms in the codec that the call began with, whatever is spoken
/// later.
#[derive(Debug)]
pub struct Leg {
    codec: LineCodec,
    spoken: LineCodec,
    sends: PayloadTypes,
    receives: PayloadTypes,
    speaks: bool,
    hears: bool,
    remote: Remote,
    secrets: Option<Secrets>,
    sender: Sender,
    receiver: Receiver,
    jitter: JitterBuffer,
    pressed: Keys,
    pressing: KeySender,
    reporter: Reporter,
    scratch: BytesMut,
    foreign: u64,
    /// Late packets and concealed ms of the codecs before this one.
    before: (u64, u64),
}

/// What the packets are encrypted by.
#[derive(Debug)]
struct Secrets {
    keys: sdp::Keys,
    protect: Protect,
    unprotect: Unprotect,
}

impl Secrets {
    /// A key that stays keeps its counters: used anew it would give the key stream away, and forget what it has seen.
    fn after(before: Option<Self>, keys: &sdp::Keys) -> Self {
        let new = || (Protect::new(&keys.ours), Unprotect::new(&keys.theirs));
        let (protect, unprotect) = match before {
            Some(Self { keys: known, protect, unprotect }) => (
                if known.ours == keys.ours { protect } else { new().0 },
                if known.theirs == keys.theirs { unprotect } else { new().1 },
            ),
            None => new(),
        };
        Self { keys: keys.clone(), protect, unprotect }
    }
}

/// How the packets fare.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Fares {
    /// Packets taken.
    pub received: u64,
    /// Packets that never came.
    pub lost: u64,
    /// Packets that came too late, or twice.
    pub late: u64,
    /// Audio made up in their place, in ms.
    pub concealed_ms: u64,
    /// Interarrival jitter (RFC 3550 section 6.4.1).
    pub jitter: Duration,
    /// Depth of the jitter buffer, in ms.
    pub depth_ms: u64,
    /// Round trip by RTCP, where the peer's reports gave one.
    pub round_trip: Option<Duration>,
    /// Mean opinion score, estimated.
    pub mos: f64,
    /// Packets from elsewhere, or not what was agreed on. None of them changed anything.
    pub foreign: u64,
}

impl Leg {
    /// Media as agreed. `unix_time` is `now` since 1970, for reports.
    #[must_use]
    pub fn new(now: Instant, unix_time: Duration, agreed: &Agreed, mut rng: fastrand::Rng) -> Self {
        let codec = agreed.codec.line();
        // With SRTP a peer that misses the first packets must not miss a wrap (RFC 3711 section 3.3.1).
        let sender = Sender::starting_at(rng.u32(..), rng.u16(..1 << 15), rng.u32(..));
        let name = format!("{:016x}", rng.u64(..));
        let mut leg = Self {
            codec,
            spoken: codec,
            sends: agreed.sends,
            receives: agreed.receives,
            speaks: true,
            hears: true,
            remote: Remote::new(agreed.rtp, agreed.rtcp),
            secrets: None,
            sender,
            receiver: Receiver::new(),
            jitter: JitterBuffer::new(codec),
            pressed: Keys::new(),
            pressing: KeySender::new(),
            reporter: Reporter::new(now, unix_time, name, rng),
            scratch: BytesMut::new(),
            foreign: 0,
            before: (0, 0),
        };
        leg.change(agreed);
        leg
    }

    /// What is agreed on from now on: a hold, another address, another codec.
    pub fn change(&mut self, agreed: &Agreed) {
        self.remote.change(agreed.rtp, agreed.rtcp);
        self.sends = agreed.sends;
        self.receives = agreed.receives;
        self.receiver.set_events(agreed.receives.telephone_event);
        self.speaks = agreed.direction.sends();
        self.hears = agreed.direction.receives();
        if self.spoken != agreed.codec.line() {
            self.spoken = agreed.codec.line();
            let stats = self.jitter.stats();
            self.before = (self.before.0 + stats.late, self.before.1 + stats.concealed_ms);
            self.jitter = JitterBuffer::new(self.spoken);
        }
        self.secrets = agreed.keys.as_ref().map(|keys| Secrets::after(self.secrets.take(), keys));
    }

    /// Whether one side wants to hear or say nothing for now.
    #[must_use]
    pub const fn is_held(&self) -> bool {
        !(self.speaks && self.hears)
    }

    /// Frames are of this codec.
    #[must_use]
    pub const fn codec(&self) -> LineCodec {
        self.codec
    }

    // === from the peer ===

    /// A datagram on the RTP port; hands each key pressed to `key`. What is not the peer's changes nothing.
    pub fn packet(&mut self, now: Instant, from: SocketAddr, datagram: &mut BytesMut, key: impl FnMut(char)) {
        if is_rtcp(datagram) {
            // Some peers send both to one port.
            return self.report_packet(now, from, datagram);
        }
        if !self.remote.admits(now, from) {
            self.foreign += 1;
            return;
        }
        let opened = self.secrets.as_mut().is_none_or(|secrets| secrets.unprotect.unprotect_rtp(datagram).is_ok());
        let Some(packet) = Packet::parse(datagram).ok().filter(|_| opened) else {
            self.foreign += 1;
            return;
        };
        let kind = packet.header.payload_type;
        let is_event = self.receives.telephone_event == Some(kind);
        if !is_event && kind != self.receives.audio {
            self.foreign += 1;
            return;
        }
        self.remote.heard(now, from);
        let Ok(place) = self.receiver.take(now, &packet.header) else { return };
        if is_event {
            self.pressed.push(&place, packet.payload, key);
            self.jitter.push_event(now, &place);
        } else if self.hears {
            self.jitter.push(now, &place, packet.payload);
        }
    }

    /// A datagram on the RTCP port.
    pub fn report_packet(&mut self, now: Instant, from: SocketAddr, datagram: &mut BytesMut) {
        let opened = self.secrets.as_mut().is_none_or(|secrets| secrets.unprotect.unprotect_rtcp(datagram).is_ok());
        let is_theirs = opened
            && self.remote.admits_reports(now, from)
            && self.reporter.take(now, self.sender.ssrc(), datagram).is_ok();
        if is_theirs {
            self.remote.reported(now, from);
        } else {
            self.foreign += 1;
        }
    }

    /// The peer's next 20 ms; to be called once every 20 ms. `None` while it says nothing.
    pub fn pull(&mut self, now: Instant) -> Option<Bytes> {
        let frame = match self.jitter.pull(now) {
            Pulled::Frame(frame) | Pulled::Concealed(frame) => frame,
            Pulled::Silence => return None,
        };
        if self.spoken == self.codec {
            self.scratch.extend_from_slice(frame);
        } else {
            g711::convert(self.spoken, self.codec, frame, &mut self.scratch);
        }
        Some(self.scratch.split().freeze())
    }

    // === to the peer ===

    /// Our next 20 ms: appends the packet to `out` and tells where it goes. Keys go out in the place of audio.
    pub fn frame(&mut self, now: Instant, frame: &[u8], out: &mut BytesMut) -> Option<SocketAddr> {
        let to = self.remote.rtp().filter(|_| self.speaks);
        let step = self.pressing.step();
        let Some(to) = to else {
            self.sender.skip(now);
            return None;
        };
        match (step, self.sends.telephone_event) {
            (Some(KeyStep::Event { first, payload }), Some(kind)) => {
                self.sender.event(now, kind, first, &payload, out);
            }
            (Some(_), _) => {
                self.sender.skip(now);
                return None;
            }
            (None, _) if self.spoken == self.codec => self.sender.frame(now, self.sends.audio, frame, out),
            (None, _) => {
                g711::convert(self.codec, self.spoken, frame, &mut self.scratch);
                self.sender.frame(now, self.sends.audio, &self.scratch, out);
                self.scratch.clear();
            }
        }
        self.seal(out).then_some(to)
    }

    /// Presses keys: `0-9*#A-D`, a comma is a pause.
    ///
    /// # Errors
    /// [`BadKeys`]; and without events in the SDP they are sent nowhere.
    pub fn press(&mut self, keys: &str) -> Result<(), BadKeys> {
        self.pressing.push(keys)
    }

    /// When [`Leg::report`] is due.
    #[must_use]
    pub const fn report_due(&self) -> Instant {
        self.reporter.next_due()
    }

    /// Our report: appends it to `out` and tells where it goes.
    pub fn report(&mut self, now: Instant, out: &mut BytesMut) -> Option<SocketAddr> {
        self.reporter.report(now, &self.sender, &mut self.receiver, out);
        let to = self.remote.rtcp()?;
        self.seal_report(out).then_some(to)
    }

    /// Our last report.
    pub fn goodbye(&mut self, now: Instant, out: &mut BytesMut) -> Option<SocketAddr> {
        self.reporter.goodbye(now, &self.sender, &mut self.receiver, out);
        let to = self.remote.rtcp()?;
        self.seal_report(out).then_some(to)
    }

    fn seal(&mut self, packet: &mut BytesMut) -> bool {
        self.secrets.as_mut().is_none_or(|secrets| secrets.protect.protect_rtp(packet).is_ok())
    }

    fn seal_report(&mut self, packet: &mut BytesMut) -> bool {
        self.secrets.as_mut().is_none_or(|secrets| secrets.protect.protect_rtcp(packet).is_ok())
    }

    /// How the packets fare so far.
    #[must_use]
    pub fn fares(&self) -> Fares {
        let (stats, jitter) = (self.receiver.stats(), self.jitter.stats());
        let expected = (stats.packets + stats.lost).max(1);
        let (late, concealed_ms) = (self.before.0 + jitter.late, self.before.1 + jitter.concealed_ms);
        let missing = stats.lost + late;
        let depth_ms = jitter.depth_ms;
        let round_trip = self.reporter.round_trip();
        Fares {
            received: stats.packets,
            lost: stats.lost,
            late: late + stats.duplicates,
            concealed_ms,
            jitter: Duration::from_micros(stats.jitter_us),
            depth_ms,
            round_trip,
            mos: mos(&MosInput {
                loss: missing as f64 / expected as f64,
                burst_ratio: 1.0,
                round_trip: round_trip.unwrap_or_default(),
                local_delay: Duration::from_millis(depth_ms + u64::from(FRAME_MS)),
            }),
            foreign: self.foreign,
        }
    }
}
