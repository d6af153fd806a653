//! The SMTP port: sockets, limits and time around [`Session`].
//!
//! The frontend writes its whole dialogue at once and destroys the socket at the first byte that
//! it receives. So bytes that came early are taken, and their mail is in the spool, before the
//! greeting goes out; and nothing that goes wrong with a reply undoes what was accepted.

use std::collections::HashMap;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::task::{JoinSet, spawn_blocking};
use tokio::time::{Instant, sleep, timeout};

use super::admit;
use super::gate::{self, Peer, Policy};
use super::gatefile::GateFile;
use super::refusal::{Kind, Refusal};
use super::session::{Event, Mail, Session, turned_away};
use super::spool::{Route, Spool};

/// What one client, and all of them together, may take.
#[derive(Debug, Clone)]
pub struct Limits {
    /// Sessions at a time.
    pub connections: usize,
    /// Sessions at a time from one address.
    pub per_peer: usize,
    /// How long a connection waits for one of these before it is turned away with 421.
    pub slot_wait: Duration,
    /// How long the greeting waits for a client that speaks first.
    pub greet_delay: Duration,
    /// How long it waits, after such early bytes, for the rest of the dialogue: above the 200 ms
    /// and 1 s after which TCP sends a lost segment again.
    pub early_hold: Duration,
    /// Silence after which a session is closed.
    pub idle: Duration,
    /// Length after which a session is closed.
    pub session: Duration,
    /// How long sessions may go on after the shutdown.
    pub grace: Duration,
}

impl Default for Limits {
    fn default() -> Limits {
        Limits {
            connections: 64,
            per_peer: 32,
            slot_wait: Duration::from_secs(2),
            greet_delay: Duration::from_millis(50),
            early_hold: Duration::from_secs(3),
            idle: Duration::from_secs(60),
            session: Duration::from_secs(300),
            grace: Duration::from_secs(5),
        }
    }
}

const CHUNK: usize = 16 * 1024;
/// Replies are sent at the latest when this many bytes of them have gathered.
const MOST_UNSENT: usize = 16 * 1024;

/// Serves until `shutdown` is ready, then lets the sessions end for [`Limits::grace`].
///
/// `hostname` is the name in the greeting. Fails only when the listener cannot be used at all.
pub async fn serve(
    listener: std::net::TcpListener,
    hostname: &str,
    gate: Arc<GateFile>,
    spool: Arc<Spool>,
    limits: Limits,
    shutdown: impl Future<Output = ()>,
) -> io::Result<()> {
    listener.set_nonblocking(true)?;
    let listener = TcpListener::from_std(listener)?;
    let (stop, stopping) = watch::channel(());
    let grace = limits.grace;
    let house = Arc::new(House {
        slots: Slots::new(&limits),
        hostname: hostname.to_owned(),
        gate,
        spool,
        limits,
        stopping,
    });
    let mut sessions = JoinSet::new();
    tokio::pin!(shutdown);
    loop {
        tokio::select! {
            () = &mut shutdown => break,
            Some(_) = sessions.join_next() => {}
            accepted = listener.accept() => match accepted {
                Ok((stream, from)) => house.welcome(&mut sessions, stream, from),
                // Out of file descriptors, most likely: the next one may have more luck.
                Err(fault) => {
                    tracing::warn!(%fault, "cannot accept a connection");
                    sleep(Duration::from_millis(100)).await;
                }
            },
        }
    }
    drop(listener);
    drop(stop);
    let all = async { while sessions.join_next().await.is_some() {} };
    if timeout(grace, all).await.is_err() {
        tracing::warn!(
            sessions = sessions.len(),
            "sessions cut off by the shutdown"
        );
    }
    Ok(())
}

/// What all sessions share.
struct House {
    hostname: String,
    gate: Arc<GateFile>,
    spool: Arc<Spool>,
    limits: Limits,
    slots: Slots,
    stopping: watch::Receiver<()>,
}

impl House {
    fn welcome(self: &Arc<House>, sessions: &mut JoinSet<()>, stream: TcpStream, from: SocketAddr) {
        // More than these cannot even wait for a slot; their bytes are lost with the socket.
        let waiting = sessions.len() < self.limits.connections.saturating_mul(4);
        let peer = from.ip().to_canonical();
        let house = Arc::clone(self);
        sessions.spawn(async move {
            let policy = house.policy().await;
            if let Ok(policy) = &policy
                && let Err(refusal) = gate::check_peer(policy, Peer::Network(peer))
            {
                return turn_away(stream, peer, &refusal).await;
            }
            let wait = if waiting {
                house.limits.slot_wait
            } else {
                Duration::ZERO
            };
            match timeout(wait, house.slots.take(peer)).await {
                Ok(_slot) => Talk::new(stream, peer, policy, &house).run().await,
                Err(_) => turn_away(stream, peer, &too_many()).await,
            }
        });
    }

    async fn policy(&self) -> Result<Arc<Policy>, Refusal> {
        let gate = Arc::clone(&self.gate);
        let policy = spawn_blocking(move || gate.policy()).await;
        policy.unwrap_or_else(|_| Err(broken()))
    }

    async fn admit(&self, mail: Mail) -> Result<String, Refusal> {
        let (gate, spool) = (Arc::clone(&self.gate), Arc::clone(&self.spool));
        let admitted =
            spawn_blocking(move || admit(&gate, &spool, Route::Smtp, &mail.envelope, &mail.text));
        admitted.await.unwrap_or_else(|_| Err(broken()))
    }
}

fn broken() -> Refusal {
    Refusal::new(
        Kind::Temporary,
        "a fault in this program; see its log, then send it again",
    )
}

fn too_many() -> Refusal {
    Refusal::new(Kind::Temporary, "too many connections; try again later")
}

async fn turn_away(mut stream: TcpStream, peer: IpAddr, refusal: &Refusal) {
    tracing::warn!(%peer, "turned away: {refusal}");
    let line = turned_away(refusal);
    let goodbye = async {
        stream.write_all(line.as_bytes()).await?;
        stream.shutdown().await?;
        // Closing on unread bytes would send a reset, which can overtake the line.
        stream.read(&mut [0; CHUNK]).await
    };
    let _ = timeout(Duration::from_millis(500), goodbye).await;
}

/// Slots for sessions, in all and for each address.
struct Slots {
    all: Arc<Semaphore>,
    per_peer: usize,
    peers: Mutex<HashMap<IpAddr, Weak<Semaphore>>>,
}

impl Slots {
    fn new(limits: &Limits) -> Slots {
        Slots {
            all: Arc::new(Semaphore::new(limits.connections)),
            per_peer: limits.per_peer,
            peers: Mutex::new(HashMap::new()),
        }
    }

    /// Waits for both slots; they are given back when the permits are dropped.
    async fn take(&self, peer: IpAddr) -> Option<[OwnedSemaphorePermit; 2]> {
        let own = self.of_peer(peer).acquire_owned().await.ok()?;
        let all = Arc::clone(&self.all).acquire_owned().await.ok()?;
        Some([own, all])
    }

    fn of_peer(&self, peer: IpAddr) -> Arc<Semaphore> {
        let mut peers = self.peers.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = peers.get(&peer).and_then(Weak::upgrade) {
            return known;
        }
        peers.retain(|_, slots| slots.strong_count() > 0);
        let fresh = Arc::new(Semaphore::new(self.per_peer));
        peers.insert(peer, Arc::downgrade(&fresh));
        fresh
    }
}

/// What waiting for the client came to.
enum Heard {
    Bytes,
    Silence,
    /// The client is gone, or has no more to say.
    End,
    /// We are shutting down, and the client is not within a text.
    Stop,
}

/// One connection.
struct Talk<'a> {
    house: &'a House,
    stream: TcpStream,
    peer: IpAddr,
    session: Session,
    until: Instant,
    unsent: Vec<u8>,
    ear: Vec<u8>,
    mouth: Mouth,
    door: Door,
}

#[derive(PartialEq, Eq)]
enum Mouth {
    Works,
    /// The client does not hear us any more. What it has sent counts all the same.
    Broken,
}

#[derive(PartialEq, Eq)]
enum Door {
    Open,
    Closing,
}

impl<'a> Talk<'a> {
    fn new(
        stream: TcpStream,
        peer: IpAddr,
        policy: Result<Arc<Policy>, Refusal>,
        house: &'a House,
    ) -> Talk<'a> {
        let session = Session::new(Peer::Network(peer), &house.hostname, policy);
        Talk {
            house,
            stream,
            peer,
            unsent: session.greeting().into_bytes(),
            session,
            until: Instant::now() + house.limits.session,
            ear: vec![0; CHUNK],
            mouth: Mouth::Works,
            door: Door::Open,
        }
    }

    async fn run(mut self) {
        self.before_greeting().await;
        self.speak().await;
        while self.door == Door::Open {
            match self.hear(self.house.limits.idle).await {
                Heard::Bytes => {}
                Heard::Silence => self.leave("421 4.4.2 nothing heard for too long; closing\r\n"),
                Heard::Stop => self.leave("421 4.3.2 shutting down; try again later\r\n"),
                Heard::End => self.door = Door::Closing,
            }
            self.speak().await;
        }
        let _ = timeout(Duration::from_millis(500), self.stream.shutdown()).await;
    }

    /// Takes a dialogue that was written without waiting for us, to its end.
    async fn before_greeting(&mut self) {
        let limits = &self.house.limits;
        let mut wait = limits.greet_delay;
        while self.door == Door::Open && self.unsent.len() < MOST_UNSENT {
            match self.hear(wait).await {
                Heard::Bytes if self.session.is_settled() => return,
                Heard::Bytes => wait = limits.early_hold,
                Heard::Silence => return,
                Heard::Stop | Heard::End => self.door = Door::Closing,
            }
        }
    }

    /// Waits for bytes, and works through all that are there before anything is said: a reply
    /// may make the client destroy the socket with a mail still in it.
    async fn hear(&mut self, patience: Duration) -> Heard {
        let now = Instant::now();
        // A ready read wins over a timeout, so a client that never pauses would never meet it.
        if now >= self.until {
            return Heard::Silence;
        }
        let until = self.until.min(now + patience);
        let mut stopping = self.house.stopping.clone();
        let in_text = self.session.is_in_text();
        let read = tokio::select! {
            biased;
            read = tokio::time::timeout_at(until, self.stream.read(&mut self.ear)) => read,
            _ = stopping.changed(), if !in_text => return Heard::Stop,
        };
        match read {
            Err(_) => return Heard::Silence,
            Ok(Ok(0) | Err(_)) => return Heard::End,
            Ok(Ok(count)) => self.take(count).await,
        }
        while self.door == Door::Open && self.unsent.len() < MOST_UNSENT {
            match self.stream.try_read(&mut self.ear) {
                Ok(0) | Err(_) => break,
                Ok(count) => self.take(count).await,
            }
            if Instant::now() > self.until {
                break;
            }
        }
        Heard::Bytes
    }

    /// Not to be cancelled: between the spool and the reply nothing may get lost.
    async fn take(&mut self, count: usize) {
        self.session.feed(&self.ear[..count]);
        while let Some(event) = self.session.next_event() {
            match event {
                Event::Reply(line) => self.note(&line),
                Event::Mail(mail) => {
                    let verdict = self.house.admit(mail).await;
                    self.session.answer(verdict);
                }
                Event::Close => self.door = Door::Closing,
            }
        }
    }

    fn note(&mut self, line: &str) {
        if line.starts_with(['4', '5']) {
            tracing::warn!(peer = %self.peer, "{}", line.trim_end());
        }
        self.unsent.extend_from_slice(line.as_bytes());
    }

    fn leave(&mut self, line: &str) {
        self.note(line);
        self.door = Door::Closing;
    }

    async fn speak(&mut self) {
        let unsent = std::mem::take(&mut self.unsent);
        if self.mouth == Mouth::Broken || unsent.is_empty() {
            return;
        }
        let writing = timeout(self.house.limits.idle, self.stream.write_all(&unsent));
        if !matches!(writing.await, Ok(Ok(()))) {
            self.mouth = Mouth::Broken;
        }
    }
}
