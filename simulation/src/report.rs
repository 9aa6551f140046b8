//! The tables of `docs/scaling.md`.

use agent_socket_driver::Millis;
use anyhow::{Context as _, Result};

use crate::bill::{Reading, Usage};
use crate::counts::Counts;
use crate::day::simulate;
use crate::format::{about, amount, millions, ratio, usd, whole};
use crate::limits;
use crate::policy::{Policy, Setup};
use crate::prices::{Free, PRICES};
use crate::profile::{DAY, Profile};
use crate::storm::{self, Backoff};
use agent_socket_facts::document::Block;
use agent_socket_facts::format::{count, span, table};

/// What the tables are about.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Subject {
    /// Sessions that the large tables are for.
    pub sessions: f64,
    /// Everything that the relay has no say in.
    pub setup: Setup,
}

impl Subject {
    /// The one of `docs/scaling.md`: a million sessions.
    pub const MILLION: Self = Self {
        sessions: 1e6,
        setup: Setup::USUAL,
    };
}

/// A day under one policy.
struct Run {
    profile: Profile,
    policy: Policy,
    counts: Counts,
}

impl Run {
    fn usage(&self, reading: Reading) -> Usage {
        Usage::of(&self.counts, &PRICES, reading, Setup::USUAL.hibernate_ms)
    }

    fn awake_s(&self, tail: Millis) -> String {
        amount(self.counts.awake.total(tail, DAY) as f64 / 1000.0)
    }
}

fn run(profile: Profile, policy: Policy, setup: Setup) -> Result<Run> {
    let counts = simulate(profile, policy, setup)?;
    Ok(Run {
        profile,
        policy,
        counts,
    })
}

/// Every table, in the order of the document.
///
/// # Errors
/// When a simulation fails.
pub fn blocks(subject: Subject) -> Result<Vec<Block>> {
    let setup = subject.setup;
    let mut runs = Vec::new();
    for profile in Profile::ALL {
        for policy in policies(profile) {
            runs.push(run(profile, *policy, setup)?);
        }
    }
    let block = |name, title, text| Block { name, title, text };
    Ok(vec![
        block(
            "summary",
            "What sessions cost a day",
            summary(&runs, subject)?,
        ),
        block(
            "counts",
            "What is counted in a day of one session",
            counts(&runs),
        ),
        block("usage", "What is metered in a day", usage(&runs, subject)?),
        block("bill", "The bill of a day", bill(&runs, subject)),
        block(
            "sizes",
            "The bill of a month, by number of sessions",
            sizes(&runs),
        ),
        block("free", "What the free plan carries", free(&runs)),
        block(
            "handler",
            "How long the app takes to answer",
            handler(setup)?,
        ),
        block("deploy", "What a deploy costs", deploy(subject)?),
        block("storm", "All apps come back at once", storm(subject)),
        block(
            "session-limits",
            "Limits of a session",
            limits::of_a_session(),
        ),
        block(
            "platform-limits",
            "Limits of the platform",
            limits::of_the_platform(),
        ),
        block("prices", "Prices", prices()),
    ])
}

/// The relays that a profile is shown for; this one is first.
fn policies(profile: Profile) -> &'static [Policy] {
    if Profile::COMPARED.contains(&profile) {
        &Policy::ALL
    } else {
        &[Policy::RELAY]
    }
}

fn find(runs: &[Run], profile: Profile, policy: Policy) -> Result<&Run> {
    let fits = |run: &&Run| run.profile == profile && run.policy == policy;
    runs.iter()
        .find(fits)
        .with_context(|| format!("a day of {}, {}", profile.title, policy.title))
}

fn own(runs: &[Run]) -> impl Iterator<Item = &Run> {
    runs.iter().filter(|run| run.policy == Policy::RELAY)
}

fn both(usage: impl Fn(Reading) -> Usage) -> [f64; 2] {
    [Reading::Cheap, Reading::Dear].map(|reading| usage(reading).per_day(&PRICES))
}

/// From the cheap to the dear reading.
fn range([cheap, dear]: [f64; 2], form: impl Fn(f64) -> String) -> String {
    let (cheap, dear) = (form(cheap), form(dear));
    if cheap == dear {
        dear
    } else {
        format!("{cheap} – {dear}")
    }
}

fn summary(runs: &[Run], subject: Subject) -> Result<String> {
    let mut rows = Vec::new();
    for profile in Profile::COMPARED {
        let cost = |policy| -> Result<[f64; 2]> {
            let run = find(runs, profile, policy)?;
            Ok(both(|reading| run.usage(reading).times(subject.sessions)))
        };
        let relay = cost(Policy::RELAY)?;
        let mut row = vec![profile.title.to_owned(), range(relay, usd)];
        for policy in [Policy::AWAKE, Policy::CHECKING] {
            let other = cost(policy)?;
            let ([cheap, dear], [own_cheap, own_dear]) = (other, relay);
            row.push(range(other, usd));
            row.push(range([cheap / own_cheap, dear / own_dear], ratio));
        }
        rows.push(row);
    }
    let head = [
        "A day of a session",
        ">this relay",
        ">one that never hibernates",
        ">times",
        ">one that looks every 25 s",
        ">times",
    ];
    Ok(table(&head, rows))
}

fn counts(runs: &[Run]) -> String {
    let rows = runs.iter().map(|run| {
        let counts = &run.counts;
        vec![
            run.profile.title.to_owned(),
            run.policy.title.to_owned(),
            count(counts.wakes),
            count(counts.events),
            count(counts.http_requests()),
            count(counts.alarms),
            count(counts.messages_in),
            count(counts.rows_written),
            count(counts.rows_read),
            run.awake_s(0),
            run.awake_s(Setup::USUAL.hibernate_ms),
            about(counts.bytes_to_app),
            about(counts.bytes_to_agents),
            about(counts.record_bytes),
        ]
    });
    let head = [
        "A day of a session",
        "Relay",
        ">wakes",
        ">events",
        ">HTTP requests",
        ">alarms",
        ">messages in",
        ">rows written",
        ">rows read",
        ">busy, s",
        ">busy and idle, s",
        ">bytes to the app",
        ">bytes to agents",
        ">bytes of records",
    ];
    table(&head, rows)
}

fn usage(runs: &[Run], subject: Subject) -> Result<String> {
    let mut rows = Vec::new();
    for profile in [Profile::IDLE, Profile::CALLS] {
        for policy in Policy::ALL {
            let run = find(runs, profile, policy)?;
            let of = |reading| run.usage(reading).times(subject.sessions);
            let (cheap, dear) = (of(Reading::Cheap), of(Reading::Dear));
            rows.push(vec![
                profile.title.to_owned(),
                policy.title.to_owned(),
                millions(dear.worker_requests),
                millions(dear.object_requests),
                range([cheap.gb_s, dear.gb_s], millions),
                millions(dear.rows_written),
                millions(dear.rows_read),
            ]);
        }
    }
    let head = [
        "A day of each session",
        "Relay",
        ">Workers requests",
        ">Durable Objects requests",
        ">GB-s",
        ">rows written",
        ">rows read",
    ];
    Ok(table(&head, rows))
}

fn bill(runs: &[Run], subject: Subject) -> String {
    let rows = runs.iter().map(|run| {
        let of = |reading| run.usage(reading).times(subject.sessions);
        let (cheap, dear) = (of(Reading::Cheap), of(Reading::Dear));
        let mut row = vec![run.profile.title.to_owned(), run.policy.title.to_owned()];
        for ((price, low), (_, high)) in cheap.lines(&PRICES).iter().zip(dear.lines(&PRICES)) {
            row.push(range([price.of(*low), price.of(high)], usd));
        }
        row.push(range(both(of), usd));
        row.push(range(
            [cheap, dear].map(|usage| usage.per_month(&PRICES)),
            usd,
        ));
        row
    });
    let mut head = vec!["A day of each session".to_owned(), "Relay".to_owned()];
    head.extend(PRICES.all().iter().map(|price| format!(">{}", price.item)));
    head.extend([">a day".to_owned(), ">a month".to_owned()]);
    let head: Vec<_> = head.iter().map(String::as_str).collect();
    table(&head, rows)
}

fn sizes(runs: &[Run]) -> String {
    const SIZES: [f64; 6] = [10.0, 100.0, 1e3, 1e4, 1e5, 1e6];
    let rows = own(runs).map(|run| {
        let costs = SIZES.map(|sessions| {
            let of = |reading| run.usage(reading).times(sessions).per_month(&PRICES);
            range([Reading::Cheap, Reading::Dear].map(of), usd)
        });
        let title = run.profile.title.to_owned();
        [title].into_iter().chain(costs).collect()
    });
    let titles = SIZES.map(|sessions| format!(">{}", whole(sessions)));
    let mut head = vec!["Every day, each session is"];
    head.extend(titles.iter().map(String::as_str));
    table(&head, rows)
}

fn free(runs: &[Run]) -> String {
    let rows = own(runs).map(|run| {
        let fits =
            [Reading::Cheap, Reading::Dear].map(|reading| run.usage(reading).on_free_plan(&PRICES));
        let cells = fits.map(|fit| {
            fit.map_or_else(String::new, |(sessions, first)| {
                format!("{} ({first})", whole(sessions))
            })
        });
        [run.profile.title.to_owned()]
            .into_iter()
            .chain(cells)
            .collect()
    });
    let head = [
        "Every day, each session is",
        ">sessions, busy time only",
        ">sessions, with the 10 s of idleness",
    ];
    table(&head, rows)
}

fn handler(setup: Setup) -> Result<String> {
    let mut rows = Vec::new();
    for handler_ms in [20, 200, 1_000, 5_000, 25_000] {
        let setup = Setup {
            handler_ms,
            ..setup
        };
        let idle = run(Profile::IDLE, Policy::RELAY, setup)?;
        let run = run(Profile::SINGLE_CALLS, Policy::RELAY, setup)?;
        let calls = run.counts.calls_done as f64;
        let total = |counts: &Counts, tail| counts.awake.total(tail, DAY) as f64 / 1000.0;
        let a_call = |tail| (total(&run.counts, tail) - total(&idle.counts, tail)) / calls;
        let a_million = |reading| {
            let calls_alone = run.usage(reading).less(idle.usage(reading));
            calls_alone.times(1e6 / calls)
        };
        rows.push(vec![
            span(handler_ms),
            range([0, setup.hibernate_ms].map(a_call), amount),
            range(both(a_million), usd),
            amount(limits::calls_per_s(handler_ms)),
        ]);
    }
    let head = [
        "The app answers after",
        ">awake a call, s",
        ">a million calls",
        ">most calls a second of one session",
    ];
    Ok(table(&head, rows))
}

fn deploy(subject: Subject) -> Result<String> {
    let day = |profile| run(profile, Policy::RELAY, subject.setup);
    let (with, without) = (day(Profile::DEPLOYED)?, day(Profile::IDLE)?);
    let more = |reading| {
        with.usage(reading)
            .less(without.usage(reading))
            .times(subject.sessions)
    };
    let (cheap, dear) = (more(Reading::Cheap), more(Reading::Dear));
    let rows = cheap.lines(&PRICES).into_iter().zip(dear.lines(&PRICES));
    let rows = rows.filter(|((_, low), _)| *low > 0.0);
    let rows = rows.map(|((price, low), (_, high))| {
        vec![
            price.item.to_owned(),
            range([low, high], millions),
            range([price.of(low), price.of(high)], usd),
        ]
    });
    let total = vec!["together".to_owned(), String::new(), range(both(more), usd)];
    Ok(table(&["What", ">how much", ">cost"], rows.chain([total])))
}

fn storm(subject: Subject) -> String {
    let wide = Backoff {
        base_ms: 20_000.0,
        jitter: 1.0,
        ..Backoff::SDK
    };
    let cases = [
        (
            "the SDK's defaults",
            Backoff::SDK,
            [None, Some(0.2), Some(0.05), Some(0.005)],
        ),
        (
            "first pause 20 s, `jitter: 1`",
            wide,
            [None, Some(0.2), Some(0.05), Some(0.005)],
        ),
    ];
    let rows = cases.into_iter().flat_map(|(title, backoff, shares)| {
        shares.map(|share| {
            let per_s = share.map(|share| share * subject.sessions);
            let storm = storm::simulate(subject.sessions, backoff, per_s);
            vec![
                title.to_owned(),
                per_s.map_or("all".to_owned(), |per_s| {
                    format!("{} a second", whole(per_s))
                }),
                format!("{} a second", whole(storm.peak_per_s)),
                amount(storm.half_back_s),
                amount(storm.all_back_s),
                amount(storm.attempts / subject.sessions),
            ]
        })
    });
    let head = [
        "Pauses",
        ">upgrades that succeed",
        ">attempts at the peak",
        ">half are back after, s",
        ">all, s",
        ">attempts per app",
    ];
    table(&head, rows)
}

fn prices() -> String {
    let rows = PRICES.all().map(|price| {
        let per = if price.per > 1.0 {
            format!("a million {}", price.unit)
        } else {
            "a GB and month".to_owned()
        };
        let included = if price.included >= 1e6 {
            millions(price.included)
        } else {
            whole(price.included)
        };
        let free = match price.free {
            Free::PerDay(limit) => format!("{} a day", whole(limit)),
            Free::AtOnce(limit) => format!("{} GB in all", whole(limit)),
            Free::Other => "10 ms a request".to_owned(),
        };
        let usd = if price.usd < 0.01 {
            format!("${}", price.usd)
        } else {
            usd(price.usd)
        };
        vec![
            price.item.to_owned(),
            format!("{usd} {per}"),
            included,
            free,
        ]
    });
    let head = [
        "What",
        ">Price",
        ">Included in the paid plan, a month",
        ">Free plan",
    ];
    table(&head, rows)
}
