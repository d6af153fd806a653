//! Where a demo lives: directories, accounts, inventory, and how its two services are started.

use std::fs;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::os::fd::AsRawFd;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use nix::mount::{MsFlags, mount};

use crate::domain::Secret;
use crate::exec::{Cmd, Service};

const USUAL_PORT: u16 = 8000;
const ROOT: &str = "/run/wod-demo";
const ADMIN: &str = "wodadmin";
const INTAKE: &str = "wodmail";
/// Far from the accounts of any host.
const UID_BASE: u32 = 62_000;

/// The ports of one demo, all on loopback.
#[derive(Debug, Clone, Copy)]
pub struct Ports {
    pub hub: u16,
    hub_inside: u16,
    proxy: u16,
    smtp: u16,
}

impl Ports {
    pub fn find(wanted: Option<u16>) -> anyhow::Result<Ports> {
        let free = |port: u16| TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok();
        let hub = match wanted {
            Some(port) if free(port) => port,
            Some(port) => bail!("port {port} is taken; choose another one with --port"),
            None => (USUAL_PORT..USUAL_PORT + 100)
                .find(|&port| free(port))
                .context("no port from 8000 to 8099 is free; choose one with --port")?,
        };
        Ok(Ports {
            hub,
            hub_inside: super::free_port()?,
            proxy: super::free_port()?,
            smtp: super::free_port()?,
        })
    }

    pub fn smtp(&self) -> SocketAddr {
        SocketAddr::from((Ipv4Addr::LOCALHOST, self.smtp))
    }
}

pub struct Place {
    root: PathBuf,
    pub ports: Ports,
    jphub: PathBuf,
    proxy_program: Option<PathBuf>,
    /// A sandbox is ours to delete; a private host goes with its namespaces.
    delete: bool,
}

/// Real accounts, on a copy of this host that only we and our children see.
pub fn private_host(share: &Path, ports: Ports) -> anyhow::Result<Place> {
    let (jphub, proxy_program) = jupyterhub()?;
    // What is mounted next may hide it. The open directory outlives that.
    let held =
        fs::File::open(share).with_context(|| format!("{} cannot be opened", share.display()))?;
    let share = PathBuf::from(format!(
        "/proc/{}/fd/{}",
        std::process::id(),
        held.as_raw_fd()
    ));
    // /tmp is a place where people put a checkout, so what is in it stays to be seen.
    for dir in ["/etc", "/home", "/var", "/tmp"] {
        cover(dir)?;
    }
    for (dir, mode) in [("/dev/shm", "1777"), ("/run", "755")] {
        fresh(dir, mode)?;
    }
    let place = Place {
        root: PathBuf::from(ROOT),
        ports,
        jphub,
        proxy_program,
        delete: false,
    };
    place.make_dirs(0o711)?;
    for (name, home) in [(ADMIN, "--create-home"), (INTAKE, "--no-create-home")] {
        if users::get_user_by_name(name).is_none() {
            Cmd::new("useradd")
                .args(["--system", "--shell", "/bin/bash", home, name])
                .run()?;
        }
    }
    // A checkout may be where WODUSER cannot look.
    place.copy(&share)?;
    Cmd::new("chown")
        .args(["-R", ADMIN])
        .arg(place.root.join("share"))
        .run()?;
    place.write_inventory(&format!(
        "WODACCOUNTS: system\nWODUSER: {ADMIN}\nWODINTAKEUSER: {INTAKE}\n\
         UIDBASE: {UID_BASE}\nGIDBASE: {UID_BASE}\n"
    ))?;
    Ok(place)
}

/// Plain directories that are all ours.
pub fn sandbox(share: &Path, ports: Ports) -> anyhow::Result<Place> {
    let (jphub, proxy_program) = jupyterhub()?;
    let root = std::env::temp_dir().join(format!("wod-demo-{}", std::process::id()));
    let place = Place {
        root,
        ports,
        jphub,
        proxy_program,
        delete: true,
    };
    fs::DirBuilder::new()
        .mode(0o700)
        .create(&place.root)
        .with_context(|| format!("{} cannot be made", place.root.display()))?;
    place.make_dirs(0o700)?;
    place.copy(share)?;
    place.write_inventory(&format!("WODACCOUNTS: sandbox\nWODUSER: {ADMIN}\n"))?;
    errln!(
        "wod demo: not root, so students are plain directories in {}, all yours",
        place.root.display()
    );
    Ok(place)
}

/// An overlay that takes every change; it is in memory and only in our mount namespace.
fn cover(dir: &str) -> anyhow::Result<()> {
    let layers = format!("/mnt{dir}");
    if !Path::new("/mnt/.wod-demo").exists() {
        let data = Some("mode=0700");
        mount(
            Some("wod-demo"),
            "/mnt",
            Some("tmpfs"),
            MsFlags::empty(),
            data,
        )
        .context("a private host needs to mount a tmpfs; are you really root?")?;
        fs::write("/mnt/.wod-demo", "")?;
    }
    let (upper, work) = (format!("{layers}/upper"), format!("{layers}/work"));
    fs::create_dir_all(&upper)?;
    fs::create_dir_all(&work)?;
    fs::set_permissions(&upper, fs::metadata(dir)?.permissions())?;
    let data = format!("lowerdir={dir},upperdir={upper},workdir={work}");
    let data = Some(data.as_str());
    mount(
        Some("wod-demo"),
        dir,
        Some("overlay"),
        MsFlags::empty(),
        data,
    )
    .with_context(|| format!("{dir} cannot be overlaid; this kernel has no overlayfs"))
}

fn fresh(dir: &str, mode: &str) -> anyhow::Result<()> {
    let data = format!("mode={mode}");
    let data = Some(data.as_str());
    mount(Some("wod-demo"), dir, Some("tmpfs"), MsFlags::empty(), data)
        .with_context(|| format!("a private {dir} cannot be mounted"))
}

/// JPHUB, and the proxy where it is not on the usual path.
fn jupyterhub() -> anyhow::Result<(PathBuf, Option<PathBuf>)> {
    let own = std::env::var_os("XDG_DATA_HOME")
        .map(PathBuf::from)
        .or_else(|| Some(PathBuf::from(std::env::var_os("HOME")?).join(".local/share")))
        .map(|dir| dir.join("wod"));
    let named = std::env::var_os("JPHUB").map(PathBuf::from);
    let places = [
        named,
        Some(PathBuf::from("/opt/jupyterhub")),
        own.as_ref().map(|dir| dir.join("jupyterhub")),
    ];
    let found = places
        .into_iter()
        .flatten()
        .find(|dir| dir.join("bin/jupyterhub").is_file())
        .context(
            "JupyterHub is not installed; `make demo` installs it, or set JPHUB to its venv",
        )?;
    let proxy = own.map(|dir| dir.join("node/bin/configurable-http-proxy"));
    Ok((found, proxy.filter(|path| path.exists())))
}

impl Place {
    pub fn inventory(&self) -> PathBuf {
        self.root.join("inventory")
    }

    fn state(&self) -> PathBuf {
        self.root.join("state")
    }

    fn make_dirs(&self, mode: u32) -> anyhow::Result<()> {
        let dirs = [
            "",
            "share",
            "student",
            "state",
            "inventory/group_vars",
            "logs",
        ];
        for dir in dirs {
            let mut builder = fs::DirBuilder::new();
            let path = self.root.join(dir);
            builder.recursive(true).mode(mode).create(path)?;
        }
        Ok(())
    }

    fn copy(&self, share: &Path) -> anyhow::Result<()> {
        Cmd::new("cp")
            .args(["-R", "--"])
            .arg(share.join("workshops"))
            .arg(share.join("sys"))
            .arg(self.root.join("share"))
            .run()?;
        Cmd::new("chmod")
            .args(["-R", "u+rwX,go+rX"])
            .arg(self.root.join("share"))
            .run()?;
        Ok(())
    }

    fn write_inventory(&self, kind: &str) -> anyhow::Result<()> {
        let token = new_token();
        private_file(&self.root.join("token"), token.expose())?;
        let root = self.root.display();
        let text = format!(
            "# The inventory of one demo.\n{kind}\
             WODUSERMIN: 1\nWODUSERMAX: 40\n\
             WODSTATEDIR: {root}/state\nWODSTUDDIR: {root}/student\n\
             WODNOBO: {root}/share/workshops\nWODSCRIPTDIR: {root}/share/workshops/scripts\n\
             WODSKELDIR: {root}/share/sys/skel\n\
             WODSENDER: {sender}\nWODSMTPLISTEN: 127.0.0.1:{smtp}\n\
             WODBEFQDN: 127.0.0.1\nWODBEPORT: {hub}\nWODBETOKEN: {token}\n\
             BRANDING: the demo\nBRANDINGWOD: Workshops-on-Demand\n\
             SURVEYURL: https://workshops.example.org/survey\n\
             SURVEYCHALURL: https://workshops.example.org/survey-challenge\n",
            sender = super::SENDER,
            smtp = self.ports.smtp,
            hub = self.ports.hub,
            token = token.expose(),
        );
        private_file(&self.root.join("inventory/group_vars/all.yml"), &text)
    }

    pub fn start_hub(&self) -> anyhow::Result<Service> {
        let sys = self.root.join("share/sys");
        let mut command = Cmd::new(self.jphub.join("bin/jupyterhub"))
            .arg("-f")
            .arg(sys.join("jupyterhub_config.py"))
            .dir(&self.root)
            .env("WODSTATEDIR", self.state())
            .env("WODHUBDIR", self.root.join("hub"))
            .env("WODBETOKENFILE", self.root.join("token"))
            .env("WODBEBINDIP", "127.0.0.1")
            .env("WODBEPORT", self.ports.hub.to_string())
            .env("WODHUBPORT", self.ports.hub_inside.to_string())
            .env("WODHUBPROXYPORT", self.ports.proxy.to_string())
            .env("WODSTUDDIR", self.root.join("student"))
            .env(
                "WODHUBPASSWORDS",
                self.state().join("private/accounts.json"),
            )
            .env("HOME", &self.root);
        if let Some(proxy) = &self.proxy_program {
            command = command.env("WODCHP", proxy);
        }
        Ok(command.start(None, Some(self.log("hub")?))?)
    }

    pub fn start_serve(&self) -> anyhow::Result<Service> {
        // By its path it may be hidden, too.
        let command = Cmd::new("/proc/self/exe")
            .arg("--inventory")
            .arg(self.inventory())
            .arg("serve");
        Ok(command.start(None, Some(self.log("serve")?))?)
    }

    fn log(&self, name: &str) -> anyhow::Result<fs::File> {
        let path = self.root.join("logs").join(format!("{name}.log"));
        Ok(fs::File::options()
            .create(true)
            .append(true)
            .mode(0o600)
            .open(path)?)
    }

    /// For a demo that failed.
    pub fn last_lines(&self) -> String {
        let tail = |name: &str| {
            let text = fs::read_to_string(self.root.join("logs").join(format!("{name}.log")));
            let text = text.unwrap_or_default();
            let lines: Vec<&str> = text.lines().collect();
            let last = &lines[lines.len().saturating_sub(15)..];
            last.iter()
                .map(|line| format!("  {name}: {line}\n"))
                .collect::<String>()
        };
        tail("hub") + &tail("serve")
    }

    pub fn clear(&self) {
        if self.delete
            && let Err(e) = fs::remove_dir_all(&self.root)
        {
            errln!("wod demo: {} is left: {e}", self.root.display());
        }
    }
}

fn private_file(path: &Path, text: &str) -> anyhow::Result<()> {
    use std::io::Write;
    let mut file = fs::File::options()
        .create_new(true)
        .write(true)
        .mode(0o600)
        .open(path)
        .with_context(|| format!("{} cannot be made", path.display()))?;
    file.write_all(text.as_bytes())?;
    Ok(())
}

fn new_token() -> Secret {
    let mut random = [0u8; 32];
    while getrandom::fill(&mut random).is_err() {}
    Secret::new(random.iter().map(|byte| format!("{byte:02x}")).collect())
}
