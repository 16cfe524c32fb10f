//! Names that came and went again before anybody looked.
//!
//! In: what happened to names, in order, since the last look. Out: those names. Never: a name that was there at the
//! last look.

use super::disk::WatchId;

/// What happened to a name in a watched folder.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NameEvent {
    /// A file was made under it.
    Created,
    /// Its file got another name; that follows.
    MovedFrom,
    /// A file got this name.
    MovedTo,
    /// It was removed.
    Deleted,
}

/// The names since the last look.
#[derive(Debug, Default)]
pub struct Passing {
    fresh: Vec<(WatchId, String)>,
    is_moving: bool,
}

impl Passing {
    /// Takes in what happened next. True: the file behind this name came and went.
    pub fn has_passed(&mut self, watch: WatchId, name: &str, event: NameEvent) -> bool {
        let place = self.fresh.iter().position(|(folder, known)| *folder == watch && known == name);
        let was_moving = std::mem::take(&mut self.is_moving);
        match event {
            NameEvent::Created => self.fresh.push((watch, name.to_owned())),
            NameEvent::MovedTo if was_moving => self.fresh.push((watch, name.to_owned())),
            NameEvent::MovedTo => {}
            NameEvent::MovedFrom | NameEvent::Deleted => {
                self.is_moving = place.is_some() && event == NameEvent::MovedFrom;
                if let Some(place) = place {
                    self.fresh.swap_remove(place);
                }
            }
        }
        event == NameEvent::Deleted && place.is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn passed(events: &[(&str, NameEvent)]) -> Vec<String> {
        let mut passing = Passing::default();
        let gone = events.iter().filter(|(name, event)| passing.has_passed(WatchId(1), name, *event));
        gone.map(|(name, _)| (*name).to_owned()).collect()
    }

    #[test]
    fn a_file_is_followed_from_name_to_name() {
        use NameEvent::{Created, Deleted, MovedFrom, MovedTo};
        assert_eq!(passed(&[("0.log", Created), ("0.log", Deleted)]), ["0.log"]);
        assert_eq!(
            passed(&[("0.log", Created), ("0.log", MovedFrom), ("0.log.1", MovedTo), ("0.log.1", Deleted)]),
            ["0.log.1"]
        );
        // These were there at the last look.
        assert!(passed(&[("0.log", Deleted), ("0.log", Created)]).is_empty());
        assert!(passed(&[("0.log", MovedFrom), ("0.log.1", MovedTo), ("0.log.1", Deleted)]).is_empty());
        // From another folder.
        assert!(passed(&[("0.log", Created), ("0.log", MovedFrom), ("x", Created), ("1.log", MovedTo)]).is_empty());
    }
}
