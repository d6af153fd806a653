//! The accounts that everything runs under, and the directory of the homes.

use std::path::Path;

use super::{Found, Look, problem};
use crate::adapters::accounts_linux;

const DELIVER: &str = "wod deliver --tags system";

pub fn accounts(look: &Look<'_>) -> Vec<Found> {
    let found = [look.site.admin().err(), look.site.intake_account().err()];
    let found = found.into_iter().flatten();
    let mut found: Vec<Found> = found.map(|fault| problem(fault.line(), DELIVER)).collect();
    found.extend(subordinate(look));
    found
}

/// What runs under such a uid ends with the seat; until then nobody judges it.
fn subordinate(look: &Look<'_>) -> Option<Found> {
    const SHOWN: usize = 5;
    let uids = look.site.student_uids().ok()?;
    let subuid = match accounts_linux::subuid(Path::new("/etc")) {
        Ok(subuid) => subuid,
        Err(e) => {
            let mend = "until then nobody knows which processes are students'";
            return Some(problem(format!("/etc/subuid cannot be read: {e}"), mend));
        }
    };
    let given = uids.with_subordinate(&subuid);
    let names: Vec<String> = given.iter().take(SHOWN).map(|s| s.account()).collect();
    let more = match given.len().saturating_sub(SHOWN) {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    (!names.is_empty()).then(|| {
        let names = names.join(", ");
        problem(
            format!("/etc/subuid gives uids to {names}{more}: the watchdog judges nothing that runs under them"),
            "remove their lines from /etc/subuid and /etc/subgid; usermod --del-subuids does it, too",
        )
    })
}

pub fn homes(look: &Look<'_>) -> Vec<Found> {
    let site = look.site;
    let dir = site.settings.students_dir.display();
    if let Err(fault) = site.check_ground() {
        return vec![problem(fault.line(), DELIVER)];
    }
    let mut found = Vec::new();
    match site.homes().and_then(|homes| homes.is_noexec()) {
        Ok(false) => {}
        Ok(true) => found.push(problem(
            format!(
                "WODSTUDDIR {dir} is mounted noexec: participants cannot run programs of their own"
            ),
            format!("mount -o remount,exec $(findmnt -no TARGET -T {dir}), and in /etc/fstab"),
        )),
        Err(fault) => found.push(problem(fault.chain(), DELIVER)),
    }
    if !super::host::has_acl(&site.settings.students_dir) {
        found.push(problem(
            format!("the file system of WODSTUDDIR {dir} has no POSIX ACLs"),
            format!(
                "mount -o remount,acl $(findmnt -no TARGET -T {dir}), or use one that has them"
            ),
        ));
    }
    found
}
