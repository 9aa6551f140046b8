//! The cases of load, and what is bound of each.

use crate::load::{Rounds, Turn, Work};
use crate::report::{Bound, Figure};
use crate::server::Kind;
use crate::stats::{Samples, short};

/// What is compared.
pub struct Case {
    /// For `--case`.
    pub name: &'static str,
    /// For the table.
    pub title: &'static str,
    /// The side that is measured.
    pub kind: Kind,
    /// What is done there.
    pub work: Work,
    /// The side that it is held against.
    pub beside: (Kind, Work),
    /// The most that the relay's figure may be of the other's.
    pub bounds: &'static [(Measure, f64)],
}

/// What is measured of a turn and may be bound.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Measure {
    /// Processor time per call.
    Cpu,
    /// The latency that 99 of 100 calls keep.
    P99,
}

impl Measure {
    const fn of(self, turn: &Turn) -> f64 {
        match self {
            Self::Cpu => turn.cpu_us,
            Self::P99 => turn.p99_us,
        }
    }

    const fn name(self) -> &'static str {
        match self {
            Self::Cpu => "CPU",
            Self::P99 => "p99",
        }
    }
}

const KIB: usize = 1024;

const fn call(lanes: usize, bytes: usize) -> Work {
    Work::Call {
        lanes,
        sessions: 1,
        bytes,
    }
}

const fn beside_floor(
    name: &'static str,
    title: &'static str,
    work: Work,
    bounds: &'static [(Measure, f64)],
) -> Case {
    Case {
        name,
        title,
        kind: Kind::Relay,
        work,
        beside: (Kind::Floor, work),
        bounds,
    }
}

const fn native(
    name: &'static str,
    title: &'static str,
    work: Work,
    bounds: &'static [(Measure, f64)],
) -> Case {
    Case {
        kind: Kind::Native,
        ..beside_floor(name, title, work, bounds)
    }
}

/// What most measurements are of.
pub const PLAIN: Work = call(8, 64);
const AGENTS_MD: Work = Work::Page {
    path: "/agents.md",
    lanes: 8,
};
const SESSIONS: Work = Work::Call {
    lanes: 200,
    sessions: 200,
    bytes: 64,
};

/// All of them.
pub static CASES: [Case; 19] = [
    beside_floor("call-1", "tool call, 64 B, 1 connection", call(1, 64), &[]),
    beside_floor(
        "call-8",
        "tool call, 64 B, 8 connections",
        PLAIN,
        &[(Measure::Cpu, 1.15), (Measure::P99, 1.2)],
    ),
    beside_floor(
        "call-32",
        "tool call, 64 B, 32 connections",
        call(32, 64),
        &[(Measure::Cpu, 1.15)],
    ),
    beside_floor(
        "call-16k",
        "tool call, 16 KiB, 8 connections",
        call(8, 16 * KIB),
        &[],
    ),
    beside_floor(
        "call-256k",
        "tool call, 256 KiB, 4 connections",
        call(4, 256 * KIB),
        &[(Measure::Cpu, 1.2)],
    ),
    beside_floor(
        "agents-md",
        "agents.md, 8 connections",
        AGENTS_MD,
        &[(Measure::Cpu, 1.15)],
    ),
    beside_floor(
        "tools-json",
        "tools.json, 8 connections",
        Work::Page {
            path: "/tools.json",
            lanes: 8,
        },
        &[],
    ),
    beside_floor(
        "sessions-200",
        "tool call, 64 B, 200 sessions at once",
        SESSIONS,
        &[],
    ),
    Case {
        name: "mcp",
        title: "MCP tools/call, 64 B, 8 connections",
        kind: Kind::Relay,
        work: Work::Mcp { lanes: 8 },
        beside: (Kind::Relay, PLAIN),
        bounds: &[(Measure::Cpu, 1.3)],
    },
    beside_floor(
        "connect",
        "connect, register, mint, end; 8 at once",
        Work::Connect,
        &[],
    ),
    beside_floor("resume", "resume; 8 at once", Work::Resume, &[]),
    native(
        "native-1",
        "native: tool call, 64 B, 1 connection",
        call(1, 64),
        &[],
    ),
    native(
        "native-8",
        "native: tool call, 64 B, 8 connections",
        PLAIN,
        &[(Measure::P99, 1.0 / 6.0)],
    ),
    native(
        "native-32",
        "native: tool call, 64 B, 32 connections",
        call(32, 64),
        &[(Measure::Cpu, 1.0 / 12.0)],
    ),
    native(
        "native-256k",
        "native: tool call, 256 KiB, 4 connections",
        call(4, 256 * KIB),
        &[(Measure::Cpu, 1.0 / 4.0)],
    ),
    native(
        "native-agents-md",
        "native: agents.md, 8 connections",
        AGENTS_MD,
        &[(Measure::Cpu, 1.0 / 15.0)],
    ),
    native(
        "native-sessions-200",
        "native: tool call, 64 B, 200 sessions at once",
        SESSIONS,
        &[],
    ),
    native(
        "native-connect",
        "native: connect, register, mint, end; 8 at once",
        Work::Connect,
        &[],
    ),
    native(
        "native-resume",
        "native: resume; 8 at once",
        Work::Resume,
        &[],
    ),
];

impl Case {
    /// Its line of the table.
    pub fn figure(&self, rounds: &Rounds) -> Option<Figure> {
        let side = |side: usize| {
            let of = |get: fn(&Turn) -> f64| {
                Samples::new(rounds.iter().map(|turns| get(&turns[side])).collect())
            };
            Some([
                of(|turn| turn.rate)?.to_string(),
                of(|turn| turn.cpu_us)?.to_string(),
                short(of(|turn| turn.p50_us)?.median()),
                short(of(|turn| turn.p95_us)?.median()),
                of(|turn| turn.p99_us)?.to_string(),
                short(of(|turn| turn.resident_mb)?.median()),
            ])
        };
        Some(Figure {
            title: self.title,
            measured: self.kind.name(),
            beside: match self.beside.0 {
                Kind::Relay => "relay, plain call",
                other => other.name(),
            },
            sides: [side(0)?, side(1)?],
            cpu_ratio: ratio(rounds, Measure::Cpu)?,
        })
    }

    /// Its lines among the bounds.
    pub fn bounds(&self, rounds: &Rounds) -> Vec<Bound> {
        let bound = |(measure, limit): &(Measure, f64)| {
            Some(Bound {
                what: format!("{}: {}", self.title, measure.name()),
                measured: ratio(rounds, *measure)?,
                limit: *limit,
                unit: "×",
            })
        };
        self.bounds.iter().filter_map(bound).collect()
    }
}

/// The ratio of the two sides, round by round.
fn ratio(rounds: &Rounds, measure: Measure) -> Option<Samples> {
    let of = |turns: &[Turn; 2]| measure.of(&turns[0]) / measure.of(&turns[1]);
    Samples::new(rounds.iter().map(of).collect())
}
