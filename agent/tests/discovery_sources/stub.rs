//! A stub of the Kubernetes API: list and watch of pods and namespaces with resource versions, and what can
//! go wrong with them. It speaks as kube-apiserver does; the real one was tried by hand.

use bytes::Bytes;
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt, Full, StreamBody};
use hyper::body::{Frame, Incoming};
use hyper::{Request, Response};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::convert::Infallible;
use std::io;
use std::path::Path;
use std::sync::{Arc, Mutex};
use tokio::net::TcpListener;
use tokio::sync::{mpsc, watch};

type Body = BoxBody<Bytes, io::Error>;

#[derive(Default)]
pub(crate) struct State {
    version: u64,
    /// Events up to this version are forgotten.
    forgotten: u64,
    objects: BTreeMap<(String, String), Value>,
    /// Resource, version, event.
    history: Vec<(String, u64, Value)>,
    /// Path and query of every request.
    pub(crate) requests: Vec<String>,
    /// Every `Accept` header.
    pub(crate) accepted: Vec<String>,
    /// Answer requests about this resource with this status, so many times.
    pub(crate) fail: Option<(&'static str, u16, u32)>,
    /// Answer a watch that starts in the forgotten past with the status 410 instead of an event.
    pub(crate) gone_as_status: bool,
    /// Give out whole objects whatever was asked for.
    pub(crate) whole_objects: bool,
    cuts: u64,
}

#[derive(Clone)]
pub(crate) struct Stub {
    pub(crate) state: Arc<Mutex<State>>,
    changed: watch::Sender<()>,
}

impl Stub {
    pub(crate) fn new() -> Self {
        let state = State { version: 100, ..State::default() };
        Self { state: Arc::new(Mutex::new(state)), changed: watch::channel(()).0 }
    }

    /// Serves on a port of 127.0.0.1 and writes the kubeconfig for it.
    pub(crate) async fn serve(&self, folder: &Path) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        write_kubeconfig(folder, listener.local_addr().unwrap().port());
        self.serve_on(listener);
    }

    pub(crate) fn serve_on(&self, listener: TcpListener) {
        let stub = self.clone();
        tokio::spawn(async move {
            while let Ok((socket, _)) = listener.accept().await {
                let stub = stub.clone();
                let service = hyper::service::service_fn(move |request| {
                    let answer = stub.answer(&request);
                    async move { Ok::<_, Infallible>(answer) }
                });
                let socket = hyper_util::rt::TokioIo::new(socket);
                tokio::spawn(hyper::server::conn::http1::Builder::new().serve_connection(socket, service));
            }
        });
    }

    pub(crate) fn set(&self, change: impl FnOnce(&mut State)) {
        change(&mut self.state.lock().unwrap());
        self.changed.send_replace(());
    }

    pub(crate) fn put(&self, resource: &str, name: &str, labels: &Value) {
        self.set(|state| {
            state.version += 1;
            let key = (resource.to_owned(), name.to_owned());
            let kind = if state.objects.contains_key(&key) { "MODIFIED" } else { "ADDED" };
            let metadata = json!({"name": name, "namespace": "ns", "uid": name, "labels": labels,
                "resourceVersion": state.version.to_string()});
            state.objects.insert(key, metadata.clone());
            let event = json!({"type": kind, "object": state.object(resource, &metadata)});
            state.history.push((resource.to_owned(), state.version, event));
        });
    }

    pub(crate) fn delete(&self, resource: &str, name: &str) {
        self.set(|state| {
            state.version += 1;
            let mut metadata = state.objects.remove(&(resource.to_owned(), name.to_owned())).unwrap();
            metadata["resourceVersion"] = json!(state.version.to_string());
            let event = json!({"type": "DELETED", "object": state.object(resource, &metadata)});
            state.history.push((resource.to_owned(), state.version, event));
        });
    }

    /// A bookmark, after events of other objects.
    pub(crate) fn bookmark(&self) {
        self.set(|state| {
            state.version += 50;
            let object =
                json!({"kind": "Pod", "apiVersion": "v1", "metadata": {"resourceVersion": state.version.to_string()}});
            state.history.push(("pods".into(), state.version, json!({"type": "BOOKMARK", "object": object})));
        });
    }

    /// Forgets the history, as etcd's compaction does.
    pub(crate) fn forget(&self) {
        self.set(|state| {
            state.version += 1;
            state.forgotten = state.version;
            state.history.clear();
        });
    }

    /// Breaks all watches off in the middle.
    pub(crate) fn cut(&self) {
        self.set(|state| state.cuts += 1);
    }

    pub(crate) fn requests(&self) -> Vec<String> {
        self.state.lock().unwrap().requests.clone()
    }

    fn answer(&self, request: &Request<Incoming>) -> Response<Body> {
        let mut state = self.state.lock().unwrap();
        let asked = request.uri().path_and_query().unwrap().to_string();
        state.requests.push(asked.clone());
        let accept = request.headers().get("accept").map(|value| value.to_str().unwrap().to_owned());
        state.accepted.extend(accept);
        let resource = request.uri().path().rsplit('/').next().unwrap().to_owned();
        if let Some((failing, code, times)) = state.fail.filter(|(failing, ..)| *failing == resource) {
            state.fail = (times > 1).then_some((failing, code, times - 1));
            return status(code);
        }
        let of_query = |key: &str| {
            let query = request.uri().query().unwrap_or_default();
            query.split('&').find_map(|pair| pair.strip_prefix(key)?.strip_prefix('=')).map(str::to_owned)
        };
        let label = of_query("labelSelector").map(|text| text.replace("%2F", "/").replace("%3D", "="));
        if of_query("watch").is_some() {
            let since = of_query("resourceVersion").unwrap().parse().unwrap();
            if since < state.forgotten && state.gone_as_status {
                return status(410);
            }
            drop(state);
            return self.watch(resource, label, since);
        }
        let matching = state.objects.iter().filter(|((of, _), object)| *of == resource && has_label(object, &label));
        let items: Vec<Value> = matching.map(|(_, metadata)| state.object(&resource, metadata)).collect();
        let list = json!({"kind": "PartialObjectMetadataList", "apiVersion": "meta.k8s.io/v1",
            "metadata": {"resourceVersion": state.version.to_string()}, "items": items});
        Response::new(Full::from(list.to_string()).map_err(|never| match never {}).boxed())
    }

    fn watch(&self, resource: String, label: Option<String>, since: u64) -> Response<Body> {
        let (sender, receiver) = mpsc::channel(16);
        let (state, mut changed) = (Arc::clone(&self.state), self.changed.subscribe());
        let cuts = state.lock().unwrap().cuts;
        tokio::spawn(async move {
            let mut sent = since;
            loop {
                let (events, is_cut, is_gone) = {
                    let state = state.lock().unwrap();
                    let fits = |(of, version, event): &&(String, u64, Value)| {
                        *of == resource && *version > sent && has_label(&event["object"]["metadata"], &label)
                    };
                    let events: Vec<_> = state.history.iter().filter(fits).map(|(_, v, e)| (*v, e.clone())).collect();
                    (events, state.cuts != cuts, since < state.forgotten)
                };
                for (version, event) in events {
                    sent = version;
                    let line = Bytes::from(format!("{event}\n"));
                    if sender.send(Ok(Frame::data(line))).await.is_err() {
                        return;
                    }
                }
                if is_gone {
                    let event = json!({"type": "ERROR", "object": {"kind": "Status", "status": "Failure", "code": 410,
                        "reason": "Expired", "message": "too old resource version"}});
                    let _ = sender.send(Ok(Frame::data(Bytes::from(format!("{event}\n"))))).await;
                    return;
                }
                if is_cut {
                    let _ = sender.send(Err(io::Error::other("cut"))).await;
                    return;
                }
                tokio::select! {
                    _ = changed.changed() => {}
                    () = sender.closed() => return,
                }
            }
        });
        let frames = futures::stream::unfold(receiver, async |mut receiver| Some((receiver.recv().await?, receiver)));
        Response::new(BodyExt::boxed(StreamBody::new(frames)))
    }
}

impl State {
    fn object(&self, resource: &str, metadata: &Value) -> Value {
        if self.whole_objects && resource == "pods" {
            return json!({"kind": "Pod", "apiVersion": "v1", "metadata": metadata,
                "spec": {"nodeName": "n1", "containers": [{"name": "c"}]}, "status": {"phase": "Running"}});
        }
        json!({"kind": "PartialObjectMetadata", "apiVersion": "meta.k8s.io/v1", "metadata": metadata})
    }
}

fn has_label(metadata: &Value, label: &Option<String>) -> bool {
    let Some((key, value)) = label.as_deref().and_then(|text| text.split_once('=')) else { return true };
    metadata["labels"][key] == value
}

fn status(code: u16) -> Response<Body> {
    let text = json!({"kind": "Status", "apiVersion": "v1", "status": "Failure", "code": code,
        "message": "the stub says no", "reason": "Stub"});
    let body = Full::from(text.to_string()).map_err(|never| match never {}).boxed();
    Response::builder().status(code).body(body).unwrap()
}

pub(crate) fn write_kubeconfig(folder: &Path, port: u16) {
    let text = json!({"apiVersion": "v1", "kind": "Config", "current-context": "c",
        "clusters": [{"name": "c", "cluster": {"server": format!("http://127.0.0.1:{port}")}}],
        "users": [{"name": "u", "user": {"token": "t"}}],
        "contexts": [{"name": "c", "context": {"cluster": "c", "user": "u"}}]});
    std::fs::write(folder.join("kubeconfig"), text.to_string()).unwrap();
}
