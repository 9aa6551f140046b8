//! Figures of a running relay, in the form of Prometheus, on an address of their
//! own.
//!
//! **No label is of a client's choosing**: no app id, session, path or address,
//! so that no client can make the list grow, and nothing in it is a secret.

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use agent_socket_wire::answer::Answer;
use agent_socket_wire::error::HttpCode;
use bytes::Bytes;
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::header::{CONTENT_TYPE, HeaderValue};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use metrics::{Counter, Gauge, Histogram, Key, Label, Metadata, Recorder as _};
use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle, PrometheusRecorder};
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tokio::time::{MissedTickBehavior, interval, timeout};

use crate::shared::Shared;

/// Upper bounds of the latencies that are counted together, in seconds: from a
/// page that the relay serves by itself to the longest call.
const LATENCY_BUCKETS: [f64; 13] = [
    0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0, 5.0, 30.0, 300.0,
];

/// How often what was measured is put into its buckets. It waits in memory until
/// then.
const UPKEEP_EVERY: Duration = Duration::from_secs(5);

/// Clients at once.
const MAX_CLIENTS: usize = 16;

/// How long a client may take for a request and for reading its answer.
const PATIENCE: Duration = Duration::from_secs(10);

/// The version of the text that Prometheus reads.
const TEXT: &str = "text/plain; version=0.0.4; charset=utf-8";

/// What a counter of one kind is called and what it counts.
type Described = (&'static str, &'static str);

const REQUESTS: Described = (
    "agent_socket_requests_total",
    "Requests of agents by their outcome: the error of the relay, or the class of the status.",
);
const LATENCY: Described = (
    "agent_socket_request_duration_seconds",
    "Time from the head of an agent's request to the head of its answer.",
);
const UPGRADES: Described = (
    "agent_socket_upgrades_total",
    "WebSocket upgrades of apps by what became of them.",
);
const TASKS: Described = ("agent_socket_tasks_total", "Tasks that began.");
const COMMITS: Described = (
    "agent_socket_commit_duration_seconds",
    "Time of each transaction of the state file, which many sessions share.",
);
const BATCHES: Described = (
    "agent_socket_commits_total",
    "Writes of sessions that are on the disk.",
);
const FAILED: Described = (
    "agent_socket_commits_failed_total",
    "Writes of sessions that failed.",
);
const READ: Described = (
    "agent_socket_received_bytes_total",
    "Bytes that came from agents and apps, without TLS.",
);
const WRITTEN: Described = (
    "agent_socket_sent_bytes_total",
    "Bytes that went to agents and apps, without TLS.",
);
const OPEN: Described = (
    "agent_socket_requests_open",
    "Requests of agents that wait for an answer.",
);
const SOCKETS: Described = ("agent_socket_app_sockets", "Open sockets of apps.");
const SESSIONS: Described = ("agent_socket_sessions", "Sessions, held ones too.");
const IN_MEMORY: Described = ("agent_socket_sessions_in_memory", "Sessions in memory.");
const CONNECTIONS: Described = ("agent_socket_connections", "Open connections.");
const QUEUE: Described = (
    "agent_socket_storage_queue",
    "Writes of sessions that wait for the disk.",
);
const ALARMS: Described = (
    "agent_socket_alarms",
    "Times at which a session must be looked at.",
);
const BYTES: Described = (
    "agent_socket_state_bytes",
    "Bytes in use in the state file.",
);
const ROOM: Described = (
    "agent_socket_state_has_room",
    "1 while there is room for new sessions, 0 while they are refused.",
);

/// What an agent's request came to, for the label.
const CLASSES: [&str; 5] = ["1xx", "2xx", "3xx", "4xx", "5xx"];

/// The counters of a relay. Without an address for them they count nothing.
pub(crate) struct Metrics {
    recorder: Option<PrometheusRecorder>,
    classes: [Counter; CLASSES.len()],
    errors: Vec<(HttpCode, Counter)>,
    latency: Histogram,
    pub(crate) accepted: Counter,
    pub(crate) rate_limited: Counter,
    pub(crate) storage_full: Counter,
    pub(crate) tasks: Counter,
    pub(crate) storage: StorageMetrics,
    pub(crate) traffic: TrafficMetrics,
    sockets: Gauge,
    open: Gauge,
}

/// What the state file's writer counts.
#[derive(Clone, Debug)]
pub struct StorageMetrics {
    pub(crate) seconds: Histogram,
    pub(crate) committed: Counter,
    pub(crate) failed: Counter,
    pub(crate) queue: Gauge,
}

/// Bytes of all connections.
#[derive(Clone, Debug)]
pub(crate) struct TrafficMetrics {
    pub(crate) read: Counter,
    pub(crate) written: Counter,
}

impl Default for StorageMetrics {
    /// Counts nothing.
    fn default() -> Self {
        Self {
            seconds: Histogram::noop(),
            committed: Counter::noop(),
            failed: Counter::noop(),
            queue: Gauge::noop(),
        }
    }
}

impl Default for TrafficMetrics {
    /// Counts nothing.
    fn default() -> Self {
        Self {
            read: Counter::noop(),
            written: Counter::noop(),
        }
    }
}

/// One of a kind, which counts until it is dropped.
pub(crate) struct Counted(Gauge);

impl std::fmt::Debug for Counted {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Counted")
    }
}

impl Counted {
    fn new(gauge: &Gauge) -> Self {
        gauge.increment(1.0);
        Self(gauge.clone())
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.decrement(1.0);
    }
}

/// An agent's request that is timed until its answer.
pub(crate) struct Timed {
    since: Instant,
    _open: Counted,
}

impl Metrics {
    /// Counts, or does not.
    pub(crate) fn new(is_wanted: bool) -> Self {
        let recorder = is_wanted.then(recorder);
        let make = Make(recorder.as_ref());
        Self {
            classes: CLASSES.map(|class| make.counter(REQUESTS, Some(("outcome", class)))),
            errors: HttpCode::ALL
                .iter()
                .map(|code| {
                    let label = ("outcome", code.name());
                    (*code, make.counter(REQUESTS, Some(label)))
                })
                .collect(),
            latency: make.histogram(LATENCY),
            accepted: make.counter(UPGRADES, Some(("outcome", "accepted"))),
            rate_limited: make.counter(UPGRADES, Some(("outcome", "rate_limited"))),
            storage_full: make.counter(UPGRADES, Some(("outcome", "storage_full"))),
            tasks: make.counter(TASKS, None),
            storage: StorageMetrics {
                seconds: make.histogram(COMMITS),
                committed: make.counter(BATCHES, None),
                failed: make.counter(FAILED, None),
                queue: make.gauge(QUEUE),
            },
            traffic: TrafficMetrics {
                read: make.counter(READ, None),
                written: make.counter(WRITTEN, None),
            },
            sockets: make.gauge(SOCKETS),
            open: make.gauge(OPEN),
            recorder,
        }
    }

    /// An app's socket, which counts while it is open.
    pub(crate) fn socket(&self) -> Counted {
        Counted::new(&self.sockets)
    }

    /// An agent's request came.
    pub(crate) fn request(&self) -> Timed {
        Timed {
            since: Instant::now(),
            _open: Counted::new(&self.open),
        }
    }

    /// An agent's request is answered.
    pub(crate) fn answered(&self, request: &Timed, answer: &Answer) {
        self.latency.record(request.since.elapsed().as_secs_f64());
        if let Some(counter) = self.counter_of(answer) {
            counter.increment(1);
        }
    }

    fn counter_of(&self, answer: &Answer) -> Option<&Counter> {
        if let Some(code) = answer.error_code {
            let mut errors = self.errors.iter();
            return errors.find_map(|(known, counter)| (*known == code).then_some(counter));
        }
        let class = usize::from(answer.status / 100).checked_sub(1)?;
        self.classes.get(class)
    }

    /// All of it as text, as it is now.
    fn text(&self, shared: &Shared) -> String {
        let Some(recorder) = &self.recorder else {
            return String::new();
        };
        let make = Make(Some(recorder));
        let number = |value: usize| u32::try_from(value).unwrap_or(u32::MAX).into();
        let set = |gauge, value: f64| make.gauge(gauge).set(value);
        set(SESSIONS, number(shared.registry.stored()));
        set(IN_MEMORY, number(shared.registry.in_memory()));
        set(ALARMS, number(shared.clock.len()));
        let taken = shared.max_connections;
        let taken = taken.saturating_sub(shared.places.available_permits());
        set(CONNECTIONS, number(taken));
        let usage = shared.store.usage();
        #[expect(
            clippy::cast_precision_loss,
            reason = "a size is exact up to 8 petabytes"
        )]
        set(BYTES, usage.bytes as f64);
        set(ROOM, f64::from(u8::from(shared.has_room())));
        recorder.handle().render()
    }
}

/// Makes counters that count, or such that do not.
struct Make<'a>(Option<&'a PrometheusRecorder>);

/// Where a figure comes from; nothing is filtered by it.
const ORIGIN: Metadata<'static> = Metadata::new("", metrics::Level::INFO, None);

impl Make<'_> {
    fn counter(
        &self,
        (name, what): Described,
        label: Option<(&'static str, &'static str)>,
    ) -> Counter {
        let Some(recorder) = self.0 else {
            return Counter::noop();
        };
        recorder.describe_counter(name.into(), None, what.into());
        let labels: Vec<_> = label
            .into_iter()
            .map(|(name, value)| Label::from_static_parts(name, value))
            .collect();
        recorder.register_counter(&Key::from_parts(name, labels), &ORIGIN)
    }

    fn gauge(&self, (name, what): Described) -> Gauge {
        let Some(recorder) = self.0 else {
            return Gauge::noop();
        };
        recorder.describe_gauge(name.into(), None, what.into());
        recorder.register_gauge(&Key::from_static_name(name), &ORIGIN)
    }

    fn histogram(&self, (name, what): Described) -> Histogram {
        let Some(recorder) = self.0 else {
            return Histogram::noop();
        };
        recorder.describe_histogram(name.into(), None, what.into());
        recorder.register_histogram(&Key::from_static_name(name), &ORIGIN)
    }
}

fn recorder() -> PrometheusRecorder {
    let builder = PrometheusBuilder::new();
    // It refuses an empty list only.
    let builder = builder.set_buckets(&LATENCY_BUCKETS).unwrap_or_default();
    builder.build_recorder()
}

/// A listener for the figures.
pub(crate) fn bind(address: SocketAddr) -> io::Result<TcpListener> {
    let listener = std::net::TcpListener::bind(address)?;
    listener.set_nonblocking(true)?;
    TcpListener::from_std(listener)
}

/// Serves the figures until the relay ends.
pub(crate) async fn serve(shared: Arc<Shared>, listener: TcpListener) {
    let places = Arc::new(Semaphore::new(MAX_CLIENTS));
    let mut upkeep = interval(UPKEEP_EVERY);
    upkeep.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let handle: Option<PrometheusHandle> = shared
        .metrics
        .recorder
        .as_ref()
        .map(PrometheusRecorder::handle);
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            _ = upkeep.tick() => {
                if let Some(handle) = &handle {
                    handle.run_upkeep();
                }
                continue;
            }
            () = shared.ending.cancelled() => return,
        };
        let (Ok((stream, _)), Ok(place)) = (accepted, Arc::clone(&places).try_acquire_owned())
        else {
            continue;
        };
        let shared = Arc::clone(&shared);
        tokio::spawn(async move {
            let _place = place;
            let service = service_fn(|request| {
                let answer = answer(&shared, &request);
                async { Ok::<_, Infallible>(answer) }
            });
            let serving = http1::Builder::new()
                .timer(TokioTimer::new())
                .header_read_timeout(PATIENCE)
                .keep_alive(false)
                .serve_connection(TokioIo::new(stream), service);
            // What is wrong with a client is its own affair.
            let _ = timeout(PATIENCE, serving).await;
        });
    }
}

fn answer(shared: &Shared, request: &Request<Incoming>) -> Response<Full<Bytes>> {
    let is_read = matches!(*request.method(), Method::GET | Method::HEAD);
    let (status, text) = match request.uri().path() {
        "/metrics" if is_read => (StatusCode::OK, shared.metrics.text(shared)),
        "/metrics" => (
            StatusCode::METHOD_NOT_ALLOWED,
            "this path takes GET and HEAD only\n".to_owned(),
        ),
        _ => (
            StatusCode::NOT_FOUND,
            "the figures are at /metrics\n".to_owned(),
        ),
    };
    let mut response = Response::new(Full::new(Bytes::from(text)));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(TEXT));
    response
}
