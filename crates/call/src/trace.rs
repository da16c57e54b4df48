//! Where a call stands in a distributed trace: W3C Trace Context (<https://www.w3.org/TR/trace-context/>).

use std::fmt;

/// Longest `tracestate` that is passed along, in bytes: what the specification asks for at least.
const MAX_STATE: usize = 512;

/// A trace, and the span in it that called us. Without a caller's context the trace is our own.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct TraceContext {
    trace_id: u128,
    parent_id: u64,
    flags: u8,
    state: Option<String>,
}

impl TraceContext {
    /// Reads the headers `traceparent` and `tracestate` (several of the latter joined by commas). `None` where there is
    /// no valid context: then a new trace is begun, as the specification says. A `tracestate` that is no good, or over 512
    /// bytes, is left out.
    #[must_use]
    pub fn parse(traceparent: &str, tracestate: Option<&str>) -> Option<Self> {
        let mut parts = traceparent.trim_matches([' ', '\t']).splitn(5, '-');
        let version = hex(parts.next()?, 2)?;
        let (trace_id, parent_id, flags) = (parts.next()?, parts.next()?, parts.next()?);
        // Version 00 ends here; a later one may go on, and ff is none.
        let has_more = parts.next().is_some();
        if version == 0xff || version == 0 && has_more {
            return None;
        }
        let trace_id = Some(hex(trace_id, 32)?).filter(|id| *id != 0)?;
        let parent_id = u64::try_from(hex(parent_id, 16)?).ok().filter(|id| *id != 0)?;
        let flags = u8::try_from(hex(flags, 2)?).ok()?;
        let is_good = |state: &&str| {
            !state.is_empty()
                && state.len() <= MAX_STATE
                && state.bytes().all(|byte| byte == b'\t' || (b' '..=b'~').contains(&byte))
        };
        let state = tracestate.map(str::trim).filter(is_good).map(str::to_owned);
        Some(Self { trace_id, parent_id, flags, state })
    }

    /// A trace that begins here, and is to be recorded.
    #[must_use]
    pub fn generate() -> Self {
        Self { trace_id: fastrand::u128(1..), parent_id: fastrand::u64(1..), flags: 1, state: None }
    }

    /// The trace's id: 32 lower-case hex digits.
    #[must_use]
    pub fn trace_id(&self) -> String {
        format!("{:032x}", self.trace_id)
    }

    /// The same trace for somebody whom we call: with a span of ours as parent.
    #[must_use]
    pub fn child(&self) -> Self {
        Self { parent_id: fastrand::u64(1..), ..self.clone() }
    }

    /// What `tracestate` is to say.
    #[must_use]
    pub fn state(&self) -> Option<&str> {
        self.state.as_deref()
    }
}

/// As the header `traceparent`, version 00. Of the flags only those of that version are kept.
impl fmt::Display for TraceContext {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "00-{:032x}-{:016x}-{:02x}", self.trace_id, self.parent_id, self.flags & 1)
    }
}

/// Exactly `digits` lower-case hex digits.
fn hex(text: &str, digits: usize) -> Option<u128> {
    let is_hex = text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
    (text.len() == digits && is_hex).then(|| u128::from_str_radix(text, 16).ok())?
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const GOOD: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

    #[test]
    fn contexts_are_read_as_the_specification_says() {
        let later = GOOD.replacen("00", "cc", 1);
        for (text, is_good) in [
            (GOOD, true),
            (" 00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00\t", true),
            (later.as_str(), true),
            (&format!("{later}-what-the-future-will-be-like"), true),
            (&format!("{GOOD}-more"), false),
            (&format!("{GOOD}-"), false),
            (&format!("{later}.what"), false),
            (&GOOD.replacen("00", "ff", 1), false),
            (&GOOD.replacen("00", "0", 1), false),
            (&GOOD.to_uppercase(), false),
            ("00-00000000000000000000000000000000-00f067aa0ba902b7-01", false),
            ("00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01", false),
            ("00-4bf92f3577b34da6a3ce929d0e0e473-00f067aa0ba902b7-01", false),
            ("00-4bf92f3577b34da6a3ce929d0e0e4736-+0f067aa0b0902b7-01", false),
            ("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7", false),
            ("", false),
        ] {
            assert_eq!(TraceContext::parse(text, None).is_some(), is_good, "{text:?}");
        }
    }

    #[test]
    fn a_state_is_passed_along_or_left_out() {
        for (state, kept) in [
            (Some("rojo=00f067aa0ba902b7,congo=t61rcWkgMzE"), Some("rojo=00f067aa0ba902b7,congo=t61rcWkgMzE")),
            (Some(" a=1 "), Some("a=1")),
            (Some(""), None),
            (Some("a=1\r\nx: y"), None),
            (Some("a=ü"), None),
            (Some(&"a=1,".repeat(200)), None),
            (None, None),
        ] {
            let context = TraceContext::parse(GOOD, state).unwrap();
            assert_eq!(context.state(), kept, "{state:?}");
            assert_eq!(context.child().state(), kept);
        }
    }

    #[test]
    fn a_child_is_of_the_same_trace_and_has_another_parent() {
        let context = TraceContext::parse(GOOD, None).unwrap();
        assert_eq!(context.to_string(), GOOD);
        let child = context.child();
        assert_eq!(child.trace_id(), "4bf92f3577b34da6a3ce929d0e0e4736");
        assert_ne!(child, context);
        assert_ne!(TraceContext::generate().trace_id(), TraceContext::generate().trace_id());
    }

    proptest! {
        #[test]
        fn what_is_written_can_be_read(trace_id in 1_u128.., parent_id in 1_u64.., flags in 0_u8..2) {
            let context = TraceContext { trace_id, parent_id, flags, state: None };
            prop_assert_eq!(TraceContext::parse(&context.to_string(), None), Some(context));
        }

        #[test]
        fn nothing_panics_and_what_is_read_is_passed_on_well_formed(parent in ".{0,80}", state in ".{0,600}") {
            for text in [parent, format!("{GOOD}{state}")] {
                if let Some(context) = TraceContext::parse(&text, Some(&state)) {
                    prop_assert_eq!(context.to_string().len(), 55);
                    prop_assert!(context.state().is_none_or(|state| state.len() <= MAX_STATE));
                }
            }
        }
    }
}
