//! Faults on request.

use std::time::Duration;

use penstock_bench::receiver::wire::Stream;
use penstock_bench::receiver::{Fault, Receiver, Times};

use crate::client::{NOW, body, entry, get, push, send, start, stored, stream};

const PROTO: (&str, &str) = ("Content-Type", "application/x-protobuf");

fn one(time: i64) -> Vec<Stream> {
    vec![stream(r#"{case="a"}"#, vec![entry(NOW + time, "a")])]
}

async fn try_push(receiver: &Receiver) -> std::io::Result<u16> {
    Ok(send(receiver.addr(), "POST", "/loki/api/v1/push", &[PROTO], &body(one(0))).await?.status)
}

#[tokio::test]
async fn answers_on_request_store_nothing() {
    let (receiver, _) = start(|_| {}).await;
    for (fault, status) in [
        (Fault::Status(503), 503),
        (Fault::Status(413), 413),
        (Fault::TooMany, 429),
        (Fault::StreamRate, 429),
        (Fault::RetryAfter(7), 429),
        (Fault::Unauthorized401, 401),
        (Fault::Blocked260, 260),
    ] {
        receiver.set_fault_for(fault, Times::Next(1));
        let answer = push(&receiver, one(0)).await;
        assert_eq!(answer.status, status, "{fault:?}");
        assert_eq!(answer.head.contains("retry-after: 7"), fault == Fault::RetryAfter(7));
        assert_eq!(stored(&receiver, "a").await, 0, "{fault:?}");
    }
    assert_eq!(push(&receiver, one(0)).await.status, 204, "the faults are used up");
    assert_eq!(receiver.stats().faults, 7);
}

#[tokio::test]
async fn a_reset_gives_no_answer_and_stores_or_does_not() {
    let (receiver, _) = start(|_| {}).await;
    receiver.set_fault_for(Fault::Reset, Times::Next(1));
    assert!(try_push(&receiver).await.is_err());
    assert_eq!(stored(&receiver, "a").await, 0);
    receiver.set_fault_for(Fault::StoreThenReset, Times::Next(1));
    assert!(try_push(&receiver).await.is_err());
    assert_eq!(stored(&receiver, "a").await, 1);
    assert_eq!(receiver.stats().requests_by_status[&0], 2);
}

#[tokio::test]
async fn stored_and_answered_500_comes_twice_when_sent_again() {
    let (receiver, _) = start(|_| {}).await;
    receiver.set_fault_for(Fault::StoreThen500, Times::Next(1));
    assert_eq!(push(&receiver, one(0)).await.status, 500);
    assert_eq!(stored(&receiver, "a").await, 1);
    assert_eq!(push(&receiver, one(0)).await.status, 204);
    assert_eq!(receiver.stats().entries_received_twice, 1);
}

#[tokio::test]
async fn a_stall_answers_nobody_and_holds_up_nobody_else() {
    let (receiver, _) = start(|_| {}).await;
    receiver.set_fault_for(Fault::Stall, Times::Next(1));
    let addr = receiver.addr();
    let stalled = tokio::spawn(async move { send(addr, "POST", "/loki/api/v1/push", &[PROTO], &body(one(0))).await });
    while receiver.stats().requests_by_status.is_empty() {
        tokio::task::yield_now().await;
    }
    assert_eq!(push(&receiver, one(1)).await.status, 204);
    assert!(!stalled.is_finished());
    receiver.stop().await;
    assert!(stalled.await.unwrap().is_err(), "stopping closes the connection");
}

#[tokio::test]
async fn a_slow_answer_is_lokis_and_late() {
    let (receiver, _) = start(|_| {}).await;
    receiver.set_fault(Some(Fault::Slow(Duration::from_secs(600))));
    let in_time = tokio::time::timeout(Duration::from_millis(50), push(&receiver, one(0))).await;
    assert!(in_time.is_err());
    assert_eq!(stored(&receiver, "a").await, 0, "it is late for the store as well");
    receiver.set_fault(Some(Fault::Slow(Duration::from_millis(1))));
    assert_eq!(push(&receiver, one(0)).await.status, 204);
}

#[tokio::test]
async fn refused_connections_come_back_with_the_store() {
    let (receiver, _) = start(|_| {}).await;
    assert_eq!(push(&receiver, one(0)).await.status, 204);
    receiver.set_fault(Some(Fault::Refuse));
    while try_push(&receiver).await.is_ok() {
        tokio::task::yield_now().await;
    }
    let refused = send(receiver.addr(), "GET", "/ready", &[], b"").await;
    assert_eq!(refused.unwrap_err().kind(), std::io::ErrorKind::ConnectionRefused);
    receiver.set_fault(None);
    while send(receiver.addr(), "GET", "/ready", &[], b"").await.is_err() {
        tokio::task::yield_now().await;
    }
    assert_eq!(stored(&receiver, "a").await, 1);
}

#[tokio::test]
async fn faults_are_set_and_counters_read_over_http_too() {
    let (receiver, _) = start(|_| {}).await;
    let fault =
        async |query: &str| send(receiver.addr(), "POST", &format!("/_fault?{query}"), &[], b"").await.unwrap().status;
    assert_eq!(fault("kind=500&count=2").await, 200);
    assert_eq!([push(&receiver, one(0)).await.status, push(&receiver, one(0)).await.status], [500, 500]);
    assert_eq!(push(&receiver, one(0)).await.status, 204);
    assert_eq!(fault("kind=too_many").await, 200);
    assert_eq!(push(&receiver, one(1)).await.status, 429);
    assert_eq!(fault("kind=none").await, 200);
    assert_eq!(push(&receiver, one(1)).await.status, 204);
    assert_eq!(fault("kind=nonsense").await, 400);
    let stats: serde_json::Value = serde_json::from_str(&get(&receiver, "/_stats").await.body).unwrap();
    assert_eq!((&stats["requests"], &stats["requests_by_status"]["500"]), (&5.into(), &2.into()));
}
