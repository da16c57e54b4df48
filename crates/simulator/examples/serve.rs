//! The simulator alone, for trying clients against it: `cargo run -p trunkline-simulator --example serve -- ADDR [SESSION_SECONDS]`.

use std::error::Error;
use std::io::Write;

use trunkline_simulator::{SimOptions, SimServer};

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let addr = arguments.next().unwrap_or_else(|| "127.0.0.1:8090".to_owned()).parse()?;
    let mut options = SimOptions::default();
    if let Some(seconds) = arguments.next() {
        options.session_seconds = seconds.parse()?;
    }
    actix_web::rt::System::new().block_on(async move {
        let server = SimServer::bind(addr, options)?;
        writeln!(std::io::stdout(), "listening sim {}", server.addr())?;
        server.run().await?;
        Ok(())
    })
}
