use super::{
    Agreed, BadAnswer, BadSdp, Description, LocalMedia, NoCommonMedia, Offer, answer, offer, read, read_answer,
};
use crate::srtp::{FreshKey, Sdes};

/// Why an offer in a call is refused: 488, and everything stays as it was.
#[derive(Debug, thiserror::Error)]
pub enum BadOffer {
    /// It cannot be read.
    #[error(transparent)]
    Unreadable(#[from] BadSdp),
    /// There is nothing in it that we could do.
    #[error(transparent)]
    NothingCommon(#[from] NoCommonMedia),
}

/// What both sides have said about a call's media so far.
#[derive(Clone, Debug)]
pub struct Agreement {
    local: LocalMedia,
    ours: Description,
    /// The peer's key that is agreed on.
    theirs: Option<Sdes>,
}

impl Agreement {
    /// Begins with our offer.
    #[must_use]
    pub fn offering(local: LocalMedia) -> Self {
        Self { ours: offer(&local, None), local, theirs: None }
    }

    /// Begins with our answer to the peer's offer.
    ///
    /// # Errors
    /// There can be no call: 488.
    pub fn answering(peer: &Offer, local: LocalMedia) -> Result<(Self, Agreed), NoCommonMedia> {
        let answer = answer(peer, &local, None)?;
        let theirs = answer.agreed.keys.as_ref().map(|keys| keys.theirs.clone());
        Ok((Self { local, ours: answer.description, theirs }, answer.agreed))
    }

    /// What we said last.
    #[must_use]
    pub fn to_sdp(&self) -> String {
        self.ours.to_sdp()
    }

    /// The peer offers something else: hold, another address, another codec. [`Agreement::to_sdp`] is the answer then.
    ///
    /// # Errors
    /// [`BadOffer`].
    pub fn changed(&mut self, body: &[u8], fresh_key: FreshKey) -> Result<Agreed, BadOffer> {
        let peer = read(body)?;
        self.local.fresh_key = fresh_key;
        let mut previous = self.ours.clone();
        // A peer with a new key may be another machine behind the same dialog. It cannot know how often the sequence numbers
        // of ours have wrapped (RFC 3711 section 3.3.1; SDES does not say): our key begins anew too.
        if peer.crypto.first().map(|crypto| &crypto.sdes) != self.theirs.as_ref() {
            previous.crypto = None;
        }
        let answer = answer(&peer, &self.local, Some(&previous))?;
        self.ours = answer.description;
        self.theirs = answer.agreed.keys.as_ref().map(|keys| keys.theirs.clone());
        Ok(answer.agreed)
    }

    /// The peer wants to hear an offer of ours, both ways even where it is on hold: [`Agreement::to_sdp`] from now on.
    pub fn offer_again(&mut self, fresh_key: FreshKey) {
        self.local.fresh_key = fresh_key;
        self.ours = offer(&self.local, Some(&self.ours));
    }

    /// The peer answered what we said last.
    ///
    /// # Errors
    /// It refuses, can't be read, or does not fit the offer; nothing changes.
    pub fn answered(&mut self, body: &[u8]) -> Result<Agreed, BadAnswer> {
        let agreed = read_answer(body, &self.ours)?;
        self.theirs = agreed.keys.as_ref().map(|keys| keys.theirs.clone());
        Ok(agreed)
    }
}
