//! Frames that must arrive: answers to calls, and what becomes of tasks. One is
//! kept until a heartbeat that was sent after it is answered, and is sent again
//! after a resume; the relay takes only the first of two.

/// What a frame is about: a later one about the same takes its place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum About {
    Call(String),
    Task(String),
    Progress(String),
}

struct Item {
    about: About,
    text: String,
    /// Whether it went out on the present connection.
    is_sent: bool,
}

/// Frames that may have arrived are kept up to this many bytes in all.
const MAX_SENT_BYTES: usize = 8 * 1024 * 1024;

#[derive(Default)]
pub(super) struct Outbox(Vec<Item>);

impl Outbox {
    /// Keeps a frame; it is to be sent by [`Self::next`].
    pub(super) fn post(&mut self, about: About, text: String) {
        // The end of a task says more than how far it was.
        if let About::Task(task) = &about {
            let progress = About::Progress(task.clone());
            self.0.retain(|item| item.about != progress);
        }
        self.0.retain(|item| item.about != about);
        self.0.push(Item {
            about,
            text,
            is_sent: false,
        });
    }

    /// The next frame to be sent, which counts as sent from now on.
    pub(super) fn next(&mut self) -> Option<String> {
        let item = self.0.iter_mut().find(|item| !item.is_sent)?;
        item.is_sent = true;
        let text = item.text.clone();
        self.trim();
        Some(text)
    }

    /// The connection is gone: all is to be sent again.
    pub(super) fn detach(&mut self) {
        for item in &mut self.0 {
            item.is_sent = false;
        }
    }

    /// All that was sent before now has arrived.
    pub(super) fn confirm(&mut self) {
        self.0.retain(|item| !item.is_sent);
    }

    /// The calls whose answers are here.
    pub(super) fn calls(&self) -> impl Iterator<Item = &String> {
        self.0.iter().filter_map(|item| match &item.about {
            About::Call(id) => Some(id),
            _ => None,
        })
    }

    pub(super) fn clear(&mut self) {
        self.0.clear();
    }

    /// Of what is sent, the newest is kept.
    fn trim(&mut self) {
        let mut bytes = 0_usize;
        let mut kept: Vec<_> = std::mem::take(&mut self.0);
        kept.reverse();
        kept.retain(|item| {
            if item.is_sent {
                bytes = bytes.saturating_add(item.text.len());
            }
            !item.is_sent || bytes <= MAX_SENT_BYTES
        });
        kept.reverse();
        self.0 = kept;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn call(id: &str) -> About {
        About::Call(id.into())
    }

    #[test]
    fn what_was_not_confirmed_is_sent_again() {
        let mut outbox = Outbox::default();
        outbox.post(call("a"), "1".into());
        outbox.post(call("b"), "2".into());
        assert_eq!(outbox.next().as_deref(), Some("1"));
        outbox.confirm();
        assert_eq!(outbox.calls().collect::<Vec<_>>(), ["b"]);
        assert_eq!(outbox.next().as_deref(), Some("2"));
        assert_eq!(outbox.next(), None);
        outbox.detach();
        assert_eq!(outbox.next().as_deref(), Some("2"));
    }

    #[test]
    fn a_later_frame_takes_the_place_of_an_earlier_one() {
        let mut outbox = Outbox::default();
        outbox.post(About::Progress("t".into()), "1".into());
        outbox.post(About::Progress("t".into()), "2".into());
        outbox.post(About::Task("t".into()), "3".into());
        assert_eq!(outbox.next().as_deref(), Some("3"));
        assert_eq!(outbox.next(), None);
    }

    #[test]
    fn what_is_sent_is_kept_within_bounds() {
        let mut outbox = Outbox::default();
        for id in ["a", "b", "c"] {
            outbox.post(call(id), "x".repeat(MAX_SENT_BYTES / 2));
            outbox.next().unwrap();
        }
        assert_eq!(outbox.calls().collect::<Vec<_>>(), ["b", "c"]);
    }
}
