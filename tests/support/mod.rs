//! What the tests of the whole service share: the built binary as a child process, a telephone, a model played by the
//! test, plain HTTP. Nothing here uses the service's own code but its sound tables.

#![allow(dead_code, reason = "every test binary uses its own part")]
#![allow(clippy::print_stdout, reason = "the test runner keeps what a test prints and shows it if the test fails")]

pub mod chime;
pub mod http;
pub mod model;
pub mod phone;
pub mod process;
pub mod sound;
pub mod twilio;

use std::future::Future;
use std::time::Duration;

/// How long anything that must happen may take on a busy machine.
pub const PATIENCE: Duration = Duration::from_secs(15);

/// Waits for `future`, and says what was waited for if it does not come.
pub async fn within<T>(limit: Duration, what: &str, future: impl Future<Output = T>) -> T {
    match tokio::time::timeout(limit, future).await {
        Ok(value) => value,
        Err(_) => panic!("waited {limit:?} in vain for {what}"),
    }
}
