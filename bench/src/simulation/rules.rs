//! What must hold, whatever happens. Each check names the line by its number.

use super::lines::{Book, Excuse};
use super::loki::Loki;
use penstock::types::saved::Positions;
use std::collections::HashMap;

/// A saved position passes no byte that was not answered for.
pub(super) fn positions(book: &Book, saved: &Positions) -> Result<(), String> {
    let by_id: HashMap<_, _> = saved.files.iter().map(|file| (file.id, file)).collect();
    let mut first_open: HashMap<(usize, usize), (usize, usize)> = HashMap::new();
    for (number, file) in book.files.iter().enumerate() {
        let known = file.id.and_then(|id| by_id.get(&id));
        for (std_stream, offset, line) in file.starts.iter().filter(|(.., line)| !book.is_settled(*line)) {
            let passed = known.is_some_and(|saved| saved.streams[*std_stream].offset > *offset);
            if passed {
                return Err(format!(
                    "the saved position of file {number} passes line {line} at {offset}, which Loki has not answered for"
                ));
            }
            let first = first_open.entry((file.place.0, *std_stream)).or_insert((file.place.1, *line));
            *first = (*first).min((file.place.1, *line));
        }
    }
    for file in &book.files {
        let Some(saved) = file.id.and_then(|id| by_id.get(&id)) else { continue };
        for std_stream in 0..2 {
            let open = first_open.get(&(file.place.0, std_stream)).filter(|(place, _)| *place < file.place.1);
            if let Some((_, line)) = open.filter(|_| saved.streams[std_stream].offset > 0) {
                return Err(format!(
                    "the saved position is in file {} though line {line} of an earlier one is open",
                    file.place.1
                ));
            }
        }
    }
    Ok(())
}

/// What may have happened that makes doubles right.
#[derive(Clone, Copy, Debug)]
pub(super) struct Allowed {
    /// The agent crashed, or Loki stored and did not say so.
    pub(super) doubles: bool,
    /// Labels of a pod changed.
    pub(super) labels_changed: bool,
}

/// At the end: everything arrived, once, in order, and apart.
pub(super) fn at_end(book: &Book, loki: &Loki, allowed: Allowed) -> Result<(), String> {
    arrived(book, allowed)?;
    ticks(book, loki, allowed)?;
    times(book)
}

fn arrived(book: &Book, allowed: Allowed) -> Result<(), String> {
    for (number, line) in book.lines.iter().enumerate().filter(|(_, line)| !line.is_tick) {
        if line.stored.is_none() && line.excuse.is_none() && line.is_complete {
            return Err(format!("line {number} is lost"));
        }
        if line.arrivals > 1 && !allowed.doubles {
            return Err(format!("line {number} was stored {} times", line.arrivals));
        }
    }
    Ok(())
}

struct Ticks {
    stored: usize,
    excused: usize,
    written: usize,
}

fn count_ticks(book: &Book, loki: &Loki, text: &[u8], lines: &[usize]) -> Ticks {
    Ticks {
        stored: loki.store.keys().filter(|(.., stored)| stored == text).count(),
        excused: lines.iter().filter(|line| book.lines[**line].excuse.is_some()).count(),
        written: lines.iter().filter(|line| book.lines[**line].is_complete).count(),
    }
}

/// Whether as many equal lines are stored as can be expected.
pub(super) fn have_ticks_arrived(book: &Book, loki: &Loki) -> bool {
    book.ticks.iter().all(|(text, lines)| {
        let Ticks { stored, excused, written } = count_ticks(book, loki, text, lines);
        stored + excused >= written
    })
}

/// Equal lines stay apart: as many entries as lines.
fn ticks(book: &Book, loki: &Loki, allowed: Allowed) -> Result<(), String> {
    for (text, lines) in &book.ticks {
        let Ticks { stored, excused, written } = count_ticks(book, loki, text, lines);
        let text = String::from_utf8_lossy(text);
        if stored + excused < written {
            return Err(format!("of {written} equal lines \"{text}\" {stored} are stored, {excused} excused"));
        }
        if stored > lines.len() && !book.is_loose && !(allowed.doubles && allowed.labels_changed) {
            return Err(format!("{} equal lines \"{text}\" were written, {stored} are stored", lines.len()));
        }
    }
    Ok(())
}

/// Within a std stream times do not go back, but for steps of the clock. After a crash, what had gone out keeps its time,
/// while records before it may be new entries under labels that changed, with times that are free there.
fn times(book: &Book) -> Result<(), String> {
    let is_mixed = |pod: usize| book.is_loose || (book.has_died && book.relabelled.contains(&pod));
    for stream in book.streams.iter().filter(|stream| !stream.has_own_times && !is_mixed(stream.pod)) {
        let mut last: Option<(usize, i64)> = None;
        for number in &stream.lines {
            let Some(stored) = &book.lines[*number].stored else {
                // It may have been the one that followed a step of the clock.
                last = None;
                continue;
            };
            if let Some((before, time_ns)) = last
                && stored.time_ns < time_ns
                && time_ns - stored.time_ns < 59_000_000_000
            {
                return Err(format!(
                    "line {number} has a time {} ns before that of line {before}",
                    time_ns - stored.time_ns
                ));
            }
            last = Some((*number, stored.time_ns));
        }
    }
    Ok(())
}

/// Excuses what was deleted with a small backlog, where the metric says that some was given up.
pub(super) fn excuse_backlog(book: &mut Book) {
    for file in 0..book.files.len() {
        if book.files[file].names == 0 {
            book.excuse(file, Excuse::Deleted);
        }
    }
}
