//! `trunkline config`.

use std::path::PathBuf;

use super::{Failure, print, say};
use crate::settings::{Entry, Loaded};

/// Prints every key's effective value and origin, a line each, in TOML's spelling.
pub(super) fn run(file: Option<PathBuf>) -> Result<(), Failure> {
    let loaded = Loaded::of_process(file)?;
    for line in lines(&loaded.entries) {
        if print(&line).is_err() {
            // `trunkline config | head` is no failure.
            break;
        }
    }
    for warning in &loaded.warnings {
        say(&format!("warning: {warning}"));
    }
    Ok(())
}

fn lines(entries: &[Entry]) -> Vec<String> {
    let line = |entry: &Entry| format!("{} = {}  # {}", entry.key, entry.shown, entry.origin);
    entries.iter().map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::Sources;

    #[test]
    fn shows_values_and_origins_but_no_secrets() {
        let env = [
            ("TRUNKLINE__ADMIN__TOKEN", "hunter2"),
            ("TRUNKLINE__INGEST__TWILIO__AUTH_TOKEN", "hunter2"),
            ("TRUNKLINE__INGEST__ALLOWED_ORIGINS", "https://a.example"),
            ("TRUNKLINE__CALLS__MAX_DURATION", "90m"),
        ];
        let env = env.map(|(name, value)| (name.to_owned(), value.to_owned())).to_vec();
        let sources = Sources { env, ..Sources::default() };
        let lines = lines(&Loaded::from_sources(&sources).unwrap().entries);
        let all = lines.join("\n");
        assert!(!all.contains("hunter2"), "{all}");
        for expected in [
            "admin.token = \"[redacted]\"  # environment variable TRUNKLINE__ADMIN__TOKEN",
            "ingest.twilio.auth_token = \"[redacted]\"  # environment variable TRUNKLINE__INGEST__TWILIO__AUTH_TOKEN",
            "ingest.twilio.lead = \"100ms\"  # default",
            "ingest.allowed_origins = [\"https://a.example\"]  # environment variable TRUNKLINE__INGEST__ALLOWED_ORIGINS",
            "calls.max_duration = \"1h 30m\"  # environment variable TRUNKLINE__CALLS__MAX_DURATION",
            "media.listen = \"127.0.0.1:8080\"  # default",
            "ingest.secret = \"\"  # default",
            "log.mask_numbers = true  # default",
            "routes = [{ kind = \"echo\", match = \"6001\" }, { kind = \"model\", match = \"*\" }]  # default",
        ] {
            assert!(lines.iter().any(|line| line == expected), "{expected} is not in:\n{all}");
        }
    }

    #[test]
    fn what_is_shown_can_be_read_again() {
        let shown = lines(&Loaded::from_sources(&Sources::default()).unwrap().entries).join("\n");
        let path = std::env::temp_dir().join(format!("trunkline-shown-{}.toml", std::process::id()));
        std::fs::write(&path, &shown).unwrap();
        let again = Loaded::from_sources(&Sources { file: Some(path.clone()), ..Sources::default() });
        std::fs::remove_file(&path).unwrap();
        let again: Vec<String> = again.unwrap().entries.iter().map(|entry| entry.shown.clone()).collect();
        let first: Vec<String> = Loaded::from_sources(&Sources::default())
            .unwrap()
            .entries
            .iter()
            .map(|entry| entry.shown.clone())
            .collect();
        assert_eq!(again, first);
    }
}
