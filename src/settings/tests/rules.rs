//! What values are allowed, alone and together.

use trunkline_media::ModelFormat;
use trunkline_realtime::TurnDetection;

use super::*;

#[test]
fn bad_values_are_named_with_what_is_allowed() {
    let table: &[(&str, &str, &[&str])] = &[
        ("MEDIA__LISTEN", "8080", &["media.listen = \"8080\"", "IP:PORT"]),
        ("MEDIA__LISTEN", "example.com:80", &["media.listen", "IP:PORT"]),
        ("CALLS__MAX", "many", &["calls.max = \"many\"", "whole number", "0 to"]),
        ("CALLS__MAX", "-1", &["calls.max"]),
        ("CALLS__MAX", "1.5", &["calls.max"]),
        ("CALLS__MEDIA_TIMEOUT", "60", &["calls.media_timeout = \"60\"", "with its unit"]),
        ("CALLS__MEDIA_TIMEOUT", "", &["calls.media_timeout"]),
        ("CALLS__UPSTREAM_BUFFER", "1h", &["calls.upstream_buffer", "from 20ms to 1m"]),
        ("INGEST__HEARTBEAT_TIMEOUT", "10s", &["ingest.heartbeat_timeout", "more than ingest.heartbeat"]),
        ("INGEST__TWILIO__LEAD", "201ms", &["ingest.twilio.lead = \"201ms\"", "from 0s to 200ms"]),
        ("REALTIME__API", "beta", &["realtime.api = \"beta\"", "\"ga\", \"preview\", \"voice-live\""]),
        ("REALTIME__AUTH", "basic", &["realtime.auth", "\"api-key\", \"bearer\""]),
        ("REALTIME__SAMPLE_RATE", "16000", &["realtime.sample_rate", "voice-live"]),
        ("REALTIME__SAMPLE_RATE", "8000", &["realtime.sample_rate", "24000"]),
        ("REALTIME__AUDIO", "opus", &["realtime.audio", "pcm16", "pcmu"]),
        ("REALTIME__URL", "https://example.com/x", &["realtime.url", "ws://"]),
        ("REALTIME__URL", "wss://", &["realtime.url", "ws://"]),
        ("REALTIME__STALL_TIMEOUT", "3s", &["realtime.stall_timeout", "more than realtime.ping"]),
        ("REALTIME__RECONNECT__MAX", "100ms", &["realtime.reconnect.max", "realtime.reconnect.first"]),
        ("REALTIME__BACKUP_URLS", "wss://b.example/", &["realtime.backup_urls", "realtime.url"]),
        ("REALTIME__TURN_DETECTION__THRESHOLD", "2", &["turn_detection.threshold", "from 0 to 1"]),
        ("REALTIME__TURN_DETECTION__IDLE_TIMEOUT_MS", "100", &["idle_timeout_ms", "5000"]),
        ("REALTIME__TURN_DETECTION__CREATE_RESPONSE", "maybe", &["create_response", "true or false"]),
        ("EVENTS__QUEUE_URL", "vc-events", &["events.queue_url = \"vc-events\"", "https://sqs."]),
        ("EVENTS__QUEUE_URL", "https://sqs.us-east-1.amazonaws.com/", &["events.queue_url", "https://sqs."]),
        ("EVENTS__REGION", "US East", &["events.region = \"US East\"", "us-east-1"]),
        ("EVENTS__ENDPOINT_URL", "127.0.0.1:4566", &["events.endpoint_url", "http://"]),
        (
            "EVENTS__VOICE_CONNECTOR_IDS",
            "arn:aws:chime:us-east-1:1:vc/a",
            &["events.voice_connector_ids", "not their ARNs"],
        ),
        ("EVENTS__MAX_AGE", "15days", &["events.max_age", "from 0s to 14days"]),
        ("SMA__APPLICATION_ID", "a/b", &["sma.application_id = \"a/b\"", "not its ARN"]),
        ("SMA__VOICE_CONNECTOR_ARN", "abc123", &["sma.voice_connector_arn", "arn:aws:chime:REGION:ACCOUNT:vc/ID"]),
        (
            "SMA__VOICE_CONNECTOR_ARN",
            "arn:aws:sqs:us-east-1:111122223333:vc/a",
            &["sma.voice_connector_arn", "arn:aws:chime"],
        ),
        ("SMA__FROM_NUMBER", "5550100042", &["sma.from_number = \"***0042\"", "E.164"]),
        ("SMA__FROM_NUMBER", "+05550100042", &["sma.from_number", "E.164"]),
        ("SMA__UPDATES_PER_SECOND", "0", &["sma.updates_per_second", "0.1"]),
        ("SMA__RING_TIMEOUT", "0s", &["sma.ring_timeout", "from 1s"]),
        ("SMA__ALLOWED_DESTINATIONS", "+1 555*", &["sma.allowed_destinations", "patterns"]),
        ("SMA__WEBHOOK_SECRET", "two words", &["sma.webhook_secret", "printable ASCII"]),
        ("FALLBACK__GOODBYE", "Bye.", &["fallback.goodbye", "fallback.goodbye_file"]),
        ("FALLBACK__PROMPTS", "Wait.,Wait more.", &["fallback.prompts", "fallback.prompt_files"]),
        ("FALLBACK__PROMPT_FILES", "/absent/a.wav", &["fallback.prompt_files", "/absent/a.wav"]),
        ("LOG__FILTER", "verbose", &["log.filter = \"verbose\"", "TARGET=LEVEL"]),
        ("LOG__FILTER", "trunkline=loud", &["log.filter", "level"]),
        ("ROUTES", "6001", &["routes", "[[routes]] tables", "file only"]),
        ("TOOLS", "x", &["tools", "file only"]),
        ("ADMIN__LISTEN", "127.0.0.1:8080", &["admin.listen", "media.listen"]),
        ("ADMIN__TOKEN_FILE", "/absent/token", &["admin.token_file", "/absent/token", "readable file"]),
        ("MEDIA__TLS__CERT_FILE", "/absent/cert", &["media.tls.cert_file", "/absent/cert", "media.tls.key_file"]),
    ];
    for (name, value, parts) in table {
        let name = format!("TRUNKLINE__{name}");
        let mut parts = parts.to_vec();
        if !name.contains("RECONNECT") {
            parts.push(&name);
        }
        env_refusal(&[(&name, value)], &parts);
    }
}

#[test]
fn all_mistakes_are_told_at_once() {
    let error = refusal(&env(&[("TRUNKLINE__CALLS__MAX", "x"), ("TRUNKLINE__LOG__FORMAT", "x")]));
    assert!(error.contains("calls.max") && error.contains("log.format"), "{error}");
}

#[test]
fn beyond_loopback_needs_secrets_and_a_model() {
    let media = ("TRUNKLINE__MEDIA__LISTEN", "0.0.0.0:8080");
    let admin = ("TRUNKLINE__ADMIN__LISTEN", "0.0.0.0:8081");
    let secret = ("TRUNKLINE__INGEST__SECRET", "s");
    let token = ("TRUNKLINE__ADMIN__TOKEN", "t");
    let model = ("TRUNKLINE__REALTIME__URL", "simulator");
    env_refusal(&[media, model], &["ingest.secret", "media.listen", "0.0.0.0:8080"]);
    env_refusal(&[admin, model], &["admin.token", "admin.listen"]);
    env_refusal(&[media, secret], &["realtime.url", "simulator"]);
    env_refusal(&[admin, token], &["realtime.url", "simulator"]);
    assert!(load(&env(&[media, admin, secret, token, model])).realtime.urls.is_empty());
    let azure = ("TRUNKLINE__REALTIME__URL", "wss://x.openai.azure.com/openai/v1/realtime?model=a");
    let loaded = Loaded::from_sources(&env(&[media, admin, secret, token, azure])).unwrap();
    assert!(loaded.warnings[0].contains("without a key"), "{:?}", loaded.warnings);
}

#[test]
fn aws_needs_a_model_too() {
    let events = ("TRUNKLINE__EVENTS__QUEUE_URL", "https://sqs.us-east-1.amazonaws.com/111122223333/vc-events");
    let sma = ("TRUNKLINE__SMA__APPLICATION_ID", "2f9d7c1a-6f3e-4b7d-9c55-7a1e3f0b8d21");
    env_refusal(&[events], &["realtime.url", "events.queue_url is set", "simulator"]);
    env_refusal(&[sma], &["realtime.url", "sma.application_id is set", "simulator"]);
    let s = load(&env(&[events, sma, ("TRUNKLINE__REALTIME__URL", "simulator")]));
    assert_eq!((s.events.queue_url.as_deref(), s.sma.application_id.as_deref()), (Some(events.1), Some(sma.1)));
    let s = load(&env(&[("TRUNKLINE__SMA__VOICE_CONNECTOR_ARN", "arn:aws:chime:us-east-1:111122223333:vc/abc1")]));
    assert!(s.sma.voice_connector_arn.is_some() && s.realtime.urls.is_empty(), "POST /sma/events alone calls nobody");
}

#[test]
fn sixteen_kilohertz_is_voice_lives_alone() {
    let rate = ("TRUNKLINE__REALTIME__SAMPLE_RATE", "16000");
    let s = load(&env(&[rate, ("TRUNKLINE__REALTIME__API", "voice-live")]));
    assert_eq!(s.realtime.format, ModelFormat::Pcm16k);
    env_refusal(&[rate, ("TRUNKLINE__REALTIME__API", "preview")], &["realtime.sample_rate"]);
}

#[test]
fn a_key_in_the_models_address_is_refused_and_not_shown() {
    for url in ["wss://x.example/v1?model=a&api-key=hunter2", "wss://me:hunter2@x.example/v1"] {
        for name in ["TRUNKLINE__REALTIME__URL", "TRUNKLINE__REALTIME__BACKUP_URLS"] {
            let first = ("TRUNKLINE__REALTIME__URL", "wss://x.example/v1");
            let error = refusal(&env(&[first, (name, url)]));
            assert!(error.contains("realtime.api_key") && !error.contains("hunter2"), "{error}");
        }
    }
}

#[test]
fn changed_texts_need_recordings() {
    let dir = Dir::new("fallback");
    let wav = dir.file("a.wav", "RIFF");
    let wav = wav.to_str().unwrap();
    let prompts = ("TRUNKLINE__FALLBACK__PROMPTS", "Wait.,Wait more.");
    let two = format!("{wav},{wav}");
    let s = load(&env(&[prompts, ("TRUNKLINE__FALLBACK__PROMPT_FILES", &two)]));
    assert_eq!((s.fallback.prompts.len(), s.fallback.prompt_files.len()), (2, 2));
    env_refusal(&[prompts, ("TRUNKLINE__FALLBACK__PROMPT_FILES", wav)], &["1 files for 2 texts"]);
    let s = load(&env(&[("TRUNKLINE__FALLBACK__GOODBYE", "Bye."), ("TRUNKLINE__FALLBACK__GOODBYE_FILE", wav)]));
    assert!(s.fallback.goodbye_file.is_some());

    // An application speaks any text, if it is not too long; without one the recordings are played.
    let sma = ("TRUNKLINE__FALLBACK__CHANNEL", "sma");
    let application = ("TRUNKLINE__SMA__APPLICATION_ID", "a1");
    let model = ("TRUNKLINE__REALTIME__URL", "simulator");
    let loaded = Loaded::from_sources(&env(&[prompts, sma, application, model])).unwrap();
    assert_eq!((loaded.settings.fallback.prompts.len(), loaded.warnings), (2, Vec::new()));
    let loaded = Loaded::from_sources(&env(&[prompts, sma])).unwrap();
    assert!(loaded.warnings[0].contains("without sma.application_id"), "{:?}", loaded.warnings);
    let long = "x".repeat(1_001);
    let goodbye = ("TRUNKLINE__FALLBACK__GOODBYE", long.as_str());
    env_refusal(&[goodbye, sma, application, model], &["fallback.goodbye", "1000 characters"]);
    assert_eq!(load(&env(&[goodbye, sma])).fallback.goodbye.len(), 1_001);
}

#[test]
fn routes_are_checked() {
    let dir = Dir::new("routes");
    let path = dir.file(
        "routes.toml",
        "[realtime]\ngreeting = \"Hello\"\nvoice = \"marin\"\n\
         [[routes]]\nmatch = \"+1555*\"\nkind = \"model\"\nvoice = \"cedar\"\ngreeting = \"\"\n\
         turn_detection = { silence_duration_ms = 700 }\n\
         [[routes]]\nmatch = \"*\"\nkind = \"model\"\nturn_detection = { type = \"semantic_vad\", eagerness = \"low\" }\n",
    );
    let s = load(&file(&path));
    let overrides = |index: usize| match &s.routes[index].kind {
        RouteKind::Model(own) => own.clone(),
        other => panic!("{other:?}"),
    };
    let profile = s.realtime.profile(&overrides(0), Vec::new());
    assert_eq!((profile.voice.as_deref(), profile.greeting.as_deref()), (Some("cedar"), None));
    assert!(matches!(
        profile.turn_detection,
        TurnDetection::ServerVad { silence_duration_ms: 700, prefix_padding_ms: 300, create_response: true, .. }
    ));
    let profile = s.realtime.profile(&overrides(1), Vec::new());
    assert_eq!((profile.voice.as_deref(), profile.greeting.as_deref()), (Some("marin"), Some("Hello")));
    assert!(matches!(profile.turn_detection, TurnDetection::SemanticVad { ref eagerness, .. } if eagerness == "low"));
    assert_eq!(s.route_table().choose_index(Some("+15551234")).unwrap().0, 0);

    let bad: &[(&str, &[&str])] = &[
        ("kind = \"echo\"", &["routes[0]", "no `match`"]),
        ("match = \"\"\nkind = \"echo\"", &["routes[0]", "match"]),
        ("match = \"60 01\"\nkind = \"echo\"", &["routes[0]", "match", "60 01"]),
        ("match = \"*\"", &["routes[0]", "no `kind`"]),
        ("match = \"*\"\nkind = \"conference\"", &["routes[0]", "conference", "does not carry"]),
        ("match = \"*\"\nkind = \"fax\"", &["routes[0]", "fax", "model, echo, reject"]),
        ("match = \"*\"\nkind = \"echo\"\nvoice = \"x\"", &["routes[0]", "voice", "kind does not take"]),
        ("match = \"*\"\nkind = \"model\"\ntone = \"x\"", &["routes[0]", "tone", "unknown key"]),
        ("match = \"*\"\nkind = \"model\"\nturn_detection = { type = \"psychic\" }", &["routes[0]", "psychic"]),
        ("match = \"*\"\nkind = \"model\"\nturn_detection = { eagerness = \"low\" }", &["routes[0]", "eagerness"]),
    ];
    for (text, parts) in bad {
        file_refusal(&format!("[[routes]]\n{text}\n"), parts);
    }
    file_refusal("routes = []\n", &["routes", "at least one"]);
}

#[test]
fn entra_is_taken_where_it_is_carried() {
    let entra = [("TRUNKLINE__REALTIME__AUTH", "entra"), ("TRUNKLINE__REALTIME__URL", "wss://x.example/")];
    if cfg!(feature = "entra") {
        let loaded = Loaded::from_sources(&env(&entra)).unwrap();
        assert_eq!((loaded.settings.realtime.auth, loaded.warnings), (ModelAuth::Entra, Vec::new()));
    } else {
        let name = "TRUNKLINE__REALTIME__AUTH";
        env_refusal(&entra, &["realtime.auth", "entra", "not carried by this build", name]);
    }
}

#[test]
fn a_collector_is_taken_where_traces_can_be_sent() {
    let name = "TRUNKLINE__LOG__OTLP_ENDPOINT";
    let set = |url| env(&[(name, url)]);
    for (url, parts) in [
        ("collector:4318", &["log.otlp_endpoint", "collector:4318", "http://"][..]),
        ("grpc://collector:4317", &["log.otlp_endpoint", "http://"]),
        ("http://collector/?key=otlp-secret", &["log.otlp_endpoint", "OTEL_EXPORTER_OTLP_HEADERS"]),
        ("http://who:otlp-secret@collector", &["log.otlp_endpoint", "OTEL_EXPORTER_OTLP_HEADERS"]),
    ] {
        env_refusal(&[(name, url)], parts);
        let error = Loaded::from_sources(&set(url)).err().unwrap().to_string();
        assert!(!error.contains("otlp-secret"), "{error}");
    }
    if cfg!(feature = "otlp") {
        let loaded = Loaded::from_sources(&set("http://collector:4318")).unwrap();
        assert_eq!(loaded.settings.log.otlp_endpoint.as_deref(), Some("http://collector:4318"));
    } else {
        env_refusal(&[(name, "http://collector:4318")], &["log.otlp_endpoint", "sends no traces", name]);
    }
}
