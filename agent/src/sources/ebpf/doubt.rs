//! Which fragments may not be joined to what came before, as the kernel skipped runs of a program.
//!
//! In: when the ring was emptied, when skipped runs were noticed. Out: whether a fragment stands apart. Never: trust in a
//! record that may have been put into the ring before the skipped run was noticed.

/// A skipped run leaves no record; where it was missed among those of its pipe, nobody can say.
#[derive(Debug, Default)]
pub(super) struct Doubt {
    /// How often skipped runs were noticed.
    times: u64,
    /// What was taken out of the ring last is from before they were noticed.
    is_here: bool,
    /// So may be what is in the ring.
    is_in_ring: bool,
}

/// How often skipped runs had been noticed when a fragment of a following came last.
#[derive(Clone, Copy, Debug)]
pub(super) struct Mark(u64);

impl Doubt {
    /// Records were taken out of the ring; `is_emptied`: all that there were.
    pub(super) fn refilled(&mut self, is_emptied: bool) {
        self.is_here = self.is_in_ring;
        self.is_in_ring &= !is_emptied;
    }

    /// It was noticed that runs were skipped.
    pub(super) fn skipped(&mut self) {
        self.times += 1;
        (self.is_here, self.is_in_ring) = (true, true);
    }

    /// For a following that begins.
    pub(super) fn mark(&self) -> Mark {
        Mark(self.times)
    }

    /// Whether the next fragment of a following may not be joined to the one before.
    pub(super) fn is_apart(&self, mark: &mut Mark) -> bool {
        let before = std::mem::replace(&mut mark.0, self.times);
        self.is_here || before != self.times
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_in_the_ring_when_it_was_noticed_stands_apart_each_piece() {
        let mut doubt = Doubt::default();
        let mut mark = doubt.mark();
        doubt.refilled(false);
        assert!(!doubt.is_apart(&mut mark));
        doubt.skipped();
        assert!(doubt.is_apart(&mut mark) && doubt.is_apart(&mut mark), "what was taken out already");
        doubt.refilled(false);
        assert!(doubt.is_apart(&mut mark), "what was behind it");
        doubt.refilled(true);
        assert!(doubt.is_apart(&mut mark), "to the last");
        doubt.refilled(true);
        assert!(!doubt.is_apart(&mut mark), "what came later");
    }

    #[test]
    fn a_pipe_that_was_quiet_meanwhile_stands_apart_once() {
        let mut doubt = Doubt::default();
        let mut quiet = doubt.mark();
        doubt.skipped();
        doubt.refilled(true);
        doubt.refilled(true);
        let mut new = doubt.mark();
        assert!(doubt.is_apart(&mut quiet));
        assert!(!doubt.is_apart(&mut quiet));
        assert!(!doubt.is_apart(&mut new), "nothing of it was before");
    }
}
