//! The HTTP client for Loki.
//!
//! In: settings, bodies. Out: a [`Reply`] for each, also where nothing came back. Never: a proxy from the
//! environment, a redirect, a retry, or a wait beyond the timeout.
//!
//! Files with secrets and certificates are looked at again when a request is sent, at most once a second. A new
//! secret goes with the next request; new certificates make a new client, with new connections. While something is held
//! back, [`Client::changes`] looks at them without a request.

use super::answer::retry_after;
use super::credentials::{self, Credentials};
use super::files::{Kept, SetupError};
use super::tls;
use super::told::told;
use crate::clock::Clock;
use crate::config::Loki;
use crate::limits::{ANSWER_BYTES_MAX, PUSH_TIMEOUT};
use bytes::Bytes;
use reqwest::header::{CONTENT_TYPE, HeaderMap, HeaderValue, RETRY_AFTER};
use reqwest::{Method, RequestBuilder, Response, Url};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, TryLockError};
use std::time::Duration;
use tokio::time::{Instant, timeout_at};

/// From one look at the files to the next.
const RECHECK: Duration = Duration::from_secs(1);
/// A connection that idles longer is closed by us, before a gateway does it under a request (nginx: 75 s).
const IDLE_MAX: Duration = Duration::from_secs(30);

/// What came back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reply {
    /// The HTTP status, or 0 where none came; `body` then says why.
    pub status: u16,
    /// The body as text, cut to `limits::ANSWER_BYTES_MAX`.
    pub body: String,
    /// The header `Retry-After`.
    pub retry_after: Option<Duration>,
}

/// Why no client can be made of the settings.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// Not a URL, or not of http.
    #[error("loki.url {url:?}: {problem}; it looks like http://loki-gateway")]
    Url {
        /// As set.
        url: String,
        /// What is wrong with it.
        problem: String,
    },
    /// Bytes that no header can carry.
    #[error("loki.tenant {0:?} cannot be sent as a header; use letters, digits and the like")]
    Tenant(String),
}

/// A client for one Loki. Clones share connections.
#[derive(Clone, Debug)]
pub struct Client(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    loki: Loki,
    base: Url,
    headers: HeaderMap,
    clock: Clock,
    timing: Timing,
    has_files: bool,
    checked_ms: AtomicU64,
    /// Counts what came of the files.
    version: AtomicU64,
    /// Held while files are read, by a thread that may block.
    loader: Mutex<Loader>,
    /// Held for a moment only.
    ready: Mutex<Result<Ready, String>>,
}

#[derive(Clone, Copy, Debug)]
pub(super) struct Timing {
    pub(super) timeout: Duration,
    pub(super) recheck: Duration,
}

#[derive(Debug)]
struct Loader {
    credentials: Kept<Credentials>,
    http: Kept<reqwest::Client>,
}

#[derive(Clone, Debug)]
struct Ready {
    credentials: Credentials,
    http: reqwest::Client,
}

impl Client {
    /// A client for `loki`. Reads its files; where one cannot be read, that is logged and answered to every
    /// request (status 0) until it can.
    ///
    /// # Errors
    /// A URL or tenant that cannot be sent; a retry does not help.
    pub fn new(loki: &Loki) -> Result<Self, ClientError> {
        Self::timed(loki, Timing { timeout: PUSH_TIMEOUT, recheck: RECHECK })
    }

    pub(super) fn timed(loki: &Loki, timing: Timing) -> Result<Self, ClientError> {
        let base = base(&loki.url)?;
        let mut headers = HeaderMap::new();
        if !loki.tenant.is_empty() {
            let tenant = HeaderValue::from_str(&loki.tenant).map_err(|_| ClientError::Tenant(loki.tenant.clone()))?;
            headers.insert("x-scope-orgid", tenant);
        }
        let loader = Loader {
            credentials: Kept::new(credentials::file(&loki.auth)),
            http: Kept::new(if base.scheme() == "https" { tls::files(&loki.tls) } else { Vec::new() }),
        };
        let shared = Shared {
            loki: loki.clone(),
            base,
            headers,
            clock: Clock::start(),
            timing,
            has_files: loader.credentials.has_files() || loader.http.has_files(),
            checked_ms: AtomicU64::new(0),
            version: AtomicU64::new(0),
            loader: Mutex::new(loader),
            ready: Mutex::new(Err(String::new())),
        };
        shared.refresh();
        Ok(Self(Arc::new(shared)))
    }

    /// Sends the snappy block of a `PushRequest`.
    pub async fn push(&self, body: Bytes) -> Reply {
        self.ask(Method::POST, "/loki/api/v1/push", |request| {
            request.header(CONTENT_TYPE, "application/x-protobuf").body(body)
        })
        .await
    }

    /// Asks for `path`, such as `/ready`.
    pub async fn get(&self, path: &str) -> Reply {
        self.ask(Method::GET, path, |request| request).await
    }

    /// Looks at the files once a second while `is_held`, and calls `on_change` where one has changed. Ends at once where
    /// there are none, else never.
    pub async fn changes(self, is_held: impl Fn() -> bool, on_change: impl Fn()) {
        if !self.0.has_files {
            return;
        }
        let mut seen = self.0.version.load(Ordering::Relaxed);
        loop {
            tokio::time::sleep(self.0.timing.recheck).await;
            if !is_held() {
                continue;
            }
            // Also where it fails: then nothing has changed for the better.
            let _ = self.ready().await;
            let version = self.0.version.load(Ordering::Relaxed);
            if version != seen {
                seen = version;
                on_change();
            }
        }
    }

    async fn ask(&self, method: Method, path: &str, with: impl FnOnce(RequestBuilder) -> RequestBuilder) -> Reply {
        let deadline = Instant::now() + self.0.timing.timeout;
        let Ok(ready) = timeout_at(deadline, self.ready()).await else {
            return unanswered(format!("reading the files named in loki took over {:?}", self.0.timing.timeout));
        };
        let Ready { credentials, http } = match ready {
            Ok(ready) => ready,
            Err(why) => return unanswered(why),
        };
        let mut url = self.0.base.clone();
        url.set_path(&format!("{}{path}", self.0.base.path().trim_end_matches('/')));
        let request = with(credentials.apply(http.request(method, url).headers(self.0.headers.clone())));
        match timeout_at(deadline, request.send()).await {
            Ok(Ok(response)) => self.reply(response, deadline).await,
            Ok(Err(error)) => unanswered(told(error, Some(&self.0.base))),
            Err(_) => unanswered(format!("no answer within {:?}", self.0.timing.timeout)),
        }
    }

    async fn reply(&self, mut response: Response, deadline: Instant) -> Reply {
        let status = response.status().as_u16();
        let wait = response.headers().get(RETRY_AFTER).and_then(|value| value.to_str().ok());
        let retry_after = wait.and_then(|value| retry_after::read(value, self.0.clock.now().wall_ns));
        let mut body = Vec::new();
        // The status is what counts: where the body breaks off or stalls, what came of it has to do.
        while let Ok(Ok(Some(chunk))) = timeout_at(deadline, response.chunk()).await {
            let room = ANSWER_BYTES_MAX - body.len();
            body.extend_from_slice(chunk.get(..room).unwrap_or(&chunk));
            if body.len() == ANSWER_BYTES_MAX {
                break;
            }
        }
        let mut body = String::from_utf8_lossy(&body).into_owned();
        body.truncate(body.floor_char_boundary(ANSWER_BYTES_MAX));
        Reply { status, body, retry_after }
    }

    async fn ready(&self) -> Result<Ready, String> {
        if self.0.is_check_due() && self.0.is_worth_a_look() {
            let shared = Arc::clone(&self.0);
            // It cannot fail but by a stop of the runtime; then what was read before has to do.
            let _ = tokio::task::spawn_blocking(move || shared.refresh()).await;
        }
        self.0.ready.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Shared {
    /// Files may change, and what went wrong may be mended.
    fn is_worth_a_look(&self) -> bool {
        self.has_files || self.ready.lock().unwrap_or_else(PoisonError::into_inner).is_err()
    }

    /// True for one caller in each interval.
    fn is_check_due(&self) -> bool {
        let now_ms = u64::try_from(self.clock.now().mono.as_millis()).unwrap_or(u64::MAX);
        let last_ms = self.checked_ms.load(Ordering::Relaxed);
        let is_due = u128::from(now_ms.saturating_sub(last_ms)) >= self.timing.recheck.as_millis();
        is_due && self.checked_ms.compare_exchange(last_ms, now_ms, Ordering::Relaxed, Ordering::Relaxed).is_ok()
    }

    /// Reads what has changed. Blocks on files; does nothing while another thread is at it.
    fn refresh(&self) {
        let mut loader = match self.loader.try_lock() {
            Ok(loader) => loader,
            Err(TryLockError::Poisoned(poisoned)) => poisoned.into_inner(),
            Err(TryLockError::WouldBlock) => return,
        };
        let are_new =
            [loader.credentials.refresh(|| Credentials::load(&self.loki.auth)), loader.http.refresh(|| self.client())];
        let ready =
            loader.credentials.get().and_then(|credentials| loader.http.get().map(|http| Ready { credentials, http }));
        *self.ready.lock().unwrap_or_else(PoisonError::into_inner) = ready;
        if are_new.contains(&true) {
            self.version.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn client(&self) -> Result<reqwest::Client, SetupError> {
        let tls = tls::load(&self.loki.tls, self.base.scheme() == "https")?;
        reqwest::Client::builder()
            .tls_backend_preconfigured(tls)
            .no_proxy()
            .redirect(reqwest::redirect::Policy::none())
            .retry(reqwest::retry::never())
            .referer(false)
            .http1_only()
            .pool_idle_timeout(IDLE_MAX)
            .user_agent(concat!("penstock/", env!("CARGO_PKG_VERSION")))
            .build()
            .map_err(|error| SetupError::Tls(format!("setting up the HTTP client: {}", told(error, None))))
    }
}

fn base(text: &str) -> Result<Url, ClientError> {
    let wrong = |problem: String| ClientError::Url { url: text.to_owned(), problem };
    let url = Url::parse(text).map_err(|error| wrong(error.to_string()))?;
    if !matches!(url.scheme(), "http" | "https") {
        return Err(wrong("it is neither http nor https".to_owned()));
    }
    Ok(url)
}

fn unanswered(why: String) -> Reply {
    Reply { status: 0, body: why, retry_after: None }
}
