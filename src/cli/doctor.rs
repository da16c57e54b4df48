//! `trunkline doctor`: looks at everything a deployment needs, and says what to do about what is wrong.
//!
//! Looking and judging are apart: [`crate::aws::inspect`] and `model` ask, the rest turns answers into findings.

mod application;
mod certificate;
mod events;
mod finding;
mod model;
mod sip;

use std::path::PathBuf;

use rustls::pki_types::UnixTime;

use self::finding::{Finding, Verdict};
use super::{Failure, print};
use crate::aws::Target;
use crate::aws::inspect::{self, VoiceInspector};
use crate::prompts;
use crate::settings::{EventSettings, Loaded, Settings, SettingsError, SmaSettings};

/// Prints a line a check as it is done.
///
/// # Errors
/// [`Failure::Job`] if a check failed.
pub(super) fn run(file: Option<PathBuf>) -> Result<(), Failure> {
    let mut report = Report::default();
    match Loaded::of_process(file) {
        Err(error) => report.take(unusable(&error)),
        Ok(loaded) => {
            report.take(configuration(&loaded));
            actix::System::new().block_on(check(&loaded.settings, &mut report));
        }
    }
    report.end()
}

/// What was found so far.
#[derive(Default)]
struct Report {
    checks: usize,
    failed: usize,
}

impl Report {
    fn take(&mut self, findings: impl IntoIterator<Item = Finding>) {
        for finding in findings {
            self.checks += 1;
            self.failed += usize::from(finding.verdict == Verdict::Fail);
            // Whoever stopped reading still wants the exit code.
            let _unread = print(&finding.to_string());
        }
    }

    fn end(self) -> Result<(), Failure> {
        match self.failed {
            0 => Ok(()),
            failed => Err(Failure::Job(format!("{failed} of {} checks failed", self.checks))),
        }
    }
}

async fn check(settings: &Settings, report: &mut Report) {
    report.take([prompts_of(settings)]);
    report.take(media_certificate(settings));
    model::check(settings, report).await;
    report.take([transcription(settings)]);
    sip::check(settings, report).await;
    queue(&settings.events, report).await;
    connectors(settings, report).await;
    sma(&settings.sma, report).await;
}

fn unusable(error: &SettingsError) -> Vec<Finding> {
    let cure = "correct it; config/default.toml tells what each key means";
    error.problems.iter().map(|problem| Finding::fail("configuration", problem, cure)).collect()
}

fn configuration(loaded: &Loaded) -> Vec<Finding> {
    let warnings = loaded.warnings.iter();
    let warnings = warnings.map(|warning| Finding::warn("configuration", warning, "change it if that is not meant"));
    let media = loaded.settings.media.listen;
    let admin = loaded.settings.admin.listen;
    let read = format!("{} keys are well; callers at {media}, operators at {admin}", loaded.entries.len());
    std::iter::once(Finding::ok("configuration", read)).chain(warnings).collect()
}

fn prompts_of(settings: &Settings) -> Finding {
    let count = settings.fallback.prompts.len();
    match prompts::load(&settings.fallback) {
        Ok(_) => Finding::ok("prompts", format!("{count} and the goodbye can be played")),
        Err(error) => Finding::fail("prompts", error.to_string(), "record it again in that format"),
    }
}

fn media_certificate(settings: &Settings) -> Option<Finding> {
    let files = settings.media.tls.as_ref()?;
    Some(certificate::judged("media.tls", &files.cert_file, &files.key_file, UnixTime::now()))
}

fn transcription(settings: &Settings) -> Finding {
    let profiles = model::profiles(settings);
    let deaf: Vec<&str> = profiles
        .iter()
        .filter(|(_, profile)| profile.transcription_model.is_none())
        .map(|(route, _)| route.as_str())
        .collect();
    if deaf.is_empty() {
        return Finding::ok("transcription", "a lost conversation is restored with both sides of it");
    }
    Finding::warn(
        "transcription",
        format!("off for route {}: after a lost session the caller's turns cannot be restored", deaf.join(", ")),
        "set realtime.transcription_model",
    )
}

async fn queue(events: &EventSettings, report: &mut Report) {
    let Some(url) = &events.queue_url else {
        return report.take([Finding::ok("events", "off (events.queue_url is empty)")]);
    };
    match Target::queue(events).load().await {
        Ok(config) => report.take(events::queue(&inspect::queue(&config, url).await)),
        Err(error) => report.take([Finding::fail("events queue", error.to_string(), "set events.region")]),
    }
}

/// Voice Connectors that the configuration names, else all there are in the region.
async fn connectors(settings: &Settings, report: &mut Report) {
    let (events, sma) = (&settings.events, &settings.sma);
    let with_events = events.queue_url.is_some();
    let mut ids = events.voice_connector_ids.clone();
    let of_arn = sma.voice_connector_arn.as_deref().and_then(|arn| arn.rsplit_once(":vc/"));
    if let Some((_, id)) = of_arn.filter(|(_, id)| !ids.iter().any(|known| known == id)) {
        ids.push(id.to_owned());
    }
    if !with_events && sma.application_id.is_none() {
        return;
    }
    // Both name the same account; the application's endpoint is that of the Voice Connectors too.
    let target = if sma.application_id.is_some() || sma.endpoint_url.is_some() || sma.region.is_some() {
        Target::voice(sma)
    } else {
        Target::voice_of_events(events)
    };
    let what = "voice connectors";
    let inspector = match target.load().await {
        Ok(config) => VoiceInspector::new(&config),
        Err(error) => return report.take([Finding::fail(what, error.to_string(), "set sma.region")]),
    };
    let are_named = !ids.is_empty();
    if !are_named {
        match inspector.connector_ids().await {
            Ok(all) if all.is_empty() => {
                let cure = "create one in this region, or set sma.region (or events.region) to where it is";
                return report.take([Finding::fail(what, "there are none in this region", cure)]);
            }
            Ok(all) => ids = all,
            Err(failure) => {
                return report.take([events::unseen(what, &failure, "chime:ListVoiceConnectors", "sma.endpoint_url")]);
            }
        }
    }
    for id in ids {
        let seen = inspector.connector(&id).await;
        report.take(events::connectors(std::slice::from_ref(&seen), with_events));
        report.take(sip::route(&settings.sip, &seen, are_named).await);
    }
}

async fn sma(settings: &SmaSettings, report: &mut Report) {
    let Some(id) = &settings.application_id else {
        return report.take([Finding::ok("sma", "off (sma.application_id is empty)")]);
    };
    match Target::voice(settings).load().await {
        Ok(config) => {
            let seen = VoiceInspector::new(&config).application(id).await;
            report.take(application::judged(&seen, settings));
        }
        Err(error) => report.take([Finding::fail("sma application", error.to_string(), "set sma.region")]),
    }
}

#[cfg(test)]
#[path = "doctor/doctor_tests.rs"]
mod tests;
