//! Whose turn it is, and what a look at that instance's current file gives. One block a turn, then the next.

use super::disk::{Disk, LogFile};
use super::identity::identify;
use super::instance::{AtEnd, Pace};
use super::{Event, FileSource, InstanceKey, Read, Target};
use crate::limits::FILE_QUIET;
use crate::metrics::label::DropReason;
use crate::types::position::FilePosition;
use crate::types::time::Now;
use std::cmp::Reverse;
use std::io;
use std::time::Duration;

/// A file that cannot be read, or whose growth cannot be watched, is looked at again after this time.
const LOOK_SLOWLY: Duration = Duration::from_secs(1);

/// What one look at a file's next bytes gave.
enum Look {
    Found(Read),
    /// The state has changed; look once more.
    Again,
    Nothing,
}

impl<D: Disk> FileSource<D> {
    /// The next bytes of the next instance that has any and to which `room` gives some: so many bytes of `buffer`, which are
    /// filled as far as there is something. The others are asked again after the next [`FileSource::tick`].
    pub fn next(
        &mut self,
        now: Now,
        buffer: &mut [u8],
        room: &mut dyn FnMut(InstanceKey) -> Option<usize>,
    ) -> Option<Read> {
        while let Some(key) = self.queue.pop_front() {
            let Some(bytes_max) = room(key) else {
                self.held.push(key);
                if let Some(instance) = self.instance(key) {
                    instance.is_unwatched = true;
                }
                continue;
            };
            let bytes_max = bytes_max.min(buffer.len());
            let buffer = buffer.get_mut(..bytes_max).unwrap_or_default();
            loop {
                match self.look(key, now, buffer) {
                    Look::Found(read) => return Some(read),
                    Look::Again => {}
                    Look::Nothing => break,
                }
            }
        }
        None
    }

    /// The first `bytes` of the last block are dealt with. `is_mid_line`: the last of them is within a line that
    /// is longer than a block.
    pub fn consumed(&mut self, key: InstanceKey, bytes: usize, is_mid_line: bool) {
        if let Some(instance) = self.instance(key) {
            instance.offset += bytes as u64;
            instance.is_mid_line = is_mid_line;
        }
    }

    /// Goes back to `position`. False where that file is not held any more.
    pub fn rewind(&mut self, key: InstanceKey, position: FilePosition) -> bool {
        let is_held = self.instance(key).is_some_and(|instance| instance.rewind(position));
        self.enqueue(key);
        is_held
    }

    fn look(&mut self, key: InstanceKey, now: Now, buffer: &mut [u8]) -> Look {
        let Some(instance) = self.instance(key) else { return Look::Nothing };
        if instance.is_replaced() {
            return match self.truncated(key, now) {
                Ok(()) => Look::Again,
                Err(error) => self.unreadable(key, now, &error),
            };
        }
        let at = instance.position();
        let is_mid_line = instance.is_mid_line;
        let Some(file) = instance.files.get_mut(instance.current) else {
            instance.pace = Pace::Asleep;
            return Look::Nothing;
        };
        let was_closed = file.closed_at.is_some() || now.mono >= file.quiet_at;
        let Some(open) = file.file.as_mut().filter(|_| !file.is_finished) else {
            let is_cut = file.is_cut;
            instance.finish_current();
            return Look::Found(self.back_in_queue(key, Read::FileEnd { key, is_cut }));
        };
        let length = match open.read_at(buffer, at.offset) {
            Ok(length) => length,
            Err(error) => return self.unreadable(key, now, &error),
        };
        instance.seen = FilePosition { offset: at.offset + length as u64, ..at };
        let bytes = buffer.get(..length).unwrap_or_default();
        let is_full = length == buffer.len();
        if length == 0 || !(is_mid_line || is_full || memchr::memrchr(b'\n', bytes).is_some()) {
            return self.look_at_end(key, at, length, was_closed, now);
        }
        if file.id.is_none() {
            match identify(&instance.folder, instance.restart, open) {
                Ok(id) => file.id = id,
                // What goes out must be found in the journal under its file's name.
                Err(error) => return self.unreadable(key, now, &error),
            }
        }
        instance.newest_read = instance.newest_read.max(at.file);
        let end = at.offset + length as u64;
        if end > file.bytes {
            file.bytes = end;
            file.quiet_at = now.mono + FILE_QUIET;
            if !file.is_gzip {
                // Grown since it was closed: a restarted runtime has opened it again.
                file.closed_at = None;
            }
        }
        instance.has_ended = false;
        let read = Read::Block { key, at, length, is_full, is_last: false };
        if is_full {
            return Look::Found(self.back_in_queue(key, read));
        }
        let at = self.rhythm.next(now.mono, length);
        self.look_again(key, at);
        Look::Found(read)
    }

    fn look_at_end(&mut self, key: InstanceKey, at: FilePosition, length: usize, was_closed: bool, now: Now) -> Look {
        let Some(instance) = self.instance(key) else { return Look::Nothing };
        let mut end = instance.at_end(was_closed, now);
        if end == AtEnd::Ended {
            self.scan_folder_of(key, now);
            end = self.instance(key).map_or(AtEnd::Wait, |instance| instance.at_end(was_closed, now));
        }
        if matches!(end, AtEnd::NextFile | AtEnd::Ended | AtEnd::Over) && self.has_writer_again(key, now) {
            end = AtEnd::Wait;
        }
        let Some(instance) = self.instance(key) else { return Look::Nothing };
        match end {
            AtEnd::Wait => {
                self.rest(key, at.offset + length as u64, now);
                Look::Nothing
            }
            AtEnd::NextFile | AtEnd::Ended | AtEnd::Over if length > 0 => {
                Look::Found(self.back_in_queue(key, Read::Block { key, at, length, is_full: false, is_last: true }))
            }
            AtEnd::NextFile => {
                instance.finish_current();
                Look::Found(self.back_in_queue(key, Read::FileEnd { key, is_cut: false }))
            }
            AtEnd::Ended => {
                instance.has_ended = true;
                Look::Found(self.back_in_queue(key, Read::Ended { key }))
            }
            AtEnd::Over => {
                instance.finish_current();
                if instance.is_gone() {
                    self.events.push(Event::Gone(key));
                }
                Look::Again
            }
            AtEnd::Truncated => match self.truncated(key, now) {
                Ok(()) => Look::Again,
                Err(error) => self.unreadable(key, now, &error),
            },
        }
    }

    /// Whether the current file, closed once, was opened for writing again, by a runtime that was restarted; or is deleted and
    /// written all the same.
    fn has_writer_again(&mut self, key: InstanceKey, now: Now) -> bool {
        let Self { disk, instances, .. } = self;
        let Some(instance) = instances.get_mut(key.0 as usize).and_then(Option::as_mut) else { return false };
        let Some(file) = instance.current().filter(|file| !file.is_gzip) else { return false };
        let Some(open) = file.file.as_ref().filter(|_| file.closed_at.is_some() || file.name.is_none()) else {
            return false;
        };
        let is_open = disk.has_writer(open) == Some(true);
        if is_open {
            (file.closed_at, file.quiet_at) = (None, now.mono + FILE_QUIET);
        }
        is_open
    }

    /// Word of a new file, or of a copy, may have been lost or refused.
    pub(super) fn scan_folder_of(&mut self, key: InstanceKey, now: Now) {
        let Some(instance) = self.instance(key) else { return };
        let folder = instance.folder.clone();
        if let Some((pod, container)) = folder.split_once('/') {
            self.scan_container(pod, container, now);
        }
    }

    /// Nothing new: a last look soon, then word of growth is asked for.
    fn rest(&mut self, key: InstanceKey, seen: u64, now: Now) {
        let Self { instances, rhythm, .. } = self;
        let Some(instance) = instances.get_mut(key.0 as usize).and_then(Option::as_mut) else { return };
        if let Pace::Queued = instance.pace
            && !instance.is_growth_watched()
            && instance.vain_looks < crate::limits::LOOKS_IN_VAIN_MAX
        {
            let at = rhythm.next(now.mono, 0);
            instance.vain_looks += 1;
            instance.pace = Pace::Hot(at);
            self.timers.push(Reverse((at, key)));
            return;
        }
        let next_look = instance.next_look();
        self.sleep_until_growth(key, seen, now);
        if let Some(at) = next_look.filter(|at| *at > now.mono) {
            self.timers.push(Reverse((at, key)));
        }
    }

    fn sleep_until_growth(&mut self, key: InstanceKey, seen: u64, now: Now) {
        let Self { disk, instances, targets, events, timers, queue, .. } = self;
        let Some(instance) = instances.get_mut(key.0 as usize).and_then(Option::as_mut) else { return };
        instance.pace = Pace::Asleep;
        let Some(file) = instance.files.get_mut(instance.current) else { return };
        if file.growth_watch.is_some() {
            return;
        }
        let Some(open) = file.file.as_ref().filter(|_| !file.is_gzip) else { return };
        if let Some(watch) = disk.watch_growth(open) {
            targets.insert(watch, Target::Growth(key));
            if open.stat().is_ok_and(|stat| stat.bytes > seen) {
                instance.pace = Pace::Queued;
                queue.push_back(key);
            }
            file.growth_watch = Some(watch);
        } else {
            events.push(Event::WatchRefused);
            timers.push(Reverse((now.mono + LOOK_SLOWLY, key)));
        }
    }

    fn unreadable(&mut self, key: InstanceKey, now: Now, error: &io::Error) -> Look {
        let log_dir = self.log_dir.clone();
        let Some(instance) = self.instance(key) else { return Look::Nothing };
        let path = log_dir.join(&instance.folder);
        let Some(file) = instance.current() else { return Look::Nothing };
        let path = path.join(file.name.as_deref().unwrap_or("(deleted)"));
        if file.is_gzip {
            (file.file, file.is_cut) = (None, true);
            let bytes = 0;
            self.events.push(Event::Dropped { reason: DropReason::Unreadable, bytes, files: 1 });
            self.events.push(Event::Refused { path, why: format!("is damaged ({error}); its rest is not shipped") });
            return Look::Again;
        }
        self.events.push(Event::Refused { path, why: format!("cannot be read now ({error}); it is tried again") });
        self.look_again(key, now.mono + LOOK_SLOWLY);
        Look::Nothing
    }

    fn look_again(&mut self, key: InstanceKey, at: Duration) {
        if let Some(instance) = self.instance(key) {
            instance.pace = Pace::Hot(at);
            instance.vain_looks = 0;
            self.timers.push(Reverse((at, key)));
        }
    }

    fn back_in_queue(&mut self, key: InstanceKey, read: Read) -> Read {
        if let Some(instance) = self.instance(key) {
            instance.pace = Pace::Queued;
            self.queue.push_back(key);
        }
        read
    }

    pub(super) fn closed(&mut self, key: InstanceKey, number: u32, now: Now) {
        if let Some(instance) = self.instance(key)
            && let Some(file) = instance.files.iter_mut().find(|file| file.number == number)
        {
            file.closed_at = Some(now.mono);
            let read_to = file.bytes;
            if let Some(Ok(stat)) = file.file.as_ref().map(LogFile::stat) {
                file.bytes = file.bytes.max(stat.bytes);
            }
            if file.is_finished && file.bytes > read_to {
                instance.reopen(number, read_to);
            }
            self.enqueue(key);
        }
    }
}
