//! The real simulator behind the in-memory transport.

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;

use serde_json::Value;
use tokio::time::Instant;
use trunkline_actors::memory_transport::MemoryServer;
use trunkline_actors::ports::{Incoming, Outgoing};
use trunkline_simulator::{Dialect, Out, Records, SessionStart, SimOptions, SimSession};

use super::{Bench, now_ms, unix_now_ms};

/// What the simulator got, appends apart: connection, virtual ms, event.
pub type Received = Rc<RefCell<Vec<(usize, u64, Value)>>>;

/// Answers every connection of the bench with a simulated session.
pub fn serve(bench: &Bench, options: SimOptions) -> Received {
    let received = Received::default();
    let (transport, log) = (bench.transport.clone(), received.clone());
    let options = Arc::new(options);
    let records = Records::new(0);
    actix_rt::spawn(async move {
        loop {
            let server = transport.accepted().await;
            actix_rt::spawn(drive(server, Arc::clone(&options), records.clone(), log.clone()));
        }
    });
    received
}

async fn drive(mut server: MemoryServer, options: Arc<SimOptions>, records: Records, log: Received) {
    let number = server.number();
    let mut out = Vec::new();
    let start = SessionStart {
        dialect: Dialect::AzureGa,
        model: "gpt-realtime".to_owned(),
        number: number as u32 + 1,
        beta_header: false,
    };
    let unix_now = unix_now_ms() / 1_000;
    let mut session = SimSession::open(options, records, start, Instant::now().into_std(), unix_now, &mut out);
    loop {
        for frame in out.drain(..) {
            match frame {
                Out::Text(text) => server.text(text),
                Out::Binary(_) => server.push(Incoming::Undecodable),
                Out::Close { code, reason } => return server.close(code, &reason),
                Out::Abort => return,
                Out::Stall => {
                    server.answer_pings(false);
                    server.stall(true);
                    return std::future::pending().await;
                }
            }
        }
        let Some(due) = session.next_due() else { return };
        tokio::select! {
            biased;
            message = server.next() => match message {
                None => return,
                Some(Outgoing::Text(text)) => {
                    if !text.contains("input_audio_buffer.append") {
                        log.borrow_mut().push((number, now_ms(), serde_json::from_str(&text).unwrap()));
                    }
                    session.handle_text(Instant::now().into_std(), &text, &mut out);
                }
                Some(_) => {}
            },
            () = tokio::time::sleep_until(Instant::from_std(due)) => session.poll(Instant::now().into_std(), &mut out),
        }
    }
}

/// Events of one type, with connection and time.
pub fn of(received: &Received, kind: &str) -> Vec<(usize, u64, Value)> {
    received.borrow().iter().filter(|(_, _, event)| event["type"] == kind).cloned().collect()
}
