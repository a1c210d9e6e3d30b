//! The `rondo` binary: the command line in front of the house.

mod cli;
mod client;
mod command;
mod config;
mod demo;
mod recording;
mod reproduction;
mod server;
mod term;
mod transfer;

use std::process::ExitCode;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    let arguments = <cli::Cli as clap::Parser>::parse();
    match command::run(arguments) {
        Ok(code) => code,
        Err(error) => {
            term::complain(&error);
            ExitCode::FAILURE
        }
    }
}
