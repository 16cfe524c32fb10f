//! Loki, faked: takes requests, answers later and in any order, refuses in every way that Loki has.
//!
//! In: request bodies. Out: answers, and what is stored, in the books. The words are those of `receiver::refusal`.

use super::gone::{has_lost_its_beginning, has_lost_its_end, is_displaced};
use super::lines::{Book, Excuse, Stored};
use crate::receiver::refusal::{self, FailedEntry, Failure, GroupedErrors};
use crate::receiver::wire::{Entry, PushRequest, Stream};
use penstock::types::request::{Answer, Request, RequestId};
use prost::Message;
use std::collections::{HashMap, HashSet};
use std::time::Duration;

/// How often what happens, as weights; the rest is good.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Manners {
    /// Share of requests with which something is wrong.
    pub(super) trouble: f64,
    /// Answers that do not come although all is stored, and 500s after storing.
    pub(super) stores_and_fails: bool,
    /// Single entries are refused for good.
    pub(super) refuses: bool,
    /// An answer takes up to so long.
    pub(super) slowness: Duration,
}

/// Label set, time, text and metadata of an entry.
type Kept = (String, i64, Vec<u8>, String);

/// What an answer will say.
struct Coming {
    at: Duration,
    answer: Answer,
    /// Stored when the answer comes, unless it was before.
    push: Option<Push>,
}

/// What of a request is to be stored, and what not.
struct Push {
    entries: Vec<Kept>,
}

/// The fake.
pub(super) struct Loki {
    /// Its manners now.
    pub(super) manners: Manners,
    /// Until then it answers everything with the one.
    pub(super) down: Option<(Duration, u16)>,
    /// What is stored: label set, time, text; how often it came.
    pub(super) store: HashMap<(String, i64, Vec<u8>), u32>,
    /// Rules that were broken, in words.
    pub(super) broken: Vec<String>,
    /// Entries refused for good, by answers that were given.
    pub(super) refused: u64,
    /// Something was stored although the answer did not say so.
    pub(super) has_stored_silently: bool,
    coming: Vec<Coming>,
    known: HashSet<String>,
    newest: HashMap<(usize, String), usize>,
    random: fastrand::Rng,
}

impl Loki {
    /// An empty one.
    pub(super) fn new(seed: u64) -> Self {
        Self {
            manners: Manners::default(),
            down: None,
            store: HashMap::new(),
            broken: Vec::new(),
            refused: 0,
            has_stored_silently: false,
            coming: Vec::new(),
            known: HashSet::new(),
            newest: HashMap::new(),
            random: fastrand::Rng::with_seed(seed),
        }
    }

    /// A request arrives.
    pub(super) fn push(&mut self, request: &Request, now: Duration, book: &mut Book) {
        let body = snap::raw::Decoder::new().decompress_vec(&request.body).unwrap_or_default();
        let push = match PushRequest::decode(bytes::Bytes::from(body)) {
            Ok(push) if !push.streams.is_empty() => push,
            _ => return self.broken.push("a request that cannot be decoded, or is empty".to_owned()),
        };
        let took = Duration::from_micros(self.random.u64(200..=200 + self.manners.slowness.as_micros() as u64));
        let (status, body, kept, at) = self.judge(&push, now, now + took, book);
        let stores_later = self.random.bool();
        let mut coming =
            Coming { at, answer: answer(request.id, status, body, at - now), push: Some(Push { entries: kept }) };
        if !stores_later && let Some(push) = coming.push.take() {
            self.keep(push, book);
        }
        self.coming.push(coming);
    }

    /// Status, words, what is stored, and when the answer comes.
    fn judge(
        &mut self,
        push: &PushRequest,
        now: Duration,
        at: Duration,
        book: &mut Book,
    ) -> (u16, String, Vec<Kept>, Duration) {
        let all = |_: &Stream, _: &Entry| true;
        if let Some((until, status)) = self.down.filter(|(until, _)| now < *until) {
            let stored = status == 0 && self.manners.stores_and_fails && self.random.u8(..4) == 0;
            self.has_stored_silently |= stored;
            let at = if status == 0 { until.min(now + Duration::from_secs(30)).max(at) } else { at };
            return (status, words(status), if stored { entries(push, all) } else { Vec::new() }, at);
        }
        let count: usize = push.streams.iter().map(|stream| stream.entries.len()).sum();
        if push
            .streams
            .iter()
            .flat_map(|stream| &stream.entries)
            .any(|entry| memchr::memmem::find(&entry.line, b"POISON").is_some())
        {
            if count == 1 {
                self.refuse(&push.streams[0].entries[0].line, book);
            }
            return (400, "couldn't parse labels: 1:5: parse error: unexpected character".to_owned(), Vec::new(), at);
        }
        if self.random.f64() >= self.manners.trouble {
            self.known.extend(push.streams.iter().map(labels));
            return (204, String::new(), entries(push, all), at);
        }
        self.trouble(push, count, at, book)
    }

    fn trouble(
        &mut self,
        push: &PushRequest,
        count: usize,
        at: Duration,
        book: &mut Book,
    ) -> (u16, String, Vec<Kept>, Duration) {
        let all = |_: &Stream, _: &Entry| true;
        let bytes: usize = push.streams.iter().flat_map(|stream| &stream.entries).map(|entry| entry.line.len()).sum();
        let one = labels(&push.streams[self.random.usize(..push.streams.len())]);
        match self.random.u8(..12) {
            0 => (429, refusal::Answer::tenant_rate("fake", 31_457_280, count, bytes).body, Vec::new(), at),
            1 => (503, "no healthy instances".to_owned(), Vec::new(), at),
            2 if count > 1 => (413, "<html>Request Entity Too Large".to_owned(), Vec::new(), at),
            3 if count > 1 => (500, refusal::Answer::message_too_large(5_202_709, 4_194_304).body, Vec::new(), at),
            4 if self.manners.stores_and_fails => {
                self.has_stored_silently = true;
                (500, "rpc error: code = DeadlineExceeded".to_owned(), entries(push, all), at)
            }
            5 if self.manners.stores_and_fails => {
                self.has_stored_silently = true;
                (0, "no answer in 30 s".to_owned(), entries(push, all), at + Duration::from_secs(30))
            }
            6 => {
                let is_named = self.random.u8(..4) > 0 || !self.manners.stores_and_fails;
                let refused = self.refused_with(push, &one);
                // One label set is named, so the agent may send again what was stored of the others.
                self.has_stored_silently |= push.streams.len() > 1;
                let shown = if is_named { one.as_str() } else { "{app=\"other\"}" };
                let body = self.stream_rate(push, &one, shown);
                (429, body, entries(push, |stream, _| !refused.contains(&labels(stream))), at)
            }
            7 if !self.known.contains(&one) => {
                let new = one;
                self.has_stored_silently |= push.streams.len() > 1;
                let body = refusal::Answer::too_many_streams("fake", &new).body;
                (429, body, entries(push, |stream, _| labels(stream) != new), at)
            }
            8 | 9 if self.manners.refuses => self.refuse_some(push, &one, at, book),
            10 => (401, "no org id".to_owned(), Vec::new(), at),
            _ => (500, "empty ring".to_owned(), Vec::new(), at),
        }
    }

    /// `one`, and some that stand before it in the request: an ingester names the last that it refused.
    fn refused_with(&mut self, push: &PushRequest, one: &str) -> HashSet<String> {
        let before = push.streams.iter().map(labels).take_while(|labels| labels != one);
        before.filter(|_| self.random.u8(..3) == 0).chain([one.to_owned()]).collect()
    }

    fn stream_rate(&mut self, push: &PushRequest, one: &str, shown: &str) -> String {
        let of_one = push.streams.iter().filter(|stream| labels(stream) == one).flat_map(|stream| &stream.entries);
        let failed: Vec<FailedEntry> = of_one
            .map(|entry| FailedEntry { time_ns: time(entry), why: Failure::StreamRate(entry.line.len()) })
            .collect();
        refusal::failed_entries("fake", shown, 31_457_280, &failed, failed.len())
            .map_or_else(String::new, |answer| answer.body)
    }

    /// Some entries of one label set are refused for good: by an ingester, or by the distributor.
    fn refuse_some(
        &mut self,
        push: &PushRequest,
        one: &str,
        at: Duration,
        book: &mut Book,
    ) -> (u16, String, Vec<Kept>, Duration) {
        let is_ingester = self.random.bool();
        self.has_stored_silently |= is_ingester && push.streams.len() > 1;
        let mut groups = GroupedErrors::default();
        let (mut failed, mut refused, mut total) = (Vec::new(), HashSet::new(), 0);
        for entry in push.streams.iter().filter(|stream| labels(stream) == one).flat_map(|stream| &stream.entries) {
            total += 1;
            if self.random.bool() && book.find(&entry.line).is_some() {
                self.refuse(&entry.line, book);
                refused.insert(entry.line.clone());
                failed.push(FailedEntry { time_ns: time(entry), why: Failure::TooFarBehind(time(entry)) });
                groups.add(format!("entry for stream '{one}' has timestamp too old: 2026-01-01T00:00:00Z, oldest acceptable timestamp is: 2026-08-15T00:00:00Z"));
            }
        }
        let kept = entries(push, |stream, entry| labels(stream) != one || !refused.contains(&entry.line));
        let answer =
            if is_ingester { refusal::failed_entries("fake", one, 0, &failed, total) } else { groups.answer() };
        answer.map_or((204, String::new(), kept.clone(), at), |answer| (answer.status, answer.body, kept, at))
    }

    fn refuse(&mut self, line: &[u8], book: &mut Book) {
        self.refused += 1;
        if let Some(number) = book.find(line)
            && book.lines[number].stored.is_none()
        {
            book.lines[number].excuse = Some(Excuse::Refused);
        }
    }

    /// The answers that are there by now, in any order.
    pub(super) fn answers(&mut self, now: Duration, book: &mut Book) -> Vec<Answer> {
        let mut answers = Vec::new();
        while let Some(place) = self.coming.iter().position(|coming| coming.at <= now) {
            let coming = self.coming.swap_remove(place);
            if let Some(push) = coming.push {
                self.keep(push, book);
            }
            answers.push(coming.answer);
        }
        answers
    }

    /// When the next answer comes.
    pub(super) fn next_at(&self) -> Option<Duration> {
        self.coming.iter().map(|coming| coming.at).min()
    }

    /// The agent died: what was under way is stored or not.
    pub(super) fn agent_died(&mut self, book: &mut Book) {
        for coming in std::mem::take(&mut self.coming) {
            if let Some(push) = coming.push.filter(|_| self.random.bool()) {
                self.keep(push, book);
            }
        }
    }

    fn keep(&mut self, push: Push, book: &mut Book) {
        for (labels, time_ns, text, metadata) in push.entries {
            let times = self.store.entry((labels.clone(), time_ns, text.clone())).or_default();
            *times += 1;
            if book.ticks.contains_key(&text) {
                book.tell(|| format!("  an equal line came, {labels} {time_ns} {metadata}, {times} times"));
            }
            self.arrived(Stored { labels, time_ns, text, metadata }, book);
        }
    }

    fn arrived(&mut self, new: Stored, book: &mut Book) {
        let Some(number) = book.find(&new.text) else { return self.fragment(&new, book) };
        let line = &book.lines[number];
        if line.is_tick || line.excuse.is_some_and(|excuse| excuse != Excuse::Refused) {
            return;
        }
        let is_rest = line.text.ends_with(&new.text) && has_lost_its_beginning(book, number);
        let is_torn = line.text.starts_with(&new.text) && has_lost_its_end(book, number);
        if !is_text(&new.text, &line.text) && (is_rest || is_torn) {
            return;
        }
        let line = &mut book.lines[number];
        if !is_text(&new.text, &line.text) {
            let same = new.text.iter().zip(&line.text).take_while(|(new, old)| new == old).count();
            return self.broken.push(format!(
                "line {number} was altered from byte {same} on: {} bytes instead of {}: {:.100} instead of {:.100}",
                new.text.len(),
                line.text.len(),
                format!("{:?}", String::from_utf8_lossy(new.text.get(same..).unwrap_or_default())),
                format!("{:?}", String::from_utf8_lossy(line.text.get(same..).unwrap_or_default())),
            ));
        }
        if line.stored.as_ref().is_some_and(|first| *first != new) && is_displaced(book, number) {
            return book.tell(|| format!("  line {number} came again, as nobody knows where it stands"));
        }
        let line = &mut book.lines[number];
        line.arrivals += 1;
        let is_relabelled = book.relabelled.contains(&book.streams[line.stream].pod);
        if book.lines[number].stored.is_some() {
            book.tell(|| format!("  line {number} came again"));
        }
        let line = &mut book.lines[number];
        if let Some(first) = &line.stored {
            // Under other labels it is another entry, with a time that is free there.
            let is_other = first.labels != new.labels && first.metadata == new.metadata;
            if *first != new && book.is_loose {
                // An entry that Loki stores twice, as its answer went astray, is one that came otherwise.
                let is_new = self.store.get(&(new.labels, new.time_ns, new.text)) == Some(&1);
                book.came_otherwise += u64::from(is_new);
            } else if *first != new && !(is_relabelled && is_other) {
                self.broken.push(format!(
                    "line {number} came again otherwise: {} {} {} instead of {} {} {}",
                    new.labels, new.time_ns, new.metadata, first.labels, first.time_ns, first.metadata
                ));
            }
            return;
        }
        let newest = self.newest.entry((line.stream, new.labels.clone())).or_insert(number);
        let is_again_under_new_labels = is_relabelled && book.has_died;
        if *newest > number && line.excuse.is_none() && !is_again_under_new_labels && !book.is_loose {
            self.broken.push(format!("line {number} came first after line {newest} of the same std stream"));
        }
        *newest = number.max(*newest);
        line.stored = Some(new);
        book.tell(|| format!("  line {number} is stored"));
    }

    /// Something that is no whole line: only pieces of lines whose other pieces are gone may come.
    fn fragment(&mut self, new: &Stored, book: &Book) {
        if book.ticks.contains_key(&new.text) {
            return;
        }
        let marker = memchr::memmem::find(&new.text, " …[truncated ".as_bytes());
        let text = &new.text[..marker.unwrap_or(new.text.len())];
        let is_piece = |number: usize| {
            let line = &book.lines[number];
            (line.excuse.is_some() || has_lost_its_beginning(book, number))
                && memchr::memmem::find(&line.text, text).is_some()
        };
        if !(0..book.lines.len()).any(is_piece) {
            self.broken.push(format!("this was never written: {:.200}", String::from_utf8_lossy(&new.text)));
        }
    }
}

fn is_text(new: &[u8], written: &[u8]) -> bool {
    let is_cut = written.len() > penstock::limits::LINE_BYTES_MAX;
    new == written
        || (is_cut
            && new.get(..200_000) == written.get(..200_000)
            && memchr::memmem::find(new, b"[truncated ").is_some())
}

fn labels(stream: &Stream) -> String {
    String::from_utf8_lossy(&stream.labels).into_owned()
}

fn time(entry: &Entry) -> i64 {
    entry.timestamp.and_then(crate::receiver::wire::Timestamp::to_ns).unwrap_or(0)
}

fn entries(push: &PushRequest, is_kept: impl Fn(&Stream, &Entry) -> bool) -> Vec<Kept> {
    let mut kept = Vec::new();
    for stream in &push.streams {
        for entry in stream.entries.iter().filter(|entry| is_kept(stream, entry)) {
            let pair = |pair: &crate::receiver::wire::LabelPair| {
                format!("{}={} ", String::from_utf8_lossy(&pair.name), String::from_utf8_lossy(&pair.value))
            };
            let metadata = entry.structured_metadata.iter().map(pair).collect();
            kept.push((labels(stream), time(entry), entry.line.to_vec(), metadata));
        }
    }
    kept
}

fn words(status: u16) -> String {
    match status {
        0 => "no answer in 30 s".to_owned(),
        260 => refusal::Answer::blocked("fake", 0).body,
        401 => "no org id".to_owned(),
        _ => "empty ring".to_owned(),
    }
}

fn answer(id: RequestId, status: u16, body: String, took: Duration) -> Answer {
    Answer { id, status, body, retry_after: None, took }
}
