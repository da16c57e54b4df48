//! What a stranger sends as trace context is read without panic, and passed on as the specification allows or not at all.
#![no_main]

use libfuzzer_sys::fuzz_target;

// The crate's own file: it needs nothing of the rest.
#[path = "../../crates/call/src/trace.rs"]
#[allow(dead_code, reason = "a crate uses what this target does not")]
mod trace;

use trace::TraceContext;

fuzz_target!(|headers: (&str, Option<&str>)| {
    let Some(context) = TraceContext::parse(headers.0, headers.1) else { return };
    let child = context.child();
    assert_eq!(child.trace_id(), context.trace_id());
    let again = TraceContext::parse(&child.to_string(), child.state());
    assert_eq!(again.map(|again| (again.trace_id(), again.to_string())), Some((child.trace_id(), child.to_string())));
    assert!(context.state().is_none_or(|state| state.len() <= 512 && state.is_ascii()));
});
