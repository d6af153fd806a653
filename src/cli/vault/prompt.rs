//! Asks for a secret at the terminal, without showing it.

use std::fs::File;
use std::io::{Read, Write};

use anyhow::{Context, bail};
use rustix::termios::{
    LocalModes, OptionalActions, SpecialCodeIndex, Termios, tcgetattr, tcsetattr,
};
use zeroize::Zeroizing;

use crate::domain::Secret;

const LONGEST: usize = 4096;

/// A typing error in a new password would lock everybody out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Confirm {
    Once,
    Twice,
}

pub fn secret(what: &str, confirm: Confirm) -> anyhow::Result<Secret> {
    let mut terminal = Terminal::open(what)?;
    let first = terminal.ask(what)?;
    if first.expose().is_empty() {
        bail!("the {what} is empty; nothing was done");
    }
    if confirm == Confirm::Twice && terminal.ask(&format!("the same {what} again"))? != first {
        bail!("these were not the same; nothing was done");
    }
    Ok(first)
}

/// `/dev/tty`, silent; as it was when dropped.
struct Terminal {
    file: File,
    before: Termios,
}

impl Terminal {
    fn open(what: &str) -> anyhow::Result<Terminal> {
        let tty = File::options().read(true).write(true).open("/dev/tty");
        let file = tty.with_context(|| {
            format!("there is no terminal to ask for the {what} at; name a file")
        })?;
        let before = tcgetattr(&file).context("the terminal cannot be used")?;
        let mut silent = before.clone();
        // No signals either: whoever gives up must get a terminal back that shows what is typed.
        silent
            .local_modes
            .remove(LocalModes::ECHO | LocalModes::ICANON | LocalModes::ISIG);
        silent.special_codes[SpecialCodeIndex::VMIN] = 1;
        silent.special_codes[SpecialCodeIndex::VTIME] = 0;
        tcsetattr(&file, OptionalActions::Flush, &silent).context("the terminal cannot be used")?;
        Ok(Terminal { file, before })
    }

    fn ask(&mut self, what: &str) -> anyhow::Result<Secret> {
        write!(self.file, "{what}: ")?;
        let mut typed = Zeroizing::new(Vec::with_capacity(LONGEST));
        let mut byte = [0];
        loop {
            let read = self.file.read(&mut byte)?;
            match byte[0] {
                _ if read == 0 => bail!("the terminal is gone; nothing was done"),
                b'\r' | b'\n' => break,
                // Ctrl-C, Ctrl-D, Ctrl-\
                3 | 4 | 28 => {
                    writeln!(self.file)?;
                    bail!("given up; nothing was done");
                }
                8 | 127 => erase_last(&mut typed),
                21 => typed.clear(),
                byte if typed.len() < LONGEST => typed.push(byte),
                _ => bail!("the {what} is longer than {LONGEST} bytes; put it into a file"),
            }
        }
        writeln!(self.file)?;
        let text = std::str::from_utf8(&typed).context("what was typed is no UTF-8 text")?;
        Ok(Secret::new(text.to_owned()))
    }
}

/// A whole character, whatever bytes it has.
fn erase_last(typed: &mut Vec<u8>) {
    while typed.pop().is_some_and(|byte| byte & 0xc0 == 0x80) {}
}

impl Drop for Terminal {
    fn drop(&mut self) {
        let _ = tcsetattr(&self.file, OptionalActions::Flush, &self.before);
    }
}
