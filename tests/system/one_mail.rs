//! One mail makes, and unmakes, one workshop: through the listener and through Postfix, up to a
//! login at a real JupyterHub.

use std::fs;
use std::os::unix::fs::MetadataExt;

use serde_json::Value;

use crate::support::backend::{Backend, HUB, Options, SENDER, UID_BASE, home, send_as_frontend};
use crate::support::browser::Browser;
use crate::support::postfix;
use crate::support::student::{
    as_student, hub_token, leave_all_over, nothing_is_left_of, password, processes, start_kernel,
    su_takes, try_as_student,
};
use crate::support::{on_private_host, sh};

#[test]
fn a_frontends_mails_through_the_listener() {
    on_private_host(|| inside::a_frontends_mails_through_the_listener());
}

#[test]
fn mails_through_postfix_by_mailbox_command_and_by_pipe() {
    on_private_host(|| inside::mails_through_postfix_by_mailbox_command_and_by_pipe());
}

mod inside {
    use super::*;

    fn hub() -> Backend {
        Backend::start(Options {
            hub: true,
            ..Options::default()
        })
    }

    fn is_done(action: &Value) {
        assert_eq!(action["state"], "done", "{action}");
    }

    fn logged_in(student: u32, password: &str) -> Browser {
        let mut browser = Browser::new(HUB);
        let name = format!("student{student}");
        assert_eq!(browser.log_in(&name, password), 302);
        assert_eq!(browser.get(&format!("/user/{name}/lab")).status, 200);
        browser
    }

    pub fn a_frontends_mails_through_the_listener() {
        let backend = hub();
        send_as_frontend("CREATE 12 825 someone@example.org", "WKSHP-API101");
        is_done(&backend.settled(1)[0]);
        let first_password = password(12);
        let mut first = logged_in(12, &first_password);
        assert!(su_takes(12, &first_password));
        rendered_and_owned(12);
        let token = hub_token(12, &first_password);
        start_kernel(12, &token);
        leave_all_over(12);

        // The seat is given to the next one, without a word in between.
        send_as_frontend("CREATE 12 826", "WKSHP-API101");
        is_done(&backend.settled(2)[1]);
        let second_password = password(12);
        assert_ne!(first_password, second_password);
        let mut second = logged_in(12, &second_password);
        is_out(&mut first, &first_password);
        let running = processes(12);
        assert!(
            !running.contains("ipykernel") && !running.contains("sleep"),
            "{running}"
        );
        rendered_and_owned(12);

        let token = hub_token(12, &second_password);
        start_kernel(12, &token);
        leave_all_over(12);
        half_of_the_notebooks_is_executed(12);
        send_as_frontend("CLEANUP 12 826", "WKSHP-API101");
        is_done(&backend.settled(3)[2]);
        nothing_is_left_of(12);
        is_out(&mut second, &second_password);
        let seat = backend.seat(12).unwrap();
        assert_eq!(seat["assigned"], false, "{seat}");
        assert_eq!(
            (&seat["participant"], &seat["cleaned"]),
            (&826.into(), &true.into())
        );
        let completion = seat["completion"].as_u64().unwrap();
        assert!((30..=70).contains(&completion), "{seat}");
    }

    /// Neither the password nor the cookie of somebody who had the seat opens anything.
    fn is_out(browser: &mut Browser, password: &str) {
        assert!(!su_takes(12, password));
        assert_eq!(Browser::new(HUB).log_in("student12", password), 403);
        for page in [
            "/user/student12/api/contents",
            "/hub/home",
            "/user/student12/lab",
        ] {
            let page = browser.get(page);
            let refused = page.status == 403 || page.path.starts_with("/hub/login");
            assert!(refused, "{} at {}", page.status, page.path);
        }
    }

    fn rendered_and_owned(student: u32) {
        let notebooks = home(student).join("WKSHP-API101");
        let readme = fs::read_to_string(notebooks.join("0-ReadMeFirst.ipynb")).unwrap();
        assert!(
            !readme.contains("{{ STDID }}") && !readme.contains("{%"),
            "{readme}"
        );
        for entry in fs::read_dir(&notebooks).unwrap() {
            let metadata = entry.unwrap().metadata().unwrap();
            assert_eq!(metadata.uid(), UID_BASE + student);
            assert_eq!(metadata.gid(), UID_BASE + student);
        }
        let dir = home(student);
        as_student(
            student,
            "echo mine >~/WKSHP-API101/new; mkdir ~/WKSHP-API101/dir",
        );
        let acl = sh(&format!(
            "getfacl -pc {0} {0}/WKSHP-API101/dir",
            dir.display()
        ));
        for line in [
            "user::rwx",
            "user:wodadmin:rwx",
            "default:user:wodadmin:rwx",
            "other::---",
        ] {
            assert!(acl.contains(&format!("{line}\n")), "{acl}");
        }
        // By the default ACL, also what the student made.
        sh(&format!(
            "runuser -u wodadmin -- cat {}/WKSHP-API101/new",
            dir.display()
        ));
        sh("id student1 >/dev/null 2>&1 || useradd -M -u 62001 student1");
        let looked = try_as_student(
            1,
            &format!("ls {0} || cat {0}/WKSHP-API101/new", dir.display()),
        );
        assert!(!looked.status.success() && looked.stdout.is_empty());
    }

    fn half_of_the_notebooks_is_executed(student: u32) {
        as_student(
            student,
            "cat >/tmp/run.py <<'END'
import glob, json, os
cells = 0
for path in sorted(glob.glob(os.path.expanduser('~/WKSHP-API101/*.ipynb'))):
    book = json.load(open(path))
    for cell in book['cells']:
        if cell['cell_type'] == 'code':
            cells += 1
            cell['execution_count'] = cells if cells % 2 else None
    json.dump(book, open(path, 'w'))
END
             python3 /tmp/run.py",
        );
    }

    pub fn mails_through_postfix_by_mailbox_command_and_by_pipe() {
        let backend = hub();
        let _postfix = postfix::start();
        postfix::send_at_once("wodadmin@backend.test", "CREATE 12 825", "WKSHP-API101");
        is_done(&backend.settled(1)[0]);
        postfix::send(
            "wodadmin@pipe.test",
            SENDER,
            "CREATE 13 826",
            "WKSHP-API101",
        );
        let actions = backend.settled(2);
        is_done(&actions[1]);
        let passwords = [password(12), password(13)];
        logged_in(12, &passwords[0]);
        logged_in(13, &passwords[1]);
        rendered_and_owned(12);
        rendered_and_owned(13);

        // What is no action comes back to its sender with the reason in it.
        postfix::send(
            "wodadmin@pipe.test",
            SENDER,
            "CREATE 99 826",
            "WKSHP-API101",
        );
        postfix::send(
            "wodadmin@backend.test",
            "evil@test",
            "PURGE 12 825",
            "WKSHP-API101",
        );
        postfix::log_says("status=bounced", 2);

        postfix::send_at_once("wodadmin@backend.test", "CLEANUP 12 825", "WKSHP-API101");
        postfix::send_at_once("wodadmin@pipe.test", "PURGE 13 826", "WKSHP-API101");
        let actions = backend.settled(4);
        assert_eq!(actions.len(), 4, "{actions:?}");
        actions.iter().for_each(is_done);
        for student in [12, 13] {
            nothing_is_left_of(student);
            let name = format!("student{student}");
            let word = &passwords[student as usize - 12];
            assert_eq!(Browser::new(HUB).log_in(&name, word), 403);
        }
    }
}
