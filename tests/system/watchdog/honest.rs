//! Honest work under the product's own policy, with the watchdog at full power: nothing of it is
//! stopped, and nothing is said of it that somebody would have to read.

use std::fs;
use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use serde_json::Value;

use crate::support::watched::Watched;
use crate::support::{among_all_processes, sh};

/// Sources, a repository and a notebook, for all to read.
const GROUND: &str = "\
mkdir -p /run/ground/app /run/ground/www; cd /run/ground
for i in $(seq 16); do
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
        pool.map(work, range(48), chunksize=1)
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

fn serve(port: u16) -> Server {
    let mut command = Command::new("/usr/bin/python3");
    command.args([
        "-m",
        "http.server",
        "--bind",
        "127.0.0.1",
        &port.to_string(),
    ]);
    command.current_dir("/run/ground/www");
    command.stdout(Stdio::null()).stderr(Stdio::null());
    Server(command.spawn().unwrap())
}

fn free_port() -> u16 {
    let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    listener.local_addr().unwrap().port()
}

fn figures(watched: &Watched) -> Value {
    let output = watched.wod(&["watchdog", "status", "--json"]);
    serde_json::from_slice(&output.stdout).unwrap()
}

#[test]
fn honest_work_goes_on() {
    among_all_processes(|| {
        sh(GROUND);
        let watched = Watched::start("", "WODCPUGRACE: 30");
        let port = free_port();
        let _server = serve(port);
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
                "git -c safe.directory='*' clone -q file:///run/ground/big && git -C big gc -q"
                    .to_owned(),
            ),
            (
                "20 connections",
                format!(
                    "sleep 2; /usr/bin/python3 /run/ground/get.py http://127.0.0.1:{port}/data"
                ),
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
        // The figures are written every few seconds.
        std::thread::sleep(std::time::Duration::from_secs(6));
        let figures = figures(&watched);
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
