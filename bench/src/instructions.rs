//! Runs one operation of the core so many times, for valgrind to count:
//! `instructions NAME COUNT`. Without arguments it lists the operations.

use std::process::ExitCode;

use agent_socket_bench::{Core, OPERATIONS};

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let [name, count] = &args[..] else {
        for (name, _) in OPERATIONS {
            println!("{name}");
        }
        return ExitCode::SUCCESS;
    };
    let operation = OPERATIONS.iter().find(|(own, _)| own == name);
    let (Some((_, run)), Ok(count)) = (operation, count.parse::<u32>()) else {
        eprintln!("error: no operation '{name}', or '{count}' is not a number");
        return ExitCode::from(2);
    };
    let mut core = Core::new();
    for _ in 0..count {
        run(&mut core);
    }
    ExitCode::SUCCESS
}
