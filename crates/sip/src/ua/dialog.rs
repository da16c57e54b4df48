use std::net::{IpAddr, SocketAddr};

use bytes::Bytes;

use super::settings::{Flow, Transport};
use crate::message::{Message, Method, Name, NameAddr, Scheme, Uri};

/// What two ends keep to find each other again (RFC 3261 section 12).
#[derive(Debug)]
pub(super) struct Dialog {
    pub(super) call_id: Bytes,
    pub(super) local_tag: String,
    /// `None` until the far end told one; empty if it has none (RFC 2543).
    pub(super) remote_tag: Option<String>,
    /// Our From, tag and all.
    local: Bytes,
    /// Our To, tag and all.
    remote: Bytes,
    pub(super) local_cseq: u32,
    pub(super) remote_cseq: Option<u32>,
    /// The far end's Contact: what a request asks for. Never where it goes if there is a route.
    target: Bytes,
    /// Through whom requests go, nearest first. Fixed when the dialog is made.
    route: Vec<Bytes>,
    /// The way of the message that made the dialog.
    pub(super) flow: Flow,
    /// The far end wants TLS all the way.
    pub(super) sips: bool,
}

impl Dialog {
    /// The dialog of an INVITE that came, with the tag its answers carry.
    pub(super) fn answering(request: &Message, flow: Flow, local_tag: String) -> Self {
        let mut tagged = Message::response_to(request, 200, "");
        tagged.add_to_tag(&local_tag);
        let value = |message: &Message, name| Bytes::copy_from_slice(message.value(name).unwrap_or_default());
        let sips = request.request_uri().is_ok_and(|uri| uri.scheme == Scheme::Sips);
        let mut dialog = Self {
            call_id: Bytes::copy_from_slice(request.call_id()),
            local_tag,
            remote_tag: Some(request.from_tag().unwrap_or_default()),
            local: value(&tagged, Name::To),
            remote: value(request, Name::From),
            local_cseq: 0,
            remote_cseq: request.cseq().ok().map(|(number, _)| number),
            target: Bytes::new(),
            route: request.values(Name::RecordRoute).map(Bytes::copy_from_slice).collect(),
            flow,
            sips,
        };
        dialog.retarget(request);
        dialog
    }

    /// The dialog of a request of ours that is to make one.
    pub(super) fn calling(uri: &str, local: String, local_tag: String, call_id: String, flow: Flow) -> Self {
        Self {
            call_id: call_id.into(),
            local_tag,
            remote_tag: None,
            local: local.into(),
            remote: format!("<{uri}>").into(),
            local_cseq: 0,
            remote_cseq: None,
            target: Bytes::copy_from_slice(uri.as_bytes()),
            route: Vec::new(),
            flow,
            sips: uri.get(..5).is_some_and(|scheme| scheme.eq_ignore_ascii_case("sips:")),
        }
    }

    /// The dialog that a 2xx to an INVITE of ours makes: of several that a fork makes, one. `way` is that of the INVITE,
    /// `flow` that of its answer.
    pub(super) fn answered(invite: &Message, response: &Message, way: Flow, flow: Flow) -> Self {
        let value = |message: &Message, name| Bytes::copy_from_slice(message.value(name).unwrap_or_default());
        let uri = invite.request_uri().ok();
        let mut route: Vec<_> = response.values(Name::RecordRoute).map(Bytes::copy_from_slice).collect();
        route.reverse();
        let mut dialog = Self {
            call_id: Bytes::copy_from_slice(invite.call_id()),
            local_tag: invite.from_tag().unwrap_or_default(),
            remote_tag: Some(response.to_tag().unwrap_or_default()),
            local: value(invite, Name::From),
            remote: value(response, Name::To),
            local_cseq: invite.cseq().map_or(0, |(number, _)| number),
            remote_cseq: None,
            target: uri.as_ref().map(|uri| Bytes::copy_from_slice(uri.as_bytes())).unwrap_or_default(),
            route,
            flow: Flow { connection: flow.connection.or(way.connection), ..way },
            sips: uri.is_some_and(|uri| uri.scheme == Scheme::Sips),
        };
        dialog.retarget(response);
        dialog
    }

    /// With the route of a request that was sent within it.
    pub(super) fn along(mut self, request: &Message) -> Self {
        self.route = request.values(Name::Route).map(Bytes::copy_from_slice).collect();
        self
    }

    /// Whether this message of the far end belongs here.
    pub(super) fn is_of(&self, message: &Message) -> bool {
        let remote_tag = message.from_tag().unwrap_or_default();
        self.call_id == message.call_id() && self.remote_tag.as_ref() == Some(&remote_tag)
    }

    /// Whether it is the far end that speaks from there: where the dialog came from, its route, its Contact. Of connections
    /// the address counts, of datagrams the port too.
    pub(super) fn is_from(&self, flow: Flow) -> bool {
        let is_same = |way: Flow| {
            let is_same_port = way.peer.port() == flow.peer.port() || flow.transport.is_reliable();
            way.peer.ip() == flow.peer.ip() && is_same_port
        };
        let routes = self.route.iter().filter_map(|route| self.to(&NameAddr::parse(route)?.uri));
        is_same(self.flow) || routes.chain(self.contact_way()).any(is_same)
    }

    /// Notes the Contact of an INVITE, UPDATE, or a 2xx to one.
    pub(super) fn retarget(&mut self, message: &Message) {
        if let Ok(Some(contact)) = message.contact() {
            self.target = Bytes::copy_from_slice(contact.uri.as_bytes());
        }
    }

    /// The next request of ours, with all that every request in this dialog has but a Via.
    pub(super) fn request(&mut self, method: Method) -> Message {
        self.local_cseq += 1;
        self.numbered(method, self.local_cseq)
    }

    /// The same with the number of an earlier one: its ACK.
    pub(super) fn numbered(&self, method: Method, cseq: u32) -> Message {
        let count = format!("{cseq} {method}");
        let mut request = Message::request(method, &self.target);
        for route in &self.route {
            request.push(Name::Route, route);
        }
        request.push(Name::MaxForwards, "70");
        request.push(Name::From, &self.local);
        request.push(Name::To, &self.remote);
        request.push(Name::CallId, &self.call_id);
        request.push(Name::CSeq, count);
        request
    }

    /// Where a request of ours goes: to the nearest route, otherwise back where the dialog came from; to the Contact only
    /// when the connection it came on is gone. A private address that a public peer tells is of no use to us.
    pub(super) fn way(&self) -> Flow {
        let nearest = self.route.first().and_then(|route| NameAddr::parse(route)).map(|route| route.uri);
        if let Some(flow) = nearest.as_ref().and_then(|uri| self.to(uri)) {
            return flow;
        }
        self.contact_way().filter(|_| self.route.is_empty() && self.has_lost_connection()).unwrap_or(self.flow)
    }

    /// Whether there is a way although the connection is gone.
    pub(super) fn has_another_way(&self) -> bool {
        let way = self.way();
        way.transport == Transport::Udp || way.peer != self.flow.peer
    }

    const fn has_lost_connection(&self) -> bool {
        self.flow.transport.is_reliable() && self.flow.connection.is_none()
    }

    fn contact_way(&self) -> Option<Flow> {
        self.to(&Uri::parse(&self.target).ok()?)
    }

    fn to(&self, uri: &Uri) -> Option<Flow> {
        let address = uri.host.as_ref()?.address()?;
        let from = self.flow.peer.ip();
        if address != from && is_unreachable(address) && !is_unreachable(from) {
            return None;
        }
        let transport = match uri.transport() {
            _ if uri.scheme == Scheme::Sips => Transport::Tls,
            Some(name) if name.eq_ignore_ascii_case("udp") => Transport::Udp,
            Some(name) if name.eq_ignore_ascii_case("tcp") => Transport::Tcp,
            Some(name) if name.eq_ignore_ascii_case("tls") => Transport::Tls,
            _ => self.flow.transport,
        };
        if transport == self.flow.transport && address == from && self.flow.connection.is_some() {
            return Some(self.flow);
        }
        let peer = SocketAddr::new(address, uri.port.unwrap_or(transport.default_port()));
        Some(Flow { transport, peer, connection: None })
    }
}

/// Not to be reached across the public network.
const fn is_unreachable(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(v4) => {
            let [first, second, ..] = v4.octets();
            let is_shared = first == 100 && second & 0xc0 == 64;
            v4.is_private()
                || v4.is_loopback()
                || v4.is_link_local()
                || v4.is_unspecified()
                || v4.is_multicast()
                || is_shared
        }
        IpAddr::V6(v6) => {
            v6.is_loopback()
                || v6.is_unspecified()
                || v6.is_multicast()
                || v6.is_unique_local()
                || v6.is_unicast_link_local()
        }
    }
}
