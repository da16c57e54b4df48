//! A disturbed stream of SRTP and SRTCP: each packet is taken at most once and as it was sent, a changed one never; any
//! bytes are no packet and stay as they are.
#![no_main]

use std::collections::HashSet;

use arbitrary::Arbitrary;
use bytes::BytesMut;
use libfuzzer_sys::fuzz_target;
use trunkline_sip::srtp::{FreshKey, Protect, Sdes, SrtpError, Suite, Unprotect, WINDOW};

#[derive(Arbitrary, Debug)]
enum Step {
    /// A packet that many further on, of one of four sources.
    Send {
        source: u8,
        gap: u16,
        extras: u8,
        payload: Vec<u8>,
    },
    Report {
        source: u8,
        payload: Vec<u8>,
    },
    /// One of those sent arrives, perhaps again.
    Deliver {
        which: u16,
    },
    /// One of them arrives changed.
    Disturb {
        which: u16,
        at: u16,
        bits: u8,
    },
    Forge {
        bytes: Vec<u8>,
        is_report: bool,
    },
}

struct Sent {
    plain: BytesMut,
    protected: BytesMut,
    /// Source and packet number; `None` for a report.
    number: Option<(u8, u64)>,
}

fuzz_target!(|input: (u8, Vec<Step>)| {
    let (suite, steps) = input;
    let suite = Suite::ALL[usize::from(suite) % Suite::ALL.len()];
    let sdes = Sdes::generate(suite, &FreshKey::new([7; 32], [9; 14]));
    let (mut protect, mut unprotect) = (Protect::new(&sdes), Unprotect::new(&sdes));
    let mut next = [0_u64; 4];
    let mut newest = [None::<u64>; 4];
    let (mut sent, mut taken) = (Vec::<Sent>::new(), HashSet::new());
    for step in steps.into_iter().take(2_000) {
        match step {
            Step::Send { source, gap, extras, payload } => {
                let source = source & 3;
                // By more than half of the sequence numbers nobody could follow.
                let number = next[usize::from(source)] + u64::from(gap >> 2);
                next[usize::from(source)] = number + 1;
                let plain = rtp(source, number, extras, &payload);
                let mut protected = plain.clone();
                protect.protect_rtp(&mut protected).expect("a packet of ours");
                sent.push(Sent { plain, protected, number: Some((source, number)) });
            }
            Step::Report { source, payload } => {
                let mut plain = BytesMut::from(&[0x80, 201, 0, 1, 0, 0, 0, source & 3][..]);
                plain.extend_from_slice(&payload);
                let mut protected = plain.clone();
                protect.protect_rtcp(&mut protected).expect("a report of ours");
                sent.push(Sent { plain, protected, number: None });
            }
            Step::Deliver { which } => {
                let at = usize::from(which) % sent.len().max(1);
                let Some(Sent { plain, protected, number }) = sent.get(at) else { continue };
                let mut packet = protected.clone();
                let Some((source, number)) = *number else {
                    match unprotect.unprotect_rtcp(&mut packet) {
                        Ok(()) => assert!(taken.insert(at) && packet == plain),
                        Err(SrtpError::Replayed { .. }) => assert!(taken.contains(&at)),
                        Err(why) => assert!(matches!(why, SrtpError::TooOld { .. }), "{why}"),
                    }
                    continue;
                };
                let newest = &mut newest[usize::from(source)];
                // From further away than half of the sequence numbers, or from before the first, ahead looks like behind.
                if newest.map_or(number >= 0x1_0000, |newest| number.abs_diff(newest) >= 0x8000) {
                    continue;
                }
                match unprotect.unprotect_rtp(&mut packet) {
                    Ok(()) => {
                        assert!(taken.insert(at) && packet == plain);
                        *newest = Some(newest.map_or(number, |newest| newest.max(number)));
                    }
                    Err(SrtpError::Replayed { index }) => assert!(index == number && taken.contains(&at)),
                    Err(SrtpError::TooOld { index }) => {
                        assert!(index == number && newest.is_some_and(|newest| number + WINDOW <= newest));
                    }
                    Err(why) => panic!("{why}"),
                }
            }
            Step::Disturb { which, at, bits } => {
                let which = usize::from(which) % sent.len().max(1);
                let Some(Sent { protected, number, .. }) = sent.get(which) else { continue };
                let mut packet = protected.clone();
                let at = usize::from(at) % packet.len();
                packet[at] ^= bits.max(1);
                refuses(&mut unprotect, packet, number.is_none());
            }
            Step::Forge { bytes, is_report } => refuses(&mut unprotect, BytesMut::from(&bytes[..]), is_report),
        }
    }
});

fn refuses(unprotect: &mut Unprotect, mut packet: BytesMut, is_report: bool) {
    let as_it_was = packet.clone();
    let judged = if is_report { unprotect.unprotect_rtcp(&mut packet) } else { unprotect.unprotect_rtp(&mut packet) };
    assert!(judged.is_err());
    assert_eq!(packet, as_it_was);
}

/// With contributing sources and an extension, as `extras` says.
fn rtp(source: u8, number: u64, extras: u8, payload: &[u8]) -> BytesMut {
    let mut packet = BytesMut::from(&[0x80 | extras & 0x1F, 0][..]);
    packet.extend_from_slice(&(number as u16).to_be_bytes());
    packet.extend_from_slice(&[0, 0, 0, 0, 0, 0, 0, source]);
    packet.extend_from_slice(&[1; 60][..4 * usize::from(extras & 0x0F)]);
    if extras & 0x10 != 0 {
        packet.extend_from_slice(&[0xBE, 0xDE, 0, 1, 0, 0, 0, 0]);
    }
    packet.extend_from_slice(payload);
    packet
}
