//! Messages in a stream, however it is cut.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    missing_docs,
    reason = "a test fails by panicking"
)]

use proptest::prelude::*;
use trunkline_sip::message::{BadMessage, Framed, MAX_MESSAGE_BYTES, Message, Method, Name, StreamFramer};

const INVITE: &[u8] = include_bytes!("fixtures/sip/invite-number-on-vc.sip");
const BYE: &[u8] = include_bytes!("fixtures/sip/bye-from-vc.sip");

/// Everything that a stream brings, pushed in pieces that end at these places.
fn frames(stream: &[u8], mut cuts: Vec<usize>) -> Vec<Framed> {
    cuts.push(stream.len());
    cuts.sort_unstable();
    let (mut framer, mut frames, mut from) = (StreamFramer::new(), Vec::new(), 0);
    for to in cuts {
        framer.push(&stream[from..to]);
        frames.extend(std::iter::from_fn(|| framer.next()));
        from = to;
    }
    frames
}

fn whole(bytes: &[u8]) -> Framed {
    Framed::Message(Message::parse(&bytes.to_vec().into()).unwrap())
}

/// An OPTIONS with these headers and nothing behind them.
fn options(headers: &str) -> Vec<u8> {
    let usual = "Via: SIP/2.0/TCP a\r\nFrom: <sip:a@b>;tag=1\r\nTo: <sip:b@c>\r\nCall-ID: x\r\nCSeq: 1 OPTIONS\r\n";
    format!("OPTIONS sip:a@b SIP/2.0\r\n{usual}{headers}\r\n").into_bytes()
}

#[test]
fn messages_and_keep_alives_are_told_apart() {
    let stream = [b"\r\n\r\n", INVITE, b"\r\n\r\n\r\n", BYE, b"\r\n", INVITE, b"\r\n\r\n\r\n\r\n"].concat();
    let expected = [
        Framed::Ping,
        whole(INVITE),
        Framed::Ping,
        Framed::Pong,
        whole(BYE),
        Framed::Pong,
        whole(INVITE),
        Framed::Ping,
        Framed::Ping,
    ];
    assert_eq!(frames(&stream, vec![]), expected);
    assert_eq!(frames(&stream, (0..stream.len()).collect()), expected, "byte by byte");
}

#[test]
fn a_part_of_a_message_waits_for_the_rest() {
    let mut framer = StreamFramer::new();
    for (at, byte) in INVITE.iter().enumerate() {
        assert_eq!(framer.next(), None, "{at}");
        framer.push(&[*byte]);
    }
    assert_eq!(framer.next(), Some(whole(INVITE)));
    assert_eq!(framer.next(), None);
}

#[test]
fn a_message_without_a_length_ends_the_stream() {
    let mut framer = StreamFramer::new();
    framer.push(&[&options(""), BYE].concat());
    let Some(Framed::Bad { why, refusal, is_lost }) = framer.next() else { panic!("taken") };
    assert_eq!((why, is_lost), (BadMessage::Missing { name: "Content-Length" }, true));
    assert_eq!(refusal.unwrap().code(), Some(400));
    framer.push(BYE);
    assert_eq!(framer.next(), None, "nobody knows where the next one begins");
}

#[test]
fn a_bad_message_of_known_length_does_not_end_the_stream() {
    let bad = String::from_utf8(options("Content-Length: 3\r\n")).unwrap().replace("<sip:b@c>", "<sip:b@c") + "abc";
    let mut framer = StreamFramer::new();
    framer.push(&[bad.as_bytes(), BYE].concat());
    let Some(Framed::Bad { why, refusal, is_lost }) = framer.next() else { panic!("taken") };
    assert!(matches!(why, BadMessage::BadValue { name: "To", .. }) && !is_lost, "{why}");
    assert_eq!(refusal.unwrap().value(Name::To), Some(&b"<sip:b@c"[..]), "echoed");
    assert_eq!(framer.next(), Some(whole(BYE)));
}

#[test]
fn lengths_out_of_bounds_end_the_stream() {
    for length in ["-1", "x", "65536", "18446744073709551615", "18446744073709551616"] {
        let mut framer = StreamFramer::new();
        framer.push(&options(&format!("Content-Length: {length}\r\n")));
        assert!(matches!(framer.next(), Some(Framed::Bad { is_lost: true, .. })), "{length}");
    }
    let head = options("Content-Length: 60000\r\n").len();
    let most = MAX_MESSAGE_BYTES - head;
    let message = [options(&format!("Content-Length: {most}\r\n")), vec![b'x'; most]].concat();
    assert!(matches!(frames(&message, vec![]).as_slice(), [Framed::Message(_)]));
}

#[test]
fn headers_without_an_end_are_not_waited_for() {
    let endless = [options("").strip_suffix(b"\r\n").unwrap(), "X: 1\r\n".repeat(20_000).as_bytes()].concat();
    let mut framer = StreamFramer::new();
    let mut pushed = 0;
    let lost = endless.chunks(1_000).find_map(|chunk| {
        framer.push(chunk);
        pushed += chunk.len();
        framer.next()
    });
    let Some(Framed::Bad { why, refusal, is_lost: true }) = lost else { panic!("{lost:?}") };
    assert_eq!((why, refusal.unwrap().code()), (BadMessage::TooLarge, Some(513)));
    assert!(pushed <= MAX_MESSAGE_BYTES + 1_000, "{pushed}");
}

#[test]
fn a_ping_is_answered_when_it_is_whole() {
    let mut framer = StreamFramer::new();
    for (piece, expected) in [
        ("\r", None),
        ("\n", None),
        ("\r", None),
        ("\n", Some(Framed::Ping)),
        ("\r\n", None),
        ("B", Some(Framed::Pong)),
    ] {
        framer.push(piece.as_bytes());
        assert_eq!(framer.next(), expected, "{piece:?}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 500, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn however_a_stream_is_cut_it_brings_the_same(
        pieces in prop::collection::vec(prop_oneof![
            Just(INVITE.to_vec()), Just(BYE.to_vec()), Just(b"\r\n\r\n".to_vec()), Just(b"\r\n".to_vec()),
            Just(options("l: 2\r\nX: \r\n\r\n")), prop::collection::vec(any::<u8>(), 0..20),
        ], 0..8),
        cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..20),
    ) {
        let stream = pieces.concat();
        let cuts = cuts.into_iter().map(|cut| cut.index(stream.len() + 1)).collect();
        let comparable = |frames: Vec<Framed>| -> Vec<Framed> {
            // Where the stream is lost, how much of it there is to salvage depends on the cuts.
            frames.into_iter().map(|frame| match frame {
                Framed::Bad { why, is_lost: true, .. } => Framed::Bad { why, refusal: None, is_lost: true },
                frame => frame,
            }).collect()
        };
        prop_assert_eq!(comparable(frames(&stream, cuts)), comparable(frames(&stream, vec![])));
    }

    #[test]
    fn what_is_written_one_after_the_other_is_found(bodies in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..50), 1..6)) {
        let written: Vec<_> = bodies.into_iter().zip(1_u32..).map(|(body, number)| {
            let mut message = Message::parse(&options("").into()).unwrap();
            message.set(Name::CSeq, format!("{number} {}", Method::Options));
            message.body = body.into();
            message
        }).collect();
        let stream = written.iter().map(Message::to_bytes).collect::<Vec<_>>().concat();
        let expected: Vec<_> = written.into_iter().map(Framed::Message).collect();
        prop_assert_eq!(frames(&stream, vec![]), expected);
    }
}
