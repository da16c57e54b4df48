use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::Duration;

use trunkline_call::FallbackChannel;
use trunkline_media::ModelFormat;

use super::*;

mod rules;
mod sip;
mod tools;

/// A directory of its own for each test, removed at its end.
struct Dir(PathBuf);

impl Dir {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("trunkline-settings-{}-{name}", std::process::id()));
        std::fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    fn file(&self, name: &str, text: &str) -> PathBuf {
        let path = self.0.join(name);
        std::fs::write(&path, text).unwrap();
        path
    }
}

impl Drop for Dir {
    fn drop(&mut self) {
        let _gone = std::fs::remove_dir_all(&self.0);
    }
}

fn env(pairs: &[(&str, &str)]) -> Sources {
    let env = pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
    Sources { env: env.collect(), ..Sources::default() }
}

fn file(path: &Path) -> Sources {
    Sources { file: Some(path.to_owned()), ..Sources::default() }
}

fn load(sources: &Sources) -> Settings {
    Loaded::from_sources(sources).unwrap().settings
}

fn refusal(sources: &Sources) -> String {
    match Loaded::from_sources(sources) {
        Ok(_) => panic!("accepted: {sources:?}"),
        Err(error) => error.to_string(),
    }
}

/// `TABLE` is one file's text; the refusal names all of `parts`.
fn file_refusal(text: &str, parts: &[&str]) {
    let dir = Dir::new(&format!("refusal-{:?}", std::thread::current().id()));
    let path = dir.file("bad.toml", text);
    let error = refusal(&file(&path));
    for part in parts.iter().chain([&"bad.toml"]) {
        assert!(error.contains(part), "{part:?} is not in:\n{error}\nfor:\n{text}");
    }
}

fn env_refusal(pairs: &[(&str, &str)], parts: &[&str]) {
    let error = refusal(&env(pairs));
    for part in parts {
        assert!(error.contains(part), "{part:?} is not in:\n{error}");
    }
}

#[test]
fn default_toml_and_the_sections_agree_key_by_key() {
    let in_file: BTreeSet<String> = sources::read(&Sources::default()).unwrap().into_keys().collect();
    assert_eq!(in_file, build::asked_keys());
    let shown: Vec<String> =
        Loaded::from_sources(&Sources::default()).unwrap().entries.into_iter().map(|entry| entry.key).collect();
    assert_eq!(in_file, shown.iter().cloned().collect(), "`trunkline config` shows every key");
    assert_eq!(in_file.len(), shown.len(), "and each of them once");
}

#[test]
fn every_documented_key_exists() {
    let keys = build::asked_keys();
    let documented = "media.listen media.tls.cert_file media.tls.key_file admin.listen admin.token admin.token_file \
        ingest.secret ingest.secret_file ingest.allowed_origins ingest.heartbeat ingest.heartbeat_timeout ingest.reattach_grace \
        ingest.twilio.auth_token ingest.twilio.auth_token_file ingest.twilio.lead \
        calls.max calls.no_media_timeout calls.media_timeout calls.max_duration calls.drain_timeout calls.upstream_buffer \
        calls.playout_buffer calls.history calls.history_max \
        realtime.url realtime.backup_urls realtime.api realtime.api_key realtime.api_key_file realtime.auth realtime.audio \
        realtime.sample_rate realtime.voice realtime.instructions realtime.greeting realtime.transcription_model \
        realtime.turn_detection.type realtime.connect_timeout realtime.stall_timeout realtime.ping realtime.response_timeout \
        realtime.reconnect.first realtime.reconnect.max realtime.connects_per_second realtime.renew_before realtime.warm_sessions \
        sip.listen sip.advertised sip.allowed_networks sip.rtp_ports sip.require_srtp sip.username sip.password sip.password_file \
        sip.session_expires sip.trunks sip.options_interval sip.tls.listen sip.tls.cert_file sip.tls.key_file \
        events.queue_url events.region events.endpoint_url events.voice_connector_ids events.max_age \
        sma.application_id sma.region sma.endpoint_url sma.voice_connector_arn sma.from_number sma.updates_per_second sma.creates_per_second \
        sma.ring_timeout sma.allowed_destinations sma.webhook_secret \
        fallback.channel fallback.prompts fallback.goodbye fallback.prompt_files fallback.goodbye_file fallback.pause \
        fallback.max_duration routes tools log.format log.filter log.otlp_endpoint log.mask_numbers";
    for key in documented.split_whitespace() {
        assert!(keys.contains(key), "{key} is missing");
    }
}

#[test]
fn defaults_are_those_of_the_documentation() {
    let s = load(&Sources::default());
    let seconds = Duration::from_secs;
    assert_eq!(s.media.listen.to_string(), "127.0.0.1:8080");
    assert_eq!(s.admin.listen.to_string(), "127.0.0.1:8081");
    assert!(s.admin.token.is_none() && s.ingest.secret.is_none() && s.media.tls.is_none());
    assert_eq!((s.ingest.heartbeat, s.ingest.heartbeat_timeout), (seconds(10), seconds(30)));
    assert!(s.ingest.twilio.auth_token.is_none());
    assert_eq!(s.ingest.twilio.lead, Duration::from_millis(100));
    assert_eq!(s.call_limits(), CallLimits::default());
    assert!(s.realtime.urls.is_empty());
    assert_eq!(s.realtime.format, ModelFormat::Pcm24k);
    assert_eq!(s.realtime.auth, ModelAuth::ApiKey);
    assert_eq!(s.realtime.timing(), Timing::default());
    assert_eq!((s.realtime.reconnect_first, s.realtime.reconnect_max), (Duration::from_millis(250), seconds(8)));
    assert_eq!((s.realtime.connects_per_second, s.realtime.warm_sessions), (50, 0));
    assert_eq!(s.events.max_age, Some(seconds(120)));
    assert_eq!((s.sma.updates_per_second, s.sma.creates_per_second), (5.0, 1.0));
    assert_eq!(s.fallback.channel, FallbackChannel::Auto);
    assert_eq!((s.fallback.prompts.len(), s.fallback.pause, s.fallback.max_duration), (3, seconds(3), seconds(60)));
    assert!(s.log.mask_numbers);
    let table = s.route_table();
    assert_eq!(table.choose(Some("6001")).unwrap().kind.name(), "echo");
    assert_eq!(table.choose(Some("+15551234567")).unwrap().kind.name(), "model");
    assert_eq!(table.choose(None).unwrap().kind.name(), "model");
    assert_eq!(s.realtime.profile(&RouteOverrides::default(), Vec::new()).check().map_err(|e| e.to_string()), Ok(()));
}

#[test]
fn later_layers_win_and_say_so() {
    let dir = Dir::new("layers");
    let named = dir.file("named.toml", "[calls]\nmax = 7\nhistory_max = 5\n[log]\nformat = \"json\"\n");
    let local = dir.file("local.toml", "[calls]\nmax = 9\n");
    let mut sources = env(&[("TRUNKLINE__CALLS__MAX", "8"), ("OTHER__CALLS__MAX", "1"), ("TRUNKLINE_SECRET", "x")]);
    sources.file = Some(named.clone());
    sources.local = Some(local.clone());
    let loaded = Loaded::from_sources(&sources).unwrap();
    assert_eq!((loaded.settings.calls.max, loaded.settings.calls.history_max), (Some(8), 5));
    let origin = |key: &str| loaded.entries.iter().find(|entry| entry.key == key).unwrap().origin.clone();
    assert_eq!(origin("calls.max"), Origin::Env("TRUNKLINE__CALLS__MAX".to_owned()));
    assert_eq!(origin("calls.history_max"), Origin::File(named.display().to_string()));
    assert_eq!(origin("calls.history"), Origin::Default);

    // Without a named file the local one is read; without either, neither is missed.
    sources.file = None;
    sources.env.clear();
    assert_eq!(load(&sources).calls.max, Some(9));
    sources.local = Some(dir.0.join("absent.toml"));
    assert_eq!(load(&sources).calls.max, None);
    sources.file = Some(dir.0.join("absent.toml"));
    assert!(refusal(&sources).contains("absent.toml: no such file"));
}

#[test]
fn lists_replace_and_split() {
    let dir = Dir::new("lists");
    let path = dir.file(
        "lists.toml",
        "[ingest]\nallowed_origins = [\"https://a.example\"]\n[sma]\nallowed_destinations = [\"+49*\", \"6???\"]\n\
         [[routes]]\nmatch = 7\nkind = \"reject\"\n",
    );
    let mut sources = file(&path);
    let s = load(&sources);
    assert_eq!(s.ingest.allowed_origins, ["https://a.example"]);
    assert_eq!(s.sma.allowed_destinations.len(), 2, "the default \"+*\" is gone");
    assert_eq!(s.routes.len(), 1, "one [[routes]] replaces all of the default's");
    assert_eq!(s.routes[0].name, "7");

    sources.env = env(&[("TRUNKLINE__INGEST__ALLOWED_ORIGINS", "https://b.example, https://c.example:8443,")]).env;
    assert_eq!(load(&sources).ingest.allowed_origins, ["https://b.example", "https://c.example:8443"]);
    sources.env = env(&[("TRUNKLINE__INGEST__ALLOWED_ORIGINS", "")]).env;
    assert!(load(&sources).ingest.allowed_origins.is_empty());
    file_refusal("[ingest]\nallowed_origins = \"https://a,https://b\"\n", &["ingest.allowed_origins", "a list"]);
}

#[test]
fn unknown_keys_are_named_with_their_origin_and_without_their_value() {
    file_refusal("[calls]\nmaximum = 4\n", &["calls.maximum", "unknown key", "[calls] has", "max_duration"]);
    file_refusal("[call]\nmax = 4\n", &["call.max", "the sections are", "calls"]);
    file_refusal("calls = 4\n", &["calls is a section"]);
    file_refusal("[media.listen]\nport = 4\n", &["media.listen.port", "takes a value"]);
    file_refusal("[calls]\nMax = 4\n", &["calls.Max", "unknown key"]);
    file_refusal("[calls\n", &["TOML"]);
    env_refusal(&[("TRUNKLINE__CALLS__MAXIMUM", "4")], &["calls.maximum", "TRUNKLINE__CALLS__MAXIMUM"]);
    env_refusal(&[("TRUNKLINE__MEDIA", "4")], &["media is a section", "TRUNKLINE__MEDIA"]);
    env_refusal(&[("TRUNKLINE__MEDIA__LISTEN__PORT", "4")], &["media.listen.port", "TRUNKLINE__MEDIA__LISTEN__PORT"]);
    let error = refusal(&env(&[("TRUNKLINE__ADMIN__PASSWORD", "hunter2hunter2")]));
    assert!(error.contains("admin.password") && !error.contains("hunter2"), "{error}");
}

#[test]
fn values_of_the_environment_are_read() {
    let s = load(&env(&[
        ("TRUNKLINE__MEDIA__LISTEN", "localhost:0"),
        ("TRUNKLINE__ADMIN__LISTEN", "[::1]:0"),
        ("TRUNKLINE__ADMIN__TOKEN", "0123"),
        ("TRUNKLINE__CALLS__MAX_DURATION", "1h 30m"),
        ("TRUNKLINE__LOG__MASK_NUMBERS", "false"),
        ("TRUNKLINE__LOG__FILTER", "warn,trunkline::links=debug"),
        ("TRUNKLINE__REALTIME__URL", "wss://x.openai.azure.com/openai/v1/realtime?model=a"),
        ("TRUNKLINE__REALTIME__BACKUP_URLS", "wss://y.openai.azure.com/openai/v1/realtime?model=a"),
        ("TRUNKLINE__REALTIME__API_KEY", "k-1"),
        ("TRUNKLINE__REALTIME__AUDIO", "pcmu"),
        ("TRUNKLINE__EVENTS__MAX_AGE", "0"),
        ("TRUNKLINE__SMA__UPDATES_PER_SECOND", "2.5"),
    ]));
    assert_eq!(s.media.listen.to_string(), "127.0.0.1:0");
    assert_eq!(s.admin.token.unwrap().expose(), "0123", "digits stay a text");
    assert_eq!(s.calls.max_duration, Duration::from_secs(5_400));
    assert!(!s.log.mask_numbers);
    assert_eq!(s.realtime.urls.len(), 2);
    assert!(s.realtime.urls[0].starts_with("wss://x."));
    assert_eq!(s.realtime.format, ModelFormat::Pcmu);
    assert_eq!(s.events.max_age, None);
    assert_eq!(s.sma.updates_per_second, 2.5);
}

#[test]
fn secrets_come_from_files_and_never_show() {
    let dir = Dir::new("secrets");
    let path = dir.file("token", "  hunter2\n");
    let file_pair = ("TRUNKLINE__ADMIN__TOKEN_FILE", path.to_str().unwrap());
    let direct = ("TRUNKLINE__INGEST__SECRET", "sesame-open");
    let twilio = ("TRUNKLINE__INGEST__TWILIO__AUTH_TOKEN", "sesame-twilio");
    let loaded = Loaded::from_sources(&env(&[file_pair, direct, twilio])).unwrap();
    assert_eq!(loaded.settings.ingest.twilio.auth_token.as_ref().unwrap().expose(), "sesame-twilio");
    assert_eq!(loaded.settings.admin.token.as_ref().unwrap().expose(), "hunter2");
    let everything = format!("{loaded:?} {:#?}", loaded.settings);
    assert!(!everything.contains("hunter2") && !everything.contains("sesame"), "{everything}");
    let secret = Secret::new("hunter2");
    assert_eq!(
        format!("{secret} {secret:?} {}", serde_json::to_string(&secret).unwrap()).matches("hunter2").count(),
        0
    );

    let both = [file_pair, ("TRUNKLINE__ADMIN__TOKEN", "sesame-open")];
    env_refusal(&both, &["admin.token", "admin.token_file", "both", "TRUNKLINE__ADMIN__TOKEN_FILE"]);
    assert!(!refusal(&env(&both)).contains("sesame"));
    let empty = dir.file("empty", " \n");
    env_refusal(&[("TRUNKLINE__ADMIN__TOKEN_FILE", empty.to_str().unwrap())], &["admin.token_file", "empty"]);
    let error = refusal(&env(&[("TRUNKLINE__REALTIME__API_KEY", "hunter2\nX: y")]));
    assert!(error.contains("realtime.api_key") && !error.contains("hunter2"), "{error}");
}

#[test]
fn the_embedded_service_takes_free_ports() {
    let s = Settings::embedded().unwrap();
    assert!(s.media.listen.ip().is_loopback() && s.admin.listen.ip().is_loopback());
    assert_eq!((s.media.listen.port(), s.admin.listen.port()), (0, 0));
    assert!(s.realtime.urls.is_empty());
}
