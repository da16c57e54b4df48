//! The mouth and the ear of a SIP telephone: 20 ms out, 20 ms in.

use std::net::SocketAddr;
use std::time::{SystemTime, UNIX_EPOCH};

use bytes::BytesMut;
use tokio::net::UdpSocket;
use tokio::time::Instant;
use trunkline_media::{FRAME_SAMPLES, g711};
use trunkline_sip::leg::Leg;
use trunkline_sip::sdp::Agreed;

use crate::cli::phone::reply::ReplyWatch;
use crate::cli::phone::{Caller, Doing, PhoneError, PhoneReport, RtpReport, is_sound};
use crate::sip::PortPair;

/// Largest datagram looked at.
const DATAGRAM: usize = 2_048;

/// The media of one call.
pub(super) struct Media {
    pub leg: Leg,
    pub caller: Caller,
    rtp: UdpSocket,
    rtcp: UdpSocket,
    // The ports are ours until the end.
    _lease: crate::sip::Lease,
    incoming: BytesMut,
    outgoing: BytesMut,
    payload: Vec<u8>,
    samples: Vec<i16>,
    heard: Vec<i16>,
    last_packet: Option<Instant>,
    reply: ReplyWatch,
    keys: String,
    /// Sound, or silence, came in the last 20 ms.
    flows: bool,
    breaks: u64,
    is_encrypted: bool,
}

impl Media {
    pub fn new(agreed: &Agreed, pair: PortPair, caller: Caller) -> Result<Self, PhoneError> {
        let unusable = |error: std::io::Error| PhoneError::Unreachable { what: format!("media sockets: {error}") };
        let since_1970 = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Ok(Self {
            leg: Leg::new(Instant::now().into_std(), since_1970, agreed, fastrand::Rng::new()),
            caller,
            rtp: UdpSocket::from_std(pair.rtp).map_err(unusable)?,
            rtcp: UdpSocket::from_std(pair.rtcp).map_err(unusable)?,
            _lease: pair.lease,
            incoming: BytesMut::with_capacity(DATAGRAM),
            outgoing: BytesMut::with_capacity(DATAGRAM),
            payload: Vec::new(),
            samples: Vec::new(),
            heard: Vec::new(),
            last_packet: None,
            reply: ReplyWatch::default(),
            keys: String::new(),
            flows: false,
            breaks: 0,
            is_encrypted: agreed.keys.is_some(),
        })
    }

    /// Waits for a packet, see [`Media::take`]. May be dropped and asked again at any time.
    pub async fn packet(&mut self) -> SocketAddr {
        loop {
            self.incoming.clear();
            self.incoming.reserve(DATAGRAM);
            // An error here is about a datagram of ours that nobody took (ICMP).
            if let Ok((_, from)) = self.rtp.recv_buf_from(&mut self.incoming).await {
                return from;
            }
        }
    }

    /// Takes the packet that came.
    pub fn take(&mut self, from: SocketAddr, report: &PhoneReport) {
        let now = Instant::now();
        if let Some(last) = self.last_packet.replace(now) {
            report.gap(now - last);
        }
        let keys = &mut self.keys;
        self.leg.packet(now.into_std(), from, &mut self.incoming, |key| keys.push(key));
    }

    /// 20 ms, due at `at`: a telephone always sends, silence if its owner says nothing.
    pub fn tick(&mut self, at: Instant, report: &mut PhoneReport) -> Doing {
        let now = Instant::now();
        self.payload.clear();
        g711::encode(self.leg.codec(), &self.caller.speak(), &mut self.payload);
        self.outgoing.clear();
        // On hold nothing goes out.
        if let Some(to) = self.leg.frame(now.into_std(), &self.payload, &mut self.outgoing) {
            match self.rtp.try_send_to(&self.outgoing, to) {
                Ok(_) => report.frames_out += 1,
                Err(_) => report.frames_unsent += 1,
            }
        }
        self.listen(at);
        if is_sound(&self.samples)
            && let Some(after) = self.reply.sound(now)
        {
            report.first_reply.get_or_insert(after);
        }
        let doing = self.caller.tick(&self.samples);
        if self.caller.has_spoken() {
            self.reply.spoken(now);
        }
        self.reports(now);
        doing
    }

    /// What is heard in these 20 ms.
    fn listen(&mut self, at: Instant) {
        self.samples.clear();
        let frame = self.leg.pull(at.into_std());
        let flowed = std::mem::replace(&mut self.flows, frame.is_some());
        match frame {
            Some(frame) => g711::decode(self.leg.codec(), &frame, &mut self.samples),
            None => self.samples.resize(FRAME_SAMPLES, 0),
        }
        self.breaks += u64::from(flowed && !self.flows);
        self.heard.extend_from_slice(&self.samples);
    }

    /// Reports about the packets, the far end's and ours.
    fn reports(&mut self, now: Instant) {
        self.incoming.clear();
        while let Ok((_, from)) = self.rtcp.try_recv_buf_from(&mut self.incoming) {
            self.leg.report_packet(now.into_std(), from, &mut self.incoming);
            self.incoming.clear();
            self.incoming.reserve(DATAGRAM);
        }
        if Instant::from_std(self.leg.report_due()) <= now {
            self.outgoing.clear();
            if let Some(to) = self.leg.report(now.into_std(), &mut self.outgoing) {
                // A report that does not go out is lost, as any datagram may be.
                let _ = self.rtcp.try_send_to(&self.outgoing, to);
            }
        }
    }

    /// The call is over: says so to the far end's RTCP, and fills in the report.
    pub fn finish(mut self, report: &mut PhoneReport) {
        self.outgoing.clear();
        if let Some(to) = self.leg.goodbye(Instant::now().into_std(), &mut self.outgoing) {
            let _ = self.rtcp.try_send_to(&self.outgoing, to);
        }
        let fares = self.leg.fares();
        report.frames_in = fares.received;
        report.playback_gaps = self.breaks;
        report.reply_heard = self.caller.heard_reply();
        report.sound_ms = self.caller.sound_ms();
        report.heard = self.heard;
        if !self.keys.is_empty() {
            report.notes.push(format!("keys {}", self.keys));
        }
        if fares.foreign > 0 {
            let passed_over = fares.foreign;
            report.notes.push(format!("packets passed over: {passed_over}, from elsewhere or not what was agreed on"));
        }
        report.rtp = Some(RtpReport { fares, is_encrypted: self.is_encrypted });
    }
}
