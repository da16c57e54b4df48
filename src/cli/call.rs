//! `trunkline call`: the telephone against any running service.

use std::path::{Path, PathBuf};

use clap::Args;

use super::phone::{self, Doing, Patience, PhoneError, PhoneOptions, PhoneReport, Progress, wav};
use super::{Failure, demo, print, say};
use crate::settings::{LogFormat, Secret, SipAccount};
use crate::telemetry;

/// Environment variable with the secret of `/ingest`.
const SECRET: &str = "TRUNKLINE_SECRET";

/// Environment variables with whom a SIP server knows, and his password.
const SIP_USERNAME: &str = "TRUNKLINE_SIP_USERNAME";
const SIP_PASSWORD: &str = "TRUNKLINE_SIP_PASSWORD";

/// Environment variable with further certificate authorities (PEM), as OpenSSL's programs take it.
const CA_FILE: &str = "SSL_CERT_FILE";

#[derive(Debug, Args)]
pub(super) struct CallArgs {
    /// Whom to call: ws://HOST:PORT/ingest or wss://... (further query parameters of /ingest may follow), or by SIP
    /// sip:NUMBER@HOST[:PORT][;transport=udp|tcp|tls] or sips:... (SRTP where SIP goes over TLS; SSL_CERT_FILE adds
    /// certificate authorities; a password comes from TRUNKLINE_SIP_USERNAME and TRUNKLINE_SIP_PASSWORD)
    #[arg(value_name = "ADDRESS", required_unless_present = "url", conflicts_with = "url")]
    address: Option<String>,
    /// The same as ADDRESS
    #[arg(long, value_name = "ADDRESS")]
    url: Option<String>,
    /// What the caller says (16-bit PCM, mu-law or A-law WAV); without it a bundled sentence
    #[arg(long, value_name = "IN.wav")]
    wav: Option<PathBuf>,
    /// Where to write what the caller heard (8 kHz mono 16-bit WAV)
    #[arg(long, value_name = "HEARD.wav")]
    out: Option<PathBuf>,
    /// Call id; made up without it
    #[arg(long, value_name = "ID")]
    call_id: Option<String>,
}

pub(super) fn run(args: CallArgs) -> Result<(), Failure> {
    telemetry::init(LogFormat::Pretty, "warn").map_err(Failure::job)?;
    let given = if args.url.is_some() { "--url" } else { "ADDRESS" };
    let url = args.url.or(args.address).unwrap_or_default();
    let by_sip = phone::sip::is_sip(&url);
    let options = PhoneOptions {
        url,
        call_id: args.call_id,
        // A SIP server is no /ingest: it does not get the secret.
        secret: if by_sip { None } else { secret()? },
        account: account()?,
        ca_file: std::env::var_os(CA_FILE).filter(|file| !file.is_empty()).map(PathBuf::from),
        words: words(args.wav.as_deref())?,
        patience: Patience::default(),
        progress: Box::new(|progress| say(&progress_line(progress))),
    };
    let report = actix_rt::System::new().block_on(phone::place_call(options));
    let report = report.map_err(|error| failure(given, error))?;
    show(&report, args.out.as_deref())?;
    if by_sip && report.sound_ms == 0 {
        return Err(Failure::Job("nothing was heard".to_owned()));
    }
    Ok(())
}

/// What the caller says: the file, or the bundled sentence.
pub(super) fn words(file: Option<&Path>) -> Result<Vec<i16>, Failure> {
    match file {
        // A file that cannot be used is wrong usage.
        Some(path) => wav::read(path).map_err(|error| Failure::Usage(format!("--wav {error}"))),
        None => demo::bundled_words(),
    }
}

/// Writes the recording and prints the telephone's table.
pub(super) fn show(report: &PhoneReport, out: Option<&Path>) -> Result<(), Failure> {
    if let Some(path) = out {
        wav::write(path, &report.heard).map_err(Failure::job)?;
    }
    let table = format!("at the telephone\n{report}");
    print(table.trim_end()).map_err(Failure::job)?;
    if let Some(path) = out {
        print(&format!("  {:<18}{}", "heard", path.display())).map_err(Failure::job)?;
    }
    Ok(())
}

/// A bad address is wrong usage, everything else a job that failed.
fn failure(given: &str, error: PhoneError) -> Failure {
    match error {
        PhoneError::BadUrl { .. } => Failure::Usage(format!("{given}: {error}")),
        _ => Failure::job(error),
    }
}

pub(super) fn progress_line(progress: &Progress) -> String {
    let doing = match progress.doing {
        Doing::Speaking => "speaking",
        Doing::Waiting => "waiting",
        Doing::Listening => "listening",
        Doing::Done => "hanging up",
    };
    let fallback = if progress.fallback { ", the model is away" } else { "" };
    format!(
        "{:>4} s  {doing:<10} {:>6} frames out, {:>6} in{fallback}",
        progress.elapsed.as_secs(),
        progress.frames_out,
        progress.frames_in
    )
}

fn account() -> Result<Option<SipAccount>, Failure> {
    let read = |name| std::env::var(name).ok().filter(|value| !value.is_empty());
    match (read(SIP_USERNAME), read(SIP_PASSWORD)) {
        (Some(username), Some(password)) => Ok(Some(SipAccount { username, password: Secret::new(password) })),
        (None, None) => Ok(None),
        _ => Err(Failure::Usage(format!("{SIP_USERNAME} and {SIP_PASSWORD} go together: both or neither"))),
    }
}

fn secret() -> Result<Option<Secret>, Failure> {
    let Some(secret) = std::env::var_os(SECRET).filter(|secret| !secret.is_empty()) else {
        return Ok(None);
    };
    let sendable = |secret: &String| secret.bytes().all(|byte| (0x20..0x7F).contains(&byte));
    match secret.into_string().ok().filter(sendable) {
        Some(secret) => Ok(Some(Secret::new(secret))),
        None => Err(Failure::Usage(format!(
            "{SECRET} holds a character that cannot be sent in a header; allowed: printable ASCII"
        ))),
    }
}
