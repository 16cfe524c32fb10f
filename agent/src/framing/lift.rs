//! The time of a record within its std stream: it never goes back a little. Pure.

use crate::limits::CLOCK_STEP_MIN;

/// The time to give to a record, and whether the clock was stepped back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lifted {
    /// Nanoseconds since the Unix epoch.
    pub time_ns: i64,
    /// It went back so far that it is followed.
    pub is_step: bool,
}

/// `last_ns`: the time given before, 0 if none. A time before that is lifted to the next nanosecond after it,
/// unless it is `limits::CLOCK_STEP_MIN` or more before: that is a clock step, and followed.
#[must_use]
pub fn lift(last_ns: i64, time_ns: i64) -> Lifted {
    if last_ns == 0 || time_ns >= last_ns {
        return Lifted { time_ns, is_step: false };
    }
    let is_step = u128::from(last_ns.abs_diff(time_ns)) >= CLOCK_STEP_MIN.as_nanos();
    Lifted { time_ns: if is_step { time_ns } else { last_ns.saturating_add(1) }, is_step }
}

#[cfg(test)]
mod tests {
    use super::*;
    const S: i64 = 1_000_000_000;

    #[test]
    fn a_little_back_is_lifted_and_a_minute_is_followed() {
        let lifted = |last, time| (lift(last, time).time_ns, lift(last, time).is_step);
        assert_eq!(lifted(0, 5), (5, false), "the first");
        assert_eq!(lifted(100 * S, 100 * S), (100 * S, false), "equal times stay");
        assert_eq!(lifted(100 * S, 99 * S), (100 * S + 1, false));
        assert_eq!(lifted(100 * S, 40 * S + 1), (100 * S + 1, false));
        assert_eq!(lifted(100 * S, 40 * S), (40 * S, true));
        assert_eq!(lifted(i64::MAX, i64::MIN), (i64::MIN, true));
    }
}
