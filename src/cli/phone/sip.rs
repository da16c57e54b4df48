//! The telephone by SIP and RTP: calls as a telephone behind any SIP server does, a Voice Connector's caller for one.
//!
//! Names are looked up as addresses; the NAPTR and SRV records of RFC 3263 are not asked for. Nothing is registered.

mod address;
mod line;
mod media;
#[cfg(test)]
mod tests;

use std::ops::RangeInclusive;
use std::pin::{Pin, pin};
use std::time::Duration;

use bytes::Bytes;
use tokio::time::{Instant, sleep_until};
use trunkline_call::CallId;
use trunkline_sip::sdp::Agreement;
use trunkline_sip::ua::Ended;

use self::address::Address;
use self::line::{Line, Said};
use self::media::Media;
use super::{Caller, Doing, GOODBYE_TIMEOUT, PhoneError, PhoneOptions, PhoneReport, Progress, TICK, generated_id};
use crate::sip::{Ports, fresh_key, local_media};

/// Without any sign of life for so long nobody is there. (Signs are provisional answers too: ringing may last.)
const NO_SIGN: Duration = Duration::from_secs(10);

/// Our last word goes out, and copies of what it answers are answered.
const LAST_WORD: Duration = Duration::from_millis(200);

/// UDP ports for media begin somewhere in here, never at the same for every call on this host: late packets of the call
/// before find nobody. Away from those that systems give to whoever asks for any, and from Trunkline's own.
const FIRST_RTP_PORT: RangeInclusive<u16> = 20_000..=30_000;
const LAST_RTP_PORT: u16 = 32_767;

/// Whether an address is one of SIP's.
#[must_use]
pub fn is_sip(url: &str) -> bool {
    let scheme = url.split_once(':').map_or("", |(scheme, _)| scheme);
    scheme.eq_ignore_ascii_case("sip") || scheme.eq_ignore_ascii_case("sips")
}

/// One call by SIP, see [`super::place_call`].
pub(super) async fn place_call(options: PhoneOptions) -> Result<PhoneReport, PhoneError> {
    let address = Address::parse(&options.url)?;
    let call_id = options.call_id.clone().unwrap_or_else(generated_id);
    CallId::parse(&call_id).map_err(|error| PhoneError::BadUrl { what: error.to_string() })?;
    let mut interrupt = pin!(interrupted());
    let mut line = Line::open(&address, &options).await?;
    let result = converse(options, &address, call_id, &mut line, interrupt.as_mut()).await;
    line.linger(LAST_WORD).await;
    result
}

/// Ctrl-C.
async fn interrupted() {
    if tokio::signal::ctrl_c().await.is_err() {
        std::future::pending().await
    }
}

async fn converse(
    mut options: PhoneOptions,
    address: &Address,
    call_id: String,
    line: &mut Line,
    mut interrupt: Pin<&mut impl Future<Output = ()>>,
) -> Result<PhoneReport, PhoneError> {
    let pair = Ports::new(fastrand::u16(FIRST_RTP_PORT)..=LAST_RTP_PORT).take(line.local);
    let pair = pair.ok_or_else(|| PhoneError::Unreachable { what: "no UDP port is free for media".to_owned() })?;
    let mut agreement = Agreement::offering(local_media(line.local, pair.port, address.is_secure()));
    line.invite(address, &call_id, agreement.to_sdp());
    let agreed = match ring(line, interrupt.as_mut()).await?.map(|answer| agreement.answered(&answer)) {
        Some(Ok(agreed)) => agreed,
        unusable => {
            line.hang_up(GOODBYE_TIMEOUT).await;
            let what = unusable.and_then(Result::err).map_or_else(|| "no SDP".to_owned(), |error| error.to_string());
            return Err(PhoneError::Lost { after: Duration::ZERO, what: format!("answered without media: {what}") });
        }
    };

    let mut report = PhoneReport::new(call_id, agreed.codec.line());
    let caller = Caller::new(std::mem::take(&mut options.words), options.patience);
    let mut media = Media::new(&agreed, pair, caller)?;
    let start = Instant::now();
    let mut ticks = 0_u32;
    let ended = loop {
        let at = start + TICK * ticks;
        tokio::select! {
            biased;
            () = sleep_until(at) => {
                let doing = media.tick(at, &mut report);
                if doing == Doing::Done {
                    break None;
                }
                if ticks.is_multiple_of(50) {
                    (options.progress)(&progress(&media, &report, TICK * ticks));
                }
                ticks += 1;
            }
            said = line.next() => {
                if let Some(ended) = heard(&mut agreement, said, line, &mut media, &mut report) {
                    break Some(ended);
                }
            }
            from = media.packet() => media.take(from, &report),
            () = interrupt.as_mut() => break None,
        }
    };
    report.duration = start.elapsed();
    media.finish(&mut report);
    match ended {
        None => {
            report.hung_up = true;
            line.hang_up(GOODBYE_TIMEOUT).await;
            Ok(report)
        }
        Some((Ended::Bye, reason)) => {
            report.stop_reason = Some(reason.unwrap_or_else(|| "BYE".to_owned()));
            Ok(report)
        }
        Some((why, _)) => Err(PhoneError::Lost { after: report.duration, what: meaning(why).to_owned() }),
    }
}

/// Waits for the answer: its SDP.
async fn ring(line: &mut Line, mut interrupt: Pin<&mut impl Future<Output = ()>>) -> Result<Option<Bytes>, PhoneError> {
    let deadline = Instant::now() + NO_SIGN;
    let unreachable = |what: &str| Err(PhoneError::Unreachable { what: what.to_owned() });
    loop {
        tokio::select! {
            said = line.next() => match said {
                Said::Answered(sdp) => return Ok(sdp),
                Said::Ended(Ended::Refused(code), _) => return Err(line.refusal(code)),
                Said::Ended(why, _) => return unreachable(meaning(why)),
                Said::Changed(_) | Said::Info(_) => {}
            },
            () = sleep_until(deadline), if !line.is_there => {
                return unreachable("no answer within 10 s: nobody is there, or strangers get none (sip.allowed_networks)");
            }
            () = interrupt.as_mut() => {
                line.hang_up(GOODBYE_TIMEOUT).await;
                return unreachable("taken back before anybody answered");
            }
        }
    }
}

/// Takes what the far end says in the call; returns its end.
fn heard(
    agreement: &mut Agreement,
    said: Said,
    line: &mut Line,
    media: &mut Media,
    report: &mut PhoneReport,
) -> Option<(Ended, Option<String>)> {
    match said {
        Said::Ended(why, reason) => return Some((why, reason)),
        Said::Info(info) => report.notes.push(format!("INFO {info}")),
        Said::Changed(None) => {
            agreement.offer_again(fresh_key());
            line.answer_change(Ok(agreement.to_sdp().into()));
        }
        Said::Changed(Some(sdp)) => match agreement.changed(&sdp, fresh_key()) {
            Ok(agreed) => {
                media.leg.change(&agreed);
                report.notes.push(format!("media changed: {}", agreed.direction.name()));
                line.answer_change(Ok(agreement.to_sdp().into()));
            }
            Err(error) => {
                report.notes.push(format!("media not changed: {error}"));
                line.answer_change(Err(488));
            }
        },
        // An offer of ours, or a refresh, that was answered with something new.
        Said::Answered(Some(sdp)) => {
            if let Ok(agreed) = agreement.answered(&sdp) {
                media.leg.change(&agreed);
            }
        }
        Said::Answered(None) => {}
    }
    None
}

const fn meaning(why: Ended) -> &'static str {
    match why {
        Ended::Bye => "the far end hung up",
        Ended::HungUp | Ended::Cancelled => "hung up",
        Ended::Refused(_) => "refused",
        Ended::TransportLost => "the connection was closed",
        Ended::SessionExpired | Ended::NoAck => "the far end gave no sign of life",
        Ended::Failed => "nobody answered",
    }
}

fn progress(media: &Media, report: &PhoneReport, elapsed: Duration) -> Progress {
    Progress {
        elapsed,
        doing: media.caller.doing(),
        frames_out: report.frames_out,
        frames_in: media.leg.fares().received,
        fallback: false,
    }
}
