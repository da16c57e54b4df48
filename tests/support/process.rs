//! The built binary as a child process.

use std::collections::HashMap;
use std::io::{BufRead, BufReader, Read};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::Value;
use tokio::sync::mpsc;
use tokio::time::Instant;

use super::http::{self, Answer};
use super::{PATIENCE, within};

/// A file name of this test run's own, below `target/`.
pub fn scratch(name: &str) -> PathBuf {
    static COUNT: AtomicUsize = AtomicUsize::new(0);
    let number = COUNT.fetch_add(1, Ordering::Relaxed);
    PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("{}-{number}-{name}", std::process::id()))
}

/// The binary with an environment free of our own variables, in a directory without `config/local.toml`.
pub fn trunkline(arguments: &[&str], env: &[(&str, &str)]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_trunkline"));
    for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("TRUNKLINE")) {
        command.env_remove(name);
    }
    command.args(arguments).envs(env.iter().copied()).current_dir(env!("CARGO_TARGET_TMPDIR")).stdin(Stdio::null());
    command
}

/// Runs a command to its end: exit code, stdout, stderr.
pub fn finish(arguments: &[&str], env: &[(&str, &str)]) -> (i32, String, String) {
    let output = trunkline(arguments, env).output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    (output.status.code().unwrap(), text(output.stdout), text(output.stderr))
}

/// A running child. Killed when dropped; what it logged is shown if the test fails.
pub struct Process {
    child: Child,
    stdout: Arc<Mutex<String>>,
    stderr: Arc<Mutex<String>>,
    lines: mpsc::UnboundedReceiver<String>,
}

impl Process {
    pub fn start(arguments: &[&str], env: &[(&str, &str)]) -> Self {
        let mut command = trunkline(arguments, env);
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let (sender, lines) = mpsc::unbounded_channel();
        let stdout = collect(child.stdout.take().unwrap(), Some(sender));
        let stderr = collect(child.stderr.take().unwrap(), None);
        Self { child, stdout, stderr, lines }
    }

    /// The next `listening NAME ADDR` lines, as many as `names`.
    pub async fn listening(&mut self, names: &[&str]) -> HashMap<String, SocketAddr> {
        let mut found = HashMap::new();
        while found.len() < names.len() {
            let Some(line) = within(PATIENCE, "a listener", self.lines.recv()).await else {
                panic!("the process ended: {}", self.stderr())
            };
            let words: Vec<&str> = line.split(' ').collect();
            assert_eq!((words.len(), words[0]), (3, "listening"), "{line}");
            assert!(names.contains(&words[1]), "{line}");
            found.insert(words[1].to_owned(), words[2].parse().unwrap());
        }
        found
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Sends a signal by name: `TERM`.
    pub fn signal(&self, name: &str) {
        let sent = Command::new("kill").arg(format!("-{name}")).arg(self.pid().to_string()).status().unwrap();
        assert!(sent.success());
    }

    pub fn is_running(&mut self) -> bool {
        self.child.try_wait().unwrap().is_none()
    }

    /// Waits for the end.
    pub async fn exit(&mut self, limit: Duration) -> ExitStatus {
        let deadline = Instant::now() + limit;
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status;
            }
            assert!(Instant::now() < deadline, "still running after {limit:?}");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    pub fn stdout(&self) -> String {
        self.stdout.lock().unwrap().clone()
    }

    pub fn stderr(&self) -> String {
        self.stderr.lock().unwrap().clone()
    }

    /// Resident memory in KiB.
    pub fn memory(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.pid())).unwrap();
        let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
        line.split_whitespace().nth(1).unwrap().parse().unwrap()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        if std::thread::panicking() {
            let log = self.stderr();
            let from = log.len().saturating_sub(12_000);
            let from = (from..log.len()).find(|at| log.is_char_boundary(*at)).unwrap_or(0);
            println!("--- log of process {} ---\n{}", self.pid(), &log[from..]);
        }
    }
}

fn collect(stream: impl Read + Send + 'static, lines: Option<mpsc::UnboundedSender<String>>) -> Arc<Mutex<String>> {
    let all = Arc::new(Mutex::new(String::new()));
    let text = Arc::clone(&all);
    std::thread::spawn(move || {
        for line in BufReader::new(stream).lines() {
            let Ok(line) = line else { return };
            text.lock().unwrap().push_str(&format!("{line}\n"));
            if let Some(lines) = &lines {
                let _ = lines.send(line);
            }
        }
    });
    all
}

/// The service on free ports.
pub struct Service {
    pub process: Process,
    pub media: SocketAddr,
    pub admin: SocketAddr,
}

impl Service {
    /// With the embedded simulator, unless `env` names another model.
    pub async fn start(env: &[(&str, &str)]) -> Self {
        Self::run(&["serve"], env).await
    }

    /// With a configuration file of that text.
    pub async fn configured(toml: &str, env: &[(&str, &str)]) -> Self {
        let path = scratch("trunkline.toml");
        std::fs::write(&path, toml).unwrap();
        Self::run(&["serve", "--config", path.to_str().unwrap()], env).await
    }

    /// With a model at `url`.
    pub async fn with_model(url: &str, env: &[(&str, &str)]) -> Self {
        let mut all = vec![("TRUNKLINE__REALTIME__URL", url), ("TRUNKLINE__REALTIME__API_KEY", "outside")];
        all.extend_from_slice(env);
        Self::start(&all).await
    }

    async fn run(arguments: &[&str], env: &[(&str, &str)]) -> Self {
        let mut all = vec![
            ("TRUNKLINE__MEDIA__LISTEN", "127.0.0.1:0"),
            ("TRUNKLINE__ADMIN__LISTEN", "127.0.0.1:0"),
            ("TRUNKLINE__LOG__FILTER", "info,trunkline=trace,trunkline_actors=debug"),
        ];
        all.extend_from_slice(env);
        let mut process = Process::start(arguments, &all);
        let has_model = |(name, url): &(&str, &str)| *name == "TRUNKLINE__REALTIME__URL" && *url != "simulator";
        let names: &[&str] = if env.iter().any(has_model) { &["media", "admin"] } else { &["media", "admin", "sim"] };
        let found = process.listening(names).await;
        Self { process, media: found["media"], admin: found["admin"] }
    }

    /// A request to the admin listener.
    pub async fn get(&self, path: &str) -> Answer {
        http::get(self.admin, path).await
    }

    /// A POST to the admin listener.
    pub async fn post(&self, path: &str) -> Answer {
        http::post(self.admin, path).await
    }

    /// A POST with a body to the admin listener.
    pub async fn post_body(&self, path: &str, body: &[u8]) -> Answer {
        http::send(self.admin, "POST", path, &[("Content-Type", "application/json")], body).await
    }

    /// One call's JSON.
    pub async fn call(&self, id: &str) -> Value {
        let answer = self.get(&format!("/admin/calls/{id}")).await;
        assert_eq!(answer.status, 200, "{answer:?}");
        answer.json()
    }

    /// Waits until one call's JSON is as wanted, and gives it.
    pub async fn call_when(&self, id: &str, what: &str, wanted: impl Fn(&Value) -> bool) -> Value {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let call = self.call(id).await;
            if wanted(&call) {
                return call;
            }
            assert!(Instant::now() < deadline, "call {id} is not {what}: {call:#}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// Waits for the end of a call.
    pub async fn ended(&self, id: &str) -> Value {
        self.call_when(id, "ended", |call| call["state"] == "ended").await
    }
}

/// `trunkline sim` on a free port.
pub struct Sim {
    pub process: Process,
    pub addr: SocketAddr,
}

impl Sim {
    pub async fn start(flags: &[&str]) -> Self {
        let arguments: Vec<&str> = ["sim", "--listen", "127.0.0.1:0"].iter().chain(flags).copied().collect();
        let mut process = Process::start(&arguments, &[]);
        let addr = process.listening(&["sim"]).await["sim"];
        Self { process, addr }
    }

    pub fn url(&self) -> String {
        format!("ws://{}/openai/v1/realtime?model=gpt-realtime", self.addr)
    }
}
