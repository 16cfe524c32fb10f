//! What may come again, or in pieces, because files went before they were read.
//!
//! In: the books. Out: whether that explains what came of a line.

use super::lines::Book;

/// The beginning of a line that had arrived was in a file that went while the agent was dead: its rest may come again.
pub(super) fn has_lost_its_beginning(book: &Book, number: usize) -> bool {
    let line = &book.lines[number];
    book.has_died && line.stored.is_some() && line.start.is_some_and(|(file, _)| book.files[file].names == 0)
}

/// The same of its end: what comes again is then its beginning alone. Where the kernel saw the whole line, the agent need
/// not have died: it may have gone out ahead, and the file with its last part have gone before anybody looked at it.
pub(super) fn has_lost_its_end(book: &Book, number: usize) -> bool {
    let line = &book.lines[number];
    let may_be_whole = book.has_died || book.has_kernel;
    may_be_whole && line.stored.is_some() && line.last_file.is_some_and(|file| book.files[file].names == 0)
}

/// Whether it went out ahead of a file before which another one was deleted: after a restart its stream position is not
/// known then, and with it not that it went out.
pub(super) fn is_displaced(book: &Book, number: usize) -> bool {
    let place = book.lines[number].start.map(|(file, _)| book.files[file].place);
    let is_gone_before = |(instance, order)| {
        book.files.iter().any(|file| file.names == 0 && file.place.0 == instance && file.place.1 < order)
    };
    book.has_lost_places && place.is_some_and(is_gone_before)
}
