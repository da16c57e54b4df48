use proptest::prelude::*;
use serde_json::json;

use super::*;

fn stream() -> Twilio {
    Twilio(Writer::new("MZ18ad3ab5a668481ce02b83e7395059f0".to_owned()))
}

fn text_of(say: Say) -> Value {
    match say {
        Say::Text(text) => serde_json::from_str(&text).unwrap(),
        Say::Binary(_) => panic!("Twilio takes text alone"),
    }
}

fn read(text: &str) -> Heard {
    stream().text(text, &mut BytesMut::new())
}

fn start(more: Value) -> Value {
    let mut start = json!({"accountSid": "AC0", "streamSid": "MZ1", "callSid": "CA1", "tracks": ["inbound"],
        "mediaFormat": {"encoding": "audio/x-mulaw", "sampleRate": 8000, "channels": 1}, "customParameters": {}});
    for (key, value) in more.as_object().unwrap() {
        start[key] = value.clone();
    }
    json!({"event": "start", "sequenceNumber": "1", "start": start, "streamSid": "MZ1"})
}

fn opened(message: &Value) -> Start<Twilio> {
    match Twilio::open(&message.to_string()) {
        Opening::Start(start) => *start,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_start_says_which_call_it_is_and_what_is_known_of_it() {
    let parameters = json!({"from": "+15550100001", "to": "6001", "route": "sales", "smaTransactionId": "t-1",
        "token": "1.2", "ticket": "7", "language": "en"});
    let start = opened(&start(json!({"customParameters": parameters})));
    assert_eq!((start.call_id.as_str(), start.codec), ("CA1", LineCodec::Pcmu));
    assert_eq!(start.token.as_deref(), Some("1.2"));
    let facts = CallFacts {
        from: Some("+15550100001".to_owned()),
        to: Some("6001".to_owned()),
        route: Some("sales".to_owned()),
        sma_transaction_id: Some("t-1".to_owned()),
        metadata: Some(json!({"ticket": "7", "language": "en"})),
        ..CallFacts::default()
    };
    assert_eq!(start.facts, facts, "the token is no metadata");
}

#[test]
fn a_start_with_less_is_taken_and_metadata_is_bounded() {
    let bare = json!({"event": "start", "start": {"callSid": "CA1"}, "streamSid": "MZ1"});
    assert_eq!(opened(&bare).facts, CallFacts::default());
    let odd =
        start(json!({"mediaFormat": {"encoding": "AUDIO/x-mulaw", "sampleRate": "8000"}, "customParameters": null}));
    assert_eq!(opened(&odd).facts, CallFacts::default());
    let large = start(json!({"customParameters": {"to": "6001", "x": "y".repeat(MAX_METADATA)}}));
    let facts = opened(&large).facts;
    assert_eq!((facts.to.as_deref(), facts.metadata), (Some("6001"), None));
    let empty = start(json!({"customParameters": {"to": "", "from": 7}}));
    assert_eq!(opened(&empty).facts, CallFacts::default(), "nothing is known by an empty text");
}

#[test]
fn a_start_that_cannot_be_gone_along_with_says_why() {
    for (more, code, part) in [
        (json!({"callSid": ""}), 1008, "callSid"),
        (json!({"callSid": "CA 1"}), 1008, "callSid"),
        (json!({"callSid": "C".repeat(129)}), 1008, "callSid"),
        (json!({"customParameters": {"from": "5".repeat(129)}}), 1008, "128 bytes"),
        (json!({"streamSid": "M".repeat(129)}), 1008, "streamSid"),
        (json!({"mediaFormat": {"encoding": "audio/x-l16", "sampleRate": 8000}}), 1003, "mediaFormat"),
        (json!({"mediaFormat": {"encoding": "audio/x-mulaw", "sampleRate": 16000}}), 1003, "mediaFormat"),
        (json!({"mediaFormat": {"encoding": "audio/x-mulaw", "channels": 2}}), 1003, "mediaFormat"),
        (json!({"callSid": 7}), 1007, "start"),
        (json!({"customParameters": [1]}), 1007, "start"),
    ] {
        let message = start(more);
        match Twilio::open(&message.to_string()) {
            Opening::Refused { code: given, why } => {
                assert_eq!(given, code, "{message}");
                assert!(why.contains(part) && why.len() <= 123, "{why}");
            }
            other => panic!("{message}: {other:?}"),
        }
    }
    for early in [
        r#"{"event":"connected","protocol":"Call","version":"1.0.0"}"#,
        r#"{"event":"media","media":{"payload":"/////w=="}}"#,
        r#"{"event":"stop"}"#,
        "nonsense",
        "",
    ] {
        assert!(matches!(Twilio::open(early), Opening::NotYet), "{early}");
    }
}

#[test]
fn messages_of_a_call() {
    assert_eq!(
        read(r#"{"event":"mark","mark":{"name":"item_1"}}"#),
        Heard::Event(CallerEvent::Played("item_1".into()))
    );
    assert_eq!(
        read(r#"{"event":"dtmf","dtmf":{"track":"inbound_track","digit":"d"}}"#),
        Heard::Event(CallerEvent::Key('D'))
    );
    assert_eq!(read(r#"{"event":"stop","stop":{"callSid":"CA1"}}"#), Heard::Event(CallerEvent::Stop));
    for audio in [
        r#"{"event":"media","sequenceNumber":"4","streamSid":"MZ1",
            "media":{"track":"inbound","chunk":"2","timestamp":"5","payload":"AP9/"}}"#,
        r#"{"event":"media","media":{"payload":"AP9\/"}}"#,
    ] {
        assert_eq!(read(audio), Heard::Audio(Bytes::from_static(&[0x00, 0xff, 0x7f])), "{audio}");
    }
    for nothing in [
        r#"{"event":"media","media":{"track":"outbound","payload":"AP9/"}}"#,
        r#"{"event":"connected"}"#,
        r#"{"event":"start","start":{"callSid":"CA2"}}"#,
        r#"{"event":"dtmf","dtmf":{"digit":"12"}}"#,
        r#"{"event":"brand.new","media":null}"#,
    ] {
        assert_eq!(read(nothing), Heard::Nothing, "{nothing}");
    }
}

#[test]
fn what_is_malformed_says_so_and_what_it_cost() {
    let stream = stream();
    let mut scratch = BytesMut::new();
    let wrong = [
        "",
        "hello",
        "null",
        "[]",
        "{}",
        r#"["stop","",null,null,null,null]"#,
        r#"{"event":7}"#,
        r#"{"event":"media"}"#,
        r#"{"event":"mark","mark":{}}"#,
        r#"{"event":"dtmf","dtmf":{"digit":null}}"#,
        r#"{"event":"media","media":7}"#,
    ];
    for text in wrong {
        assert!(matches!(stream.text(text, &mut scratch), Heard::Malformed { lost_ms: 0, .. }), "{text}");
    }
    // Audio that is lost is accounted for: 160 bytes are 216 characters.
    for payload in ["!".repeat(216), format!("{}=A", "A".repeat(214))] {
        let text = json!({"event": "media", "media": {"payload": payload}}).to_string();
        assert!(matches!(stream.text(&text, &mut scratch), Heard::Malformed { lost_ms: 21, .. }), "{text}");
    }
    let long = json!({"event": "media", "media": {"payload": "A".repeat(12_000)}}).to_string();
    let Heard::Event(CallerEvent::Bad { lost_ms, .. }) = stream.text(&long, &mut scratch) else { panic!("taken") };
    assert_eq!(lost_ms, 1_125, "9,000 bytes in one message are too many");
    assert_eq!(stream.binary(Bytes::from_static(b"x")), Heard::Nothing);
}

#[test]
fn our_messages_are_twilios() {
    let stream = stream();
    let sid = "MZ18ad3ab5a668481ce02b83e7395059f0";
    let frame = text_of(stream.frame(Bytes::from(vec![0x7e; 160]), &mut BytesMut::new()));
    assert_eq!(frame["media"]["payload"].as_str().unwrap().len(), 216);
    let payload = base64_simd::STANDARD.encode_to_string([0x7e; 160]);
    assert_eq!(frame, json!({"event": "media", "streamSid": sid, "media": {"payload": payload}}));
    assert_eq!(
        text_of(stream.mark("item \"1\"")),
        json!({"event": "mark", "streamSid": sid, "mark": {"name": "item \"1\""}})
    );
    let clear = stream.control(&LinkControl::Clear { generation: 1 }).unwrap();
    assert_eq!(text_of(clear), json!({"event": "clear", "streamSid": sid}));
    for unknown in [
        LinkControl::Ready,
        LinkControl::Fallback { state: "entered", reason: String::new() },
        LinkControl::Dtmf { digits: "1".to_owned() },
        LinkControl::Transfer { to: "+1".to_owned() },
        LinkControl::Error { code: "bad_audio", message: String::new() },
        LinkControl::Close { stop: Some("caller_hangup"), code: 1000 },
    ] {
        assert_eq!(stream.control(&unknown), None, "anything else ends the stream over there: {unknown:?}");
    }
    let strange = Twilio(Writer::new("\"},\u{7}\"MZ".to_owned()));
    assert_eq!(text_of(strange.frame(Bytes::new(), &mut BytesMut::new()))["streamSid"], "\"},\u{7}\"MZ");
}

#[test]
fn buffers_are_used_again() {
    let stream = stream();
    let (mut up, mut down) = (BytesMut::new(), BytesMut::new());
    let text = json!({"event": "media", "media": {"track": "inbound", "payload": "A".repeat(216)}}).to_string();
    let mut places = std::collections::HashSet::new();
    for _ in 0..1_000 {
        let Heard::Audio(heard) = stream.text(&text, &mut up) else { panic!("no audio") };
        let Say::Text(said) = stream.frame(Bytes::from_static(&[0; 160]), &mut down) else { panic!("no text") };
        places.insert(heard.as_ptr() as usize / 4_096);
        places.insert(said.as_ptr() as usize / 4_096);
    }
    assert!(places.len() <= 8, "{} places in memory", places.len());
}

proptest! {
    #[test]
    fn strangers_text_never_panics(text in ".{0,200}") {
        let _ = read(&text);
        let _ = Twilio::open(&text);
    }

    #[test]
    fn strangers_json_never_panics(
        event in prop::sample::select(vec!["start", "media", "mark", "dtmf", "stop", "connected", "x"]),
        member in prop::sample::select(vec!["start", "media", "mark", "dtmf", "stop", "streamSid"]),
        inner in prop::sample::select(
            vec!["callSid", "payload", "name", "digit", "track", "mediaFormat", "customParameters"]
        ),
        value in prop_oneof![Just(Value::Null), any::<i32>().prop_map(Value::from), ".{0,40}".prop_map(Value::from)],
    ) {
        for text in [json!({"event": event, member: {inner: value}}), json!({"event": event, member: value})] {
            let _ = read(&text.to_string());
            let _ = Twilio::open(&text.to_string());
        }
    }

    #[test]
    fn audio_comes_back_as_it_was(payload in prop::collection::vec(any::<u8>(), 0..2_000)) {
        let frame = text_of(stream().frame(Bytes::from(payload.clone()), &mut BytesMut::new()));
        prop_assert_eq!(read(&frame.to_string()), Heard::Audio(payload.into()));
    }
}
