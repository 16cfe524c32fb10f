//! In which order the files of a container instance stand: that in which they were written, as their names tell.
//!
//! In: the names in the folder, and a file that is new. Out: its place and number among the files that are known.
//! Never: a look into a file.

use super::adopt::Candidate;
use super::instance::{Instance, Tracked};
use super::names::{by_age, suffix_of};
use crate::limits::ROTATION_FLUSH;
use crate::types::time::Now;
use std::cmp::Ordering;

impl<F> Instance<F> {
    /// Gives the files that are held open the names that they have by now. A name that is another file's is nobody
    /// else's any more: where changes were lost, a packed file would keep the name of the one being written.
    pub(super) fn take_names(&mut self, here: &[Candidate]) {
        for file in self.files.iter_mut().filter(|file| file.file.is_some()) {
            // Of two names for one file the one being written stands last.
            let own = here.iter().rfind(|candidate| candidate.inode == Some(file.inode));
            let is_taken = |name: &String| here.iter().any(|other| other.name == *name && other.inode.is_some());
            match own {
                Some(candidate) => {
                    file.last_name.clone_from(&candidate.name);
                    file.name = Some(candidate.name.clone());
                }
                None if file.name.as_ref().is_some_and(is_taken) => file.name = None,
                None => {}
            }
        }
    }

    /// Appends a file as the newest. The one before it may be about to get its writer's half line.
    pub(super) fn push(&mut self, mut file: Tracked<F>, now: Now) {
        if let Some(before) = self.files.back_mut() {
            before.quiet_at = before.quiet_at.max(now.mono + ROTATION_FLUSH);
        }
        file.number = self.next_number;
        self.next_number += 1;
        if self.current == self.files.len() {
            self.offset = file.start;
        }
        self.files.push_back(file);
        self.has_ended = false;
    }

    /// Puts a file that was written after the current one before those that by their names are newer. Where these were
    /// read already, their numbers stand, and it comes last.
    pub(super) fn push_by_name(&mut self, mut file: Tracked<F>, now: Now) {
        let behind = self.files.iter().skip(self.current + 1).position(|other| self.is_newer(other, &file));
        let place = behind.map_or(self.files.len(), |behind| self.current + 1 + behind);
        let number = self.files.get(place).map(|next| next.number);
        let Some(number) = number.filter(|number| *number > self.newest_read) else { return self.push(file, now) };
        for later in self.files.iter_mut().skip(place) {
            later.number += 1;
        }
        self.next_number += 1;
        file.number = number;
        self.files.insert(place, file);
        self.has_ended = false;
    }

    /// Whether `other` was written after `new`.
    fn is_newer(&self, other: &Tracked<F>, new: &Tracked<F>) -> bool {
        let alias = || self.aliases.iter().find(|(.., id)| Some(*id) == other.id).map(|(name, ..)| name.as_str());
        let name = other.name.as_deref().or_else(alias);
        let Some(own) = &new.name else {
            // Emptied and deleted before it was looked at again: what had its name after it, or has a newer one, is newer.
            let name = name.unwrap_or(&other.last_name);
            return by_age(suffix_of(&new.last_name), suffix_of(name)) != Ordering::Greater;
        };
        name.is_some_and(|name| by_age(suffix_of(own), suffix_of(name)) == Ordering::Less)
    }
}
