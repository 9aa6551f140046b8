//! What is charged for: the one place to change when prices do.

/// What is paid for one kind of thing.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Price {
    /// What it is for.
    pub item: &'static str,
    /// What is counted, in the plural.
    pub unit: &'static str,
    /// US dollars for [`Self::per`] of them.
    pub usd: f64,
    /// See [`Self::usd`].
    pub per: f64,
    /// How many a month the plan has in it.
    pub included: f64,
    /// How many the free plan has.
    pub free: Free,
}

/// What the free plan allows of one kind of thing.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Free {
    /// So many a day (UTC), for the whole account.
    PerDay(f64),
    /// So many at any time, for the whole account.
    AtOnce(f64),
    /// It has a limit of another kind.
    Other,
}

impl Price {
    /// What so many of them cost, without what is included.
    #[must_use]
    pub fn of(&self, amount: f64) -> f64 {
        amount * self.usd / self.per
    }
}

/// Everything that a relay is charged for.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Prices {
    /// Each HTTP request to the Worker.
    pub worker_requests: Price,
    /// The Worker's time on a CPU.
    pub worker_cpu: Price,
    /// Each request, alarm, and 20 WebSocket messages to an object.
    pub object_requests: Price,
    /// Time that an object is in memory and does not sleep.
    pub duration: Price,
    /// Rows written to an object's SQLite, and alarms set.
    pub rows_written: Price,
    /// Rows read from it.
    pub rows_read: Price,
    /// What is stored, for a month.
    pub storage: Price,
    /// The paid plan itself, in US dollars a month.
    pub plan_usd: f64,
    /// So many WebSocket messages to an object are charged as one request.
    pub messages_per_request: f64,
    /// What an object is charged as having of memory, in GB.
    pub object_gb: f64,
    /// What the Worker is taken to need of a CPU for a request, in ms: an
    /// assumption, on the high side.
    pub cpu_ms_per_request: f64,
}

/// Cloudflare's list prices as published in November 2026, from the pages
/// *Workers: Pricing* and *Durable Objects: Pricing* of its developer docs.
pub const PRICES: Prices = Prices {
    worker_requests: Price {
        item: "Workers requests",
        unit: "requests",
        usd: 0.30,
        per: 1e6,
        included: 10e6,
        free: Free::PerDay(100_000.0),
    },
    worker_cpu: Price {
        item: "Workers CPU time",
        unit: "ms",
        usd: 0.02,
        per: 1e6,
        included: 30e6,
        free: Free::Other,
    },
    object_requests: Price {
        item: "Durable Objects requests",
        unit: "requests",
        usd: 0.15,
        per: 1e6,
        included: 1e6,
        free: Free::PerDay(100_000.0),
    },
    duration: Price {
        item: "Durable Objects duration",
        unit: "GB-s",
        usd: 12.50,
        per: 1e6,
        included: 400_000.0,
        free: Free::PerDay(13_000.0),
    },
    rows_written: Price {
        item: "SQLite rows written",
        unit: "rows",
        usd: 1.00,
        per: 1e6,
        included: 50e6,
        free: Free::PerDay(100_000.0),
    },
    rows_read: Price {
        item: "SQLite rows read",
        unit: "rows",
        usd: 0.001,
        per: 1e6,
        included: 25e9,
        free: Free::PerDay(5e6),
    },
    storage: Price {
        item: "SQLite storage",
        unit: "GB-months",
        usd: 0.20,
        per: 1.0,
        included: 5.0,
        free: Free::AtOnce(5.0),
    },
    plan_usd: 5.00,
    messages_per_request: 20.0,
    object_gb: 0.128,
    cpu_ms_per_request: 1.0,
};

impl Prices {
    /// All prices of things, in the order of the tables.
    #[must_use]
    pub const fn all(&self) -> [Price; 7] {
        [
            self.worker_requests,
            self.worker_cpu,
            self.object_requests,
            self.duration,
            self.rows_written,
            self.rows_read,
            self.storage,
        ]
    }
}
