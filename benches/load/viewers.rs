//! What it costs the service that operators watch: viewers of `/admin/live` come and go while the calls go on.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::thread;
use std::time::{Duration, Instant};

use crate::report::median;
use crate::rig::Trouble;
use crate::rig::process::Usage;

/// One state of affairs lasts so long ...
const SLICE: Duration = Duration::from_secs(6);
/// ... and is measured after so much of it: connections and first pictures are past.
const SETTLED: Duration = Duration::from_secs(1);

/// What viewers do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Viewing {
    Nobody,
    Reading,
    /// They are connected and read nothing.
    Frozen,
}

/// CPU of the service in percent of a core, a number for each slice.
#[derive(Debug, Default)]
pub struct Costs {
    nobody: Vec<f64>,
    reading: Vec<f64>,
    frozen: Vec<f64>,
    /// Bytes that one viewer was sent in a second.
    bytes: u64,
    seconds: f64,
}

impl Costs {
    /// Medians over the slices: nobody, and as ratios to that: reading, frozen.
    pub fn ratios(&self) -> Option<(f64, f64, f64)> {
        let [nobody, reading, frozen] = [&self.nobody, &self.reading, &self.frozen].map(|list| median(list.clone()));
        let nobody = nobody?;
        Some((nobody, reading? / nobody, frozen? / nobody))
    }

    /// KiB that a viewer is sent in a second.
    pub fn kib_per_s(&self) -> f64 {
        self.bytes as f64 / 1_024.0 / self.seconds.max(1.0)
    }
}

/// Takes turns between nobody, `count` viewers who read and as many who do not, until `until`.
pub fn watch(admin: SocketAddr, pid: u32, count: u32, (from, until): (Instant, Instant)) -> Result<Costs, Trouble> {
    let mut costs = Costs::default();
    let rounds = [Viewing::Nobody, Viewing::Reading, Viewing::Nobody, Viewing::Frozen];
    let wait = |until: Instant| thread::sleep(until.saturating_duration_since(Instant::now()));
    for (number, viewing) in (0..).zip(rounds.into_iter().cycle()) {
        let begin = from + SLICE * number;
        if begin + SLICE > until {
            break;
        }
        wait(begin);
        let sockets = match viewing {
            Viewing::Nobody => Vec::new(),
            Viewing::Reading | Viewing::Frozen => {
                (0..count).map(|_| open(admin)).collect::<Result<Vec<_>, Trouble>>()?
            }
        };
        let readers: Vec<_> = match viewing {
            Viewing::Reading => sockets.iter().map(read_all).collect::<Result<_, Trouble>>()?,
            Viewing::Nobody | Viewing::Frozen => Vec::new(),
        };
        wait(begin + SETTLED);
        let (before, since) = (Usage::of(pid).cpu_s, Instant::now());
        wait(begin + SLICE);
        let cpu = (Usage::of(pid).cpu_s - before) / since.elapsed().as_secs_f64() * 100.0;
        for socket in &sockets {
            let _gone_already = socket.shutdown(std::net::Shutdown::Both);
        }
        for reader in readers {
            costs.bytes += reader.join().unwrap_or_default() / u64::from(count.max(1));
            costs.seconds += SLICE.as_secs_f64() / f64::from(count.max(1));
        }
        match viewing {
            Viewing::Nobody => costs.nobody.push(cpu),
            Viewing::Reading => costs.reading.push(cpu),
            Viewing::Frozen => costs.frozen.push(cpu),
        }
    }
    Ok(costs)
}

fn open(admin: SocketAddr) -> Result<TcpStream, Trouble> {
    let trouble = |error: std::io::Error| Trouble(format!("GET /admin/live: {error}"));
    let mut socket = TcpStream::connect(admin).map_err(trouble)?;
    let key = "dGhlIHNhbXBsZSBub25jZQ==";
    write!(
        socket,
        "GET /admin/live HTTP/1.1\r\nHost: {admin}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {key}\r\n\r\n"
    )
    .map_err(trouble)?;
    Ok(socket)
}

/// Reads in a thread until the socket ends; gives how much came.
fn read_all(socket: &TcpStream) -> Result<thread::JoinHandle<u64>, Trouble> {
    let mut socket = socket.try_clone().map_err(|error| Trouble(error.to_string()))?;
    Ok(thread::spawn(move || {
        let mut buffer = vec![0; 64 << 10];
        let mut bytes = 0;
        while let Ok(read @ 1..) = socket.read(&mut buffer) {
            bytes += read as u64;
        }
        bytes
    }))
}
