//! The files of one container instance, in the order in which they were written, and how far they are read.
//!
//! In: files found by a scan, bytes read from them. Out: which file and offset come next, and when a file or the
//! whole instance is at its end. Never: a folder listing, or a look into the lines.

use super::disk::{Inode, LogFile, Stat, WatchId};
use super::identity::identify;
use crate::limits::{FILE_QUIET, INSTANCE_END_GRACE};
use crate::types::position::{FileId, FilePosition};
use crate::types::time::Now;
use std::collections::VecDeque;
use std::time::Duration;

/// One file of the instance.
#[derive(Debug)]
pub(super) struct Tracked<F> {
    /// Its number in the order of writing.
    pub(super) number: u32,
    /// The descriptor; `None` once it is finished and deleted, or given up.
    pub(super) file: Option<F>,
    pub(super) inode: Inode,
    /// Unknown while its first line is not complete.
    pub(super) id: Option<FileId>,
    /// The name it has now; `None` once it is deleted.
    pub(super) name: Option<String>,
    /// The name it has, or had last.
    pub(super) last_name: String,
    pub(super) is_gzip: bool,
    /// The most bytes seen in it (unpacked ones as far as read).
    pub(super) bytes: u64,
    /// Where reading begins.
    pub(super) start: u64,
    /// When its writer closed it, where that was seen.
    pub(super) closed_at: Option<Duration>,
    /// When it will have been quiet for long enough to count as closed.
    pub(super) quiet_at: Duration,
    pub(super) close_watch: Option<WatchId>,
    /// Word of growth is asked for, and did not come yet. It belongs to this file, whichever is read.
    pub(super) growth_watch: Option<WatchId>,
    /// Read to its end; nothing more will come.
    pub(super) is_finished: bool,
    /// Its end was given up: what is open there will not be finished.
    pub(super) is_cut: bool,
    /// Finished, deleted and answered for: kept until then, as its copy may be found late.
    pub(super) forget_at: Option<Duration>,
}

impl<F: LogFile> Tracked<F> {
    /// A file just opened; `stat` is of now.
    pub(super) fn new(number: u32, file: F, stat: Stat, name: String, is_gzip: bool, now: Now) -> Self {
        let age = Duration::from_nanos(now.wall_ns.saturating_sub(stat.modified_ns).try_into().unwrap_or(0));
        Self {
            number,
            file: Some(file),
            inode: stat.inode,
            id: None,
            last_name: name.clone(),
            name: Some(name),
            is_gzip,
            bytes: if is_gzip { 0 } else { stat.bytes },
            start: 0,
            closed_at: is_gzip.then_some(now.mono),
            quiet_at: now.mono + FILE_QUIET.saturating_sub(age),
            close_watch: None,
            growth_watch: None,
            is_finished: false,
            is_cut: false,
            forget_at: None,
        }
    }

    fn is_closed(&self, now: Now) -> bool {
        self.closed_at.is_some() || now.mono >= self.quiet_at || self.file.is_none()
    }

    /// Its watches, to be taken back: it keeps none.
    pub(super) fn take_watches(&mut self) -> impl Iterator<Item = WatchId> {
        self.close_watch.take().into_iter().chain(self.growth_watch.take())
    }

    /// How long it is now, where it may have grown since the last look.
    fn bytes_now(&self) -> u64 {
        let may_have_grown = !self.is_gzip && !self.is_finished;
        let stat = self.file.as_ref().filter(|_| may_have_grown).and_then(|file| file.stat().ok());
        self.bytes.max(stat.map_or(0, |stat| stat.bytes))
    }
}

/// What a look at the end of the bytes says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum AtEnd {
    /// More may come.
    Wait,
    /// The next file is to be read now.
    NextFile,
    /// The container instance has ended: an open line will not be finished.
    Ended,
    /// That was told, and the file is deleted: it can be let go.
    Over,
    /// The file is shorter than what was read of it.
    Truncated,
}

/// When an instance is looked at next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Pace {
    /// In the queue of those that may have something.
    Queued,
    /// Had something a moment ago; to be looked at again at this time.
    Hot(Duration),
    /// Waits for word of growth (or, where that is refused, for the slow rescan).
    Asleep,
}

/// One container instance.
#[derive(Debug)]
pub(super) struct Instance<F> {
    /// `NAMESPACE_POD_UID/CONTAINER`.
    pub(super) folder: String,
    pub(super) restart: u32,
    pub(super) files: VecDeque<Tracked<F>>,
    /// Names that stand for a file in `files` too: its gzipped or copied form.
    pub(super) aliases: Vec<(String, Inode, FileId)>,
    /// Place in `files` of the one being read.
    pub(super) current: usize,
    /// Read offset in it.
    pub(super) offset: u64,
    pub(super) next_number: u32,
    /// Number of the newest file of which bytes were handed out.
    pub(super) newest_read: u32,
    /// A later instance of the container exists.
    pub(super) is_superseded: bool,
    /// The end was told; taken back when more comes.
    pub(super) has_ended: bool,
    /// A line is being read in pieces: blocks without a newline are wanted.
    pub(super) is_mid_line: bool,
    /// Up to where the newest look saw, half a line at the end among it.
    pub(super) seen: FilePosition,
    pub(super) pace: Pace,
    /// It was not looked at for a while: it may have been truncated and written anew meanwhile.
    pub(super) is_unwatched: bool,
    /// Looks without anything new since the last one with something.
    pub(super) vain_looks: u32,
}

impl<F: LogFile> Instance<F> {
    pub(super) fn new(folder: String, restart: u32) -> Self {
        Self {
            folder,
            restart,
            files: VecDeque::new(),
            aliases: Vec::new(),
            current: 0,
            offset: 0,
            next_number: 0,
            newest_read: 0,
            is_superseded: false,
            has_ended: false,
            is_mid_line: false,
            seen: FilePosition::default(),
            pace: Pace::Asleep,
            is_unwatched: false,
            vain_looks: 0,
        }
    }

    /// Whether word of growth of the file being read is asked for.
    pub(super) fn is_growth_watched(&self) -> bool {
        self.files.get(self.current).is_some_and(|file| file.growth_watch.is_some())
    }

    /// A watch for growth has told, or is no more: it tells once.
    pub(super) fn growth_told(&mut self, watch: WatchId) {
        for file in self.files.iter_mut().filter(|file| file.growth_watch == Some(watch)) {
            file.growth_watch = None;
        }
    }

    /// The file being read.
    pub(super) fn current(&mut self) -> Option<&mut Tracked<F>> {
        self.files.get_mut(self.current)
    }

    /// Whether the newest file is being read and has no byte more than was seen. Half a line at its end may stay for long: it is
    /// what a full disk leaves.
    pub(super) fn is_read_to_end(&self) -> bool {
        let is_newest = self.current + 1 >= self.files.len();
        let current = self.files.get(self.current);
        let seen = current.filter(|file| file.number == self.seen.file).map_or(0, |_| self.seen.offset);
        let is_at_end = |file: &F| file.stat().is_ok_and(|stat| stat.bytes == self.offset.max(seen));
        is_newest && current.and_then(|file| file.file.as_ref()).is_none_or(is_at_end)
    }

    /// Where the next byte comes from.
    pub(super) fn position(&self) -> FilePosition {
        let file = self.files.get(self.current).map_or(self.next_number, |file| file.number);
        FilePosition { file, offset: self.offset }
    }

    /// Goes to `position` to read again from there. False where that file is not held any more.
    pub(super) fn rewind(&mut self, position: FilePosition) -> bool {
        let Some(place) = self.files.iter().position(|file| file.number == position.file && file.file.is_some()) else {
            return false;
        };
        for file in self.files.iter_mut().skip(place) {
            file.is_finished = false;
        }
        self.current = place;
        self.has_ended = false;
        self.offset = position.offset;
        self.is_mid_line = false;
        true
    }

    /// What is to be done at the end of what can be read now. `was_closed` is from before that read.
    pub(super) fn at_end(&mut self, was_closed: bool, now: Now) -> AtEnd {
        let has_next = self.current + 1 < self.files.len();
        let is_superseded = self.is_superseded;
        let offset = self.offset;
        let has_ended = self.has_ended;
        let Some(file) = self.current() else { return AtEnd::Wait };
        if let (false, Some(open)) = (file.is_gzip, &file.file)
            && let Ok(stat) = open.stat()
        {
            if stat.bytes < offset {
                return AtEnd::Truncated;
            }
            file.bytes = file.bytes.max(stat.bytes);
        }
        if has_next {
            return if was_closed || file.is_closed(now) { AtEnd::NextFile } else { AtEnd::Wait };
        }
        let is_deleted = file.name.is_none();
        let was_closed_long_ago = file.closed_at.is_some_and(|at| now.mono >= at + INSTANCE_END_GRACE);
        let has_no_writer = was_closed_long_ago || ((is_superseded || is_deleted) && file.is_closed(now));
        match (has_no_writer, has_ended) {
            (true, false) => AtEnd::Ended,
            (true, true) if is_deleted => AtEnd::Over,
            _ => AtEnd::Wait,
        }
    }

    /// When `at_end` may answer otherwise although nothing changes on disk.
    pub(super) fn next_look(&self) -> Option<Duration> {
        if self.has_ended && self.current + 1 >= self.files.len() {
            return None;
        }
        let file = self.files.get(self.current)?;
        let has_next = self.current + 1 < self.files.len();
        match file.closed_at {
            Some(_) if has_next => Some(Duration::ZERO),
            Some(at) => Some(at + INSTANCE_END_GRACE),
            None if has_next || self.is_superseded || file.name.is_none() => Some(file.quiet_at),
            None => None,
        }
    }

    /// Leaves the current file for the next one.
    pub(super) fn finish_current(&mut self) {
        let offset = self.offset;
        if let Some(file) = self.current() {
            file.is_finished = true;
            file.bytes = file.bytes.max(offset);
            if file.name.is_none() {
                // Its space on disk is free from now on; the kernel takes the watch back.
                file.file = None;
            }
        }
        self.current += 1;
        self.offset = self.files.get(self.current).map_or(0, |file| file.start);
        self.is_mid_line = false;
    }

    /// A finished file has grown after all: reads that first, from `offset` on.
    pub(super) fn reopen(&mut self, number: u32, offset: u64) {
        let Some(place) = self.files.iter().position(|file| file.number == number) else { return };
        let read_to = self.offset;
        if let Some(current) = self.current() {
            current.start = read_to;
        }
        if let Some(late) = self.files.get_mut(place) {
            late.is_finished = false;
        }
        (self.current, self.offset) = (place, offset);
    }

    /// Looks how long the files are whose growth nobody tells: all but the current one while it is watched.
    pub(super) fn see_growth(&mut self) {
        let is_told = self.pace == Pace::Asleep && self.is_growth_watched();
        for (place, file) in self.files.iter_mut().enumerate().skip(self.current) {
            if place > self.current || !is_told || file.name.is_none() {
                file.bytes = file.bytes_now();
            }
        }
    }

    /// Whether the current file does not begin any more as it did, after it was not looked at for a while.
    pub(super) fn is_replaced(&mut self) -> bool {
        if !std::mem::take(&mut self.is_unwatched) || self.offset == 0 {
            return false;
        }
        let Some(file) = self.files.get_mut(self.current).filter(|file| !file.is_gzip) else { return false };
        let (Some(id), Some(open)) = (file.id, &mut file.file) else { return false };
        match identify(&self.folder, self.restart, open) {
            Ok(now) => now != Some(id),
            Err(_) => {
                // Not known; asked again with the next look.
                self.is_unwatched = true;
                false
            }
        }
    }

    /// Whether nothing can come any more: every file is read to its end and deleted, also its gzipped form, which
    /// would be taken for a new file otherwise.
    pub(super) fn is_gone(&self) -> bool {
        self.aliases.is_empty() && self.files.iter().all(|file| file.name.is_none() && file.file.is_none())
    }

    /// Bytes of deleted files that are not read yet, with the place of the oldest such file.
    pub(super) fn deleted_backlog(&self) -> Option<(usize, u64)> {
        let mut oldest = None;
        let mut bytes = 0;
        for (place, file) in self.files.iter().enumerate().skip(self.current) {
            if file.name.is_some() || file.file.is_none() {
                continue;
            }
            let read = if place == self.current { self.offset } else { file.start };
            bytes += file.bytes.saturating_sub(read);
            oldest = oldest.or(Some(place));
        }
        oldest.map(|place| (place, bytes))
    }

    /// Bytes on disk that are not read yet. Files that wait for the current one are as long as they are now.
    pub(super) fn backlog(&self) -> u64 {
        let unread = |(place, file): (usize, &Tracked<F>)| match place == self.current {
            true => file.bytes.saturating_sub(self.offset),
            false => file.bytes_now().saturating_sub(file.start),
        };
        self.files.iter().enumerate().skip(self.current).map(unread).sum()
    }
}
