//! What one check found, and how it reads.

use std::fmt;

/// Longest text of a finding, in characters: services answer with pages at times.
const MAX_TEXT: usize = 400;

/// How good what was found is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// As it should be.
    Ok,
    /// It works, but not as well as it could; or it could not be seen.
    Warn,
    /// It will not work.
    Fail,
}

/// One line of the report.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Finding {
    pub(super) verdict: Verdict,
    /// What was looked at.
    what: String,
    found: String,
    /// What to do about it.
    cure: Option<String>,
}

impl Finding {
    pub(super) fn ok(what: impl Into<String>, found: impl Into<String>) -> Self {
        Self { verdict: Verdict::Ok, what: what.into(), found: found.into(), cure: None }
    }

    pub(super) fn warn(what: impl Into<String>, found: impl Into<String>, cure: impl Into<String>) -> Self {
        Self { verdict: Verdict::Warn, what: what.into(), found: found.into(), cure: Some(cure.into()) }
    }

    pub(super) fn fail(what: impl Into<String>, found: impl Into<String>, cure: impl Into<String>) -> Self {
        Self { verdict: Verdict::Fail, what: what.into(), found: found.into(), cure: Some(cure.into()) }
    }
}

/// `FAIL  what: finding; cure: what to do`, on one line whatever a service said.
impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let verdict = match self.verdict {
            Verdict::Ok => "ok",
            Verdict::Warn => "warn",
            Verdict::Fail => "FAIL",
        };
        write!(f, "{verdict:<4}  {}: {}", one_line(&self.what), one_line(&self.found))?;
        match &self.cure {
            Some(cure) => write!(f, "; cure: {}", one_line(cure)),
            None => Ok(()),
        }
    }
}

fn one_line(text: &str) -> String {
    text.chars().take(MAX_TEXT).map(|c| if c.is_control() { ' ' } else { c }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_finding_is_one_line() {
        assert_eq!(Finding::ok("queue", "exists").to_string(), "ok    queue: exists");
        assert_eq!(Finding::warn("queue", "odd", "mend it").to_string(), "warn  queue: odd; cure: mend it");
        let forged = Finding::fail("model", "it says\nok    model: fine\u{1b}[2K", "ask");
        assert_eq!(forged.to_string(), "FAIL  model: it says ok    model: fine [2K; cure: ask");
        assert!(Finding::ok("model", "x".repeat(9_999)).to_string().len() < 500);
    }
}
