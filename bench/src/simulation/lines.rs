//! Every line that was written: where, by whom, and what became of it.
//!
//! In: lines from the node, what Loki did with them. Out: the books that the rules are checked against.

use penstock::sources::file::disk::{LogFile, Stat};
use penstock::sources::file::identity::identify;
use penstock::types::position::FileId;
use std::collections::{HashMap, HashSet};
use std::io;

/// Why a line need not arrive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Excuse {
    /// Its last file was deleted while nobody held it open.
    Gone,
    /// It was in a file that was deleted and may have been given up for the backlog.
    Deleted,
    /// Its pod was not selected then.
    NotSelected,
    /// Loki refused it for good.
    Refused,
}

/// How a line was stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Stored {
    /// Label set.
    pub(super) labels: String,
    /// Nanoseconds since the Unix epoch.
    pub(super) time_ns: i64,
    /// As on the wire.
    pub(super) text: Vec<u8>,
    /// Structured metadata, as `name=value`.
    pub(super) metadata: String,
}

/// One line.
#[derive(Debug)]
pub(super) struct Line {
    /// Std stream, as [`Book::streams`] counts them.
    pub(super) stream: usize,
    /// What is to arrive.
    pub(super) text: Vec<u8>,
    /// File, as [`Book::files`] counts them, and offset of its first part.
    pub(super) start: Option<(usize, u64)>,
    /// The file with its last part.
    pub(super) last_file: Option<usize>,
    /// Wholly written.
    pub(super) is_complete: bool,
    /// Why it need not arrive.
    pub(super) excuse: Option<Excuse>,
    /// How it arrived first.
    pub(super) stored: Option<Stored>,
    /// How often it arrived.
    pub(super) arrivals: u32,
    /// Equal lines cannot be told apart: only their number counts.
    pub(super) is_tick: bool,
}

/// A std stream of one container instance.
#[derive(Debug)]
pub(super) struct Stream {
    /// Pod, by number.
    pub(super) pod: usize,
    /// Its lines, in the order of writing.
    pub(super) lines: Vec<usize>,
    /// Times may go back here: JSON times, clock steps.
    pub(super) has_own_times: bool,
}

/// One log file, under whatever names and in whatever copies.
#[derive(Clone, Debug)]
pub(super) struct File {
    /// `NAMESPACE_POD_UID/CONTAINER`
    pub(super) folder: String,
    /// Restart counter.
    pub(super) restart: u32,
    /// Instance, and its number in the order of writing there.
    pub(super) place: (usize, usize),
    /// Lines that begin here: std stream (0, 1), offset, number.
    pub(super) starts: Vec<(usize, u64, usize)>,
    /// What tells it from others, once its first line is there.
    pub(super) id: Option<FileId>,
    /// Names that it has.
    pub(super) names: usize,
}

/// The books.
#[derive(Debug, Default)]
pub(super) struct Book {
    /// All lines.
    pub(super) lines: Vec<Line>,
    /// All std streams.
    pub(super) streams: Vec<Stream>,
    /// All files.
    pub(super) files: Vec<File>,
    /// Equal lines: text → lines written.
    pub(super) ticks: HashMap<Vec<u8>, Vec<usize>>,
    /// Pods whose labels were changed, by number: what is sent again has the new ones.
    pub(super) relabelled: HashSet<usize>,
    /// Lines may go out alone, and again when the file shows them.
    pub(super) is_loose: bool,
    /// Lines that came again with another time, in such a seed.
    pub(super) came_otherwise: u64,
    /// The agent died once, or more often.
    pub(super) has_died: bool,
    /// The agent has a kernel source.
    pub(super) has_kernel: bool,
    /// The agent ended and was started again with a kernel source, which ships lines ahead of their files.
    pub(super) has_lost_places: bool,
    /// What happened, in words; only where one seed is played again.
    pub(super) story: Option<Vec<String>>,
}

struct Head<'a>(&'a [u8]);

impl LogFile for Head<'_> {
    fn stat(&self) -> io::Result<Stat> {
        Err(io::Error::other("not asked for"))
    }

    fn read_at(&mut self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        super::disk::read_at(self.0, buffer, offset)
    }
}

impl Book {
    /// Notes what happened.
    pub(super) fn tell(&mut self, words: impl FnOnce() -> String) {
        if let Some(story) = &mut self.story {
            story.push(words());
        }
    }

    /// Prints the story and the lines.
    pub(super) fn print(&self) {
        for words in self.story.iter().flatten() {
            println!("{words}");
        }
        for (number, file) in self.files.iter().enumerate() {
            println!(
                "file {number}: {} restart {} place {:?} names {}",
                file.folder, file.restart, file.place, file.names
            );
        }
        for (number, line) in self.lines.iter().enumerate() {
            let state =
                (line.stored.as_ref().map(|stored| stored.time_ns), line.excuse, line.is_complete, line.is_tick);
            println!(
                "line {number}: std stream {} from {:?} to {:?}, stored, excuse, complete, equal: {state:?}",
                line.stream, line.start, line.last_file
            );
        }
    }

    /// Begins a line; `text` is completed later.
    pub(super) fn begin(&mut self, stream: usize, text: Vec<u8>, is_tick: bool) -> usize {
        let number = self.lines.len();
        if is_tick {
            self.ticks.entry(text.clone()).or_default().push(number);
        }
        self.lines.push(Line {
            stream,
            text,
            start: None,
            last_file: None,
            is_complete: false,
            excuse: None,
            stored: None,
            arrivals: 0,
            is_tick,
        });
        self.streams[stream].lines.push(number);
        number
    }

    /// A part of a line stands in `file` at `offset`.
    pub(super) fn part(&mut self, number: usize, std_stream: usize, file: usize, offset: u64, is_last: bool) {
        let line = &mut self.lines[number];
        line.last_file = Some(file);
        line.is_complete |= is_last;
        if line.start.is_none() {
            line.start = Some((file, offset));
            self.files[file].starts.push((std_stream, offset, number));
        }
    }

    /// Learns a file's identity from its content.
    pub(super) fn learn_id(&mut self, file: usize, bytes: &[u8]) {
        let known = &mut self.files[file];
        if known.id.is_none() {
            known.id = identify(&known.folder, known.restart, &mut Head(bytes)).ok().flatten();
        }
    }

    /// Whether a line is dealt with: stored, refused, or not to be expected.
    pub(super) fn is_settled(&self, number: usize) -> bool {
        let line = &self.lines[number];
        line.stored.is_some() || line.excuse.is_some() || line.is_tick
    }

    /// Excuses the lines with a part in `file` that were not stored.
    pub(super) fn excuse(&mut self, file: usize, excuse: Excuse) {
        for line in &mut self.lines {
            let touches = line.last_file == Some(file) || line.start.is_some_and(|(start, _)| start == file);
            if touches && line.stored.is_none() && line.excuse.is_none() {
                line.excuse = Some(excuse);
            }
        }
    }

    /// Excuses what a pod wrote and was not stored: nobody learned of the pod while it was there.
    pub(super) fn excuse_pod(&mut self, pod: usize) {
        for line in &mut self.lines {
            if self.streams[line.stream].pod == pod && line.stored.is_none() && line.excuse.is_none() {
                line.excuse = Some(Excuse::NotSelected);
            }
        }
    }

    /// The line with this text, by the number that stands in it: `#NUMBER#`.
    pub(super) fn find(&self, text: &[u8]) -> Option<usize> {
        let from = memchr::memchr(b'#', text)? + 1;
        let length = memchr::memchr(b'#', &text[from..])?;
        std::str::from_utf8(&text[from..from + length]).ok()?.parse().ok().filter(|number| *number < self.lines.len())
    }
}
