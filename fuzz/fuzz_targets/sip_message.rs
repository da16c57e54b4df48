//! What strangers may send as SIP is read or refused without panic; what was read is written as it was; a stream brings
//! the same messages however it is cut; no header is begun by a value.
#![no_main]

use bytes::Bytes;
use libfuzzer_sys::fuzz_target;
use trunkline_sip::message::digest::{Challenge, Credentials};
use trunkline_sip::message::{BadMessage, Framed, Message, Name, NameAddr, StreamFramer, Uri, Via};

fuzz_target!(|bytes: &[u8]| {
    let datagram = Bytes::copy_from_slice(bytes);
    match Message::parse(&datagram) {
        Ok(message) => read(&message),
        Err(why) => refused(&why, why.refusal(&datagram)),
    }
    views(bytes);
    let (cut, stream) = bytes.split_first().unwrap_or((&0, &[]));
    assert_eq!(frames(stream, usize::from(*cut).max(1)), frames(stream, usize::MAX));
});

fn read(message: &Message) {
    assert!(message.via().is_ok() && message.from().is_ok() && message.to().is_ok() && message.cseq().is_ok());
    assert!(!message.call_id().is_empty());
    assert!(message.method().is_none() || message.request_uri().is_ok());
    let written = message.to_bytes();
    assert_eq!(Message::parse(&written).as_ref(), Ok(message));

    let mut answer = Message::response_to(message, 200, "OK");
    answer.add_to_tag("t");
    answer.note_source(([192, 0, 2, 1], 5060).into());
    answer.copy(message, Name::RecordRoute);
    assert_eq!(Message::parse(&answer.to_bytes()).as_ref(), Ok(&answer));
    let via = answer.via().expect("there was one");
    assert_eq!(via.received.or(via.host.address()), Some([192, 0, 2, 1].into()));
}

fn refused(why: &BadMessage, refusal: Option<Message>) {
    let shown = why.to_string();
    assert!(shown.len() <= 200 && shown.bytes().all(|byte| matches!(byte, b' '..=b'~')), "{shown:?}");
    assert!(!why.reason().is_empty());
    assert!(refusal.is_none_or(|refusal| refusal.code() == why.status()));
}

/// A value by itself, and as every header of a message.
fn views(value: &[u8]) {
    let _ = (Uri::parse(value), NameAddr::parse(value), Via::parse(value));
    let mut message = Message::request(trunkline_sip::message::Method::Options, value);
    Name::ALL.iter().for_each(|&name| message.push(name, value));
    let _ =
        (message.request_uri(), message.contact(), message.routes(Name::Route), message.refer_to(), message.reason());
    let _ =
        (message.session_expires(), message.min_se(), message.max_forwards(), message.expires(), message.retry_after());
    if let Ok(challenge) = Challenge::parse(Name::WwwAuthenticate, value) {
        let again = Challenge::parse(Name::WwwAuthenticate, challenge.to_string().as_bytes());
        assert_eq!(again, Ok(challenge));
    }
    if let Ok(credentials) = Credentials::parse(Name::Authorization, value) {
        let again = Credentials::parse(Name::Authorization, credentials.to_string().as_bytes());
        assert_eq!(again, Ok(credentials));
    }
    let written = message.to_bytes();
    let lines = written.split(|&byte| byte == b'\n').count();
    assert_eq!(lines, Name::ALL.len() + 4, "a line a header, the start line, the length, an empty one and none");
    assert_eq!(written.iter().filter(|&&byte| byte == b'\r').count(), lines - 1);
}

/// What a stream brings, pushed in pieces of so many bytes. Where it is lost, how much there is to salvage depends on that.
fn frames(stream: &[u8], piece: usize) -> Vec<Framed> {
    let (mut framer, mut frames) = (StreamFramer::new(), Vec::new());
    for piece in stream.chunks(piece) {
        framer.push(piece);
        while let Some(frame) = framer.next() {
            frames.push(match frame {
                Framed::Bad { why, is_lost: true, .. } => Framed::Bad { why, refusal: None, is_lost: true },
                frame => frame,
            });
        }
    }
    frames
}
