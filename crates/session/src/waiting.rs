//! Sockets that have not sent their first frame.

use agent_socket_wire::address::AddressKey;
use agent_socket_wire::close::CloseCode;
use agent_socket_wire::id::SessionId;
use agent_socket_wire::limits::{
    FIRST_FRAME_TIMEOUT_MS, MAX_WAITING_OF_ADDRESS, MAX_WAITING_SOCKETS,
};

use crate::context::Context;
use crate::effect::{Effect, Millis, SocketId};
use crate::event::Opening;
use crate::presence::{Attachment, WaitingAttachment};
use crate::record::to_json;

/// Longest origin that is looked at, in bytes. A host name has at most 253.
const MAX_ORIGIN_BYTES: usize = 300;

/// A socket that has not sent its first frame.
pub(crate) struct Waiting {
    pub(crate) socket: SocketId,
    pub(crate) resume: bool,
    pub(crate) origin: Option<String>,
    deadline: Millis,
    /// Whether it proved that it is the owner's, so that it makes room for nobody.
    is_proven: bool,
    /// [`AddressKey::number`] of where it came from, if that is known.
    address: Option<u64>,
}

impl Waiting {
    /// One that outlived the memory.
    pub(crate) fn attached(socket: SocketId, attachment: WaitingAttachment) -> Self {
        Self {
            socket,
            resume: attachment.resume,
            origin: attachment.origin,
            deadline: attachment.deadline,
            is_proven: attachment.proven,
            address: attachment.address,
        }
    }
}

/// All sockets that wait, the oldest first.
#[derive(Default)]
pub(crate) struct WaitingSockets(Vec<Waiting>);

impl WaitingSockets {
    pub(crate) const fn len(&self) -> usize {
        self.0.len()
    }

    /// How many of them have proven nothing.
    pub(crate) fn unproven(&self) -> usize {
        self.0.iter().filter(|waiting| !waiting.is_proven).count()
    }

    pub(crate) fn next_deadline(&self) -> Option<Millis> {
        self.0.iter().map(|waiting| waiting.deadline).min()
    }

    pub(crate) fn has(&self, socket: SocketId) -> bool {
        self.0.iter().any(|waiting| waiting.socket == socket)
    }

    pub(crate) fn push(&mut self, waiting: Waiting) {
        // After a load they come in any order; the oldest must be the first to go.
        let at = self
            .0
            .partition_point(|one| one.deadline <= waiting.deadline);
        self.0.insert(at, waiting);
    }

    /// Takes a socket out.
    pub(crate) fn take(&mut self, socket: SocketId) -> Option<Waiting> {
        let mut sockets = self.0.iter();
        let at = sockets.position(|waiting| waiting.socket == socket)?;
        Some(self.0.remove(at))
    }

    /// A socket was opened. If there are too many that have proven nothing, another
    /// of them is closed, never the newcomer, so that idle sockets cannot keep the
    /// owner out.
    pub(crate) fn add(
        &mut self,
        cx: &mut Context<'_>,
        session: SessionId,
        socket: SocketId,
        opening: Opening<'_>,
        is_proven: bool,
    ) {
        let address = opening.address.map(AddressKey::number);
        if !is_proven && let Some(at) = self.in_the_way(cx, address) {
            let other = self.0.remove(at);
            cx.close(other.socket, CloseCode::TooManyWaiting);
        }
        let waiting = WaitingAttachment {
            session: session.to_string(),
            resume: opening.resume,
            // No origin that may be allowed is longer: keep it as one that is refused.
            origin: opening.origin.map(|origin| {
                let is_sound = origin.len() <= MAX_ORIGIN_BYTES;
                if is_sound { origin } else { "null" }.to_owned()
            }),
            deadline: cx.now.saturating_add(FIRST_FRAME_TIMEOUT_MS),
            proven: is_proven,
            address,
        };
        cx.effect(Effect::Attach {
            socket,
            attachment: to_json(&Attachment::Waiting(waiting.clone())),
        });
        self.push(Waiting::attached(socket, waiting));
    }

    /// Which socket must make room for another of this address, if one must: the
    /// oldest of the address when it has its share, else one by chance when there are
    /// as many as there may be. If it were the oldest of all, whoever opens as many
    /// at once would push out everybody else.
    fn in_the_way(&self, cx: &mut Context<'_>, address: Option<u64>) -> Option<usize> {
        let unproven = || {
            let all = self.0.iter().enumerate();
            all.filter(|(_, waiting)| !waiting.is_proven)
        };
        let of_address =
            || unproven().filter(|(_, one)| address.is_some() && one.address == address);
        if of_address().count() >= MAX_WAITING_OF_ADDRESS {
            return of_address().map(|(at, _)| at).next();
        }
        if self.unproven() < MAX_WAITING_SOCKETS {
            return None;
        }
        let chance = usize::from(u16::from_be_bytes(cx.random()));
        let chosen = chance.checked_rem(self.unproven())?;
        unproven().map(|(at, _)| at).nth(chosen)
    }

    /// Closes the sockets whose first frame did not come.
    pub(crate) fn expire(&mut self, cx: &mut Context<'_>) {
        self.0.retain(|waiting| {
            let in_time = waiting.deadline > cx.now;
            if !in_time {
                cx.close(waiting.socket, CloseCode::Timeout);
            }
            in_time
        });
    }
}
