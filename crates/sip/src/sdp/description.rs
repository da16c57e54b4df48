use std::fmt::Write;
use std::net::IpAddr;

use super::crypto::Crypto;
use super::offer::MediaLine;
use super::{Codec, Direction, PTIME_MS, Profile};

/// What we say of our audio, as an offer or as an answer. One call says one session's description, in versions.
///
/// `Debug` does not show keys; what [`Description::write`] writes does, and belongs into SIP alone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Description {
    pub(super) session_id: u64,
    pub(super) version: u64,
    pub(super) address: IpAddr,
    pub(super) port: u16,
    pub(super) profile: Profile,
    /// With their payload types, the better one first.
    pub(super) codecs: Vec<(Codec, u8)>,
    pub(super) telephone_event: Option<u8>,
    pub(super) direction: Direction,
    pub(super) crypto: Option<Crypto>,
    /// The media that we refuse: all `m=` lines but ours.
    pub(super) refused: Vec<MediaLine>,
    /// How many of those stand before ours.
    pub(super) position: usize,
}

impl Description {
    /// Counts from 1, and goes up only when something else is said than before.
    #[must_use]
    pub const fn version(&self) -> u64 {
        self.version
    }

    /// As we see it.
    #[must_use]
    pub const fn direction(&self) -> Direction {
        self.direction
    }

    /// RTP or SRTP.
    #[must_use]
    pub const fn profile(&self) -> Profile {
        self.profile
    }

    /// The SDP, of type `application/sdp`.
    #[must_use]
    pub fn to_sdp(&self) -> String {
        let mut out = String::with_capacity(512);
        self.write(&mut out);
        out
    }

    /// Appends the SDP.
    pub fn write(&self, out: &mut String) {
        // Writing to a String does not fail.
        let _ = self.write_session(out);
        self.refused.iter().take(self.position).for_each(|line| line.write(out));
        let _ = self.write_audio(out);
        self.refused.iter().skip(self.position).for_each(|line| line.write(out));
    }

    fn write_session(&self, out: &mut String) -> std::fmt::Result {
        let (family, address) = (family(self.address), self.address);
        write!(out, "v=0\r\no=- {} {} IN {family} {address}\r\ns=-\r\n", self.session_id, self.version)?;
        write!(out, "c=IN {family} {address}\r\nt=0 0\r\n")
    }

    fn write_audio(&self, out: &mut String) -> std::fmt::Result {
        write!(out, "m=audio {} {}", self.port, self.profile.name())?;
        for number in self.codecs.iter().map(|(_, number)| number).chain(&self.telephone_event) {
            write!(out, " {number}")?;
        }
        out.push_str("\r\n");
        for (codec, number) in &self.codecs {
            write!(out, "a=rtpmap:{number} {}/8000\r\n", codec.name())?;
        }
        if let Some(number) = self.telephone_event {
            // The keys of a telephone (RFC 4733, section 3.2).
            write!(out, "a=rtpmap:{number} telephone-event/8000\r\na=fmtp:{number} 0-15\r\n")?;
        }
        write!(out, "a=ptime:{PTIME_MS}\r\na={}\r\n", self.direction.name())?;
        if let Some(crypto) = &self.crypto {
            out.push_str("a=crypto:");
            crypto.write(out);
            out.push_str("\r\n");
        }
        Ok(())
    }
}

impl MediaLine {
    fn write(&self, out: &mut String) {
        let _ = write!(out, "m={} 0 {} {}\r\n", self.kind, self.protocol, self.format);
    }
}

pub(super) const fn family(address: IpAddr) -> &'static str {
    match address {
        IpAddr::V4(_) => "IP4",
        IpAddr::V6(_) => "IP6",
    }
}
