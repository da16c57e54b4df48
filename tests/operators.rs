//! What operators see and do: command line, configuration, admin listener, metrics.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    missing_docs,
    reason = "a test fails by panicking"
)]

mod support;

use std::collections::BTreeSet;

use serde_json::{Value, json};
use support::PATIENCE;
use support::http::{get, knock, request};
use support::phone::Phone;
use support::process::{Process, Service, Sim, finish, scratch};
use support::sound;
use trunkline_media::LineCodec;

fn keys(value: &Value) -> BTreeSet<&str> {
    value.as_object().unwrap_or_else(|| panic!("{value} is no object")).keys().map(String::as_str).collect()
}

/// Every key of CALL and nothing else.
fn check_shape(call: &Value) {
    let wanted = |words: &'static str| words.split_whitespace().collect::<BTreeSet<_>>();
    let all = "callId transactionId smaTransactionId state direction from to route link startedAt durationMs endReason up down \
               model bridge fallback rtp";
    assert_eq!(keys(call), wanted(all));
    assert_eq!(keys(&call["up"]), wanted("frames fps dropped queuedMs"));
    assert_eq!(keys(&call["down"]), wanted("frames fps dropped queuedMs underruns"));
    assert_eq!(keys(&call["model"]), wanted("state sessionId reconnects responses interruptions responseLatencyMs"));
    assert_eq!(keys(&call["model"]["responseLatencyMs"]), wanted("last p50 p95 p99"));
    assert_eq!(keys(&call["bridge"]), wanted("upMs downMs"));
    assert_eq!(keys(&call["bridge"]["upMs"]), wanted("p50 p99"));
    assert_eq!(keys(&call["bridge"]["downMs"]), wanted("p50 p99"));
    assert_eq!(keys(&call["fallback"]), wanted("state entered prompts"));
    // Only a call by SIP has one.
    assert_eq!(call["rtp"], Value::Null);
}

#[tokio::test]
async fn a_call_is_shown_as_the_contract_says() {
    let service = Service::start(&[]).await;
    let mut phone = Phone::dial(&service, "callId=c-1&from=%2B15550001234&to=%2B15559876&smaTransactionId=sma-1").await;
    phone.send(json!({"type": "start", "direction": "inbound"}));
    // A turn by keys, so that the model answers.
    phone.audio(&[0xff; 1_600]);
    phone.send(json!({"type": "dtmf", "digit": "#"}));
    phone.expect("mark").await;
    service.call_when("c-1", "answered", |call| call["model"]["responses"] == 1).await;

    let list = service.get("/admin/calls").await;
    assert!(list.header("content-type").unwrap().starts_with("application/json"));
    let list = list.json();
    assert_eq!((keys(&list), list["calls"].as_array().unwrap().len()), (BTreeSet::from(["calls"]), 1));
    let call = &list["calls"][0];
    check_shape(call);
    assert_eq!(
        (&call["callId"], &call["smaTransactionId"], &call["transactionId"]),
        (&json!("c-1"), &json!("sma-1"), &Value::Null)
    );
    assert_eq!(
        (&call["state"], &call["direction"], &call["link"]),
        (&json!("active"), &json!("inbound"), &json!("ingest"))
    );
    assert_eq!((&call["route"], &call["endReason"]), (&json!("*"), &Value::Null));
    assert_eq!(call["model"]["state"], "ready");
    assert!(call["model"]["sessionId"].as_str().unwrap().starts_with("sess_"), "{call:#}");
    assert_eq!(call["fallback"], json!({"state": "idle", "entered": 0, "prompts": 0}));
    assert!(call["up"]["frames"].as_u64() >= Some(10) && call["down"]["frames"].as_u64() > Some(10), "{call:#}");
    for number in
        [&call["model"]["responseLatencyMs"]["p50"], &call["bridge"]["upMs"]["p99"], &call["bridge"]["downMs"]["p50"]]
    {
        assert!(number.as_f64().unwrap() > 0.0, "{call:#}");
    }
    assert!(call["durationMs"].as_u64().unwrap() < 60_000, "{call:#}");
    humantime::parse_rfc3339(call["startedAt"].as_str().unwrap()).unwrap();

    // Numbers are shown to who asks for them.
    for (number, last) in [(&call["from"], "1234"), (&call["to"], "9876")] {
        let shown = number.as_str().unwrap();
        assert!(shown.ends_with(last) && !shown.contains("555"), "{shown}");
    }
    let revealed = service.get("/admin/calls?reveal=numbers").await.json();
    assert_eq!(
        (&revealed["calls"][0]["from"], &revealed["calls"][0]["to"]),
        (&json!("+15550001234"), &json!("+15559876"))
    );

    // One call has more, and more names.
    for id in ["c-1", "sma-1"] {
        let one = service.get(&format!("/admin/calls/{id}?reveal=numbers")).await.json();
        assert!(keys(&one).is_superset(&keys(call)), "{one:#}");
        assert_eq!((&one["callId"], &one["from"]), (&json!("c-1"), &json!("+15550001234")));
        let timeline = one["timeline"].as_array().unwrap();
        assert!(timeline.len() > 3 && timeline.iter().all(|entry| entry["atMs"].is_u64() && entry["kind"].is_string()));
        assert!(timeline.is_sorted_by_key(|entry| entry["atMs"].as_u64()));
    }
    assert_eq!(service.get("/admin/calls/nobody").await.refusal(), "no_such_call");
    assert_eq!(service.get("/admin/calls/nobody").await.status, 404);

    // Newest first; ended ones elsewhere.
    let mut second = Phone::dial(&service, "callId=c-2&to=6001").await;
    let ids = |list: Value| -> Vec<String> {
        list["calls"].as_array().unwrap().iter().map(|call| call["callId"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(ids(service.get("/admin/calls").await.json()), ["c-2", "c-1"]);
    phone.send(json!({"type": "stop"}));
    phone.closed().await;
    second.send(json!({"type": "stop"}));
    second.closed().await;
    service.ended("c-1").await;
    service.ended("c-2").await;
    assert_eq!(service.get("/admin/calls").await.json(), json!({"calls": []}));
    let ended = service.get("/admin/calls?state=ended").await.json();
    assert_eq!(ids(ended.clone()), ["c-2", "c-1"]);
    for call in ended["calls"].as_array().unwrap() {
        check_shape(call);
        assert_eq!((&call["state"], &call["endReason"]), (&json!("ended"), &json!("caller_hangup")));
    }
}

#[tokio::test]
async fn the_admin_listener_wants_its_token_and_each_listener_its_own_paths() {
    let env = [("TRUNKLINE__ADMIN__TOKEN", "t0ken"), ("TRUNKLINE__INGEST__SECRET", "s3cret")];
    let service = Service::start(&env).await;
    let paths = ["/metrics", "/admin/calls", "/admin/calls/c-1", "/admin/calls/c-1/listen"];
    for path in paths {
        for headers in [vec![], vec![("Authorization", "Bearer s3cret")], vec![("Authorization", "Bearer t0ken2")]] {
            let answer = request(service.admin, "GET", path, &headers).await;
            assert_eq!((answer.status, answer.refusal().as_str()), (401, "unauthorized"), "{path} {headers:?}");
        }
        let answer = request(service.admin, "GET", path, &[("Authorization", "Bearer t0ken")]).await;
        assert_ne!(answer.status, 401, "{path}");
        assert_eq!(get(service.media, path).await.status, 404, "{path} is not the media listener's");
    }
    for path in ["/admin/drain", "/admin/calls/c-1/hangup"] {
        assert_eq!(request(service.admin, "POST", path, &[]).await.status, 401, "{path}");
    }
    assert_eq!(knock(service.admin, "/ingest?callId=c-1", &[("Authorization", "Bearer t0ken")]).await.status, 404);
    for listener in [service.media, service.admin] {
        assert_eq!(get(listener, "/healthz").await.status, 200);
        let ready = get(listener, "/readyz").await;
        let checks = json!({"realtime": "ok", "events": "off", "sma": "off", "draining": "ok", "capacity": "ok"});
        assert_eq!((ready.status, ready.json()), (200, json!({"ready": true, "checks": checks})));
    }
}

#[tokio::test]
async fn an_operator_listens_in() {
    let service = Service::start(&[]).await;
    let phone = Phone::dial(&service, "callId=c-1&to=6001&codec=l16").await;
    let mut ear = Phone::connect(&format!("ws://{}/admin/calls/c-1/listen", service.admin), &[]).await;
    let _speaking = phone.speak(sound::encode(LineCodec::L16, &sound::tone(8_000, 600.0, 800)), 320);
    let frames = ear.frames(40).await;
    assert!(frames.iter().all(|frame| frame.len() == 160), "PCMU whatever the call's codec");
    let heard = sound::decode(LineCodec::Pcmu, &frames.concat());
    assert!(sound::amplitude(&heard[15 * 160..], 600.0) > 4_000.0);
    assert_eq!(knock(service.admin, "/admin/calls/nobody/listen", &[]).await.refusal(), "no_such_call");
}

#[tokio::test]
async fn pages_of_other_sites_stay_out() {
    let service = Service::start(&[]).await;
    let _phone = Phone::dial(&service, "callId=c-1&to=6001").await;
    let evil = [("Origin", "https://evil.example")];
    assert_eq!(knock(service.admin, "/admin/calls/c-1/listen", &evil).await.refusal(), "origin_not_allowed");
    for (method, path) in [("GET", "/admin/calls"), ("POST", "/admin/calls/c-1/hangup"), ("POST", "/admin/drain")] {
        assert_eq!(request(service.admin, method, path, &evil).await.refusal(), "origin_not_allowed", "{path}");
    }
    assert_eq!(get(service.media, "/readyz").await.json()["ready"], true);
    let own = format!("http://{}", service.admin);
    assert_eq!(request(service.admin, "GET", "/admin/calls", &[("Origin", &own)]).await.status, 200);
    assert_eq!(service.call("c-1").await["endReason"], Value::Null);
}

#[tokio::test]
async fn metrics_are_well_formed_and_count_what_happened() {
    let service = Service::start(&[("TRUNKLINE__REALTIME__AUDIO", "pcmu")]).await;
    let mut phone = Phone::dial(&service, "callId=c-1&to=6001").await;
    phone.audio(&sound::pattern(1_600));
    phone.frames(10).await;
    phone.audio(&vec![0; 8_001]);
    phone.expect("error").await;
    let live = metrics(&service).await;
    assert_eq!(live.get("trunkline_calls{state=\"active\"}"), Some(&1.0));
    phone.send(json!({"type": "stop"}));
    phone.closed().await;
    service.ended("c-1").await;
    let metrics = metrics(&service).await;
    for (name, value) in [
        ("trunkline_calls{state=\"active\"}", 0.0),
        ("trunkline_calls_started_total", 1.0),
        ("trunkline_calls_ended_total{reason=\"caller_hangup\"}", 1.0),
        ("trunkline_calls_ended_total{reason=\"internal\"}", 0.0),
        ("trunkline_frames_total{direction=\"up\"}", 10.0),
        ("trunkline_panics_total", 0.0),
    ] {
        assert_eq!(metrics.get(name), Some(&value), "{name} in {metrics:#?}");
    }
    let dropped: f64 = metrics
        .iter()
        .filter(|(name, _)| name.starts_with("trunkline_frames_dropped_total{direction=\"up\""))
        .map(|(_, value)| value)
        .sum();
    assert_eq!(dropped, 51.0, "{metrics:#?}");
}

/// Reads `/metrics`, checking the format on the way.
async fn metrics(service: &Service) -> std::collections::BTreeMap<String, f64> {
    let answer = service.get("/metrics").await;
    assert_eq!(answer.status, 200);
    assert!(answer.header("content-type").unwrap().starts_with("text/plain; version=0.0.4"), "{answer:?}");
    let (mut described, mut typed) = (BTreeSet::new(), BTreeSet::new());
    let mut samples = std::collections::BTreeMap::new();
    for line in answer.body.lines() {
        if let Some(rest) = line.strip_prefix("# ") {
            let mut words = rest.splitn(3, ' ');
            let (what, name, text) = (words.next().unwrap(), words.next().unwrap(), words.next().unwrap());
            assert!(name.starts_with("trunkline_"), "{line}");
            assert!(!text.is_empty(), "{line}");
            let first = match what {
                "HELP" => described.insert(name.to_owned()),
                "TYPE" => {
                    assert!(["counter", "gauge", "histogram"].contains(&text), "{line}");
                    assert_eq!(text == "counter", name.ends_with("_total"), "{line}");
                    typed.insert(name.to_owned())
                }
                _ => panic!("{line}"),
            };
            assert!(first, "twice: {line}");
            continue;
        }
        let (name, value) = line.rsplit_once(' ').unwrap();
        let base = name.split('{').next().unwrap();
        let family = ["_bucket", "_sum", "_count"].iter().find_map(|suffix| base.strip_suffix(suffix));
        assert!(typed.contains(base) || family.is_some_and(|family| typed.contains(family)), "no TYPE for {line}");
        assert!(samples.insert(name.to_owned(), value.parse::<f64>().unwrap()).is_none(), "twice: {line}");
    }
    assert_eq!(described, typed, "every metric has HELP and TYPE");
    samples
}

#[test]
fn a_wrong_configuration_ends_with_2_and_says_what_is_wrong() {
    let file = |text: &str| {
        let path = scratch("wrong.toml");
        std::fs::write(&path, text).unwrap();
        path.display().to_string()
    };
    let from_file = |text: &str, words: &'static [&'static str]| (vec![], Some(file(text)), words);
    let from_env = |env: &[(&'static str, &'static str)], words: &'static [&'static str]| (env.to_vec(), None, words);
    let cases = [
        from_env(&[("TRUNKLINE__CALLS__MAXX", "7")], &["calls.maxx", "TRUNKLINE__CALLS__MAXX"]),
        from_env(&[("TRUNKLINE__NOWHERE__KEY", "7")], &["nowhere"]),
        from_env(
            &[("TRUNKLINE__CALLS__MAX_DURATION", "soon")],
            &["calls.max_duration", "soon", "TRUNKLINE__CALLS__MAX_DURATION"],
        ),
        from_env(&[("TRUNKLINE__CALLS__MAX_DURATION", "10")], &["calls.max_duration", "10"]),
        from_file("[realtime]\napi_key = sk-unquoted-secret\n", &["wrong.toml", "line 2"]),
        from_file("[admin]\ntoken = \"sk-unclosed-secret\n", &["wrong.toml", "line 2"]),
        from_env(&[("TRUNKLINE__CALLS__MAX", "-1")], &["calls.max", "-1"]),
        from_env(&[("TRUNKLINE__MEDIA__LISTEN", "nowhere")], &["media.listen", "nowhere"]),
        from_env(&[("TRUNKLINE__REALTIME__API", "beta")], &["realtime.api", "beta", "ga", "preview", "voice-live"]),
        from_env(&[("TRUNKLINE__REALTIME__AUDIO", "mp3")], &["realtime.audio", "mp3", "pcm16", "pcmu"]),
        from_env(&[("TRUNKLINE__REALTIME__SAMPLE_RATE", "16000")], &["realtime.sample_rate", "16000", "voice-live"]),
        from_env(&[("TRUNKLINE__REALTIME__URL", "https://host/")], &["realtime.url", "ws"]),
        from_env(&[("TRUNKLINE__LOG__FORMAT", "xml")], &["log.format", "xml", "pretty", "json"]),
        from_env(&[("TRUNKLINE__FALLBACK__GOODBYE", "Bye.")], &["fallback.goodbye", "fallback.goodbye_file"]),
        from_env(
            &[("TRUNKLINE__INGEST__SECRET", "a"), ("TRUNKLINE__INGEST__SECRET_FILE", "/etc/hostname")],
            &["ingest.secret"],
        ),
        from_env(&[("TRUNKLINE__ADMIN__TOKEN_FILE", "/no/such/file")], &["admin.token_file", "/no/such/file"]),
        // Beyond loopback nothing is open by mistake.
        from_env(
            &[("TRUNKLINE__MEDIA__LISTEN", "0.0.0.0:0"), ("TRUNKLINE__REALTIME__URL", "wss://model.example/realtime")],
            &["ingest.secret", "media.listen"],
        ),
        from_env(
            &[("TRUNKLINE__ADMIN__LISTEN", "0.0.0.0:0"), ("TRUNKLINE__REALTIME__URL", "wss://model.example/realtime")],
            &["admin.token", "admin.listen"],
        ),
        from_env(
            &[("TRUNKLINE__MEDIA__LISTEN", "0.0.0.0:0"), ("TRUNKLINE__INGEST__SECRET", "s3cret-x")],
            &["realtime.url", "simulator"],
        ),
        from_file("[calls]\nmax = 7\nmax_calls = 7\n", &["calls.max_calls", "wrong.toml"]),
        from_file("[calls]\nmax = \"many\"\n", &["calls.max", "many", "wrong.toml"]),
        from_file("[[routes]]\nmatch = \"6001\"\nkind = \"eccho\"\n", &["kind", "eccho", "echo", "reject"]),
        from_file("[calls\n", &["wrong.toml"]),
    ];
    for (env, path, words) in cases {
        let arguments: Vec<&str> = path.iter().flat_map(|path| ["--config", path.as_str()]).collect();
        let (code, stdout, stderr) = finish(&arguments, &env);
        assert_eq!((code, stdout.as_str()), (2, ""), "{env:?} {path:?}: {stderr}");
        for word in words {
            assert!(stderr.contains(word), "{word:?} is missing for {env:?} {path:?}: {stderr}");
        }
        assert!(!["s3cret-x", "sk-un"].iter().any(|secret| stderr.contains(secret)), "{stderr}");
        assert!(!stderr.contains("panicked"), "{stderr}");
    }
    // A missing file is one too.
    assert_eq!(finish(&["--config", "/no/such.toml"], &[]).0, 2);
}

#[test]
fn the_configuration_is_shown_with_its_origins_and_without_its_secrets() {
    let secret = scratch("secret");
    std::fs::write(&secret, "hush-from-file\n").unwrap();
    let path = scratch("shown.toml");
    std::fs::write(&path, format!("[calls]\nmax = 12\n[ingest]\nsecret_file = {:?}\n", secret)).unwrap();
    let env = [
        ("TRUNKLINE__ADMIN__TOKEN", "hush-from-env"),
        ("TRUNKLINE__REALTIME__API_KEY", "hush-key"),
        ("TRUNKLINE__CALLS__DRAIN_TIMEOUT", "90s"),
        ("TRUNKLINE__INGEST__ALLOWED_ORIGINS", "https://a.example,https://b.example"),
    ];
    let (code, stdout, stderr) = finish(&["config", "--config", path.to_str().unwrap()], &env);
    assert_eq!(code, 0, "{stderr}");
    assert!(!stdout.contains("hush") && !stderr.contains("hush"), "{stdout}{stderr}");
    let line = |key: &str| {
        let found = stdout.lines().find(|line| line.starts_with(&format!("{key} ")));
        found.unwrap_or_else(|| panic!("{key} is not in {stdout}"))
    };
    for (key, words) in [
        ("calls.max", ["12", "shown.toml"]),
        ("calls.drain_timeout", ["1m 30s", "TRUNKLINE__CALLS__DRAIN_TIMEOUT"]),
        ("calls.history", ["15m", "default"]),
        ("admin.token", ["redacted", "TRUNKLINE__ADMIN__TOKEN"]),
        ("realtime.api_key", ["redacted", "TRUNKLINE__REALTIME__API_KEY"]),
        ("ingest.allowed_origins", ["https://b.example", "TRUNKLINE__INGEST__ALLOWED_ORIGINS"]),
    ] {
        assert!(words.iter().all(|word| line(key).contains(word)), "{}", line(key));
    }
    // Every key of the contract's table is there.
    for key in [
        "media.listen",
        "media.tls.cert_file",
        "admin.listen",
        "ingest.secret",
        "ingest.heartbeat",
        "ingest.heartbeat_timeout",
        "ingest.reattach_grace",
        "calls.no_media_timeout",
        "calls.media_timeout",
        "calls.max_duration",
        "calls.upstream_buffer",
        "calls.playout_buffer",
        "calls.history_max",
        "realtime.url",
        "realtime.backup_urls",
        "realtime.api",
        "realtime.auth",
        "realtime.audio",
        "realtime.sample_rate",
        "realtime.voice",
        "realtime.instructions",
        "realtime.greeting",
        "realtime.transcription_model",
        "realtime.turn_detection.type",
        "realtime.connect_timeout",
        "realtime.stall_timeout",
        "realtime.ping",
        "realtime.response_timeout",
        "realtime.reconnect.first",
        "realtime.reconnect.max",
        "realtime.connects_per_second",
        "realtime.renew_before",
        "realtime.warm_sessions",
        "events.queue_url",
        "events.region",
        "events.endpoint_url",
        "events.voice_connector_ids",
        "events.max_age",
        "sma.application_id",
        "sma.region",
        "sma.endpoint_url",
        "sma.from_number",
        "sma.updates_per_second",
        "sma.creates_per_second",
        "sma.ring_timeout",
        "sma.allowed_destinations",
        "sma.webhook_secret",
        "fallback.channel",
        "fallback.prompts",
        "fallback.goodbye",
        "fallback.prompt_files",
        "fallback.goodbye_file",
        "fallback.pause",
        "fallback.max_duration",
        "routes",
        "tools",
        "log.format",
        "log.filter",
        "log.mask_numbers",
    ] {
        line(key);
    }
}

#[test]
fn wrong_usage_ends_with_2_and_help_with_0() {
    for arguments in
        [&["dance"][..], &["call"], &["sim", "--refuse", "200"], &["sim", "--reply", "song"], &["serve", "--port", "1"]]
    {
        let (code, stdout, stderr) = finish(arguments, &[]);
        assert_eq!((code, stdout.as_str()), (2, ""), "{arguments:?}");
        assert!(!stderr.is_empty(), "{arguments:?}");
    }
    for arguments in [&["--help"][..], &["--version"], &["sim", "--help"]] {
        let (code, stdout, _) = finish(arguments, &[]);
        assert_eq!((code, stdout.is_empty()), (0, false), "{arguments:?}");
    }
    // What is right but does not work out.
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let addr = taken.local_addr().unwrap().to_string();
    let (code, _, stderr) =
        finish(&["serve"], &[("TRUNKLINE__MEDIA__LISTEN", &addr), ("TRUNKLINE__ADMIN__LISTEN", "127.0.0.1:0")]);
    assert_eq!(code, 1, "{stderr}");
    assert!(stderr.contains("media.listen") && stderr.contains(&addr), "{stderr}");
    let (code, _, stderr) = finish(&["sim", "--listen", &addr], &[]);
    assert_eq!(code, 1, "{stderr}");
    drop(taken);
    let (code, _, stderr) = finish(&["call", "--url", &format!("ws://{addr}")], &[]);
    assert_eq!(code, 1, "{stderr}");
}

#[tokio::test]
async fn the_command_line_telephone_calls_a_service() {
    let sim = Sim::start(&["--reply", "tone"]).await;
    let env =
        [("TRUNKLINE__INGEST__SECRET", "s3cret"), ("TRUNKLINE__REALTIME__TURN_DETECTION__SILENCE_DURATION_MS", "300")];
    let service = Service::with_model(&sim.url(), &env).await;
    let url = format!("ws://{}", service.media);
    let (wav, out) = (scratch("said.wav"), scratch("heard.wav"));
    let said = sound::decode(LineCodec::Pcmu, &sound::speech());
    sound::write_wav(&wav, &said);
    let arguments =
        ["call", "--url", &url, "--call-id", "cli-1", "--wav", wav.to_str().unwrap(), "--out", out.to_str().unwrap()];
    let mut call = Process::start(&arguments, &[("TRUNKLINE_SECRET", "s3cret")]);
    assert_eq!(call.exit(PATIENCE * 2).await.code(), Some(0), "{}", call.stderr());
    let call = service.ended("cli-1").await;
    assert_eq!(call["endReason"], "caller_hangup");
    assert!(call["model"]["responses"].as_u64() >= Some(1), "{call:#}");
    let mut heard = hound::WavReader::open(&out).unwrap();
    let spec = heard.spec();
    assert_eq!((spec.sample_rate, spec.channels, spec.bits_per_sample), (8_000, 1, 16));
    let heard: Vec<i16> = heard.samples().map(Result::unwrap).collect();
    assert!(sound::level(&heard) > 100.0, "a reply was heard");

    // Without the secret it is refused, and says so.
    let mut call = Process::start(&arguments, &[("TRUNKLINE_SECRET", "wrong")]);
    assert_eq!(call.exit(PATIENCE).await.code(), Some(1));
    assert!(call.stderr().contains("401") && call.stderr().contains("TRUNKLINE_SECRET"), "{}", call.stderr());
}
