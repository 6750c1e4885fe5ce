//! What the control plane counts about itself, for `/metrics`.

use aami_api::delivery::DeliveryResult;
use aami_model::code::Area;
use aami_model::{Code, code};
use prometheus_client::encoding::{EncodeLabelSet, text};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;

/// RFC 9110, section 9.1, and RFC 5789.
const METHODS: [&str; 9] = [
    "GET", "HEAD", "POST", "PUT", "DELETE", "CONNECT", "OPTIONS", "TRACE", "PATCH",
];

/// What the code of a failed installation counts as that is in no registry.
pub(crate) const OTHER_FAILURE: &str = "OTHER";
/// Where the codes of failed installations come from: their series stand at 0 before the first.
const INSTALLING: [Area; 5] = [
    Area::Enrolment,
    Area::Install,
    Area::Preflight,
    Area::Release,
    Area::Tools,
];

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Request {
    route: String,
    method: &'static str,
    status: u16,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Verification {
    result: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Refused {
    code: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Delivered {
    destination: String,
    result: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Gap {
    destination: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Asked {
    service: &'static str,
    result: &'static str,
}

/// Counters; they begin at 0, so that `increase()` sees the first step.
#[derive(Clone)]
pub(crate) struct Counters {
    registry: std::sync::Arc<Registry>,
    requests: Family<Request, Counter>,
    pub(crate) durations: Histogram,
    pub(crate) registrations: Counter,
    verifications: Family<Verification, Counter>,
    refusals: Family<Refused, Counter>,
    deliveries: Family<Delivered, Counter>,
    gaps: Family<Gap, Counter>,
    asked: Family<Asked, Counter>,
    connections: Gauge,
    reconnects: Counter,
    install_failures: Family<Refused, Counter>,
    link_refusals: Family<Refused, Counter>,
    pub(crate) regions_suspected: Gauge,
    dashboards: Watching,
}

/// What is counted of dashboards.
#[derive(Clone, Default)]
struct Watching {
    connections: Gauge,
    connected: Counter,
    frames: Counter,
    resyncs: Counter,
    dropped: Family<Refused, Counter>,
}

impl Watching {
    fn new(registry: &mut Registry) -> Self {
        let all = Self::default();
        for code in [code::RATE_LIMITED, code::TIMED_OUT, code::UNAUTHENTICATED] {
            let _ = all.dropped.get_or_create(&Refused { code: code.symbol });
        }
        registry.register(
            "dashboard_connections",
            "Sockets of dashboards held here",
            all.connections.clone(),
        );
        registry.register(
            "dashboard_connects",
            "Sockets of dashboards opened",
            all.connected.clone(),
        );
        registry.register(
            "dashboard_frames",
            "Frames sent to dashboards",
            all.frames.clone(),
        );
        registry.register(
            "dashboard_resyncs",
            "Dashboards that read too slowly and began again with a snapshot",
            all.resyncs.clone(),
        );
        registry.register(
            "dashboard_dropped",
            "Sockets of dashboards closed from here, by code",
            all.dropped.clone(),
        );
        all
    }
}

impl Counters {
    pub(crate) fn new() -> Self {
        let mut registry = Registry::with_prefix("aami");
        let requests = Family::default();
        let durations = Histogram::new([
            0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0,
        ]);
        let registrations = Counter::default();
        let verifications: Family<Verification, Counter> = Family::default();
        let refusals = Family::default();
        let deliveries: Family<Delivered, Counter> = Family::default();
        let gaps: Family<Gap, Counter> = Family::default();
        let (connections, reconnects) = (Gauge::default(), Counter::default());
        let (link_refusals, regions_suspected) = (Family::default(), Gauge::default());
        for result in ["ok", "failed"] {
            let _ = verifications.get_or_create(&Verification { result });
        }
        registry.register("http_requests", "Requests answered, by route", requests.clone());
        registry.register(
            "http_request_duration_seconds",
            "How long answers took",
            durations.clone(),
        );
        registry.register(
            "registrations",
            "Registrations accepted, repeated ones included",
            registrations.clone(),
        );
        registry.register(
            "verifications",
            "Nodes whose exporters were fetched",
            verifications.clone(),
        );
        registry.register(
            "agent_connections",
            "Sockets of nodes held here",
            connections.clone(),
        );
        registry.register(
            "agent_reconnects",
            "Sockets opened of nodes that were connected before",
            reconnects.clone(),
        );
        let install_failures: Family<Refused, Counter> = Family::default();
        let known = Code::all().filter(|code| INSTALLING.contains(&code.area));
        for code in known.map(|code| code.symbol).chain([OTHER_FAILURE]) {
            let _ = install_failures.get_or_create(&Refused { code });
        }
        registry.register(
            "install_failures",
            "Installations of nodes that failed, by code",
            install_failures.clone(),
        );
        registry.register(
            "agent_refusals",
            "Connections of nodes refused or cut off, by code",
            link_refusals.clone(),
        );
        registry.register(
            "regions_suspected",
            "Regions of which a large share fell silent at once",
            regions_suspected.clone(),
        );
        registry.register(
            "deliveries",
            "Attempts to tell a destination of an event, by how they ended",
            deliveries.clone(),
        );
        registry.register(
            "delivery_gaps",
            "Times that events were kept no longer before a destination could be told of them",
            gaps.clone(),
        );
        let dashboards = Watching::new(&mut registry);
        let asked = Family::default();
        registry.register(
            "service_requests",
            "Questions to Alertmanager and Prometheus, by whether they were answered",
            asked.clone(),
        );
        registry.register("refusals", "Requests refused, by code", refusals.clone());
        Self {
            registry: std::sync::Arc::new(registry),
            requests,
            durations,
            registrations,
            verifications,
            refusals,
            deliveries,
            gaps,
            asked,
            connections,
            reconnects,
            install_failures,
            link_refusals,
            regions_suspected,
            dashboards,
        }
    }

    /// One request answered. `route` is the route's pattern, never what a stranger sent; a method that
    /// is none of HTTP's own is counted as `other`, for anybody may make up as many as they like.
    pub(crate) fn answered(&self, route: &str, method: &str, status: u16) {
        let method = METHODS
            .into_iter()
            .find(|known| *known == method)
            .unwrap_or("other");
        let labels = Request {
            route: route.to_owned(),
            method,
            status,
        };
        self.requests.get_or_create(&labels).inc();
    }

    pub(crate) fn verified(&self, ok: bool) {
        self.verifications
            .get_or_create(&Verification {
                result: if ok { "ok" } else { "failed" },
            })
            .inc();
    }

    pub(crate) fn refused(&self, code: &'static str) {
        self.refusals.get_or_create(&Refused { code }).inc();
    }

    /// A node's socket was opened; `again` says whether it was connected before.
    pub(crate) fn link_opened(&self, again: bool) {
        self.connections.inc();
        if again {
            self.reconnects.inc();
        }
    }

    /// Installations that failed, each with its code.
    pub(crate) fn installations_failed(&self, codes: &[&'static str]) {
        for code in codes {
            self.install_failures.get_or_create(&Refused { code }).inc();
        }
    }

    pub(crate) fn link_closed(&self) {
        self.connections.dec();
    }

    pub(crate) fn link_refused(&self, code: &'static str) {
        self.link_refusals.get_or_create(&Refused { code }).inc();
    }

    pub(crate) fn dashboard_opened(&self) {
        self.dashboards.connections.inc();
        self.dashboards.connected.inc();
    }

    /// A dashboard's socket is closed; `code` says why, where it was closed from here.
    pub(crate) fn dashboard_closed(&self, code: Option<&'static str>) {
        self.dashboards.connections.dec();
        if let Some(code) = code {
            self.dashboards.dropped.get_or_create(&Refused { code }).inc();
        }
    }

    pub(crate) fn dashboard_told(&self, frames: usize) {
        self.dashboards.frames.inc_by(frames as u64);
    }

    pub(crate) fn dashboard_resynced(&self) {
        self.dashboards.resyncs.inc();
    }

    /// One question to a service that the configuration names.
    pub(crate) fn asked(&self, service: &'static str, ok: bool) {
        let result = if ok { "ok" } else { "failed" };
        self.asked.get_or_create(&Asked { service, result }).inc();
    }

    /// One attempt to tell a destination of an event.
    pub(crate) fn delivered(&self, destination: &str, result: DeliveryResult) {
        self.deliveries
            .get_or_create(&Delivered {
                destination: destination.to_owned(),
                result: result.name(),
            })
            .inc();
    }

    /// Events that a destination should have been told of were kept no longer.
    pub(crate) fn lost(&self, destination: &str) {
        self.gap_of(destination).inc();
    }

    fn gap_of(&self, destination: &str) -> Counter {
        let destination = destination.to_owned();
        self.gaps.get_or_create(&Gap { destination }).clone()
    }

    /// Begins a destination's series at 0.
    pub(crate) fn begin_deliveries(&self, destination: &str) {
        let _ = self.gap_of(destination);
        for result in DeliveryResult::ALL {
            let _ = self.deliveries.get_or_create(&Delivered {
                destination: destination.to_owned(),
                result: result.name(),
            });
        }
    }

    /// Ends the series of a destination that is no more.
    pub(crate) fn forget_deliveries(&self, destination: &str) {
        self.gaps.remove(&Gap {
            destination: destination.to_owned(),
        });
        for result in DeliveryResult::ALL {
            self.deliveries.remove(&Delivered {
                destination: destination.to_owned(),
                result: result.name(),
            });
        }
    }

    /// In the OpenMetrics text format.
    pub(crate) fn render(&self) -> String {
        let mut out = String::new();
        // Writing into a string cannot fail.
        let _ = text::encode(&mut out, &self.registry);
        out
    }
}
