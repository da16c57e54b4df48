//! The speech model: can it be reached, does it take our key and our sessions?

use std::sync::Arc;

use actix_web::http::Uri;
use trunkline_realtime::{Loss, SessionProfile};

use super::Report;
use super::finding::Finding;
use crate::model::{AwcTransport, TransportSettings, try_session};
use crate::settings::{ModelAuth, RealtimeSettings, RouteKind, Settings};

/// The session of each model route, by the route's name.
pub(super) fn profiles(settings: &Settings) -> Vec<(String, SessionProfile)> {
    let routes = settings.routes.iter().zip(settings.toolboxes());
    let of_route = routes.filter_map(|(route, tools)| match (&route.kind, tools) {
        (RouteKind::Model(own), Some(tools)) => {
            Some((route.name.clone(), settings.realtime.profile(own, tools.specs())))
        }
        _ => None,
    });
    of_route.collect()
}

/// Sets up a session as each route's calls will, at the first address; at the others as the first route's.
pub(super) async fn check(settings: &Settings, report: &mut Report) {
    let realtime = &settings.realtime;
    let profiles = profiles(settings);
    if realtime.urls.is_empty() {
        return report.take([Finding::ok("model", "the simulator inside this process answers; no model is asked")]);
    }
    if profiles.is_empty() {
        return report.take([Finding::ok("model", "no route asks for it")]);
    }
    let transport = match transport(realtime) {
        Ok(transport) => transport,
        Err(error) => return report.take([Finding::fail("model", error, "correct the keys of [realtime]")]),
    };
    for (place, url) in realtime.urls.iter().enumerate() {
        let wanted = if place == 0 { profiles.len() } else { 1 };
        for (route, profile) in profiles.iter().take(wanted) {
            let profile = Arc::new(profile.clone());
            let done = try_session(&transport, url, profile, realtime.timing(), realtime.connect_timeout).await;
            report.take([judged(url, route, done, realtime)]);
        }
    }
}

fn transport(realtime: &RealtimeSettings) -> Result<AwcTransport, String> {
    let auth = crate::app::model_auth(realtime).map_err(|error| error.to_string())?;
    let settings = TransportSettings::new(auth, None, realtime.connect_timeout).map_err(|error| error.to_string())?;
    Ok(AwcTransport::new(Arc::new(settings)))
}

fn judged(url: &str, route: &str, done: Result<String, Loss>, realtime: &RealtimeSettings) -> Finding {
    // Never the query: operators have put keys there.
    let host = url.parse::<Uri>().ok().and_then(|uri| uri.host().map(str::to_owned)).unwrap_or_default();
    let what = format!("model {host}, route {route}");
    match done {
        Ok(session) => Finding::ok(what, format!("session {session} is set up")),
        Err(loss) => Finding::fail(what, loss.to_string(), cure(&loss, realtime)),
    }
}

fn cure(loss: &Loss, realtime: &RealtimeSettings) -> &'static str {
    match loss {
        Loss::Refused { status: 401 } if realtime.auth == ModelAuth::Entra => {
            "give this identity the role Cognitive Services OpenAI User on the resource"
        }
        Loss::Refused { status: 401 } if realtime.api_key.is_none() => "set realtime.api_key, no key was sent",
        Loss::Refused { status: 401 } => {
            "set realtime.api_key to a key of this very resource, and realtime.auth to how it is sent (api-key, bearer)"
        }
        Loss::Refused { status: 403 } => {
            "let this machine through the resource's network rules, and check that the key or identity may use the deployment"
        }
        Loss::Refused { status: 404 } => {
            "correct realtime.url: path, and the name of the deployment; realtime.api has to be the shape of that path"
        }
        Loss::Refused { status: 400 } => "correct realtime.url: api-version and model; realtime.api has to fit it",
        Loss::Refused { status: 429 } => "raise the deployment's quota, or wait",
        Loss::Refused { .. } => "try again later; if it stays, give realtime.backup_urls another region's address",
        Loss::Unreachable { .. } => "correct the host in realtime.url, and let this machine out to it by port 443",
        Loss::ConnectTimeout => "raise realtime.connect_timeout, or look for what slows the way there",
        Loss::FormatMismatch { .. } => {
            "set realtime.audio, realtime.sample_rate and realtime.api to what the model speaks"
        }
        Loss::SetupRefused { .. } => "correct what is named: realtime.* or the route's own settings and tools",
        _ => "try again; if it stays, check realtime.url and realtime.api",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_refusal_has_its_cure() {
        let mut realtime = Settings::embedded().unwrap().realtime;
        realtime.api_key = Some(crate::settings::Secret::new("hunter2"));
        let table = [
            (Loss::Refused { status: 401 }, "realtime.api_key"),
            (Loss::Refused { status: 403 }, "network rules"),
            (Loss::Refused { status: 404 }, "deployment"),
            (Loss::Refused { status: 429 }, "quota"),
            (Loss::Refused { status: 400 }, "api-version"),
            (Loss::Refused { status: 503 }, "later"),
            (Loss::Unreachable { what: "no such host".to_owned() }, "host in realtime.url"),
            (Loss::ConnectTimeout, "realtime.connect_timeout"),
            (Loss::SetupRefused { code: "invalid_value".to_owned(), message: "voice".to_owned() }, "what is named"),
            (Loss::Stalled, "try again"),
        ];
        let url = "wss://x.openai.azure.com/openai/v1/realtime?model=a&api-key=hunter2";
        for (loss, part) in table {
            let line = judged(url, "*", Err(loss), &realtime).to_string();
            assert!(line.starts_with("FAIL  model x.openai.azure.com, route *: model "), "{line}");
            assert!(line.contains(part) && !line.contains("hunter2"), "{part:?} is not in {line}");
        }
        realtime.api_key = None;
        assert!(cure(&Loss::Refused { status: 401 }, &realtime).contains("no key was sent"));
        realtime.auth = ModelAuth::Entra;
        assert!(cure(&Loss::Refused { status: 401 }, &realtime).contains("role"));
    }
}
