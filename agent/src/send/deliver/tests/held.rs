//! Trouble: what it holds up, and what it does not.

use super::*;

/// Rule: one label set that is refused for good holds up the others for its first wait at most.
#[test]
fn what_one_label_set_suffers_is_its_own_after_the_first_wait() {
    // Whichever answer comes first of those that were under way together.
    for (status, first_wait, is_newest_first) in
        [(403, 5 * S, true), (403, 5 * S, false), (503, S, true), (503, S, false)]
    {
        let mut bench = Bench::new();
        bench.add(&[(0, &["bad"])]);
        let mut tries = 0;
        for tick in 0..3_000 {
            bench.now = S + 100 * MS * tick;
            let is_open = bench.delivery.may_start(bench.now);
            assert!(is_open || bench.now <= S + first_wait, "{status}: closed at {:?}", bench.now);
            if is_open && tick > 0 {
                bench.add(&[(1 + tick % 9, &["good"])]);
            }
            let mut under_way: Vec<_> = std::iter::from_fn(|| bench.due()).collect();
            if is_newest_first {
                under_way.reverse();
            }
            for (id, seen) in under_way {
                let is_bad = seen[0].0 == 0;
                tries += u32::from(is_bad);
                bench.answer(id, if is_bad { status } else { 204 }, "", None);
            }
        }
        assert_eq!(bench.delivery.held_label_sets(), 1);
        assert!((5..40).contains(&tries), "{tries} tries of the bad one");
    }
}

/// Rule: what has not failed goes first, so that two label sets that fail for good cannot take both probes.
#[test]
fn of_two_probes_one_is_for_what_has_not_failed() {
    let mut bench = Bench::new();
    bench.add(&[(0, &["bad"])]);
    bench.add(&[(1, &["bad"])]);
    let all: Vec<_> = std::iter::from_fn(|| bench.due()).collect();
    all.iter().for_each(|(id, _)| drop(bench.answer(*id, 403, "", None)));
    bench.now += 10 * S;
    assert!(bench.delivery.is_in_trouble() && bench.delivery.may_start(bench.now));
    bench.add(&[(2, &["good"])]);
    assert_eq!(bench.due().unwrap().1[0].0, 2);
}

/// Rule: requests that were under way together and fail together lengthen the pause once.
#[test]
fn failures_together_count_once() {
    let mut bench = Bench::new();
    (0..4).for_each(|label_set| bench.add(&[(label_set, &["a"])]));
    let all: Vec<_> = std::iter::from_fn(|| bench.due()).collect();
    all.iter().for_each(|(id, _)| drop(bench.answer(*id, 401, "", None)));
    assert!(bench.delivery.opens_at() <= bench.now + 10 * S, "{:?}", bench.delivery.opens_at());
}

/// Rule: `Retry-After` of the tenant's rate and of server errors is meant for all; only a pass ends it early.
#[test]
fn retry_after_binds_all() {
    for (status, body) in [(429, RATE_429), (503, "")] {
        let mut bench = Bench::new();
        (0..3).for_each(|label_set| bench.add(&[(label_set, &["a"])]));
        let all: Vec<_> = std::iter::from_fn(|| bench.due()).collect();
        bench.answer(all[0].0, status, body, Some(20 * S));
        bench.answer(all[1].0, 503, "", None);
        assert!(bench.delivery.opens_at() >= bench.now + 20 * S, "{status}: not shortened by another failure");
        assert!(!bench.delivery.may_start(bench.now + 19 * S));
        bench.answer(all[2].0, 204, "", None);
        assert!(bench.delivery.may_start(bench.now), "{status}");
    }
}

/// Rule: the tenant's rate: same bytes again, slower; and the operator is told. Its tries do not become rarer than the pace.
#[test]
fn the_tenants_rate_lowers_the_pace() {
    let mut bench = Bench::new();
    bench.add(&[(0, &["a"]), (1, &["b"])]);
    let (mut id, before) = bench.next();
    for _ in 0..8 {
        let effects = bench.answer(id, 429, RATE_429, None);
        assert!(effects.answered.is_empty());
        assert!(effects.trouble.unwrap().words.contains("ingestion_burst_size_mb"));
        assert_eq!(bench.delivery.held_label_sets(), 2);
        let refused_at = bench.now;
        let seen;
        (id, seen) = bench.next();
        assert_eq!(seen, before);
        assert!(bench.now - refused_at <= 400 * MS);
    }
    assert!(bench.delivery.rate() < 0.1 * (30 << 20) as f64);
}

/// Rule: what waits is cut to what the pace gives when its turn comes, and goes in its order, each entry as it was.
#[test]
fn what_is_more_than_the_pace_gives_goes_in_pieces() {
    let mut bench = Bench::new();
    let lines: Vec<String> = (0..1_000).map(|n| format!("{n:05} {}", "x".repeat(1_000))).collect();
    let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
    bench.add(&[(0, &lines[..700]), (0, &lines[700..]), (1, &lines[..10])]);
    let bytes = |seen: &Seen| seen.iter().map(|(_, line)| line.len() as u64).sum::<u64>();
    let mut sizes = Vec::new();
    // Until then the rate is halved, mostly.
    let refused = bench.play(|seen| {
        sizes.push(bytes(seen));
        if sizes.len() <= 11 { (429, RATE_429) } else { (204, "") }
    });
    assert_eq!(refused, []);
    assert!(sizes[..4].iter().all(|size| *size > 1_000_000), "not for a few refusals: {sizes:?}");
    assert!(sizes[12..].iter().all(|size| *size < 400_000) && sizes.len() > 13, "{sizes:?}");
    let stored = bench.stored_by_label_set();
    assert!(stored[&0] == lines && stored[&1] == lines[..10]);
}

/// Rule: an entry is never cut, whatever the pace.
#[test]
fn what_is_one_entry_goes_whole_at_any_pace() {
    let mut bench = Bench::new();
    let long = "x".repeat(100_000);
    bench.add(&[(0, &[&long, &long]), (1, &["small"])]);
    let mut tries = 0;
    let refused = bench.play(|seen| {
        tries += 1;
        if tries < 40 || seen.len() > 2 { (429, RATE_429) } else { (204, "") }
    });
    assert_eq!(refused, []);
    assert_eq!(bench.stored_by_label_set()[&0], [long.as_str(), long.as_str()]);
}

/// Rule: what is above the tenant's burst never passes whole, so it is split; what is small is not.
#[test]
fn what_is_above_the_tenants_burst_is_split() {
    let mut bench = Bench::new();
    let line = "x".repeat(30_000);
    bench.add(&[(0, &[&line, &line, &line, &line]), (1, &["small"])]);
    bench.add(&[(2, &["small", "too"])]);
    let mut refusals = 0;
    let is_above = |seen: &Seen| seen.iter().map(|(_, line)| line.len()).sum::<usize>() > 70_000;
    let refused = bench.play(|seen| {
        refusals += 1;
        // The large one may be cut to the pace as well, which is low by then.
        assert!(seen[0].0 != 2 || seen.len() == 2, "what is small stays whole: {seen:?}");
        if is_above(seen) || (refusals < 60 && seen[0].0 == 2) { (429, RATE_429) } else { (204, "") }
    });
    assert_eq!(refused, []);
    let stored = bench.stored_by_label_set();
    assert_eq!((stored[&0].len(), stored[&1].len(), stored[&2].len()), (4, 1, 2));
    assert!(bench.delivery.next_part & 0xff >= 2, "the large one was split");
}

/// Rule: the trouble that is shown is the newest of what is not answered for, and goes with it.
#[test]
fn the_newest_trouble_of_what_is_held_is_shown() {
    let mut bench = Bench::new();
    bench.add(&[(0, &["a"])]);
    bench.add(&[(1, &["b"])]);
    let (first, second) = (bench.due().unwrap().0, bench.due().unwrap().0);
    bench.answer(first, 503, "old", None);
    bench.answer(second, 401, "no org id", None);
    assert!(bench.delivery.trouble().unwrap().words.contains("no org id"));
    let (id, seen) = bench.next();
    assert_eq!(seen[0].0, 0);
    bench.answer(id, 204, "", None);
    assert!(bench.delivery.trouble().unwrap().words.contains("no org id"));
    bench.play(|_| (204, ""));
    assert_eq!(bench.delivery.trouble(), None);
}

/// Rule: an entry that is given up is named by its label set, with its bytes.
#[test]
fn what_is_set_aside_is_named() {
    let mut bench = Bench::new();
    bench.add(&[(1, &["bad"])]);
    let (id, _) = bench.next();
    let effects = bench.answer(id, 413, "", None);
    assert_eq!(effects.set_aside, Some(SetAside { label_set: LabelSetId(1), line_bytes: 3 }));
}

/// Rule: once a token or certificate has changed, what was held for it goes at once; a stream limit stays.
#[test]
fn what_may_be_mended_goes_at_once() {
    let mut bench = Bench::new();
    bench.add(&[(0, &["a"])]);
    bench.add(&[(1, &["b"])]);
    let (first, second) = (bench.due().unwrap().0, bench.due().unwrap().0);
    bench.answer(first, 429, "Maximum active stream limit exceeded", None);
    bench.answer(second, 401, "", None);
    assert!(bench.due().is_none());
    bench.delivery.open(bench.now);
    assert_eq!(bench.due().unwrap().1[0].0, 1);
    assert!(bench.due().is_none());
}
