//! The operators' page from outside: login, what it is made of, `/admin/live`.
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
use std::time::Duration;

use serde_json::{Value, json};
use support::http::{Answer, UPGRADE, get, knock, request, send, token};
use support::phone::Phone;
use support::process::{Service, Sim};
use support::{PATIENCE, sound, within};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpSocket;

const TOKEN: [(&str, &str); 1] = [("TRUNKLINE__ADMIN__TOKEN", "t0ken-of-operators")];

/// Logs in as a browser does; gives the cookie that it would send from then on.
async fn log_in(service: &Service) -> String {
    let answer = post_form(service, "/login", "token=t0ken-of-operators", None).await;
    assert_eq!((answer.status, answer.header("location")), (303, Some("/")));
    let cookie = answer.header("set-cookie").unwrap().to_owned();
    for part in ["HttpOnly", "SameSite=Strict", "Path=/", "Max-Age=43200"] {
        assert!(cookie.split("; ").any(|given| given == part), "{part}: {cookie}");
    }
    assert!(!cookie.contains("t0ken"), "{cookie}");
    cookie.split(';').next().unwrap().to_owned()
}

async fn post_form(service: &Service, path: &str, form: &str, cookie: Option<&str>) -> Answer {
    let own = format!("http://{}", service.admin);
    let mut headers = vec![("Origin", own.as_str()), ("Content-Type", "application/x-www-form-urlencoded")];
    headers.extend(cookie.map(|cookie| ("Cookie", cookie)));
    send(service.admin, "POST", path, &headers, form.as_bytes()).await
}

#[tokio::test]
async fn a_browser_logs_in_with_the_token_and_out_again() {
    let service = Service::start(&TOKEN).await;
    let door = get(service.admin, "/").await;
    assert_eq!((door.status, door.header("content-type")), (401, Some("text/html; charset=utf-8")));
    assert!(door.body.contains("action=\"/login\"") && !door.body.contains("{{"), "{}", door.body);
    for form in ["token=wrong", "token=", "", "token=t0ken-of-operators2"] {
        let refused = post_form(&service, "/login", form, None).await;
        assert!(matches!(refused.status, 400 | 401), "{form}: {refused:?}");
        assert_eq!(refused.header("set-cookie"), None, "{form}");
    }
    let cookie = log_in(&service).await;
    let page = request(service.admin, "GET", "/", &[("Cookie", &cookie)]).await;
    assert_eq!(page.status, 200);
    assert!(page.body.contains("/assets/main.js") && !page.body.contains("{{") && !page.body.contains("t0ken"));
    assert_eq!(request(service.admin, "GET", "/admin/calls", &[("Cookie", &cookie)]).await.status, 200);
    let other = cookie.replace('=', "=1");
    assert_eq!(request(service.admin, "GET", "/admin/calls", &[("Cookie", &other)]).await.status, 401);

    let out = post_form(&service, "/logout", "", Some(&cookie)).await;
    assert_eq!(out.status, 303);
    let gone = out.header("set-cookie").unwrap();
    assert!(gone.starts_with("trunkline_session=;") && gone.contains("Max-Age=0"), "{gone}");
}

#[tokio::test]
async fn a_cookie_alone_changes_nothing() {
    let service = Service::start(&TOKEN).await;
    let cookie = log_in(&service).await;
    let _phone = Phone::dial(&service, "callId=c-1&to=6001").await;
    let own = format!("http://{}", service.admin);
    // A browser that somebody else's page sent here says so, or says nothing.
    for origin in [None, Some("https://evil.example"), Some("null")] {
        let mut headers = vec![("Cookie", cookie.as_str())];
        headers.extend(origin.map(|origin| ("Origin", origin)));
        let refused = request(service.admin, "POST", "/admin/calls/c-1/hangup", &headers).await;
        assert!(matches!(refused.status, 401 | 403), "{origin:?}: {refused:?}");
        for path in ["/admin/live", "/admin/calls/c-1/listen"] {
            assert!(matches!(knock(service.admin, path, &headers).await.status, 401 | 403), "{path} {origin:?}");
        }
    }
    assert_eq!(service_call(&service, &cookie, "c-1").await["endReason"], Value::Null);
    let headers = [("Cookie", cookie.as_str()), ("Origin", own.as_str())];
    assert_eq!(knock(service.admin, "/admin/live", &headers).await.status, 101);
    assert_eq!(request(service.admin, "POST", "/admin/calls/c-1/hangup", &headers).await.status, 202);
}

async fn service_call(service: &Service, cookie: &str, id: &str) -> Value {
    request(service.admin, "GET", &format!("/admin/calls/{id}"), &[("Cookie", cookie)]).await.json()
}

#[tokio::test]
async fn the_page_is_served_whole_with_a_strict_policy() {
    let service = Service::start(&[]).await;
    let page = get(service.admin, "/").await;
    assert_eq!((page.status, page.header("cache-control")), (200, Some("no-store")));
    let policy = page.header("content-security-policy").unwrap();
    for part in ["default-src 'none'", "script-src 'self'", "frame-ancestors 'none'", "base-uri 'none'"] {
        assert!(policy.contains(part), "{policy}");
    }
    assert!(!policy.contains("unsafe") && !policy.contains('*'), "{policy}");
    let mut bytes = page.body.len();
    let mut waiting: Vec<String> = assets_of(&page.body);
    let mut seen = Vec::new();
    while let Some(path) = waiting.pop() {
        if seen.contains(&path) {
            continue;
        }
        let part = get(service.admin, &path).await;
        assert_eq!((part.status, part.header("x-content-type-options")), (200, Some("nosniff")), "{path}");
        let tag = part.header("etag").unwrap();
        let again = request(service.admin, "GET", &path, &[("If-None-Match", tag)]).await;
        assert_eq!((again.status, again.body.len()), (304, 0), "{path}");
        bytes += part.body.len();
        waiting.extend(assets_of(&part.body));
        seen.push(path);
    }
    assert!(seen.len() > 2, "{seen:?}");
    assert!(bytes < 150_000, "{bytes} bytes");
    assert_eq!(get(service.admin, "/assets/../Cargo.toml").await.status, 404);
    assert_eq!(get(service.admin, "/assets/nothing.js").await.refusal(), "not_found");
    assert_eq!(get(service.media, "/").await.status, 404);
}

/// The parts that a part names.
fn assets_of(text: &str) -> Vec<String> {
    let absolute = text.split(['"', '\'']).filter(|part| part.starts_with("/assets/")).map(str::to_owned);
    let modules = text.split(['"', '\'']).filter_map(|part| part.strip_prefix("./"));
    absolute.chain(modules.filter(|name| name.ends_with(".js")).map(|name| format!("/assets/{name}"))).collect()
}

#[tokio::test]
async fn a_page_listens_in_with_a_token_of_its_own() {
    let service = Service::start(&TOKEN).await;
    let bearer = [("Authorization", "Bearer t0ken-of-operators")];
    let phone = Phone::dial(&service, "callId=c:1&to=6001").await;
    let _speaking = phone.speak(sound::pattern(80_000), 160);
    let given = request(service.admin, "POST", "/admin/calls/c:1/listen-token", &bearer).await.json();
    let (path, ticket) = (given["path"].as_str().unwrap(), given["token"].as_str().unwrap());
    assert_eq!(path, format!("/admin/calls/c:1/listen?token={ticket}"));
    let mut ear = Phone::connect(&format!("ws://{}{path}", service.admin), &[]).await;
    assert!(ear.frames(20).await.iter().all(|frame| frame.len() == 160));
    let escaped = format!("/admin/calls/c%3A1/listen?token={ticket}");
    assert_eq!(knock(service.admin, &escaped, &[]).await.status, 101, "the same path");
    // It opens that door and no other.
    let expired = token("t0ken-of-operators", "c:1", "listen", 1_000);
    let media = token("t0ken-of-operators", "c:1", "media", 4_000_000_000);
    for path in [
        format!("/admin/calls/c-2/listen?token={ticket}"),
        format!("/admin/calls/c:1/listen?token={expired}"),
        format!("/admin/calls/c:1/listen?token={media}"),
        format!("/admin/calls/c:1?token={ticket}"),
        format!("/admin/live?token={ticket}"),
        format!("/admin/calls?token={ticket}"),
    ] {
        assert_eq!(knock(service.admin, &path, &[]).await.status, 401, "{path}");
    }
    let unknown = request(service.admin, "POST", "/admin/calls/nobody/listen-token", &bearer).await;
    assert_eq!(unknown.refusal(), "no_such_call");
}

/// The next message of a kind; counters that come each second are no reason to wait for ever.
async fn next(viewer: &mut Phone, kind: &str) -> Value {
    within(PATIENCE, kind, viewer.expect(kind)).await
}

#[tokio::test]
async fn viewers_see_calls_begin_change_and_end() {
    let service = Service::start(&[]).await;
    let mut early = Phone::dial(&service, "callId=early&to=6001&from=%2B15550001234").await;
    let mut viewer = Phone::connect(&format!("ws://{}/admin/live", service.admin), &[]).await;
    let snapshot = next(&mut viewer, "snapshot").await;
    assert_eq!(snapshot["calls"].as_array().unwrap().len(), 1, "{snapshot:#}");
    let listed = &get(service.admin, "/admin/calls").await.json()["calls"][0];
    let keys = |call: &Value| call.as_object().unwrap().keys().cloned().collect::<Vec<_>>();
    assert_eq!(keys(&snapshot["calls"][0]), keys(listed));
    assert_eq!(snapshot["calls"][0]["from"], listed["from"], "masked");
    assert_eq!((&snapshot["health"]["ready"], &snapshot["totals"]["live"]), (&json!(true), &json!(1)));

    let mut phone = Phone::dial(&service, "callId=c-1&to=6001").await;
    let started = next(&mut viewer, "started").await;
    assert_eq!((&started["call"]["callId"], &started["call"]["link"]), (&json!("c-1"), &json!("ingest")));
    phone.audio(&sound::pattern(1_600));
    phone.frames(10).await;
    loop {
        let counters = next(&mut viewer, "counters").await;
        let rows = counters["calls"].as_array().unwrap();
        assert!(rows.iter().all(|row| row.as_array().unwrap().len() == 16), "{counters:#}");
        if rows.iter().any(|row| row[0] == "c-1" && row[1] == 10 && row[5].as_u64() >= Some(10)) {
            assert_eq!(counters["totals"]["upFrames"], 10, "{counters:#}");
            break;
        }
    }
    // What stands still is not told again.
    let counters = next(&mut viewer, "counters").await;
    assert!(counters["calls"].as_array().unwrap().iter().all(|row| row[0] != "early"), "{counters:#}");
    phone.send(json!({"type": "stop"}));
    phone.closed().await;
    let ended = next(&mut viewer, "ended").await;
    assert_eq!((&ended["call"]["callId"], &ended["call"]["endReason"]), (&json!("c-1"), &json!("caller_hangup")));
    early.send(json!({"type": "stop"}));
    early.closed().await;
    assert_eq!(next(&mut viewer, "ended").await["call"]["callId"], "early");
    assert_eq!(next(&mut viewer, "counters").await["totals"]["ended"]["caller_hangup"], 2);
}

#[tokio::test]
async fn viewers_see_the_old_call_end_before_a_new_one_has_its_id() {
    let service = Service::start(&[]).await;
    let mut viewer = Phone::connect(&format!("ws://{}/admin/live", service.admin), &[]).await;
    next(&mut viewer, "snapshot").await;
    for _ in 0..3 {
        let mut old = Phone::dial(&service, "callId=again&to=6001").await;
        next(&mut viewer, "started").await;
        old.send(json!({"type": "stop"}));
        old.expect("stop").await;
        // Within one look at the calls, as a rule.
        let mut new = Phone::dial(&service, "callId=again&to=6001").await;
        let mut told = Vec::new();
        while told.len() < 2 {
            let said = viewer.next().await;
            told.extend(["started", "ended"].into_iter().filter(|kind| said.is(kind)));
        }
        assert_eq!(told, ["ended", "started"]);
        new.send(json!({"type": "stop"}));
        new.closed().await;
        next(&mut viewer, "ended").await;
    }
}

#[tokio::test]
async fn viewers_see_the_model_go_and_come() {
    let sim = Sim::start(&["--die-after", "1s", "--die-sessions", "1"]).await;
    // Long enough away for every look to see it.
    let env = [("TRUNKLINE__REALTIME__RECONNECT__FIRST", "2s"), ("TRUNKLINE__REALTIME__RECONNECT__MAX", "2s")];
    let service = Service::with_model(&sim.url(), &env).await;
    let mut viewer = Phone::connect(&format!("ws://{}/admin/live", service.admin), &[]).await;
    let _phone = Phone::dial(&service, "callId=c-1").await;
    next(&mut viewer, "snapshot").await;
    for (key, value) in [("active", "ready"), ("fallback", "lost"), ("active", "ready")] {
        loop {
            let changed = next(&mut viewer, "changed").await;
            if changed["call"]["state"] == key && (key == "fallback" || changed["call"]["model"]["state"] == value) {
                break;
            }
        }
    }
}

#[tokio::test]
async fn so_many_may_watch_and_no_more() {
    let service = Service::start(&[]).await;
    let url = format!("ws://{}/admin/live", service.admin);
    let mut viewers = Vec::new();
    for _ in 0..32 {
        viewers.push(Phone::connect(&url, &[]).await);
    }
    let refused = knock(service.admin, "/admin/live", &[]).await;
    assert_eq!((refused.status, refused.refusal().as_str()), (503, "at_capacity"));
    drop(viewers.pop());
    within(PATIENCE, "a seat", async {
        while knock(service.admin, "/admin/live", &[]).await.status != 101 {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    })
    .await;
    drop(viewers);
    within(PATIENCE, "free seats", async {
        while get(service.admin, "/admin/live").await.refusal() != "not_a_websocket" {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    })
    .await;
}

#[tokio::test]
async fn a_viewer_who_stops_reading_holds_up_nobody_and_catches_up() {
    let service = Service::start(&[]).await;
    let frozen = TcpSocket::new_v4().unwrap();
    frozen.set_recv_buffer_size(32 << 10).unwrap();
    let mut frozen = frozen.connect(service.admin).await.unwrap();
    let mut hello = format!("GET /admin/live HTTP/1.1\r\nHost: {}\r\n", service.admin);
    for (name, value) in UPGRADE {
        hello.push_str(&format!("{name}: {value}\r\n"));
    }
    frozen.write_all(format!("{hello}\r\n").as_bytes()).await.unwrap();
    let mut viewer = Phone::connect(&format!("ws://{}/admin/live", service.admin), &[]).await;
    next(&mut viewer, "snapshot").await;
    // More than all the buffers on the way hold.
    const CALLS: usize = 400;
    let mut phones = Vec::new();
    for number in 0..CALLS {
        phones.push(Phone::dial(&service, &format!("callId=c-{number}&to=6001")).await);
    }
    for number in 0..CALLS {
        assert_eq!(next(&mut viewer, "started").await["call"]["callId"], format!("c-{number}"));
    }
    for phone in &phones {
        phone.send(json!({"type": "stop"}));
    }
    let mut ended = BTreeSet::new();
    while ended.len() < CALLS {
        ended.insert(next(&mut viewer, "ended").await["call"]["callId"].to_string());
    }
    // It reads again: what is left of the old, and then the whole picture as it is now.
    let mut read = Vec::new();
    let caught_up = |read: &[u8]| {
        let text = String::from_utf8_lossy(read).into_owned();
        text.rsplit_once("\"type\":\"snapshot\"").is_some_and(|(before, last)| {
            before.contains("\"type\":\"snapshot\"")
                && last.contains("\"started\":400")
                && last.contains("\"calls\":[]")
        })
    };
    within(PATIENCE, "the second snapshot", async {
        while !caught_up(&read) {
            assert_ne!(frozen.read_buf(&mut read).await.unwrap(), 0, "it was closed");
        }
    })
    .await;
    let ended = String::from_utf8_lossy(&read).matches("\"type\":\"ended\"").count();
    assert!(ended < CALLS, "it was never behind: {ended} ends");
}
