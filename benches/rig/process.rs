//! The processes under load, and what the kernel says of them.

use std::fs::{self, File};
use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{self, Receiver};
use std::thread;
use std::time::{Duration, Instant};

use super::Trouble;

/// How long a process may take to listen, and to end when asked.
const PATIENCE: Duration = Duration::from_secs(20);
/// Units of CPU time in /proc: `USER_HZ`, 100 on every Linux.
pub const TICKS_PER_S: f64 = 100.0;

/// A child of ours. Ended when dropped.
pub struct Process {
    name: &'static str,
    child: Child,
    lines: Receiver<String>,
}

impl Process {
    /// Starts `program` free of our own environment variables but these, its log in `log`.
    pub fn start(
        name: &'static str,
        program: &Path,
        arguments: &[&str],
        env: &[(&str, String)],
        log: &Path,
    ) -> Result<Self, Trouble> {
        let trouble = |what: std::io::Error| Trouble(format!("cannot start {name} ({}): {what}", program.display()));
        let mut command = Command::new(program);
        for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("TRUNKLINE")) {
            command.env_remove(name);
        }
        // In a directory without `config/local.toml`.
        command
            .args(arguments)
            .envs(env.iter().map(|(name, value)| (name, value)))
            .current_dir(env!("CARGO_TARGET_TMPDIR"));
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(File::create(log).map_err(trouble)?);
        let mut child = command.spawn().map_err(trouble)?;
        let (sender, lines) = mpsc::channel();
        if let Some(stdout) = child.stdout.take() {
            thread::spawn(move || {
                for line in BufReader::new(stdout).lines().map_while(Result::ok) {
                    if sender.send(line).is_err() {
                        return;
                    }
                }
            });
        }
        Ok(Self { name, child, lines })
    }

    /// Addresses of the listeners `names`, in that order, once all of them accept.
    pub fn listening<const N: usize>(&mut self, names: [&str; N]) -> Result<[SocketAddr; N], Trouble> {
        let deadline = Instant::now() + PATIENCE;
        let mut found = [None; N];
        while found.iter().any(Option::is_none) {
            let left = deadline.saturating_duration_since(Instant::now());
            let line = self
                .lines
                .recv_timeout(left)
                .map_err(|_| Trouble(format!("{} does not listen, see its log", self.name)))?;
            let mut words = line.split(' ');
            if let (Some("listening"), Some(name), Some(addr), None) =
                (words.next(), words.next(), words.next(), words.next())
                && let Some((slot, _)) = found.iter_mut().zip(names).find(|(_, wanted)| *wanted == name)
            {
                *slot = addr.parse().ok();
            }
        }
        Ok(found.map(|addr| addr.unwrap_or(SocketAddr::from(([127, 0, 0, 1], 0)))))
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Asks for the end and waits for it; says whether it was a good one.
    pub fn stop(mut self) -> Result<(), Trouble> {
        let asked = Command::new("kill").arg("-TERM").arg(self.pid().to_string()).status();
        if asked.is_ok_and(|status| status.success()) {
            let deadline = Instant::now() + PATIENCE;
            while Instant::now() < deadline {
                match self.child.try_wait() {
                    Ok(Some(status)) if status.success() => return Ok(()),
                    Ok(Some(status)) => return Err(Trouble(format!("{} ended with {status}, see its log", self.name))),
                    _ => thread::sleep(Duration::from_millis(20)),
                }
            }
        }
        Err(Trouble(format!("{} did not end when asked", self.name)))
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ended_already = self.child.kill();
        let _ = self.child.wait();
    }
}

/// What a process has used so far.
#[derive(Clone, Copy, Debug, Default)]
pub struct Usage {
    /// CPU time of all threads, user and system, in seconds.
    pub cpu_s: f64,
    /// Time its threads were ready to run and had no CPU, in seconds.
    pub starved_s: f64,
    /// Resident memory in KiB.
    pub resident_kib: u64,
}

impl Usage {
    /// As far as the kernel tells; zeros for a process that is gone.
    pub fn of(pid: u32) -> Self {
        Self {
            cpu_s: cpu_s(pid).unwrap_or_default(),
            starved_s: starved_s(pid),
            resident_kib: resident_kib(pid).unwrap_or_default(),
        }
    }
}

fn cpu_s(pid: u32) -> Option<f64> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The second field is a name in brackets that may hold anything; user and system time are fields 14 and 15.
    let mut fields = stat.rsplit_once(')')?.1.split_whitespace().skip(11);
    let mut ticks = || fields.next()?.parse::<f64>().ok();
    Some((ticks()? + ticks()?) / TICKS_PER_S)
}

fn starved_s(pid: u32) -> f64 {
    let tasks = fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten().flatten();
    let waits = tasks.filter_map(|task| {
        let stat = fs::read_to_string(task.path().join("schedstat")).ok()?;
        stat.split_whitespace().nth(1)?.parse::<f64>().ok()
    });
    waits.sum::<f64>() / 1e9
}

fn resident_kib(pid: u32) -> Option<u64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    line.split_whitespace().next()?.parse().ok()
}
