//! The media of one call: its sockets, its 20 ms, and the way to the call's line. Runs beside the call's actors.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use actix::Addr;
use actix_rt::Arbiter;
use bytes::{Bytes, BytesMut};
use tokio::net::UdpSocket;
use tokio::sync::mpsc;
use tokio::sync::mpsc::error::TrySendError;
use tokio::time::{Instant, sleep_until};
use trunkline_actors::link::{LinkAudio, LinkControl, LinkOut, LinkReceiver};
use trunkline_actors::messages::{CallerAudio, CallerEvent, CallerSays};
use trunkline_actors::vc_stream::VcStreamActor;
use trunkline_call::{CallRecord, RtpReading};
use trunkline_media::FRAME_MS;
use trunkline_sip::leg::Leg;
use trunkline_sip::sdp::Agreed;
use trunkline_sip::ua::{CallKey, Ended};

use super::gateway::Command;
use super::ports::PortPair;

const FRAME: Duration = Duration::from_millis(FRAME_MS as u64);
/// Largest datagram looked at: a packet of 60 ms of G.711 with everything around it is 600 bytes.
const DATAGRAM: usize = 2_048;
/// What we send is heard after the way there and the peer's own buffer.
const HEARD_AFTER: Duration = Duration::from_millis(100);
/// Datagrams on the port of reports that are looked at in 20 ms: it is open to anybody.
const REPORTS_A_TICK: usize = 8;
/// How often the call's record is told how the packets fare.
const READING: Duration = Duration::from_secs(1);

/// What the dialog tells the media.
pub(super) enum LegOrder {
    /// Something else is agreed on.
    Change(Box<Agreed>),
    /// A key that came by INFO.
    Key(char),
    /// What became of a REFER: the status with which it failed.
    Transferred(Result<(), u16>),
    /// The dialog is over.
    Ended(Ended),
}

/// See the module.
pub(super) struct LegTask {
    pub(super) leg: Leg,
    pub(super) pair: PortPair,
    pub(super) link: LinkReceiver,
    pub(super) line: Addr<VcStreamActor>,
    pub(super) epoch: u64,
    pub(super) record: Arc<CallRecord>,
    pub(super) call: CallKey,
    pub(super) gateway: mpsc::Sender<Command>,
}

/// What woke the task.
enum Woken {
    Order(Option<LegOrder>),
    Line(Option<LinkOut>),
    Media(SocketAddr),
    Tick,
}

/// Whether the task goes on.
#[derive(PartialEq, Eq)]
enum Flow {
    On,
    Over,
}

impl LegTask {
    /// Runs until dialog or line is over.
    pub(super) async fn run(self, mut orders: mpsc::Receiver<LegOrder>) {
        let Self { leg, pair, mut link, line, epoch, record, call, gateway } = self;
        let _hang_up = HangUp(call, gateway.clone());
        let PortPair { rtp, rtcp, lease: _lease, .. } = pair;
        let sockets = UdpSocket::from_std(rtp).and_then(|rtp| Ok((rtp, UdpSocket::from_std(rtcp)?)));
        let Ok((rtp, rtcp)) = sockets else {
            tracing::error!(call = %record.id, "the media sockets cannot be used");
            return;
        };
        let (now, codec) = (Instant::now(), leg.codec());
        let mut media = Media {
            leg,
            rtp,
            rtcp,
            line,
            epoch,
            record,
            silence: vec![codec.silence(); codec.frame_bytes()].into(),
            out: BytesMut::with_capacity(DATAGRAM),
            marks: VecDeque::new(),
            tick: now + FRAME,
            reading: now + READING,
        };
        let mut datagram = BytesMut::with_capacity(DATAGRAM);
        loop {
            datagram.clear();
            datagram.reserve(DATAGRAM);
            let woken = tokio::select! {
                biased;
                order = orders.recv() => Woken::Order(order),
                out = link.next() => Woken::Line(out),
                () = sleep_until(media.tick) => Woken::Tick,
                Ok((_, from)) = media.rtp.recv_buf_from(&mut datagram) => Woken::Media(from),
            };
            let flow = match woken {
                Woken::Order(order) => media.order(order).await,
                Woken::Line(out) => media.line_says(out, call, &gateway).await,
                Woken::Media(from) => {
                    media.packet(from, &mut datagram).await;
                    Flow::On
                }
                Woken::Tick => {
                    media.tick(&mut datagram).await;
                    Flow::On
                }
            };
            if flow == Flow::Over {
                break;
            }
        }
        media.goodbye();
    }
}

/// Ends the dialog with the media, by a panic too. The dialog may be over already.
struct HangUp(CallKey, mpsc::Sender<Command>);

impl Drop for HangUp {
    fn drop(&mut self) {
        if let Err(error) = self.1.try_send(Command::Bye(self.0)) {
            let (call, gateway) = (self.0, self.1.clone());
            // Without a gateway there is no dialog.
            if let (TrySendError::Full(_), Some(_)) = (error, Arbiter::try_current()) {
                actix_rt::spawn(async move { gateway.send(Command::Bye(call)).await });
            }
        }
    }
}

struct Media {
    leg: Leg,
    rtp: UdpSocket,
    rtcp: UdpSocket,
    line: Addr<VcStreamActor>,
    epoch: u64,
    record: Arc<CallRecord>,
    /// 20 ms of it.
    silence: Bytes,
    out: BytesMut,
    /// Marks, and when what is before each was heard.
    marks: VecDeque<(Instant, String)>,
    tick: Instant,
    reading: Instant,
}

impl Media {
    async fn order(&mut self, order: Option<LegOrder>) -> Flow {
        match order {
            Some(LegOrder::Change(agreed)) => self.leg.change(&agreed),
            Some(LegOrder::Key(key)) => self.say(CallerEvent::Key(key)).await,
            Some(LegOrder::Transferred(result)) => {
                let result = result.map_err(|status| format!("the caller's side says {status}"));
                self.say(CallerEvent::Transferred(result)).await;
            }
            Some(LegOrder::Ended(Ended::Bye | Ended::Cancelled | Ended::HungUp)) => {
                self.say(CallerEvent::Stop).await;
                return Flow::Over;
            }
            // Nobody hung up: the caller may be connected again.
            Some(LegOrder::Ended(_)) | None => {
                self.say(CallerEvent::Lost).await;
                return Flow::Over;
            }
        }
        Flow::On
    }

    async fn line_says(&mut self, out: Option<LinkOut>, call: CallKey, gateway: &mpsc::Sender<Command>) -> Flow {
        let now = Instant::now();
        match out {
            None | Some(LinkOut::Control(LinkControl::Close { .. })) => return Flow::Over,
            Some(LinkOut::Audio(LinkAudio::Frame(frame))) => {
                if let Some(to) = self.leg.frame(now.into_std(), &frame, &mut self.out) {
                    // A datagram that does not go out is lost, as any other may be.
                    let _ = self.rtp.try_send_to(&self.out, to);
                }
                self.out.clear();
            }
            Some(LinkOut::Audio(LinkAudio::Mark(mark))) => self.marks.push_back((now + HEARD_AFTER, mark)),
            Some(LinkOut::Control(LinkControl::Dtmf { digits })) => {
                if let Err(error) = self.leg.press(&digits) {
                    tracing::info!(call = %self.record.id, %error, "keys could not be sent");
                }
            }
            Some(LinkOut::Control(LinkControl::Transfer { to })) => {
                let _ = gateway.send(Command::Refer(call, to)).await;
            }
            // Nothing is queued at a telephone, and it shows nothing.
            Some(LinkOut::Control(_)) => {}
        }
        Flow::On
    }

    async fn packet(&mut self, from: SocketAddr, datagram: &mut BytesMut) {
        let now = Instant::now().into_std();
        let mut pressed = [None; 4];
        let mut places = pressed.iter_mut();
        self.leg.packet(now, from, datagram, |key| {
            if let Some(place) = places.next() {
                *place = Some(key);
            }
        });
        for key in pressed.into_iter().flatten() {
            self.say(CallerEvent::Key(key)).await;
        }
    }

    /// Once every 20 ms, on an absolute clock.
    async fn tick(&mut self, datagram: &mut BytesMut) {
        let now = Instant::now();
        // After a stall of ours the jitter buffer catches up by itself; a burst would only shift the delay.
        self.tick = if now - self.tick > FRAME { now + FRAME } else { self.tick + FRAME };
        if let Some(payload) = self.leg.pull(now.into_std()) {
            self.audio(payload, now).await;
        } else if self.leg.is_held() {
            // Nothing has to come from a caller on hold: he is still there.
            self.audio(self.silence.clone(), now).await;
        }
        for _ in 0..REPORTS_A_TICK {
            let Ok((_, from)) = self.rtcp.try_recv_buf_from(datagram) else { break };
            self.leg.report_packet(now.into_std(), from, datagram);
            datagram.clear();
        }
        while let Some((_, mark)) = self.marks.pop_front_if(|(heard, _)| *heard <= now) {
            self.say(CallerEvent::Played(mark)).await;
        }
        if Instant::from_std(self.leg.report_due()) <= now {
            self.report(now);
        }
        if self.reading <= now {
            self.reading = now + READING;
            self.read();
        }
    }

    fn report(&mut self, now: Instant) {
        if let Some(to) = self.leg.report(now.into_std(), &mut self.out) {
            let _ = self.rtcp.try_send_to(&self.out, to);
        }
        self.out.clear();
    }

    fn goodbye(&mut self) {
        if let Some(to) = self.leg.goodbye(Instant::now().into_std(), &mut self.out) {
            let _ = self.rtcp.try_send_to(&self.out, to);
        }
        self.read();
    }

    fn read(&self) {
        let fares = self.leg.fares();
        self.record.rtp.set(&RtpReading {
            received: fares.received,
            lost: fares.lost,
            late: fares.late,
            concealed_ms: fares.concealed_ms,
            jitter: fares.jitter,
            depth_ms: fares.depth_ms,
            round_trip: fares.round_trip,
            mos: fares.mos,
        });
    }

    // A line that is gone has left its last words in the link: the link's end is the call's.

    async fn audio(&self, payload: Bytes, at: Instant) {
        let _ = self.line.send(CallerAudio { epoch: self.epoch, payload, at }).await;
    }

    async fn say(&self, event: CallerEvent) {
        let _ = self.line.send(CallerSays { epoch: self.epoch, event }).await;
    }
}
