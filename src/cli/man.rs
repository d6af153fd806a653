//! The man page: one for all commands, made from the definitions that the help is made from. Not by
//! clap_mangen: it makes a page for each command, and flows tables and examples into text.

use std::fmt::Write as _;

use clap::{Arg, Command};

/// `command` has been built: what is global stands in each subcommand, too.
pub fn page(command: &Command) -> String {
    let about = about(command);
    let mut page = format!(
        ".TH wod 1 \"\" \"wod {}\" \"User Commands\"\n\
         .SH NAME\nwod \\- {about}\n\
         .SH SYNOPSIS\n\\fBwod\\fR [\\fIOPTIONS\\fR] \\fICOMMAND\\fR\n\
         .SH DESCRIPTION\n{about}.\n\
         .SH OPTIONS\nThese are options of every command.\n",
        env!("CARGO_PKG_VERSION"),
    );
    command
        .get_arguments()
        .for_each(|arg| argument(&mut page, arg));
    page.push_str(".SH COMMANDS\n");
    for sub in command.get_subcommands() {
        part(&mut page, sub, "wod");
    }
    page.push_str(".SH EXAMPLES AND EXIT STATUS\n");
    verbatim(&mut page, command);
    page
}

/// A subcommand, and what is below it.
fn part(page: &mut String, command: &Command, above: &str) {
    if command.is_hide_set() || command.get_name() == "help" {
        return;
    }
    let name = format!("{above} {}", command.get_name());
    let usage = command.clone().render_usage().to_string();
    let usage = usage.trim_start_matches("Usage:").trim();
    let _ = write!(
        page,
        ".SS \"{}\"\n{}.\n.PP\n.nf\n",
        escape(&name),
        about(command)
    );
    for line in usage.lines() {
        let _ = writeln!(page, "{}", escape(line.trim()));
    }
    page.push_str(".fi\n");
    command
        .get_arguments()
        .filter(|arg| !arg.is_global_set() && arg.get_id() != "help")
        .for_each(|arg| argument(page, arg));
    verbatim(page, command);
    for sub in command.get_subcommands() {
        part(page, sub, &name);
    }
}

fn about(command: &Command) -> String {
    let text = command.get_about().map(ToString::to_string);
    escape(&text.unwrap_or_default())
}

fn argument(page: &mut String, arg: &Arg) {
    if arg.is_hide_set() {
        return;
    }
    let mut names = Vec::new();
    names.extend(arg.get_short().map(|short| format!("\\fB\\-{short}\\fR")));
    let long = arg.get_long();
    names.extend(long.map(|long| format!("\\fB{}\\fR", escape(&format!("--{long}")))));
    let takes = arg.is_positional() || arg.get_action().takes_values();
    let values = arg.get_value_names().filter(|_| takes).unwrap_or_default();
    let values: Vec<String> = values
        .iter()
        .map(|value| format!("\\fI{}\\fR", escape(value)))
        .collect();
    let (names, values) = (names.join(", "), values.join(" "));
    let blank = if names.is_empty() || values.is_empty() {
        ""
    } else {
        " "
    };
    let help = arg.get_help().map(ToString::to_string).unwrap_or_default();
    let _ = writeln!(page, ".TP\n{names}{blank}{values}\n{}", escape(&help));
    let choices = arg.get_possible_values();
    let choices: Vec<&str> = choices.iter().map(|choice| choice.get_name()).collect();
    if takes && !choices.is_empty() {
        let _ = writeln!(page, "[{}]", escape(&choices.join(", ")));
    }
    let usual = arg.get_default_values().iter();
    let usual: Vec<_> = usual.map(|value| value.to_string_lossy()).collect();
    if takes && !usual.is_empty() {
        let _ = writeln!(page, "[default: {}]", escape(&usual.join(" ")));
    }
    if let Some(env) = arg.get_env() {
        let _ = writeln!(page, "[environment: {}]", escape(&env.to_string_lossy()));
    }
}

/// Examples and tables, line by line as they are.
fn verbatim(page: &mut String, command: &Command) {
    let Some(text) = command.get_after_help() else {
        return;
    };
    page.push_str(".PP\n.nf\n");
    for line in text.to_string().lines() {
        let _ = writeln!(page, "{}", escape(line));
    }
    page.push_str(".fi\n");
}

/// Text in which troff sees no request of its own.
fn escape(text: &str) -> String {
    let text = text.replace('\\', "\\e").replace('-', "\\-");
    match text.starts_with(['.', '\'']) {
        true => format!("\\&{text}"),
        false => text,
    }
}
