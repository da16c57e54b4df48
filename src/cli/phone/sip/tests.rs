//! The telephone against a far end whose every message is written out here.

use std::net::SocketAddr;

use tokio::net::UdpSocket;

use super::*;
use crate::cli::phone::Patience;

/// A far end with one socket for SIP and one for media.
struct FarEnd {
    sip: UdpSocket,
    media: UdpSocket,
    caller: Option<SocketAddr>,
}

impl FarEnd {
    async fn new() -> Self {
        let home = "127.0.0.1:0";
        Self { sip: UdpSocket::bind(home).await.unwrap(), media: UdpSocket::bind(home).await.unwrap(), caller: None }
    }

    fn address(&self) -> String {
        format!("sip:6001@{}", self.sip.local_addr().unwrap())
    }

    /// The next message that begins so; others are passed over.
    async fn receive(&mut self, begin: &str) -> String {
        let mut buffer = [0; 4_096];
        loop {
            let (length, from) = self.sip.recv_from(&mut buffer).await.unwrap();
            self.caller = Some(from);
            let text = String::from_utf8(buffer[..length].to_vec()).unwrap();
            if text.starts_with(begin) {
                return text;
            }
        }
    }

    async fn send(&self, text: &str) {
        self.sip.send_to(text.as_bytes(), self.caller.unwrap()).await.unwrap();
    }

    /// Answers `request`; its To gets a tag.
    async fn answer(&self, request: &str, status: &str, sdp: &str) {
        let mut text = format!("SIP/2.0 {status}\r\n");
        for name in ["Via", "From", "Call-ID", "CSeq"] {
            text += &format!("{name}: {}\r\n", header(request, name));
        }
        let to = header(request, "To");
        let tag = if to.contains("tag=") { "" } else { ";tag=far" };
        let contact = self.sip.local_addr().unwrap();
        text += &format!("To: {to}{tag}\r\nContact: <sip:far@{contact}>\r\n");
        text += &format!("Content-Type: application/sdp\r\nContent-Length: {}\r\n\r\n{sdp}", sdp.len());
        self.send(&text).await;
    }

    fn sdp(&self, direction: &str) -> String {
        let port = self.media.local_addr().unwrap().port();
        format!(
            "v=0\r\no=far 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\n\
             m=audio {port} RTP/AVP 0 101\r\na=rtpmap:101 telephone-event/8000\r\na={direction}\r\n"
        )
    }

    /// A request of ours in the call that `invite` began.
    async fn request(&self, method: &str, number: u32, invite: &str, sdp: &str) {
        let target = header(invite, "Contact").trim_matches(['<', '>']).to_owned();
        let contact = self.sip.local_addr().unwrap();
        let text = format!(
            "{method} {target} SIP/2.0\r\nVia: SIP/2.0/UDP {contact};branch=z9hG4bK{number}\r\nMax-Forwards: 70\r\n\
             From: {};tag=far\r\nTo: {}\r\nCall-ID: {}\r\nCSeq: {number} {method}\r\nContact: <sip:far@{contact}>\r\n\
             Reason: Q.850;cause=16;text=\"gone\u{7}\"\r\nContent-Type: application/sdp\r\nContent-Length: {}\r\n\r\n{sdp}",
            header(invite, "To"),
            header(invite, "From"),
            header(invite, "Call-ID"),
            sdp.len(),
        );
        self.send(&text).await;
    }

    /// `frames` of a loud tone to the port that the offer names, in real time.
    async fn speak(&self, offer: &str, frames: u16) {
        let port = offer.split("m=audio ").nth(1).unwrap().split(' ').next().unwrap();
        let start = Instant::now();
        for number in 0..frames {
            let mut packet = vec![0x80, 0];
            packet.extend(number.to_be_bytes());
            packet.extend((u32::from(number) * 160).to_be_bytes());
            packet.extend(7_u32.to_be_bytes());
            packet.extend([0x80, 0x00].repeat(80));
            self.media.send_to(&packet, format!("127.0.0.1:{port}")).await.unwrap();
            sleep_until(start + TICK * u32::from(number)).await;
        }
    }

    /// Packets that came since it was asked last.
    fn heard(&self) -> Vec<Vec<u8>> {
        let mut packets = Vec::new();
        let mut buffer = [0; 2_048];
        while let Ok((length, _)) = self.media.try_recv_from(&mut buffer) {
            packets.push(buffer[..length].to_vec());
        }
        packets
    }
}

fn header(message: &str, name: &str) -> String {
    let line = message.lines().find_map(|line| line.strip_prefix(&format!("{name}: ")));
    line.unwrap_or_else(|| panic!("no {name} in {message}")).to_owned()
}

/// 0.3 s of words.
fn options(url: String) -> PhoneOptions {
    PhoneOptions {
        url,
        call_id: Some("t".to_owned()),
        secret: None,
        account: None,
        ca_file: None,
        words: vec![8_000; 2_400],
        patience: Patience {
            lead_in: Duration::from_millis(100),
            quiet_after_reply: Duration::from_millis(300),
            no_reply: Duration::from_secs(5),
            longest: Duration::from_secs(10),
        },
        progress: Box::new(|_| ()),
    }
}

/// Places a call while `script` is the far end.
fn call<T>(script: impl AsyncFnOnce(FarEnd) -> T + 'static) -> (Result<PhoneReport, PhoneError>, T) {
    actix_rt::System::new().block_on(async move {
        let far_end = FarEnd::new().await;
        let url = far_end.address();
        futures_util::future::join(place_call(options(url)), script(far_end)).await
    })
}

#[test]
fn a_call_from_invite_to_our_bye() {
    let (report, packets) = call(async |mut far: FarEnd| {
        let invite = far.receive("INVITE sip:6001@").await;
        assert_eq!(header(&invite, "X-Trunkline-Call-Id"), "t");
        assert!(invite.contains("RTP/AVP 0 8 101"), "{invite}");
        far.answer(&invite, "180 Ringing", "").await;
        far.answer(&invite, "200 OK", &far.sdp("sendrecv")).await;
        far.receive("ACK").await;
        tokio::time::sleep(Duration::from_millis(500)).await;
        far.speak(&invite, 20).await;
        let bye = far.receive("BYE").await;
        far.answer(&bye, "200 OK", "").await;
        far.heard()
    });
    let report = report.unwrap();
    assert!(report.hung_up && report.reply_heard, "{report}");
    let rtp = report.rtp.unwrap();
    assert_eq!((rtp.fares.received, rtp.fares.lost, rtp.is_encrypted), (20, 0, false));
    assert!(report.first_reply.is_some(), "{report}");
    // Silence is sent too, on an absolute clock.
    let sound = |packet: &&Vec<u8>| packet[1] & 0x7F == 0 && packet[12..].iter().any(|byte| *byte != 0xFF);
    assert_eq!(packets.iter().filter(sound).count(), 15, "0.3 s of words");
    let audio = packets.iter().filter(|packet| packet[1] & 0x7F == 0).count();
    assert_eq!(u64::try_from(audio).unwrap(), report.frames_out);
    let paced = TICK * u32::try_from(report.frames_out).unwrap();
    assert!(report.duration.abs_diff(paced) < Duration::from_millis(200), "{:?} for {paced:?}", report.duration);
    assert_eq!(report.heard.len(), audio * 160, "the recording is a real-time line");
}

#[test]
fn the_far_end_holds_the_call_and_hangs_up() {
    let (report, (before, on_hold)) = call(async |mut far: FarEnd| {
        let invite = far.receive("INVITE").await;
        far.answer(&invite, "200 OK", &far.sdp("sendrecv")).await;
        far.receive("ACK").await;
        tokio::time::sleep(Duration::from_millis(200)).await;
        far.request("INVITE", 1, &invite, &far.sdp("sendonly")).await;
        let held = far.receive("SIP/2.0 200").await;
        assert!(held.contains("a=recvonly"), "{held}");
        far.request("ACK", 1, &invite, "").await;
        let before = far.heard().len();
        tokio::time::sleep(Duration::from_millis(200)).await;
        let on_hold = far.heard().len();
        far.request("BYE", 2, &invite, "").await;
        far.receive("SIP/2.0 200").await;
        (before, on_hold)
    });
    let report = report.unwrap();
    assert!(before > 0 && on_hold <= 1, "{before} packets, {on_hold} on hold");
    assert!(!report.hung_up);
    let reason = report.stop_reason.as_deref().unwrap();
    assert!(reason.contains("cause=16") && !reason.contains('\u{7}'), "{reason:?}");
    assert!(report.notes.contains(&"media changed: recvonly".to_owned()), "{:?}", report.notes);
}

#[test]
fn a_refusal_is_acknowledged_and_told() {
    let (report, ()) = call(async |mut far: FarEnd| {
        let invite = far.receive("INVITE").await;
        far.answer(&invite, "486 Busy \u{1b}[2J", "").await;
        far.receive("ACK").await;
    });
    let error = report.unwrap_err().to_string();
    assert!(error.contains("SIP 486 Busy") && !error.contains('\u{1b}'), "{error:?}");
}

#[test]
fn an_answer_without_media_is_hung_up_on() {
    let (report, ()) = call(async |mut far: FarEnd| {
        let invite = far.receive("INVITE").await;
        far.answer(&invite, "200 OK", "v=0\r\n").await;
        let bye = far.receive("BYE").await;
        far.answer(&bye, "200 OK", "").await;
    });
    let error = report.unwrap_err().to_string();
    assert!(error.contains("without media"), "{error}");
}

#[test]
fn sip_addresses_are_told_from_others() {
    for (url, expected) in
        [("sip:6001@h", true), ("SIPS:6001@h", true), ("ws://sip:1/", false), ("sipx:6001@h", false), ("sip", false)]
    {
        assert_eq!(is_sip(url), expected, "{url}");
    }
}
