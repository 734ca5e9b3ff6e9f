//! The command line of Vigie: reads arguments, wires crates together, decides nothing about events.

mod arguments;
mod attack;
mod claims;
mod columnar;
mod content;
mod coverage;
mod demo;
mod enrichments;
mod error;
mod explain;
mod hunt;
mod logs;
mod matrix;
mod native;
mod output;
#[cfg(feature = "failpoints")]
mod points;
mod proof;
mod rule;
mod sample;
#[cfg(feature = "full")]
mod service;
mod test;
mod words;

use std::process::ExitCode;

use arguments::{Arguments, Command};
use clap::Parser;
use error::Error;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// What a bare `vigie` prints: the three commands to begin with.
const START: &str = "\
vigie hunt FOLDER      what happened in a folder of cloud logs
vigie demo --write DIR a seeded intrusion to try it on
vigie rule list        what it looks for

`vigie help` lists everything.";

fn main() -> ExitCode {
    #[cfg(feature = "failpoints")]
    points::set();
    let arguments = match Arguments::try_parse() {
        Ok(arguments) => arguments,
        Err(error) => {
            let is_help = !error.use_stderr();
            let _ = error.print();
            return if is_help { ExitCode::SUCCESS } else { ExitCode::from(2) };
        }
    };
    let result = match arguments.command {
        None => output::line(format_args!("{START}")).map(|()| ExitCode::SUCCESS),
        Some(Command::Hunt(options)) => hunt::run(&options),
        Some(Command::Demo(options)) => demo::run(&options),
        Some(Command::Test(options)) => test::run(&options),
        Some(Command::Rule(command)) => rule::run(&command),
        Some(Command::Coverage(options)) => coverage::run(&options),
        Some(Command::Native(options)) => native::run(&options),
        Some(Command::Logs(command)) => logs::run(&command),
        #[cfg(feature = "full")]
        Some(Command::Up(options)) => service::up::run(&options),
        #[cfg(feature = "full")]
        Some(Command::Sql(options)) => service::ask::sql(&options),
        #[cfg(feature = "full")]
        Some(Command::Search(options)) => service::ask::search(&options),
        #[cfg(feature = "full")]
        Some(Command::Pivot(options)) => service::pivot::run(&options),
        #[cfg(feature = "full")]
        Some(Command::Token(command)) => service::token::run(&command),
        #[cfg(feature = "full")]
        Some(Command::Lake(command)) => service::lake::run(&command),
        #[cfg(feature = "full")]
        Some(Command::Content(command)) => service::reload::run(&command),
        #[cfg(feature = "full")]
        Some(Command::Spool(command)) => service::spool::run(&command),
        #[cfg(feature = "full")]
        Some(Command::Prove(command)) => service::prove::run(&command),
        #[cfg(feature = "full")]
        Some(Command::Backup(options)) => service::backup::run(&options),
        #[cfg(feature = "full")]
        Some(Command::Restore(options)) => service::restore::run(&options),
        #[cfg(feature = "full")]
        Some(Command::Doctor { data }) => service::doctor::run(&data),
        #[cfg(feature = "full")]
        Some(Command::Config(command)) => service::lake::config(&command),
    };
    result.unwrap_or_else(|error| {
        if !matches!(error, Error::Closed) {
            output::note(format_args!("vigie: {error}"));
        }
        error.code()
    })
}
