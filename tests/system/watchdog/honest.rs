//! Honest work under the product's own policy, with the watchdog at full power: nothing of it is
//! stopped, and nothing is said of it that somebody would have to read.

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use serde_json::Value;

use crate::support::watched::Watched;
use crate::support::{among_all_processes, sh, wait_for};

/// Sources, a repository and a notebook, for all to read.
const GROUND: &str = "\
mkdir -p /run/ground/app /run/ground/www; cd /run/ground
for i in $(seq 8); do
  echo \"#include <regex>
int f$i(const char *s) { return std::regex_match(s, std::regex(\\\"(a|b)*c$i\\\")); }\" >app/f$i.cpp
done
echo 'int main() { return 0; }' >app/main.cpp
printf 'app: $(patsubst %%.cpp,%%.o,$(wildcard *.cpp))\\n\\tg++ -o app *.o\\n' >app/Makefile
head -c 4000000 /dev/urandom >www/data
git init -q big; cd big
cp -r /usr/include/linux .; git add .
git -c user.name=a -c user.email=a@example.org commit -qm first
cat >../exercise.c <<'X'
#include <time.h>
int main(void) { time_t end = time(0) + 15; volatile long n = 0; while (time(0) < end) n++; return 0; }
X
cat >../pool.py <<'X'
import multiprocessing, time
def work(n):
    end = time.time() + 2
    while time.time() < end:
        n += 1
    return n
if __name__ == '__main__':
    with multiprocessing.Pool(12) as pool:
        pool.map(work, range(24), chunksize=1)
X
cat >../get.py <<'X'
import concurrent.futures, sys, urllib.request
def get(n):
    return len(urllib.request.urlopen(sys.argv[1]).read())
with concurrent.futures.ThreadPoolExecutor(20) as pool:
    assert set(pool.map(get, range(200))) == {4000000}
X
cat >../lesson.ipynb <<'X'
{\"cells\": [{\"cell_type\": \"code\", \"id\": \"a\", \"execution_count\": null, \"metadata\": {}, \"outputs\": [],
  \"source\": [\"sum(i * i for i in range(20000000))\"]}],
 \"metadata\": {\"kernelspec\": {\"name\": \"python3\", \"display_name\": \"Python 3\", \"language\": \"python\"}},
 \"nbformat\": 4, \"nbformat_minor\": 5}
X
chmod -R a+rX /run/ground";

/// A file server of root's, until it is dropped.
struct Server(Child);

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// And its port, which nobody else on this machine has.
fn serve() -> (Server, String) {
    let mut command = Command::new("/usr/bin/python3");
    command.args(["-u", "-m", "http.server", "--bind", "127.0.0.1", "0"]);
    command.current_dir("/run/ground/www");
    command.stdout(Stdio::piped()).stderr(Stdio::null());
    let mut server = Server(command.spawn().unwrap());
    // `Serving HTTP on 127.0.0.1 port 40123 (…) ...`, when it listens.
    let mut said = String::new();
    let mut lines = BufReader::new(server.0.stdout.take().unwrap());
    lines.read_line(&mut said).unwrap();
    let (_, port) = said.split_once(" port ").unwrap();
    let port = port.split(' ').next().unwrap().to_owned();
    (server, port)
}

fn figures(watched: &Watched) -> Option<Value> {
    let output = watched.wod(&["watchdog", "status", "--json"]);
    serde_json::from_slice(&output.stdout).ok()
}

#[test]
fn honest_work_goes_on() {
    among_all_processes(|| {
        sh(GROUND);
        let watched = Watched::start("", "WODCPUGRACE: 30");
        let (_server, port) = serve();
        let mut works = vec![
            (
                "make -j8",
                "cp -r /run/ground/app . && make -s -j8 -C app".to_owned(),
            ),
            (
                "venv with pip",
                "/usr/bin/python3 -m venv env && env/bin/pip list".to_owned(),
            ),
            (
                "git clone",
                "git config --global safe.directory '*' && git clone -q file:///run/ground/big && git -C big gc -q"
                    .to_owned(),
            ),
            (
                "20 connections",
                format!("/usr/bin/python3 /run/ground/get.py http://127.0.0.1:{port}/data"),
            ),
            (
                "worker pool",
                "/usr/bin/python3 /run/ground/pool.py".to_owned(),
            ),
            (
                "exercise in C",
                "cc -O1 -o a.out /run/ground/exercise.c && ./a.out".to_owned(),
            ),
        ];
        let jupyter = "/opt/jupyterhub/bin/jupyter-nbconvert";
        match Path::new(jupyter).exists() {
            true => works.push((
                "nbconvert",
                format!("cp /run/ground/lesson.ipynb . && {jupyter} --execute --to notebook --output done lesson.ipynb"),
            )),
            false => eprintln!("nbconvert is left out: there is no {jupyter}"),
        }
        let begun: Vec<(&str, Child)> = (1..)
            .zip(&works)
            .map(|(student, (what, script))| {
                watched.seat(student, 800 + student);
                let script = format!("export HOME=$PWD LANG=C.UTF-8; {script}");
                (*what, watched.run(student, "/bin/bash", &["-c", &script]))
            })
            .collect();
        for (what, mut child) in begun {
            assert!(
                child.wait().unwrap().success(),
                "{what} did not come to its end"
            );
        }
        let looks = |figures: &Value| figures["samples"].as_u64();
        let before = figures(&watched).as_ref().and_then(looks);
        // They are written every few seconds; those of twice later have everything.
        let later = wait_for(30, "figures of later", || {
            figures(&watched).filter(|figures| looks(figures) > before)
        });
        let figures = wait_for(30, "figures of the end", || {
            figures(&watched).filter(|figures| looks(figures) > looks(&later))
        });
        eprintln!("{} kinds of work: {figures}", works.len());
        assert_eq!(watched.incidents(), Vec::<Value>::new());
        let found = figures["found"].as_object().unwrap();
        let is_loud = |key: &&String| !key.ends_with(" notice");
        assert_eq!(found.keys().find(is_loud), None, "{figures}");
        // Who sees nothing says nothing.
        assert!(figures["checked"].as_u64().unwrap() > 50, "{figures}");
        fs::remove_dir_all("/run/ground").unwrap();
    });
}
