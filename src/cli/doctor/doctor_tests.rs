use super::*;
use crate::settings::Sources;

fn env(pairs: &[(&str, &str)]) -> Sources {
    let env = pairs.iter().map(|(name, value)| (format!("TRUNKLINE__{name}"), (*value).to_owned()));
    Sources { env: env.collect(), ..Sources::default() }
}

fn lines(findings: impl IntoIterator<Item = Finding>) -> Vec<String> {
    findings.into_iter().map(|finding| finding.to_string()).collect()
}

#[test]
fn a_broken_configuration_fails_by_each_mistake() {
    let error = Loaded::from_sources(&env(&[("CALLS__MAX", "x"), ("LOG__FORMAT", "y")])).unwrap_err();
    let lines = lines(unusable(&error));
    assert_eq!(lines.len(), 2);
    for (line, key) in lines.iter().zip(["calls.max", "log.format"]) {
        assert!(line.starts_with(&format!("FAIL  configuration: {key} = ")) && line.contains("; cure: "), "{line}");
    }
}

#[test]
fn warnings_of_the_configuration_are_passed_on() {
    let loaded =
        Loaded::from_sources(&env(&[("REALTIME__URL", "wss://x.example/"), ("FALLBACK__CHANNEL", "sma")])).unwrap();
    let lines = lines(configuration(&loaded));
    assert!(lines[0].starts_with("ok    configuration: "), "{lines:?}");
    assert_eq!(lines[1..].iter().filter(|line| line.starts_with("warn  configuration: ")).count(), 2, "{lines:?}");
}

#[test]
fn turns_that_cannot_be_restored_are_told_by_route() {
    let settings = |pairs: &[(&str, &str)]| Loaded::from_sources(&env(pairs)).unwrap().settings;
    let line = transcription(&settings(&[])).to_string();
    assert!(line.starts_with("warn  transcription: off for route *: "), "{line}");
    let line = transcription(&settings(&[("REALTIME__TRANSCRIPTION_MODEL", "whisper")])).to_string();
    assert!(line.starts_with("ok    transcription: "), "{line}");
}

#[test]
fn a_recording_that_cannot_be_played_fails() {
    let path = std::env::temp_dir().join(format!("trunkline-doctor-{}.wav", std::process::id()));
    std::fs::write(&path, "RIFF").unwrap();
    let file = path.to_str().unwrap();
    let pairs = [("FALLBACK__GOODBYE_FILE", file), ("FALLBACK__GOODBYE", "Bye.")];
    let line = prompts_of(&Loaded::from_sources(&env(&pairs)).unwrap().settings).to_string();
    std::fs::remove_file(&path).unwrap();
    assert!(line.starts_with("FAIL  prompts: fallback.goodbye_file = ") && line.contains("8000 Hz"), "{line}");
}

#[actix_rt::test]
async fn the_embedded_service_is_well() {
    let mut report = Report::default();
    check(&Settings::embedded().unwrap(), &mut report).await;
    assert_eq!((report.checks, report.failed), (6, 0));
    assert!(report.end().is_ok());
    assert!(Report { checks: 3, failed: 1 }.end().is_err_and(|failure| failure.to_string() == "1 of 3 checks failed"));
}
