//! The samples under `tests/fixtures/aws/`.

use std::fs;
use std::path::PathBuf;

use serde_json::Value;

fn path(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/aws").join(name)
}

/// The names of all files of a folder, sorted.
pub fn names(folder: &str) -> Vec<String> {
    let entries = fs::read_dir(path(folder)).unwrap_or_else(|error| panic!("{folder}: {error}"));
    let mut names: Vec<_> = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

/// The bytes of a file as they would come; what is written down in hexadecimal is decoded.
pub fn body(name: &str) -> Vec<u8> {
    let bytes = fs::read(path(name)).unwrap_or_else(|error| panic!("{name}: {error}"));
    if !name.ends_with(".hex") {
        return bytes;
    }
    let digits: Vec<_> = bytes.iter().filter_map(|&byte| char::from(byte).to_digit(16)).collect();
    digits.chunks(2).map(|pair| (pair[0] * 16 + pair[1]) as u8).collect()
}

/// A file as JSON.
pub fn json(name: &str) -> Value {
    serde_json::from_slice(&body(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
}
