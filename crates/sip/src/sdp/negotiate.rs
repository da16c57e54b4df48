use std::net::{IpAddr, SocketAddr};

use super::body::{Body, text};
use super::crypto::Crypto;
use super::description::{Description, family};
use super::{BadAnswer, Codec, Direction, NoCommonMedia, Offer, PayloadTypes, Profile};
use crate::srtp::{FreshKey, Sdes, Suite};

/// Payload type of events in offers of ours; the one that everybody uses.
const TELEPHONE_EVENT: u8 = 101;

/// Our side of the audio.
#[derive(Clone, Debug)]
pub struct LocalMedia {
    /// What we are reached at from outside.
    pub address: IpAddr,
    /// Our RTP port there; reports go to the next one.
    pub port: u16,
    /// Unique to the call, below 2^63.
    pub session_id: u64,
    /// Plain RTP is refused, and not offered. A peer that writes its keys into an RTP/AVP offer is taken at its word.
    pub require_srtp: bool,
    /// For a key of ours, if one is needed that the call does not have yet. New each time.
    pub fresh_key: FreshKey,
}

/// What both sides have said, taken together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Agreed {
    /// Where our audio goes; `None` while the peer is on hold and wants it nowhere.
    pub rtp: Option<SocketAddr>,
    /// Where our reports go.
    pub rtcp: Option<SocketAddr>,
    /// What is spoken, both ways.
    pub codec: Codec,
    /// What our packets go by.
    pub sends: PayloadTypes,
    /// What the peer's packets go by.
    pub receives: PayloadTypes,
    /// As we see it.
    pub direction: Direction,
    /// Of SRTP; `None` is RTP. What goes on with the same key has to keep its [`crate::srtp::Protect`] or `Unprotect`.
    pub keys: Option<Keys>,
}

/// The keys of a call: each side's for what it sends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Keys {
    /// For [`crate::srtp::Protect`].
    pub ours: Sdes,
    /// For [`crate::srtp::Unprotect`].
    pub theirs: Sdes,
}

/// What an offer led to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// What we say to it.
    pub description: Description,
    /// What the call is then.
    pub agreed: Agreed,
}

/// Answers an offer: one codec, mu-law if there is a choice and the call has none yet, and events if offered. All other
/// media are refused. `previous` is what we said last in this call; what can stay as it was stays.
///
/// # Errors
/// There can be no call: 488.
pub fn answer(offer: &Offer, local: &LocalMedia, previous: Option<&Description>) -> Result<Answer, NoCommonMedia> {
    check_family(local.address, offer.address)?;
    let (codec, audio) = choose_codec(offer, previous).ok_or(NoCommonMedia::NoCodec)?;
    let is_secure = offer.profile == Profile::Savp || local.require_srtp;
    let theirs = offer.crypto.first().filter(|_| is_secure);
    if is_secure && theirs.is_none() {
        return Err(NoCommonMedia::SrtpRequired);
    }
    let earlier = previous.and_then(|previous| previous.crypto.as_ref());
    let ours = theirs.map(|theirs| theirs.answered(earlier, &local.fresh_key));
    let mut refused = offer.media.clone();
    if offer.position < refused.len() {
        refused.remove(offer.position);
    }
    let description = Description {
        session_id: local.session_id,
        version: 1,
        address: local.address,
        port: local.port,
        profile: offer.profile,
        codecs: vec![(codec, audio)],
        telephone_event: offer.telephone_event,
        direction: offer.direction.mirrored(),
        crypto: ours.clone(),
        refused,
        position: offer.position,
    };
    let payload_types = PayloadTypes { audio, telephone_event: offer.telephone_event };
    let agreed = Agreed {
        rtp: offer.rtp(),
        rtcp: offer.rtcp,
        codec,
        sends: payload_types,
        receives: payload_types,
        direction: description.direction,
        keys: ours.zip(theirs).map(|(ours, theirs)| Keys { ours: ours.sdes, theirs: theirs.sdes.clone() }),
    };
    Ok(Answer { description: description.after(previous), agreed })
}

/// Our own offer: both codecs, events, SRTP if it is required or the call has it. `previous` is what we said last in this
/// call, whose payload types, key and `m=` lines an offer has to keep (RFC 3264, section 8).
#[must_use]
pub fn offer(local: &LocalMedia, previous: Option<&Description>) -> Description {
    let earlier = previous.and_then(|previous| previous.crypto.clone());
    let new_crypto = || Crypto::new(1, Sdes::generate(Suite::AesCm128HmacSha1_80, &local.fresh_key));
    let crypto = earlier.or_else(|| local.require_srtp.then(new_crypto));
    let mut taken: Vec<u8> = previous.map_or_else(Vec::new, Description::payload_types);
    let mut codecs: Vec<(Codec, u8)> = previous.map_or_else(Vec::new, |previous| previous.codecs.clone());
    for codec in Codec::ALL {
        let number = codec.static_payload_type();
        if !codecs.iter().any(|(known, _)| *known == codec) && !taken.contains(&number) {
            codecs.push((codec, number));
            taken.push(number);
        }
    }
    let free = || (TELEPHONE_EVENT..=127).chain(96..TELEPHONE_EVENT).find(|number| !taken.contains(number));
    Description {
        session_id: local.session_id,
        version: 1,
        address: local.address,
        port: local.port,
        profile: if crypto.is_some() { Profile::Savp } else { Profile::Avp },
        codecs,
        telephone_event: previous.and_then(|previous| previous.telephone_event).or_else(free),
        direction: Direction::SendRecv,
        crypto,
        refused: previous.map_or_else(Vec::new, |previous| previous.refused.clone()),
        position: previous.map_or(0, |previous| previous.position),
    }
    .after(previous)
}

/// Reads the peer's answer to an offer of ours. Of several codecs in it the first is spoken.
///
/// # Errors
/// It refuses, can't be read, or does not fit the offer.
pub fn read_answer(body: &[u8], offered: &Description) -> Result<Agreed, BadAnswer> {
    let text = text(body)?;
    let body = Body::read(&text)?;
    let missing = BadAnswer::Missing { found: body.media.len(), wanted: offered.position + 1 };
    let section = body.media.get(offered.position).ok_or(missing)?;
    let theirs = Offer::of(&body, section, offered.position)?;
    check_family(offered.address, theirs.address)?;
    if theirs.profile != offered.profile {
        return Err(BadAnswer::OtherProfile { found: theirs.profile.name(), offered: offered.profile.name() });
    }
    let ours_of = |codec| offered.codecs.iter().find(|(known, _)| *known == codec).map(|&(_, number)| number);
    let both = theirs.codecs.iter().find_map(|&(codec, number)| Some((codec, number, ours_of(codec)?)));
    let (codec, sent_as, received_as) = both.ok_or(BadAnswer::OtherCodec)?;
    let events = offered.telephone_event.zip(theirs.telephone_event);
    let keys = match &offered.crypto {
        None => None,
        Some(ours) => {
            let fits = |theirs: &&Crypto| theirs.tag == ours.tag && theirs.sdes.suite() == ours.sdes.suite();
            let theirs = theirs.crypto.iter().find(fits).ok_or(BadAnswer::OtherCrypto)?;
            Some(Keys { ours: ours.sdes.clone(), theirs: theirs.sdes.clone() })
        }
    };
    Ok(Agreed {
        rtp: theirs.rtp(),
        rtcp: theirs.rtcp,
        codec,
        sends: PayloadTypes { audio: sent_as, telephone_event: events.map(|(_, theirs)| theirs) },
        receives: PayloadTypes { audio: received_as, telephone_event: events.map(|(ours, _)| ours) },
        direction: Direction::new(
            offered.direction.sends() && theirs.direction.receives(),
            offered.direction.receives() && theirs.direction.sends(),
        ),
        keys,
    })
}

impl Description {
    /// The same as what follows `previous`, with its id, and the next version if something has changed.
    fn after(mut self, previous: Option<&Self>) -> Self {
        if let Some(previous) = previous {
            self.session_id = previous.session_id;
            self.version = previous.version;
            if self != *previous {
                self.version = previous.version.saturating_add(1);
            }
        }
        self
    }

    fn payload_types(&self) -> Vec<u8> {
        self.codecs.iter().map(|&(_, number)| number).chain(self.telephone_event).collect()
    }
}

impl Crypto {
    /// The answer to this line: its tag and suite, and a key of ours, the earlier one if it is for the same suite.
    fn answered(&self, earlier: Option<&Self>, fresh: &FreshKey) -> Self {
        let suite = self.sdes.suite();
        let earlier = earlier.map(|earlier| &earlier.sdes).filter(|earlier| earlier.suite() == suite);
        self.with_key(earlier.cloned().unwrap_or_else(|| Sdes::generate(suite, fresh)))
    }
}

/// A call that has a codec keeps it while it can.
fn choose_codec(offer: &Offer, previous: Option<&Description>) -> Option<(Codec, u8)> {
    let spoken = match previous.map(|previous| previous.codecs.as_slice()) {
        Some([(codec, _)]) => Some(*codec),
        _ => None,
    };
    let wanted = spoken.into_iter().chain(Codec::ALL);
    wanted.into_iter().find_map(|codec| offer.codecs.iter().find(|(offered, _)| *offered == codec).copied())
}

/// 0.0.0.0 says nothing about the peer.
fn check_family(ours: IpAddr, theirs: IpAddr) -> Result<(), NoCommonMedia> {
    if ours.is_ipv4() == theirs.is_ipv4() || theirs.is_unspecified() {
        return Ok(());
    }
    Err(NoCommonMedia::AddressFamily { ours: family(ours), theirs: family(theirs) })
}
