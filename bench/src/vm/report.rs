//! One result as a line of text: how what runs inside a virtual machine tells it to the side that started it.
//!
//! In: a result, or a line of the serial console. Out: the other of the two. Never: a result made out of a line that is
//! not whole.

use std::fmt;

/// How a result's line begins and ends; the console carries other words too.
const MARK: &str = "@vm ";
const END: &str = " @";
/// Stands where no hook is concerned.
pub(super) const NO_HOOK: &str = "-";
/// Its result is the last of a machine.
pub(super) const END_CHECK: &str = "end";

/// How a check ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// It holds.
    Ok,
    /// The kernel refused the hook, and the agent said why; or the kernel lacks what the check needs.
    Refused,
    /// What the hook is known not to see was not seen.
    Limit,
    /// It does not hold.
    Failed,
}

impl Verdict {
    const ALL: [(Self, &str); 4] =
        [(Self::Ok, "ok"), (Self::Refused, "refused"), (Self::Limit, "limit"), (Self::Failed, "FAILED")];

    /// The word for it.
    pub(super) fn word(self) -> &'static str {
        Self::ALL.iter().find(|(one, _)| *one == self).map_or("", |(_, word)| word)
    }
}

/// What became of one check with one hook.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Outcome {
    /// The hook's name, or [`NO_HOOK`].
    pub(super) hook: String,
    /// The check's name, without blanks.
    pub(super) check: String,
    /// How it ended.
    pub(super) verdict: Verdict,
    /// What there is to say about it.
    pub(super) words: String,
}

impl fmt::Display for Outcome {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let words = self.words.replace(['\n', '\r'], " ");
        write!(out, "{MARK}{} {} {} {words}{END}", self.hook, self.check, self.verdict.word())
    }
}

impl Outcome {
    /// Reads a line of the console. `None` where it is none.
    pub(super) fn parse(line: &str) -> Option<Self> {
        let (_, line) = line.trim_end().split_once(MARK)?;
        let mut fields = line.strip_suffix(END)?.splitn(4, ' ');
        let mut field = || fields.next();
        let (hook, check, word, words) = (field()?, field()?, field()?, field()?);
        let (verdict, _) = Verdict::ALL.into_iter().find(|(_, one)| *one == word)?;
        Some(Self { hook: hook.to_owned(), check: check.to_owned(), verdict, words: words.to_owned() })
    }
}

/// The first line of a kernel's messages that tells of a fault.
pub(super) fn fault(log: &str) -> Option<&str> {
    let is_bad = |line: &&str| ["BUG:", "WARNING:", "Oops", "panic"].iter().any(|word| line.contains(word));
    let is_set_up = |line: &&str| line.contains("Command line") || line.contains("command line");
    log.lines().find(|line| is_bad(line) && !is_set_up(line))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_result_comes_back_as_it_was_told() {
        let outcome = Outcome {
            hook: "tp_btf".into(),
            check: "writev".into(),
            verdict: Verdict::Failed,
            words: "byte 7 of 9\nis another".into(),
        };
        let line = format!("[    3.1] clocksource: {outcome}\r\n");
        let parsed = Outcome::parse(&line).unwrap();
        assert_eq!(parsed, Outcome { words: "byte 7 of 9 is another".into(), ..outcome.clone() });
        let silent = Outcome { words: String::new(), ..outcome };
        assert_eq!(Outcome::parse(&silent.to_string()), Some(silent));
    }

    #[test]
    fn a_line_that_is_not_whole_is_none() {
        for line in ["", "@vm tp_btf writev ok", "@vm tp_btf writev perhaps words @", "@vm tp_btf ok @"] {
            assert_eq!(Outcome::parse(line), None, "{line}");
        }
    }
}
