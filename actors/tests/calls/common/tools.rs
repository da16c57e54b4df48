//! HTTP tools without HTTP.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures_util::future::LocalBoxFuture;
use trunkline_actors::ports::{ToolCall, ToolCaller};

type Answer = (Duration, Result<String, String>);

#[derive(Default)]
struct Script {
    answers: VecDeque<Answer>,
    calls: Vec<(String, String)>,
}

/// Answers by a script, and keeps what it was called with. Clones share it.
#[derive(Clone, Default)]
pub struct MemoryTools(Arc<Mutex<Script>>);

impl MemoryTools {
    pub fn then(&self, delay_ms: u64, answer: Result<&str, &str>) {
        let answer = answer.map(str::to_owned).map_err(str::to_owned);
        self.0.lock().unwrap().answers.push_back((Duration::from_millis(delay_ms), answer));
    }

    /// Names and arguments.
    pub fn calls(&self) -> Vec<(String, String)> {
        self.0.lock().unwrap().calls.clone()
    }
}

impl ToolCaller for MemoryTools {
    fn call(&self, call: ToolCall) -> LocalBoxFuture<'static, Result<String, String>> {
        let mut script = self.0.lock().unwrap();
        script.calls.push((call.name, call.arguments));
        let (delay, answer) = script.answers.pop_front().unwrap_or((Duration::ZERO, Ok("{}".to_owned())));
        Box::pin(async move {
            tokio::time::sleep(delay).await;
            answer
        })
    }
}
