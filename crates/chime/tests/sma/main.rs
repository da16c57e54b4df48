//! The SIP media application: samples, AWS's rules, whole calls.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    missing_docs,
    reason = "a test fails by panicking"
)]

mod api;
mod calls;
mod chime;
mod events;
mod properties;
mod rules;
mod shapes;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde_json::Value;
use trunkline_chime::sma::{self, SmaSettings};

pub const CONNECTOR: &str = "arn:aws:chime:us-east-1:111122223333:vc/fx7q2mvbd9k3htn5wz1rgy";

pub fn settings() -> SmaSettings {
    SmaSettings::new(CONNECTOR).unwrap()
}

/// The JSON files of a folder of samples, by name.
pub fn samples(folder: &str) -> BTreeMap<String, Value> {
    let folder: PathBuf = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures").join(folder);
    let files = std::fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path());
    let json = files.filter(|path| path.extension().is_some_and(|extension| extension == "json"));
    let samples: BTreeMap<_, _> = json
        .map(|path| {
            let name = path.file_stem().unwrap().to_str().unwrap().to_owned();
            (name, serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap())
        })
        .collect();
    assert!(!samples.is_empty(), "{}", folder.display());
    samples
}

/// The application's answer, checked against AWS's rules.
pub fn respond(settings: &SmaSettings, event: &Value) -> Value {
    let response = sma::respond_to_json(settings, event.to_string().as_bytes()).unwrap();
    rules::check(event, &response).unwrap_or_else(|fault| panic!("{fault}\n{event:#}\n{response:#}"));
    response
}
