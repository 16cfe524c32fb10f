//! The rooms of the data path alone, a thousand lines each: `cargo bench -p penstock-bench`, or `cargo xtask bench micro`.

use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use penstock::batch::unique::Unique;
use penstock::config::LineForm;
use penstock::encode;
use penstock::framing::cri::parse_prefix;
use penstock::handover::fingerprint::Fingerprint;
use penstock::parse::{ShapeContext, Shaper};
use penstock::rfc3339::Reader;
use penstock::types::entry::Record;
use penstock::types::shard::Shard;
use penstock_bench::producer::lines::{Kind, LineMaker};
use std::hint::black_box;

const LINES: usize = 1_000;
/// 2026-08-22T10:00:00Z
const BEGIN_NS: i64 = 1_787_392_800_000_000_000;

fn lines(kind: Kind) -> Vec<Vec<u8>> {
    let mut maker = LineMaker::new(kind, 1, "bench");
    (0..LINES)
        .map(|_| {
            let mut line = Vec::new();
            maker.next(BEGIN_NS, 0, &mut line);
            line.pop();
            line
        })
        .collect()
}

fn record(line: &[u8]) -> Record<'_> {
    Record { time_ns: BEGIN_NS, content: line, full_bytes: line.len() as u64 }
}

fn bytes(lines: &[Vec<u8>]) -> Throughput {
    Throughput::Bytes(lines.iter().map(|line| line.len() as u64).sum())
}

fn prefix(c: &mut Criterion) {
    let line = b"2026-08-22T10:00:00.123456789Z stdout F the content of a line";
    let mut times = Reader::default();
    let mut group = c.benchmark_group("framing");
    group.throughput(Throughput::Elements(1));
    group.bench_function("prefix", |b| b.iter(|| parse_prefix(black_box(line), &mut times)));
    group.finish();
}

fn shape(c: &mut Criterion) {
    let mut group = c.benchmark_group("parse");
    for (kind, is_json) in [(Kind::Aigateway, true), (Kind::Heimdall, true), (Kind::Vllm, false)] {
        let lines = lines(kind);
        let (mut shaper, context) = (Shaper::new(LineForm::Compact), ShapeContext { is_json, envelope: &[] });
        group.throughput(bytes(&lines));
        group.bench_function(kind.name(), |b| {
            b.iter(|| {
                for line in &lines {
                    black_box(shaper.shape(record(line), &context));
                }
            });
        });
    }
    group.finish();
}

fn entries(c: &mut Criterion) {
    let lines = lines(Kind::Aigateway);
    let mut group = c.benchmark_group("encode");
    group.throughput(bytes(&lines));
    let mut buffer = Vec::new();
    group.bench_function("entry", |b| {
        b.iter(|| {
            buffer.clear();
            lines.iter().for_each(|line| encode::entry(&mut buffer, BEGIN_NS, line, b""));
            black_box(&buffer);
        });
    });
    let mut packer = encode::Packer::default();
    let packed = |packer: &mut encode::Packer| {
        encode::push_request([("{}", std::iter::once(&buffer[..]))], packer).map(<[u8]>::len).unwrap_or_default()
    };
    group.bench_function("push_request", |b| b.iter(|| black_box(packed(&mut packer))));
    group.finish();
}

fn identity(c: &mut Criterion) {
    let lines = lines(Kind::Vllm);
    let mut group = c.benchmark_group("identity");
    group.throughput(bytes(&lines));
    group.bench_function("unique", |b| {
        b.iter_batched_ref(
            Unique::default,
            |unique| {
                for (at, line) in lines.iter().enumerate() {
                    black_box(unique.free_time(Unique::hash(line), BEGIN_NS + at as i64, Shard::WHOLE));
                }
            },
            BatchSize::LargeInput,
        );
    });
    group.bench_function("fingerprint", |b| {
        b.iter(|| lines.iter().for_each(|line| _ = black_box(Fingerprint::of(&record(line)))));
    });
    group.finish();
}

criterion_group!(hot_rooms, prefix, shape, entries, identity);
criterion_main!(hot_rooms);
