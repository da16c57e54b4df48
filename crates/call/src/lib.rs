//! The life of a call, without any IO: ids, routes, keys, fallback policy, pacing of connects, how calls end,
//! and the record that admin pages, log and tests read.
//!
//! Nothing here has a clock, a socket or a task. Machines take `now` as an argument and return what is to be done.

mod digits;
mod fallback;
mod glob;
mod id;
mod limits;
mod number;
mod pace;
mod record;
mod route;
mod termination;
pub mod token;
mod tools;
mod trace;

pub use digits::{DigitCollector, KEY_QUIET, MAX_KEYS};
pub use fallback::{
    ACCEPT_GUARD, FallbackAction, FallbackChannel, FallbackInput, FallbackPolicy, FallbackSettings, FallbackState,
    GOODBYE_GUARD, HUSH_GUARD, PROMPT_GUARD, SmaPrompt,
};
pub use glob::{BadGlob, Glob};
pub use id::{BadCallId, CallId};
pub use limits::CallLimits;
pub use number::mask_number;
pub use pace::{Backoff, ConnectGate};
pub use record::{
    BridgeStats, BridgeView, CallDetail, CallFacts, CallRecord, CallState, CallView, Direction, DownView, DropPlace,
    DropsView, FallbackStats, FallbackView, HistogramsView, LatencyView, LegStats, LinePoint, LongFact, MAX_FACT_BYTES,
    MAX_NOTE_BYTES, MAX_TIMELINE_ENTRIES, ModelStats, ModelStatus, ModelView, QuantilesView, RtpReading, RtpStats,
    RtpView, SeriesView, TimelineEntry, UpView, millis,
};
pub use route::{Route, RouteKind, RouteTable};
pub use termination::{CallResult, EndReason, Termination};
pub use tools::{BuiltIns, MAX_DTMF, MAX_TOOL_ARGUMENTS, ToolAction, ToolError, Toolbox};
pub use trace::TraceContext;
