use bytes::{BufMut, BytesMut};

pub(super) const SENDER_REPORT: u8 = 200;
pub(super) const RECEIVER_REPORT: u8 = 201;
pub(super) const DESCRIPTION: u8 = 202;
pub(super) const GOODBYE: u8 = 203;
/// The item of a source description that is always there.
const CNAME: u8 = 1;

/// What one side received of the other (RFC 3550 section 6.4.1).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ReportBlock {
    /// Whose packets these are.
    pub ssrc: u32,
    /// Lost since the report before, in 1/256.
    pub fraction_lost: u8,
    /// Lost since the beginning: 24 bits on the wire, negative where packets come twice.
    pub lost: i32,
    /// Highest sequence number, with the count of cycles above 16 bits.
    pub highest_sequence: u32,
    /// Interarrival jitter in timestamp units.
    pub jitter: u32,
    /// The middle 32 bits of the NTP time in the last sender report; 0 if there was none.
    pub last_sr: u32,
    /// Time since that report came, in 1/65,536 s.
    pub delay: u32,
}

/// What a sender tells about itself.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SenderInfo {
    /// NTP time of the report: seconds since 1900, 32 bits of fraction.
    pub ntp: u64,
    /// The same moment in RTP's timestamp.
    pub timestamp: u32,
    /// Packets sent.
    pub packets: u32,
    /// Payload bytes sent.
    pub octets: u32,
}

/// One packet of a compound.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Item<'a> {
    /// From one who sends.
    SenderReport {
        /// Whose it is.
        ssrc: u32,
        /// What it sent.
        info: SenderInfo,
        /// What it received.
        blocks: ReportBlocks<'a>,
    },
    /// From one who only listens.
    ReceiverReport {
        /// Whose it is.
        ssrc: u32,
        /// What it received.
        blocks: ReportBlocks<'a>,
    },
    /// The first chunk of a source description.
    Description {
        /// Whose it is.
        ssrc: u32,
        /// Its canonical name; empty if it gives none.
        cname: &'a [u8],
    },
    /// A source leaves. Of several the first is told.
    Goodbye {
        /// Who leaves; `None` if nobody is named.
        ssrc: Option<u32>,
    },
    /// Any other type: feedback, extended reports, applications' own.
    Other(u8),
}

/// The bytes are not RTCP, or not to their end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotRtcp {
    /// Less than a header.
    #[error("{0} bytes are less than the 4 of an RTCP header")]
    Short(usize),
    /// Another protocol.
    #[error("version {0} is not 2")]
    Version(u8),
    /// A packet says that it is longer than what came, or is too short for what it counts.
    #[error("a packet of type {0} does not fit its length")]
    Length(u8),
    /// The count of padding bytes is 0 or more than there is.
    #[error("padding of {0} bytes does not fit in the packet")]
    Padding(u8),
}

/// Reads a compound packet one after the other. What is right before an error can be used; after it nothing comes.
/// A compound that begins with anything else than a report is taken too (RFC 5506).
#[must_use]
pub const fn parse(bytes: &[u8]) -> Items<'_> {
    Items { rest: bytes, begun: false }
}

/// See [`parse`].
#[derive(Clone, Debug)]
pub struct Items<'a> {
    rest: &'a [u8],
    begun: bool,
}

impl<'a> Iterator for Items<'a> {
    type Item = Result<Item<'a>, NotRtcp>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.begun && self.rest.is_empty() {
            return None;
        }
        self.begun = true;
        let bytes = std::mem::take(&mut self.rest);
        Some(first_item(bytes).map(|(item, rest)| {
            self.rest = rest;
            item
        }))
    }
}

fn first_item(bytes: &[u8]) -> Result<(Item<'_>, &[u8]), NotRtcp> {
    let Some(([layout, kind, high, low], rest)) = bytes.split_first_chunk::<4>() else {
        return Err(NotRtcp::Short(bytes.len()));
    };
    let (layout, kind) = (*layout, *kind);
    if layout >> 6 != 2 {
        return Err(NotRtcp::Version(layout >> 6));
    }
    let length = usize::from(u16::from_be_bytes([*high, *low])) * 4;
    let (mut body, rest) = rest.split_at_checked(length).ok_or(NotRtcp::Length(kind))?;
    if layout & 0x20 != 0 {
        let padding = body.last().copied().unwrap_or_default();
        let kept = body.len().checked_sub(padding.into()).filter(|_| padding > 0);
        body = kept.and_then(|kept| body.get(..kept)).ok_or(NotRtcp::Padding(padding))?;
    }
    let item = read_item(kind, layout & 0x1F, body).ok_or(NotRtcp::Length(kind))?;
    Ok((item, rest))
}

fn read_item(kind: u8, count: u8, mut body: &[u8]) -> Option<Item<'_>> {
    let body = &mut body;
    Some(match kind {
        SENDER_REPORT => {
            let ssrc = word(body)?;
            let ntp = u64::from(word(body)?) << 32 | u64::from(word(body)?);
            let info = SenderInfo { ntp, timestamp: word(body)?, packets: word(body)?, octets: word(body)? };
            Item::SenderReport { ssrc, info, blocks: ReportBlocks::new(count, body)? }
        }
        RECEIVER_REPORT => Item::ReceiverReport { ssrc: word(body)?, blocks: ReportBlocks::new(count, body)? },
        DESCRIPTION if count > 0 => Item::Description { ssrc: word(body)?, cname: cname(body) },
        GOODBYE => Item::Goodbye { ssrc: if count > 0 { Some(word(body)?) } else { None } },
        other => Item::Other(other),
    })
}

/// The canonical name among the items of one chunk.
fn cname(mut items: &[u8]) -> &[u8] {
    while let [kind, length, rest @ ..] = items {
        // type 0 ends the list
        let Some((text, after)) = rest.split_at_checked(usize::from(*length)).filter(|_| *kind != 0) else {
            break;
        };
        if *kind == CNAME {
            return text;
        }
        items = after;
    }
    &[]
}

fn word(bytes: &mut &[u8]) -> Option<u32> {
    let (word, rest) = bytes.split_first_chunk::<4>()?;
    *bytes = rest;
    Some(u32::from_be_bytes(*word))
}

/// The report blocks of one packet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReportBlocks<'a> {
    bytes: &'a [u8],
}

impl<'a> ReportBlocks<'a> {
    fn new(count: u8, body: &'a [u8]) -> Option<Self> {
        body.get(..usize::from(count) * ReportBlock::BYTES).map(|bytes| Self { bytes })
    }
}

impl Iterator for ReportBlocks<'_> {
    type Item = ReportBlock;

    fn next(&mut self) -> Option<ReportBlock> {
        let bytes = &mut self.bytes;
        let ssrc = word(bytes)?;
        let loss = word(bytes)?;
        Some(ReportBlock {
            ssrc,
            fraction_lost: (loss >> 24) as u8,
            // 24 bits with a sign
            lost: (loss << 8) as i32 >> 8,
            highest_sequence: word(bytes)?,
            jitter: word(bytes)?,
            last_sr: word(bytes)?,
            delay: word(bytes)?,
        })
    }
}

impl ReportBlock {
    const BYTES: usize = 24;

    fn write(&self, out: &mut BytesMut) {
        out.put_u32(self.ssrc);
        out.put_u32(u32::from(self.fraction_lost) << 24 | self.lost as u32 & 0xFF_FFFF);
        out.put_u32(self.highest_sequence);
        out.put_u32(self.jitter);
        out.put_u32(self.last_sr);
        out.put_u32(self.delay);
    }
}

/// Appends a sender report, or a receiver report where there is nothing to tell of sending.
pub(super) fn write_report(ssrc: u32, info: Option<&SenderInfo>, block: Option<&ReportBlock>, out: &mut BytesMut) {
    let kind = if info.is_some() { SENDER_REPORT } else { RECEIVER_REPORT };
    packet(kind, u8::from(block.is_some()), out, |out| {
        out.put_u32(ssrc);
        if let Some(info) = info {
            out.put_u64(info.ntp);
            out.put_u32(info.timestamp);
            out.put_u32(info.packets);
            out.put_u32(info.octets);
        }
        if let Some(block) = block {
            block.write(out);
        }
    });
}

/// Appends a source description with nothing but the canonical name, of which 255 bytes are written.
pub(super) fn write_description(ssrc: u32, cname: &str, out: &mut BytesMut) {
    let name = cname.as_bytes();
    let name = name.get(..255).unwrap_or(name);
    packet(DESCRIPTION, 1, out, |out| {
        out.put_u32(ssrc);
        out.put_u8(CNAME);
        out.put_u8(name.len() as u8);
        out.put_slice(name);
        // the list ends with a zero byte at least
        out.put_u8(0);
    });
}

/// Appends a goodbye.
pub(super) fn write_goodbye(ssrc: u32, out: &mut BytesMut) {
    packet(GOODBYE, 1, out, |out| out.put_u32(ssrc));
}

/// Appends a packet whose length is known when its body is written, filled up with zeros to whole words.
fn packet(kind: u8, count: u8, out: &mut BytesMut, body: impl FnOnce(&mut BytesMut)) {
    let begin = out.len();
    out.put_u32(u32::from_be_bytes([2 << 6 | count, kind, 0, 0]));
    body(out);
    let length = (out.len() - begin).next_multiple_of(4);
    out.resize(begin + length, 0);
    if let Some(field) = out.get_mut(begin + 2..begin + 4) {
        field.copy_from_slice(&((length / 4 - 1) as u16).to_be_bytes());
    }
}
