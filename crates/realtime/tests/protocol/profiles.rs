//! `session.update` for each API, and what is refused before it is sent.

use serde_json::{Value, json};
use trunkline_realtime::event::ClientEvent;
use trunkline_realtime::{Api, ModelFormat, ProfileError, SessionProfile, ToolSpec, TurnDetection};

use crate::rig::Rig;

fn full(api: Api) -> SessionProfile {
    SessionProfile {
        api,
        format: ModelFormat::Pcmu,
        voice: Some("cedar".into()),
        instructions: Some("Be brief.".into()),
        greeting: Some("Greet.".into()),
        transcription_model: Some("whisper-1".into()),
        noise_reduction: Some("far_field".into()),
        turn_detection: TurnDetection::default(),
        tools: vec![ToolSpec {
            name: "hang_up".into(),
            description: "Ends.".into(),
            parameters: json!({"type":"object"}),
        }],
        speed: None,
        max_output_tokens: Some(900),
    }
}

fn session(profile: &SessionProfile) -> Value {
    let text = profile.session_update();
    assert!(matches!(ClientEvent::parse(text.as_bytes()), Ok(ClientEvent::SessionUpdate(_))));
    let event: Value = serde_json::from_str(&text).unwrap();
    assert_eq!((event["type"].as_str(), event.as_object().unwrap().len()), (Some("session.update"), 2));
    event["session"].clone()
}

fn tools() -> Value {
    json!([{"type":"function","name":"hang_up","description":"Ends.","parameters":{"type":"object"}}])
}

fn turns() -> Value {
    json!({"type":"server_vad","threshold":0.5,"prefix_padding_ms":300,"silence_duration_ms":500,
        "create_response":true,"interrupt_response":true})
}

#[test]
fn ga() {
    let profile = SessionProfile { speed: Some(1.25), ..full(Api::Ga) };
    let mut turns = turns();
    turns["idle_timeout_ms"] = Value::Null;
    let expected = json!({
        "type":"realtime","instructions":"Be brief.","output_modalities":["audio"],"max_output_tokens":900,
        "audio":{
            "input":{"format":{"type":"audio/pcmu"},"noise_reduction":{"type":"far_field"},
                "transcription":{"model":"whisper-1"},"turn_detection":turns},
            "output":{"format":{"type":"audio/pcmu"},"voice":"cedar","speed":1.25}},
        "tools":tools(),"tool_choice":"auto",
    });
    assert_eq!(session(&profile), expected);
    let pcm = SessionProfile { format: ModelFormat::Pcm24k, ..SessionProfile::default() };
    assert_eq!(session(&pcm)["audio"]["input"]["format"], json!({"type":"audio/pcm","rate":24000}));
    assert!(session(&pcm)["audio"]["output"].get("voice").is_none(), "what is not set is not sent");
}

#[test]
fn preview() {
    let expected = json!({
        "modalities":["audio","text"],"voice":"cedar","instructions":"Be brief.",
        "input_audio_format":"g711_ulaw","output_audio_format":"g711_ulaw",
        "input_audio_transcription":{"model":"whisper-1"},"input_audio_noise_reduction":{"type":"far_field"},
        "turn_detection":turns(),"tools":tools(),"tool_choice":"auto","max_response_output_tokens":900,
    });
    assert_eq!(session(&full(Api::Preview)), expected);
}

#[test]
fn voice_live() {
    let mut turns = turns();
    turns["idle_timeout_ms"] = json!(6_000);
    let mut profile = full(Api::VoiceLive);
    profile.format = ModelFormat::Pcm16k;
    let TurnDetection::ServerVad { idle_timeout_ms, .. } = &mut profile.turn_detection else { panic!("other turns") };
    *idle_timeout_ms = Some(6_000);
    let expected = json!({
        "modalities":["audio","text"],"voice":{"type":"openai","name":"cedar"},"instructions":"Be brief.",
        "input_audio_format":"pcm16","input_audio_sampling_rate":16000,"output_audio_format":"pcm16_16000hz",
        "input_audio_transcription":{"model":"whisper-1"},"input_audio_noise_reduction":{"type":"far_field"},
        "turn_detection":turns,"tools":tools(),"tool_choice":"auto","max_response_output_tokens":900,
    });
    assert_eq!(session(&profile), expected);
    let azure = SessionProfile { voice: Some("en-US-AvaNeural".into()), speed: Some(1.1), ..full(Api::VoiceLive) };
    assert_eq!(session(&azure)["voice"], json!({"type":"azure-standard","name":"en-US-AvaNeural","rate":"1.1"}));
    assert_eq!(session(&azure)["input_audio_sampling_rate"], 8_000);
}

#[test]
fn semantic_turns_send_every_member() {
    let turn_detection =
        TurnDetection::SemanticVad { eagerness: "low".into(), create_response: true, interrupt_response: false };
    let profile = SessionProfile { turn_detection, ..SessionProfile::default() };
    let expected = json!({"type":"semantic_vad","eagerness":"low","create_response":true,"interrupt_response":false});
    assert_eq!(session(&profile)["audio"]["input"]["turn_detection"], expected);
}

#[test]
fn every_api_and_format_it_offers_sets_up() {
    for api in [Api::Ga, Api::Preview, Api::VoiceLive] {
        for format in [ModelFormat::Pcm24k, ModelFormat::Pcm16k, ModelFormat::Pcmu, ModelFormat::Pcma] {
            let profile = SessionProfile { format, ..full(api) };
            let offered = format != ModelFormat::Pcm16k || api == Api::VoiceLive;
            assert_eq!(profile.check().is_ok(), offered, "{api:?} {format:?}");
            if offered {
                assert!(Rig::live(profile).session.is_live(), "the echo of what was asked for is right");
            }
        }
    }
}

#[test]
fn echoes_of_other_formats_are_refused() {
    for (api, asked, echo) in [
        (
            Api::VoiceLive,
            ModelFormat::Pcm16k,
            json!({"input_audio_format":"pcm16","input_audio_sampling_rate":24000,"output_audio_format":"pcm16_16000hz"}),
        ),
        (
            Api::VoiceLive,
            ModelFormat::Pcm16k,
            json!({"input_audio_format":"pcm16","input_audio_sampling_rate":16000,"output_audio_format":"pcm16"}),
        ),
        (Api::Preview, ModelFormat::Pcmu, json!({"input_audio_format":"g711_ulaw","output_audio_format":"g711_alaw"})),
        (
            Api::Ga,
            ModelFormat::Pcma,
            json!({"audio":{"input":{"format":null},"output":{"format":{"type":"audio/pcma"}}}}),
        ),
        (Api::Ga, ModelFormat::Pcm24k, json!({"audio":{"input":{"format":{"type":"audio/pcm","rate":16000}}}})),
        (Api::Ga, ModelFormat::Pcm24k, json!({"audio":{"output":{"format":{"type":"audio/opus"}}}})),
    ] {
        let mut rig = Rig::new(SessionProfile { format: asked, ..full(api) });
        rig.server(json!({"type":"session.created","session":{}}));
        rig.server(json!({"type":"session.updated","session":echo}));
        assert!(rig.loss().is_some_and(|(_, loss)| loss.name() == "format_mismatch"), "{echo}");
    }
}

#[test]
fn the_samples_echoes_are_understood() {
    for (folder, file, api, format) in [
        ("ga", "session.updated.json", Api::Ga, ModelFormat::Pcm24k),
        ("ga", "session.updated.pcmu.json", Api::Ga, ModelFormat::Pcmu),
        ("ga", "session.updated.pcma.json", Api::Ga, ModelFormat::Pcma),
        ("beta", "session.updated.json", Api::Preview, ModelFormat::Pcm24k),
        ("beta", "session.updated.g711_ulaw.json", Api::Preview, ModelFormat::Pcmu),
        ("beta", "session.updated.g711_alaw.json", Api::Preview, ModelFormat::Pcma),
        ("voicelive", "session.updated.json", Api::VoiceLive, ModelFormat::Pcm24k),
        ("voicelive", "session.updated.pcm16_16k.json", Api::VoiceLive, ModelFormat::Pcm16k),
        ("voicelive", "session.updated.g711_ulaw.json", Api::VoiceLive, ModelFormat::Pcmu),
    ] {
        let files = crate::rig::fixtures(&format!("{folder}/server"));
        let (_, text) = files.into_iter().find(|(path, _)| path.ends_with(file)).unwrap();
        let mut rig = Rig::new(SessionProfile { format, ..full(api) });
        rig.server(json!({"type":"session.created","session":{}}));
        rig.raw(&text);
        assert!(rig.session.is_configured(), "{folder} {file}: {:?}", rig.loss());
    }
}

#[test]
fn what_an_api_does_not_take_is_refused_with_value_and_range() {
    let base = || full(Api::Ga);
    let vad = |threshold: f64, idle_timeout_ms: Option<u32>| TurnDetection::ServerVad {
        threshold,
        prefix_padding_ms: 300,
        silence_duration_ms: 500,
        idle_timeout_ms,
        create_response: true,
        interrupt_response: true,
    };
    let eager = |eagerness: &str| TurnDetection::SemanticVad {
        eagerness: eagerness.into(),
        create_response: true,
        interrupt_response: true,
    };
    let tool = |name: &str, parameters: Value| ToolSpec { name: name.into(), description: String::new(), parameters };
    let schema = || json!({"type":"object"});
    let cases: Vec<(SessionProfile, &str)> = vec![
        (
            SessionProfile { format: ModelFormat::Pcm16k, ..base() },
            "16000 hz is only offered by voice-live, not by ga; allowed: 24000",
        ),
        (SessionProfile { speed: Some(1.6), ..base() }, "speed 1.6 is not within 0.25 to 1.5"),
        (SessionProfile { speed: Some(f64::NAN), ..base() }, "speed NaN"),
        (SessionProfile { speed: Some(1.1), ..full(Api::VoiceLive) }, "voice \"cedar\""),
        (SessionProfile { max_output_tokens: Some(0), ..base() }, "max_output_tokens 0 is not within 1 to 4096"),
        (SessionProfile { max_output_tokens: Some(4_097), ..base() }, "4097"),
        (SessionProfile { turn_detection: vad(1.5, None), ..base() }, "threshold 1.5 is not within 0 to 1"),
        (
            SessionProfile { turn_detection: vad(0.5, Some(4_999)), ..base() },
            "idle_timeout_ms 4999 is not within 5000 to 30000",
        ),
        (SessionProfile { turn_detection: vad(0.5, Some(6_000)), ..full(Api::Preview) }, "not offered by preview"),
        (
            SessionProfile { turn_detection: eager("very"), ..base() },
            "eagerness \"very\" is not one of low, medium, high, auto",
        ),
        (
            SessionProfile { noise_reduction: Some("azure_deep_noise_suppression".into()), ..base() },
            "not one of near_field, far_field",
        ),
        (SessionProfile { tools: vec![tool("hang up", schema())], ..base() }, "tool name \"hang up\""),
        (SessionProfile { tools: vec![tool("", schema())], ..base() }, "tool name \"\""),
        (
            SessionProfile { tools: vec![tool("a", schema()), tool("a", schema())], ..base() },
            "tool \"a\" is declared twice",
        ),
        (SessionProfile { tools: vec![tool("a", json!("none"))], ..base() }, "parameters of tool \"a\""),
    ];
    for (profile, expected) in cases {
        let error: ProfileError = profile.check().unwrap_err();
        assert!(error.to_string().contains(expected), "{error} lacks {expected}");
    }
    for profile in [base(), full(Api::Preview), full(Api::VoiceLive), SessionProfile::default()] {
        assert_eq!(profile.check(), Ok(()));
    }
    let live = SessionProfile { noise_reduction: Some("azure_deep_noise_suppression".into()), ..full(Api::VoiceLive) };
    assert_eq!(live.check(), Ok(()));
}

#[test]
fn api_names() {
    for (name, api) in [("ga", Api::Ga), ("preview", Api::Preview), ("voice-live", Api::VoiceLive)] {
        assert_eq!((name.parse(), api.name()), (Ok(api), name));
    }
    assert_eq!("GA".parse::<Api>().unwrap_err().to_string(), "api \"GA\" is not one of ga, preview, voice-live");
}
