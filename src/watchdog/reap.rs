//! The end of what is certain: frozen, described, killed until none is left, and the seat handed to
//! the engine to be cleaned; and the telling of what is suspicious, with evidence, but untouched. Each
//! answer can be taken up where a killed watchdog left it.

use std::collections::BTreeMap;
use std::os::fd::AsFd;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::cage::Cage;
use super::choice::Case;
use super::counters::Counters;
use super::evidence::{self, Report};
use super::finding::Finding;
use super::letters::{letter, warning, why};
use super::policy::Response;
use super::procfs::Proc;
use super::snapshot::Seat;
use crate::adapters::accounts_linux::{StudentUids, Suspect};
use crate::domain::{self, Action, Participant, Student, StudentRange, Time, Verb};
use crate::intake::spool::{Record, Route, Spool};
use crate::journal::{ALERT, Answered, Began, Incident, Journal};
use crate::ports::{Fault, Hub, Progress};

/// How long killed processes may take to go before it is tried again.
const END_LIMIT: Duration = Duration::from_secs(5);
const END_TRIES: u32 = 6;
/// Times that what still moves is stopped once more; then it is killed as it is.
const MOST_ROUNDS: u32 = 3;
/// Of so many alerts of a student in a day evidence is kept, and of so many stops of single processes:
/// students can cause many, and large ones.
const MOST_KEPT: u32 = 8;
/// So many stops of single processes of a student in a day are incidents. What is stopped after that
/// is counted and logged.
const MOST_TOLD: u32 = 24;
const DAY_MS: i64 = 86_400_000;
/// The hub's own stop is only the first; PURGE has one that goes on until it is true.
const HUB_LIMIT: Duration = Duration::from_secs(20);

/// What is known of all seats.
pub type SeatsOf = Arc<dyn Fn() -> Result<BTreeMap<Student, Seat>, Fault> + Send + Sync>;

/// What answers work with.
pub struct Hands {
    pub uids: StudentUids,
    pub journal: Arc<Journal>,
    pub hub: Arc<dyn Hub>,
    pub spool: Spool,
    pub seats: SeatsOf,
    /// Where evidence is kept: root's alone.
    pub evidence: PathBuf,
    pub counters: Arc<Counters>,
}

impl Hands {
    /// Ends everything of the student, says so by `ended`, and has the seat cleaned.
    pub fn stop_seat(&self, case: &Case, ended: impl FnOnce()) {
        let Some(suspect) = self.uids.suspect(case.student) else {
            return self.not_ours(case.student);
        };
        let mut incident = self.begin(case, Response::StopSeat);
        self.stop_all(&suspect, &mut incident, &case.findings, Some(case.seen));
        if incident.answered == Answered::Ended {
            ended();
        }
        self.clean(&mut incident, &case.findings);
        self.await_end(&suspect, &mut incident);
    }

    /// What could not be ended was killed, and goes when what it waits for comes: nothing new is said
    /// of the student until then, and whatever is started beside it (by cron, say) is killed, too.
    fn await_end(&self, suspect: &Suspect, incident: &mut Incident) {
        let (Ok(proc), Answered::Begun) = (Proc::open(), incident.answered) else {
            return;
        };
        let living = || -> Option<Vec<(u32, u64)>> {
            let pids = suspect.pids().ok()?.into_iter();
            let with_start = pids.filter_map(|pid| {
                let stat = proc.open_stat(pid).ok()?;
                Some((pid, proc.read_stat(stat.as_fd())?.start))
            });
            Some(with_start.collect())
        };
        // The seat's next guest has others, and comes when none of these is there.
        let Some(left) = living() else {
            return;
        };
        while living().is_none_or(|now| now.iter().any(|one| left.contains(one))) {
            suspect.kill();
            std::thread::sleep(END_LIMIT);
        }
        incident.answered = Answered::Done;
        incident.done.push("what was left has ended".to_owned());
        self.note(incident);
    }

    /// What came after the end.
    pub fn end_again(&self, student: Student) {
        let Some(suspect) = self.uids.suspect(student) else {
            return self.not_ours(student);
        };
        if let Err(fault) = suspect.end(END_LIMIT) {
            tracing::error!("{}", fault.chain());
        }
    }

    fn not_ours(&self, student: Student) {
        tracing::error!(
            "{} is not the account that it has to be (name, uid, range); nothing was touched",
            student.account()
        );
    }

    /// The journal has it before anything is touched. Where it cannot be written, the rest is
    /// done all the same, but nothing is frozen that nobody would find again.
    fn begin(&self, case: &Case, response: Response) -> Incident {
        let seat = case.seat.clone().unwrap_or_default();
        let findings = serde_json::to_string(&case.findings).unwrap_or_default();
        let began = Began {
            at: Time::now(),
            student: case.student,
            participant: seat.participant.filter(|who| !who.is_nobody()),
            workshop: seat.workshop.as_ref(),
            response: name(response),
            findings: &findings,
        };
        let id = self.journal.begin_incident(&began).unwrap_or_else(|e| {
            tracing::error!(
                "the incident of {} is not in the journal: {e}",
                case.student
            );
            0
        });
        Incident {
            id,
            at: began.at,
            student: case.student,
            participant: began.participant,
            workshop: seat.workshop,
            response: name(response).to_owned(),
            answered: Answered::Begun,
            findings,
            done: Vec::new(),
            evidence: None,
            latency_us: None,
        }
    }

    fn note(&self, incident: &Incident) {
        if incident.id == 0 {
            return;
        }
        if let Err(e) = self.journal.note_incident(incident) {
            tracing::error!("incident {} is not written down: {e}", incident.id);
        }
    }

    fn stop_all(
        &self,
        suspect: &Suspect,
        incident: &mut Incident,
        findings: &[Finding],
        seen: Option<Instant>,
    ) {
        let gathered = Proc::open().ok().map(|proc| {
            let (cages, pids) = match incident.id {
                0 => (Vec::new(), suspect.pids().unwrap_or_default()),
                _ => self.freeze(&proc, suspect, incident),
            };
            let report = report(incident, findings);
            (
                evidence::gather(&proc, &pids, report, evidence::OF_A_STOP),
                cages,
            )
        });
        suspect.kill();
        let count = gathered.as_ref().map_or(0, |(g, _)| g.report.processes);
        self.end(suspect, incident);
        if let Some(seen) = seen {
            let us = i64::try_from(seen.elapsed().as_micros()).unwrap_or(i64::MAX);
            incident.latency_us = Some(us);
            self.counters.stopped(Response::StopSeat, us);
        }
        incident.done.push(format!("killed {count} processes"));
        if let Some((gathered, cages)) = gathered {
            cages.iter().for_each(Cage::thaw);
            self.keep(gathered, incident);
        }
        self.note(incident);
    }

    /// All that the account reaches at once, and the groups that are the student's alone, which
    /// also hold what is out of its reach. What was not stopped by then may have started others.
    fn freeze(
        &self,
        proc: &Proc,
        suspect: &Suspect,
        incident: &mut Incident,
    ) -> (Vec<Cage>, Vec<u32>) {
        suspect.freeze();
        let mut pids = suspect.pids().unwrap_or_default();
        let cages = Cage::all(proc, &pids, suspect);
        if !cages.is_empty() {
            incident.done.extend(cages.iter().map(Cage::line));
            self.note(incident);
            Cage::freeze(&cages);
        }
        for _ in 0..MOST_ROUNDS {
            if !pids.iter().any(|pid| is_moving(proc, *pid)) {
                break;
            }
            suspect.freeze();
            pids = suspect.pids().unwrap_or_default();
        }
        (cages, pids)
    }

    fn end(&self, suspect: &Suspect, incident: &mut Incident) {
        for turn in 1..=END_TRIES {
            match suspect.end(END_LIMIT) {
                Ok(()) => {
                    incident.answered = Answered::Ended;
                    return;
                }
                // Whoever looks meanwhile sees why it takes so long.
                Err(fault) if turn == 1 => {
                    tracing::error!("{}", fault.chain());
                    incident.done.push(fault.line());
                    self.note(incident);
                }
                Err(_) => {}
            }
        }
        incident.done.push(
            "some processes could not be ended; the seat stays closed until PURGE has".to_owned(),
        );
    }

    fn keep(&self, gathered: evidence::Gathered, incident: &mut Incident) {
        match gathered.keep(&self.evidence) {
            Ok(name) => incident.evidence = Some(name),
            Err(e) => {
                let line = format!("evidence could not be kept: {e}");
                tracing::error!("incident {}: {line}", incident.id);
                incident.done.push(line);
            }
        }
    }

    /// The hub's server, the seat, the participant, the admin.
    fn clean(&self, incident: &mut Incident, findings: &[Finding]) {
        let why = why(findings);
        let student = incident.student;
        incident.done.push(match self.stop_server(student) {
            Ok(()) => "stopped the hub's server".to_owned(),
            Err(fault) => format!("the hub's server is left to PURGE: {}", fault.line()),
        });
        incident.done.push(match self.purge(incident, &why) {
            Ok(()) => "sent PURGE".to_owned(),
            Err(line) => format!("PURGE could not be sent: {line}"),
        });
        if let Some(participant) = incident.participant {
            let reason = format!("incident {}: {why}", incident.id);
            incident
                .done
                .push(match self.journal.ban(participant, &reason, Time::now()) {
                    Ok(()) => format!("banned participant {participant}"),
                    Err(e) => format!("participant {participant} could not be banned: {e}"),
                });
        }
        if incident.answered == Answered::Ended {
            incident.answered = Answered::Done;
        }
        let did = incident.done.join("; ");
        tracing::warn!("incident {}: {why}; {did}", incident.id);
        self.tell(
            incident,
            &format!("STOPPED {}: {why}", student.account()),
            &letter(incident, &why),
        );
    }

    fn stop_server(&self, student: Student) -> Result<(), Fault> {
        let deadline = Instant::now() + HUB_LIMIT;
        loop {
            match self.hub.stop(student)? {
                Progress::Done => return Ok(()),
                Progress::NotYet(pause) if Instant::now() + pause < deadline => {
                    std::thread::sleep(pause);
                }
                Progress::NotYet(_) => {
                    return Err(Fault::retry(format!(
                        "the server of {} is still stopping",
                        student.account()
                    )));
                }
            }
        }
    }

    /// The same incident sends the same action: the engine takes it once.
    fn purge(&self, incident: &Incident, why: &str) -> Result<(), String> {
        let record = Record {
            version: Record::VERSION,
            received: Time::now(),
            route: Route::Watchdog,
            peer: "watchdog".to_owned(),
            sender: "watchdog".to_owned(),
            message_id: Some(format!(
                "incident-{}-{}@watchdog",
                incident.id, incident.at.0
            )),
            signed: None,
            reason: Some(format!("incident {}: {why}", incident.id)),
            action: Action {
                verb: Verb::Purge,
                seat: domain::Seat::Students(StudentRange::one(incident.student)),
                participant: incident.participant.unwrap_or(Participant::new(0)),
                email: None,
                workshop: None,
            },
        };
        self.spool
            .put(&record)
            .map(drop)
            .map_err(|refusal| refusal.line)
    }

    /// Writes the incident down together with the admin's mail about it: no crash is between them.
    fn tell(&self, incident: &Incident, subject: &str, body: &str) {
        let told = match incident.id {
            0 => self.journal.write_letter(subject, body, Time::now()),
            _ => self.journal.tell_incident(incident, subject, body),
        };
        if let Err(e) = told {
            tracing::error!("the admin is not told of it ({subject}): {e}");
        }
    }

    /// Tells of what nothing is done about.
    pub fn alert(&self, mut case: Case) {
        if let Some(seat) = self.seat_when_seen(&case) {
            case.seat = Some(seat);
        }
        self.tell_of(self.begin(&case, Response::Alert), &case.findings);
    }

    /// The watching asks for seats only now and then. None when whoever has it came later.
    fn seat_when_seen(&self, case: &Case) -> Option<Seat> {
        let seat = (self.seats)().ok()?.remove(&case.student)?;
        let ago = i64::try_from(case.seen.elapsed().as_millis()).unwrap_or(i64::MAX);
        let seen = Time(Time::now().0.saturating_sub(ago));
        seat.since.is_none_or(|since| since <= seen).then_some(seat)
    }

    fn tell_of(&self, mut incident: Incident, findings: &[Finding]) {
        incident.done = vec!["told; nothing was stopped".to_owned()];
        match self.without_evidence(&incident) {
            Some(why) => incident.done.push(format!("no evidence was kept: {why}")),
            None => self.look_on(&mut incident, findings),
        }
        incident.answered = Answered::Done;
        let (subject, body) = warning(&incident, findings);
        self.tell(&incident, &subject, &body);
    }

    fn without_evidence(&self, incident: &Incident) -> Option<String> {
        let student = incident.student;
        if incident.id == 0 {
            return Some("the journal does not take it".to_owned());
        }
        if self.is_somebody_elses(incident) {
            return Some("the seat was given to somebody else meanwhile".to_owned());
        }
        let day = Time(incident.at.0 - DAY_MS);
        let response = incident.response.as_str();
        let answered = self.journal.answered_since(student, response, day);
        let (_, kept) = answered.unwrap_or((0, 0));
        (kept >= MOST_KEPT).then(|| {
            let account = student.account();
            format!("there is some of {kept} answers to {account} within a day ({response})")
        })
    }

    /// Nobody is stopped for it: what is described may be gone, or change meanwhile.
    fn look_on(&self, incident: &mut Incident, findings: &[Finding]) {
        let pids = self.uids.suspect(incident.student).map(|who| who.pids());
        let (Ok(proc), Some(Ok(pids))) = (Proc::open(), pids) else {
            let line = "no evidence was kept: the processes cannot be listed";
            return incident.done.push(line.to_owned());
        };
        let report = report(incident, findings);
        let gathered = evidence::gather(&proc, &pids, report, evidence::OF_AN_ALERT);
        self.keep(gathered, incident);
    }

    /// Ends the processes that were found, if they are still what they were.
    pub fn stop_processes(&self, case: &Case) {
        let Some(suspect) = self.uids.suspect(case.student) else {
            return self.not_ours(case.student);
        };
        let ids = case.processes();
        let kill = || {
            let killed = ids.iter().filter(|id| suspect.kill_one(id.pid, id.start));
            let killed = killed.count();
            let us = i64::try_from(case.seen.elapsed().as_micros()).unwrap_or(i64::MAX);
            self.counters.stopped(Response::StopProcess, us);
            (killed, us)
        };
        if self.is_told_enough(case.student) {
            kill();
            return;
        }
        let mut incident = self.begin(case, Response::StopProcess);
        let gathered = match self.without_evidence(&incident) {
            Some(why) => {
                incident.done.push(format!("no evidence was kept: {why}"));
                None
            }
            None => {
                let pids: Vec<u32> = ids.iter().map(|id| id.pid).collect();
                let report = report(&incident, &case.findings);
                let proc = Proc::open().ok();
                proc.map(|proc| evidence::gather(&proc, &pids, report, evidence::OF_A_STOP))
            }
        };
        let (killed, us) = kill();
        incident.latency_us = Some(us);
        incident.done.push(format!("killed {killed} processes"));
        incident.answered = Answered::Ended;
        if let Some(gathered) = gathered {
            self.keep(gathered, &mut incident);
        }
        if self.is_told_enough(case.student) {
            incident.done.push(format!(
                "there were {MOST_TOLD} of {} within a day: what else is stopped is logged and counted",
                case.student.account()
            ));
        }
        self.note(&incident);
        self.tell_of_stopped(&mut incident, &case.findings);
    }

    fn is_told_enough(&self, student: Student) -> bool {
        let day = Time(Time::now().0 - DAY_MS);
        let of = name(Response::StopProcess);
        let told = self.journal.answered_since(student, of, day);
        told.is_ok_and(|(told, _)| told >= MOST_TOLD)
    }

    fn tell_of_stopped(&self, incident: &mut Incident, findings: &[Finding]) {
        let why = why(findings);
        let did = incident.done.join("; ");
        tracing::warn!("incident {}: {why}; {did}", incident.id);
        incident.answered = Answered::Done;
        self.tell(
            incident,
            &format!("STOPPED processes of {}: {why}", incident.student.account()),
            &letter(incident, &why),
        );
    }

    /// Goes on with what a watchdog that was killed had begun.
    pub fn take_up(&self, incident: Incident) {
        let findings: Vec<Finding> = serde_json::from_str(&incident.findings).unwrap_or_default();
        let mut incident = incident;
        if incident.response == ALERT {
            return self.tell_of(incident, &findings);
        }
        if self.is_somebody_elses(&incident) {
            // Whoever gave the seat away ended what was frozen.
            incident.answered = Answered::Done;
            incident
                .done
                .push("the seat was given to somebody else before it was done".to_owned());
            return self.note(&incident);
        }
        tracing::warn!(
            "incident {} of {} is taken up",
            incident.id,
            incident.student.account()
        );
        if incident.answered == Answered::Begun {
            let Some(suspect) = self.uids.suspect(incident.student) else {
                return self.not_ours(incident.student);
            };
            let cages: Vec<Cage> = incident
                .done
                .iter()
                .filter_map(|l| Cage::of_line(l))
                .collect();
            if incident.response == name(Response::StopSeat) {
                self.stop_all(&suspect, &mut incident, &findings, None);
            } else {
                incident.answered = Answered::Ended;
            }
            cages.iter().for_each(Cage::thaw);
        }
        if incident.response == name(Response::StopSeat) {
            self.clean(&mut incident, &findings);
            if let Some(suspect) = self.uids.suspect(incident.student) {
                self.await_end(&suspect, &mut incident);
            }
        } else {
            incident
                .done
                .push("its watchdog ended before it was done".to_owned());
            self.tell_of_stopped(&mut incident, &findings);
        }
    }
}

impl Hands {
    /// When nobody can tell, it is as it was.
    fn is_somebody_elses(&self, incident: &Incident) -> bool {
        let Ok(seats) = (self.seats)() else {
            return false;
        };
        let seat = seats.get(&incident.student);
        seat.is_some_and(|seat| {
            let who = seat.participant.filter(|who| !who.is_nobody());
            seat.taken && who != incident.participant
        })
    }
}

fn is_moving(proc: &Proc, pid: u32) -> bool {
    let Ok(file) = proc.open_stat(pid) else {
        return false;
    };
    let stat = proc.read_stat(file.as_fd());
    stat.is_some_and(|stat| matches!(stat.state, 'R' | 'S'))
}

pub fn name(response: Response) -> &'static str {
    match response {
        Response::Log => "log",
        Response::Alert => ALERT,
        Response::StopProcess => "stop-process",
        Response::StopSeat => "stop-seat",
    }
}

fn report(incident: &Incident, findings: &[Finding]) -> Report {
    Report {
        incident: incident.id,
        at: incident.at,
        host: nix::unistd::gethostname()
            .map(|name| name.to_string_lossy().into_owned())
            .unwrap_or_default(),
        student: incident.student,
        participant: incident.participant,
        workshop: incident.workshop.clone(),
        findings: findings.to_vec(),
        processes: 0,
        described: Vec::new(),
        ancestors: Vec::new(),
        programs: Vec::new(),
    }
}
