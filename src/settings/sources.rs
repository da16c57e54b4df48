//! The three layers, read by the `config` crate into one tree whose leaves know where they came from.

use std::collections::BTreeMap;
use std::path::PathBuf;

use config::builder::{ConfigBuilder, DefaultState};
use config::{Config, Environment, File, FileFormat, Value, ValueKind};

use super::SettingsError;

/// The defaults, compiled in.
pub const DEFAULT_TOML: &str = include_str!("../../config/default.toml");

/// File that is read when no other is named and it exists.
pub const LOCAL_FILE: &str = "config/local.toml";

const PREFIX: &str = "TRUNKLINE";
const SEPARATOR: &str = "__";

/// Where the configuration is read from. A value, so that tests bring their own.
#[derive(Clone, Debug, Default)]
pub struct Sources {
    /// A file that must exist (`--config`).
    pub file: Option<PathBuf>,
    /// A file that is read only if it exists and `file` names none.
    pub local: Option<PathBuf>,
    /// Environment variables; those without the prefix `TRUNKLINE__` are left alone.
    pub env: Vec<(String, String)>,
}

impl Sources {
    /// What the process was started with: the file named on the command line, else
    /// `config/local.toml`, and the environment.
    ///
    /// # Errors
    /// A variable with our prefix that is not UTF-8.
    pub fn of_process(file: Option<PathBuf>) -> Result<Self, SettingsError> {
        let mut env = Vec::new();
        for (name, value) in std::env::vars_os() {
            let Ok(name) = name.into_string() else {
                continue;
            };
            if path_of(&name).is_none() {
                continue;
            }
            let value = value
                .into_string()
                .map_err(|_| SettingsError::one(format!("environment variable {name} is not UTF-8")))?;
            env.push((name, value));
        }
        Ok(Self { file, local: Some(PathBuf::from(LOCAL_FILE)), env })
    }
}

/// Where a value came from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    /// `config/default.toml` as compiled in.
    Default,
    /// A file, by the path it was read under.
    File(String),
    /// An environment variable, by its name.
    Env(String),
}

impl std::fmt::Display for Origin {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Default => f.write_str("default"),
            Self::File(path) => write!(f, "file {path}"),
            Self::Env(name) => write!(f, "environment variable {name}"),
        }
    }
}

/// The merged tree, flattened to its leaves by dotted path. Arrays and empty tables are leaves.
pub(super) type Leaves = BTreeMap<String, Leaf>;

pub(super) struct Leaf {
    pub value: Value,
    pub origin: Origin,
}

/// Reads and merges the layers. Unknown keys are found here, where each layer is still by itself:
/// `default.toml` is complete, so a key it does not have does not exist.
pub(super) fn read(sources: &Sources) -> Result<Leaves, SettingsError> {
    let names: BTreeMap<String, &str> =
        sources.env.iter().filter_map(|(name, _)| Some((path_of(name)?, name.as_str()))).collect();
    let defaults = Config::builder().add_source(File::from_str(DEFAULT_TOML, FileFormat::Toml));
    let known = leaves_of(defaults, &names)?;

    let mut overlay = Config::builder();
    let local = sources.local.as_ref().filter(|path| path.exists());
    let file = sources.file.as_ref().or(local);
    if let Some(path) = file {
        if !path.is_file() {
            let path = path.display();
            return Err(SettingsError::one(format!("configuration file {path}: no such file")));
        }
        overlay = overlay.add_source(File::from(path.as_path()).format(FileFormat::Toml));
    }
    // `try_parsing` stays off: it turns a secret such as "0123" into the number 123.
    let env = Environment::with_prefix(PREFIX)
        .prefix_separator(SEPARATOR)
        .separator(SEPARATOR)
        .source(Some(sources.env.iter().cloned().collect()));
    let from_env = Config::builder().add_source(env);

    let mut problems = Vec::new();
    let mut merged = known;
    for layer in [overlay, from_env] {
        for (path, mut leaf) in leaves_of(layer, &names)? {
            // Shown as it was given, not as the library resolved it.
            if let (Origin::File(shown), Some(given)) = (&mut leaf.origin, file) {
                *shown = given.display().to_string();
            }
            match unknown(&path, &merged) {
                // `[media]` with nothing below it says nothing.
                Some(_) if is_empty_section(&path, &leaf, &merged) => {}
                Some(why) => problems.push(format!("{why} (from {})", leaf.origin)),
                None => {
                    merged.insert(path, leaf);
                }
            }
        }
    }
    if problems.is_empty() { Ok(merged) } else { Err(SettingsError { problems }) }
}

fn is_empty_section(path: &str, leaf: &Leaf, known: &Leaves) -> bool {
    let prefix = format!("{path}.");
    matches!(leaf.value.kind, ValueKind::Table(_)) && known.keys().any(|key| key.starts_with(&prefix))
}

/// What is wrong with a key that does not exist. The value is not shown: a secret under a
/// misspelt name is still a secret.
fn unknown(path: &str, known: &Leaves) -> Option<String> {
    if known.contains_key(path) {
        return None;
    }
    let below = |section: &str| -> Vec<String> {
        let prefix = format!("{section}.");
        let keys = known.keys().filter_map(|key| key.strip_prefix(&prefix));
        keys.map(str::to_owned).collect()
    };
    let inside = below(path);
    if !inside.is_empty() {
        return Some(format!("{path} is a section and takes no value; its keys: {}", inside.join(", ")));
    }
    let mut section = path;
    while let Some((outer, _)) = section.rsplit_once('.') {
        section = outer;
        let keys = below(section);
        if !keys.is_empty() {
            return Some(format!("{path}: unknown key; [{section}] has: {}", keys.join(", ")));
        }
        if known.contains_key(section) {
            return Some(format!("{path}: unknown key; {section} takes a value, it is no section"));
        }
    }
    let mut sections: Vec<&str> = known.keys().filter_map(|key| key.split('.').next()).collect();
    sections.dedup();
    Some(format!("{path}: unknown key; the sections are: {}", sections.join(", ")))
}

/// The dotted path that an environment variable means; `None` without our prefix.
fn path_of(name: &str) -> Option<String> {
    let lower = name.to_lowercase();
    let path = lower.strip_prefix("trunkline__")?;
    Some(path.replace(SEPARATOR, "."))
}

fn leaves_of(layer: ConfigBuilder<DefaultState>, names: &BTreeMap<String, &str>) -> Result<Leaves, SettingsError> {
    let built = layer.build().map_err(|error| SettingsError::one(without_snippet(&error.to_string())))?;
    let mut leaves = Leaves::new();
    flatten(String::new(), built.cache, names, &mut leaves);
    Ok(leaves)
}

/// The parser shows the line that it could not read, and that may be a secret without its quotes: place and reason stay,
/// the lines of the picture between them (`|`, `3 | api_key = ...`, `  |     ^`) go.
fn without_snippet(error: &str) -> String {
    let is_picture =
        |line: &str| line.trim_start_matches(|c: char| c.is_ascii_digit() || c.is_whitespace()).starts_with('|');
    let kept: Vec<&str> = error.lines().map(str::trim).filter(|line| !line.is_empty() && !is_picture(line)).collect();
    kept.join(": ")
}

fn flatten(path: String, value: Value, names: &BTreeMap<String, &str>, out: &mut Leaves) {
    match value.kind {
        ValueKind::Table(table) if !table.is_empty() || path.is_empty() => {
            for (key, child) in table {
                let path = if path.is_empty() { key } else { format!("{path}.{key}") };
                flatten(path, child, names, out);
            }
        }
        _ => {
            let origin = match (value.origin(), names.get(&path)) {
                (Some("the environment"), Some(name)) => Origin::Env((*name).to_owned()),
                (Some(file), _) => Origin::File(file.to_owned()),
                (None, _) => Origin::Default,
            };
            out.insert(path, Leaf { value, origin });
        }
    }
}
