//! `wod`: reads the command line, sets up logging, turns errors into exit status.

use std::process::ExitCode;

fn main() -> ExitCode {
    wod::cli::main()
}
