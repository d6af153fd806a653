//! `wod completions`: shell completions and the man page, made from the same definitions as the help.

use crate::cli::{Exit, man, out};

#[derive(clap::Args)]
pub struct Args {
    /// A shell, or man for the man page
    what: What,
}

#[derive(Clone, Copy, clap::ValueEnum)]
enum What {
    Bash,
    Elvish,
    Fish,
    Powershell,
    Zsh,
    Man,
}

pub fn run(args: &Args, mut command: clap::Command) -> anyhow::Result<Exit> {
    use clap_complete::Shell;
    let shell = match args.what {
        What::Bash => Shell::Bash,
        What::Elvish => Shell::Elvish,
        What::Fish => Shell::Fish,
        What::Powershell => Shell::PowerShell,
        What::Zsh => Shell::Zsh,
        What::Man => {
            command.build();
            out!("{}", man::page(&command));
            return Ok(Exit::Done);
        }
    };
    let mut text = Vec::new();
    clap_complete::generate(shell, &mut command, "wod", &mut text);
    out::bytes(&text);
    Ok(Exit::Done)
}
