//! The accounts that everything runs under, and the directory of the homes.

use super::{Found, Look, problem};

const DELIVER: &str = "wod deliver --tags system";

pub fn accounts(look: &Look<'_>) -> Vec<Found> {
    let found = [look.site.admin().err(), look.site.intake_account().err()];
    let found = found.into_iter().flatten();
    found.map(|fault| problem(fault.line(), DELIVER)).collect()
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
