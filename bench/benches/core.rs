//! The core's operations, timed natively: `cargo bench -p agent-socket-bench`.

use agent_socket_bench::{Core, OPERATIONS};
use criterion::{Criterion, criterion_group, criterion_main};

fn operations(criterion: &mut Criterion) {
    for (name, run) in OPERATIONS {
        let mut core = Core::new();
        criterion.bench_function(name, |bencher| bencher.iter(|| run(&mut core)));
    }
}

criterion_group!(core, operations);
criterion_main!(core);
