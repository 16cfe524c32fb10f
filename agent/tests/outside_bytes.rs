//! Bytes from outside: the bodies of the fuzz targets on generated and on damaged input, in every test run.

#[path = "outside_bytes/bodies.rs"]
mod bodies;

use proptest::prelude::*;

fn number() -> impl Strategy<Value = String> {
    "-?(0|[1-9][0-9]{0,22})(\\.[0-9]{1,20})?([eE][+-]?[0-9]{1,4})?"
}

fn string() -> impl Strategy<Value = String> {
    "\"([ !#-\\[\\]-~é漢😀\u{fffd}\u{7f}]|\\\\[\"\\\\/bfnrt]|\\\\u[0-9a-fA-F]{4}){0,12}\""
}

fn key() -> impl Strategy<Value = String> {
    let known =
        ["msg", "message", "time", "timestamp", "level", "trace_id", "role", "app", "m\\u0073g", "t\\u0069me", ""];
    prop_oneof![4 => prop::sample::select(known.to_vec()).prop_map(|key| format!("\"{key}\"")), 1 => string()]
}

fn blank() -> impl Strategy<Value = String> {
    prop_oneof![6 => Just(String::new()), 1 => "[ \t\n\r]{1,3}"]
}

fn members(value: impl Strategy<Value = String> + Clone) -> impl Strategy<Value = String> {
    let member = (blank(), key(), blank(), blank(), value, blank())
        .prop_map(|(a, k, b, c, v, d)| format!("{a}{k}{b}:{c}{v}{d}"));
    prop::collection::vec(member, 0..6).prop_map(|members| format!("{{{}}}", members.join(",")))
}

fn json() -> impl Strategy<Value = String> {
    let level = prop::sample::select(vec!["\"INFO\"", "\"a b\"", "\"I\\u004e\"", "30", "true", "false", "null"]);
    let leaf = prop_oneof![number(), string(), level.prop_map(str::to_owned)].boxed();
    let value = leaf.prop_recursive(3, 16, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(|items| format!("[{}]", items.join(","))),
            members(inner),
        ]
    });
    (blank(), members(value.boxed()), blank()).prop_map(|(a, object, b)| format!("{a}{object}{b}"))
}

/// Damage at one place: a byte replaced, put in, or taken out.
fn damaged(text: impl Strategy<Value = String>) -> impl Strategy<Value = Vec<u8>> {
    let bytes = "{}[]:,\"\\0129-+.eEtrufalsn \t\r\n\0\u{1}\u{1f}/x'"
        .bytes()
        .chain([0x7f, 0x80, 0xc3, 0xff])
        .collect::<Vec<_>>();
    (text, any::<prop::sample::Index>(), 0..3, prop::sample::select(bytes)).prop_map(|(text, at, kind, byte)| {
        let mut bytes = text.into_bytes();
        let at = at.index(bytes.len() + 1);
        match kind {
            0 => bytes.insert(at, byte),
            1 if at < bytes.len() => bytes[at] = byte,
            _ if at < bytes.len() => drop(bytes.remove(at)),
            _ => {}
        }
        bytes
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn valid_json_is_shaped_as_another_reader_says(text in json()) {
        prop_assert!(serde_json::from_str::<&serde_json::value::RawValue>(&text).is_ok(), "the generator's own rule: {}", text);
        bodies::json_shape(text.as_bytes());
    }

    #[test]
    fn damaged_json_is_shaped_as_another_reader_says(bytes in damaged(json())) {
        bodies::json_shape(&bytes);
    }

    #[test]
    fn any_bytes_are_shaped(bytes in prop::collection::vec(any::<u8>(), 0..100)) {
        bodies::json_shape(&bytes);
        bodies::docker_line(&bytes);
        bodies::cri_prefix(&bytes);
        bodies::checkpoint_file(&bytes);
        bodies::journal(&bytes);
        bodies::loki_error(&bytes);
        bodies::capture_record(&bytes);
        bodies::kernel_types(&[&[0x9f, 0xeb], &bytes[..]].concat());
    }

    #[test]
    fn capture_records_of_any_length_and_flags_give_what_they_hold(
        sequence in prop_oneof![any::<u64>(), Just(u64::MAX)], length in 0_u32..64, flags in 0_u32..5, room in 0_usize..64,
    ) {
        let head = penstock_ebpf::RecordHead { cookie: 1, sequence, read_ns: 2, written_ns: 3, length, flags };
        bodies::capture_record(&[&head.to_bytes()[..], &vec![7; room]].concat());
    }

    #[test]
    fn damaged_positions_are_no_positions_or_others_that_can_be_saved(
        bytes in damaged("\\{\"files\":\\[\\{\"id\":[0-9]{1,20},\"folder\":\"a\",\"restart\":0,\"bytes\":1,\"is_finished\":true,\"streams\":\\[\\]\\}\\]\\}"),
    ) {
        bodies::checkpoint_file(&zstd::bulk::compress(&bytes, 1).unwrap());
    }

    #[test]
    fn damaged_refusals_of_loki_are_never_taken_for_stored(
        bytes in damaged("..([0-9]{0,21} errors like: )?(entry for stream '\\{a=\"b\"\\}' has timestamp too old: x|entry with timestamp 1 ignored, reason: 'entry too far behind',\nuser 'u', total ignored: [0-9]{1,21} out of 9 for stream: \\{\\}|Per stream rate limit exceeded)(; 2 errors like: x)?"),
    ) {
        bodies::loki_error(&bytes);
    }

    #[test]
    fn docker_lines_whole_or_damaged_are_read_as_another_reader_does(
        bytes in damaged((string(), "stdout|stderr|x").prop_map(|(log, stream)| {
            format!(r#"{{"log":{log},"stream":"{stream}","attrs":{{"a":1}},"time":"2026-08-22T10:00:00.5Z"}}"#)
        })),
    ) {
        bodies::docker_line(&bytes);
    }

    #[test]
    fn cri_lines_damaged_anywhere_do_not_panic(
        bytes in damaged("2026-08-22T10:00:00(\\.[0-9]{1,9})?Z (stdout|stderr) [PF](:x)? .{0,5}"),
    ) {
        bodies::cri_prefix(&bytes);
    }
}
