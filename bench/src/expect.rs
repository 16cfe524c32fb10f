//! What becomes of a text line on its way to Loki: the oracle of the tests, written apart from the agent.
//!
//! In: the bytes that a container wrote. Out: the lines as Loki should have them. Never: the agent's own code.

/// Bytes of a line as sent (Loki's `max_line_size`).
const LINE_BYTES_MAX: usize = 262_144;

/// All lines of one std stream; a last one without a newline counts.
#[must_use]
pub fn text_lines(written: &[u8]) -> Vec<String> {
    let mut lines: Vec<_> = written.split(|byte| *byte == b'\n').map(text_line).collect();
    if written.is_empty() || written.ends_with(b"\n") {
        lines.pop();
    }
    lines
}

/// One line without its newline: `\r`s at its end removed, one U+FFFD per maximal invalid part, and cut and marked
/// where it would be longer than Loki takes.
#[must_use]
pub fn text_line(written: &[u8]) -> String {
    let end = written.iter().rposition(|byte| *byte != b'\r').map_or(0, |last| last + 1);
    let original = &written[..end];
    let whole = String::from_utf8_lossy(original);
    if whole.len() <= LINE_BYTES_MAX {
        return whole.into_owned();
    }
    let mut best = String::new();
    let (mut shown, mut taken) = (String::new(), 0);
    for chunk in original.utf8_chunks() {
        let characters = chunk.valid().chars().map(|c| (c, c.len_utf8()));
        let invalid = (!chunk.invalid().is_empty()).then_some(('\u{fffd}', chunk.invalid().len()));
        for (c, bytes) in characters.chain(invalid) {
            shown.push(c);
            taken += bytes;
            // The marker is 24 to 30 bytes long: what is far from the end need not be tried.
            if shown.len() + 40 < LINE_BYTES_MAX {
                continue;
            }
            let marked = format!("{shown} …[truncated {} bytes]", original.len() - taken);
            if marked.len() <= LINE_BYTES_MAX {
                best = marked;
            } else if shown.len() > LINE_BYTES_MAX {
                return best;
            }
        }
    }
    best
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_cut_at_newlines_and_the_last_one_counts_also_without() {
        assert_eq!(text_lines(b"a\r\n\nb\r\r\nc\rd"), ["a", "", "b", "c\rd"]);
        assert!(text_lines(b"").is_empty());
        assert_eq!(text_line(b"\xf0\x9f\xffx"), "\u{fffd}\u{fffd}x");
    }

    #[test]
    fn the_longest_line_that_fits_is_whole_and_the_next_is_cut_to_the_byte() {
        assert_eq!(text_line(&vec![b'x'; LINE_BYTES_MAX]).len(), LINE_BYTES_MAX);
        let cut = text_line(&vec![b'x'; LINE_BYTES_MAX + 1]);
        assert_eq!(cut.len(), LINE_BYTES_MAX);
        assert!(cut.ends_with("x …[truncated 25 bytes]"), "{}", &cut[cut.len() - 40..]);
    }

    #[test]
    fn a_character_is_not_cut_in_half() {
        let cut = text_line("é".repeat(200_000).as_bytes());
        let (shown, marker) = cut.rsplit_once(" …").unwrap();
        assert!(shown.chars().all(|c| c == 'é') && cut.len() > LINE_BYTES_MAX - 2);
        assert_eq!(marker, format!("[truncated {} bytes]", 400_000 - shown.len()));
    }
}
