//! What a journal gives back, whole, torn or damaged.

use super::*;
use proptest::prelude::*;

const LABELS: &str = "{a=\"b\"}";

fn record(number: u64) -> Vec<u8> {
    let mut record = Record::default();
    record.fingerprints(label_set_hash(LABELS), &[number, number + 1]);
    record.sent(FileId(1), StdStream::Stderr, label_set_hash(LABELS), 1..=number);
    record.moved(FileId(1), StdStream::Stdout, label_set_hash(LABELS), number, -5);
    record.finish()
}

#[test]
fn what_was_appended_is_recovered_also_after_a_new_beginning() {
    let dir = tempfile::tempdir().unwrap();
    let (mut journal, nothing, damage) = Journal::open(dir.path());
    assert_eq!(damage, None, "a new one");
    assert_eq!(nothing, Recovered::default());
    assert!(journal.is_full(), "it must be begun first");
    journal.begin(&record(1)).unwrap();
    journal.append(&record(10)).unwrap();
    let (_, recovered, damage) = Journal::open(dir.path());
    assert_eq!(damage, None);
    assert_eq!(recovered.sent[&(FileId(1), StdStream::Stderr, label_set_hash(LABELS))], [1..=10]);
    assert_eq!(recovered.moved[&(FileId(1), StdStream::Stdout, label_set_hash(LABELS), 1)], -5);
    assert_eq!(recovered.fingerprints[&label_set_hash(LABELS)], [1, 2, 10, 11]);
}

/// Rule: what waited while the labels were others is not taken for sent.
#[test]
fn ranges_with_a_hole_between_stay_apart() {
    let mut record = Record::default();
    for offsets in [3..=5, 3..=9, 20..=21] {
        record.sent(FileId(1), StdStream::Stdout, 7, offsets);
    }
    assert_eq!(recover(&record.finish()).sent[&(FileId(1), StdStream::Stdout, 7)], [3..=9, 20..=21]);
}

/// Rule: under other labels a record has another time, and where that was not moved nothing is noted of it.
#[test]
fn a_moved_time_is_that_of_one_label_set() {
    let recovered = recover(&record(1));
    let moved = |labels| recovered.moved.get(&(FileId(1), StdStream::Stdout, label_set_hash(labels), 1));
    assert_eq!((moved(LABELS), moved("{a=\"c\"}")), (Some(&-5), None));
}

#[test]
fn after_a_failed_write_it_is_begun_anew() {
    let dir = tempfile::tempdir().unwrap();
    let (mut journal, ..) = Journal::open(dir.path());
    assert!(journal.append(&record(1)).is_err());
    assert!(journal.is_full());
}

#[test]
fn damage_is_told() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("journal"), [record(1), b"torn".to_vec()].concat()).unwrap();
    let (_, recovered, damage) = Journal::open(dir.path());
    assert_eq!(recovered.moved.len(), 1);
    assert!(damage.unwrap().contains("its last 4 bytes"));
}

/// Rule: a file that cannot be ours is not read whole; what stands at its beginning counts.
#[test]
fn a_huge_journal_is_read_in_part() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("journal"), record(7)).unwrap();
    File::options().write(true).open(dir.path().join("journal")).unwrap().set_len(1 << 40).unwrap();
    let (_, recovered, damage) = Journal::open(dir.path());
    assert_eq!(recovered, recover(&record(7)));
    assert!(damage.unwrap().contains("damaged"));
}

#[test]
fn with_its_folder_deleted_it_is_begun_anew() {
    let dir = tempfile::tempdir().unwrap();
    let data_dir = dir.path().join("data");
    std::fs::create_dir(&data_dir).unwrap();
    let (mut journal, ..) = Journal::open(&data_dir);
    journal.begin(&record(1)).unwrap();
    assert!(!journal.is_full());
    std::fs::remove_dir_all(&data_dir).unwrap();
    assert!(journal.is_full());
    journal.begin(&record(2)).unwrap();
    assert_eq!(Journal::open(&data_dir).1, recover(&record(2)));
}

proptest! {
    #[test]
    fn a_torn_journal_gives_what_is_whole(cut in any::<prop::sample::Index>()) {
        let whole = [record(1), record(2), record(3)].concat();
        let one = record(1).len();
        let cut = cut.index(whole.len() + 1);
        let recovered = recover(&whole[..cut]);
        prop_assert_eq!(recovered.moved.len(), cut / one);
    }

    #[test]
    fn outside_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..100)) {
        let _recovered = recover(&bytes);
        let length = u32::try_from(bytes.len()).unwrap().to_le_bytes();
        let _recovered = recover(&[&length[..], &xxh3_64(&bytes).to_le_bytes(), &bytes].concat());
    }
}
