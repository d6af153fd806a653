//! `wod completions`: shell completions and man pages, made from the same definitions as the help.

use std::io::Write;

use crate::cli::{Exit, output};

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
        What::Man => return man(command),
    };
    let mut text = Vec::new();
    clap_complete::generate(shell, &mut command, "wod", &mut text);
    output::bytes(&text);
    Ok(Exit::Done)
}

/// One page for all: each subcommand's part follows the command's.
fn man(mut command: clap::Command) -> anyhow::Result<Exit> {
    command.build();
    let mut text = Vec::new();
    clap_mangen::Man::new(command.clone()).render(&mut text)?;
    for sub in command.get_subcommands().filter(|sub| !sub.is_hide_set()) {
        writeln!(text, ".SH \"WOD {}\"", sub.get_name().to_uppercase())?;
        let page = clap_mangen::Man::new(sub.clone());
        page.render_description_section(&mut text)?;
        page.render_options_section(&mut text)?;
    }
    output::bytes(&text);
    Ok(Exit::Done)
}
