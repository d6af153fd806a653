"""The hub of a workshop host, started by: $JPHUB/bin/jupyterhub -f jupyterhub_config.py

All settings come from the environment. As root it is the real thing (PAM, a Unix account per
student); as anybody else it is a try-out, see wod_hub.py beside this file.
"""

import os
import secrets
import sys
from pathlib import Path

c = get_config()  # noqa: F821 (JupyterHub puts it here)

# The settings. A name that the inventory has too means the same.
# WODBEPORT       port of the hub for browsers
# WODBEBINDIP     address of the hub for browsers; all of them as root, else loopback only
# WODBEPATH       path that the hub's addresses begin with
# WODHUBPORT      port on loopback between proxy, students' servers and hub
# WODHUBPROXYPORT port on loopback where the proxy is told its routes
# WODHUBDIR       database, keys, token; nobody but the hub's account can enter it
# WODBETOKENFILE  the backend's API token; made when it is not there
# WODCHP          the program configurable-http-proxy
# WODBETLSKEY, WODBETLSCERT  both set: the hub speaks HTTPS
# WODSTUDDIR      homes of students (try-out only)
# WODHUBPASSWORDS hashes of their passwords (try-out only)
# WODHUBSTARTTIME seconds that a student's server may take to answer
# WODSTUDENTCPU, WODSTUDENTMEMORY, WODSTUDENTTASKS  what all processes of a student may take, see
#                 wod_students.py beside this file (as root only)
env = os.environ
as_root = os.geteuid() == 0
state_dir = Path(env.get("WODSTATEDIR", "/var/lib/wod"))
hub_dir = Path(env.get("WODHUBDIR", state_dir / "hub"))
token_file = Path(env.get("WODBETOKENFILE", hub_dir / "api-token"))
student_dir = env.get("WODSTUDDIR", "/student")
bin_dir = Path(sys.executable).parent
tls = {"ssl_key": env.get("WODBETLSKEY"), "ssl_cert": env.get("WODBETLSCERT")}


def private_directory(path):
    """Makes `path`, and closes it to everybody else whatever it was before."""
    path.mkdir(mode=0o700, parents=True, exist_ok=True)
    path.chmod(0o700)
    return path


def kept_secret(path):
    """The secret in the file `path`, 0600; made when there is none."""
    try:
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        path.chmod(0o600)
    else:
        with os.fdopen(handle, "w", encoding="ascii") as file:
            file.write(secrets.token_hex(32) + "\n")
    text = path.read_text(encoding="ascii").strip()
    if len(text) < 32:
        sys.exit(f"{path} holds no token of 32 characters or more; remove it for a new one")
    return text


private_directory(hub_dir)
# Before SQLite makes it readable to all.
os.close(os.open(hub_dir / "hub.sqlite", os.O_WRONLY | os.O_CREAT, 0o600))

# --- where it listens -----------------------------------------------------------------------
scheme = "https" if all(tls.values()) else "http"
address = env.get("WODBEBINDIP", "0.0.0.0" if as_root else "127.0.0.1")
path_prefix = env.get("WODBEPATH", "/")
c.JupyterHub.bind_url = f"{scheme}://{address}:{env.get('WODBEPORT', '8000')}{path_prefix}"
if scheme == "https":
    c.JupyterHub.ssl_key, c.JupyterHub.ssl_cert = tls["ssl_key"], tls["ssl_cert"]
c.JupyterHub.hub_ip = "127.0.0.1"
c.JupyterHub.hub_port = int(env.get("WODHUBPORT", "8081"))
c.ConfigurableHTTPProxy.api_url = f"http://127.0.0.1:{env.get('WODHUBPROXYPORT', '8001')}"
c.ConfigurableHTTPProxy.command = [env.get("WODCHP", "configurable-http-proxy")]
c.ConfigurableHTTPProxy.auth_token = kept_secret(hub_dir / "proxy-token")
c.ConfigurableHTTPProxy.pid_file = str(hub_dir / "proxy.pid")

# --- what it keeps --------------------------------------------------------------------------
c.JupyterHub.db_url = f"sqlite:///{hub_dir}/hub.sqlite"
c.JupyterHub.cookie_secret_file = str(hub_dir / "cookie-secret")

# --- the backend ----------------------------------------------------------------------------
c.JupyterHub.services = [{"name": "wod", "api_token": kept_secret(token_file)}]
c.JupyterHub.load_roles = [
    {
        "name": "wod",
        "services": ["wod"],
        "scopes": [
            "admin:users",
            "admin:servers",
            "list:users",
            "read:users",
            "servers",
            "delete:servers",
            "tokens",
        ],
    }
]
# One page for every student of the largest site.
c.JupyterHub.api_page_max_limit = 10_000

# --- who may log in -------------------------------------------------------------------------
# Students only: with PAM, root and the admin would have passwords too.
c.Authenticator.username_pattern = "^student[1-9][0-9]{0,4}$"
c.Authenticator.allow_all = True
c.JupyterHub.shutdown_on_logout = True
sys.path.insert(0, str(Path(__file__).resolve().parent))
if as_root:
    c.JupyterHub.authenticator_class = "wod_students.StudentAuthenticator"
    # pam_systemd would put the hub itself into the student's session.
    c.PAMAuthenticator.open_sessions = False
    c.JupyterHub.spawner_class = "wod_students.StudentSpawner"
    c.StudentSpawner.cpu_percent = int(env.get("WODSTUDENTCPU", "100"))
    c.StudentSpawner.memory_mb = int(env.get("WODSTUDENTMEMORY", "2048"))
    c.StudentSpawner.tasks = int(env.get("WODSTUDENTTASKS", "512"))
else:
    c.JupyterHub.authenticator_class = "wod_hub.PasswordFileAuthenticator"
    c.PasswordFileAuthenticator.password_file = env.get(
        "WODHUBPASSWORDS", str(state_dir / "hub-passwords.json")
    )
    c.JupyterHub.spawner_class = "wod_hub.SandboxSpawner"
    c.SimpleLocalProcessSpawner.home_dir_template = f"{student_dir}/{{username}}"

# --- students' servers ----------------------------------------------------------------------
c.Spawner.cmd = [str(bin_dir / "jupyterhub-singleuser")]
c.Spawner.args = ["--ServerApp.log_level=WARN"]
c.Spawner.notebook_dir = "~"
c.Spawner.default_url = "/lab"
# Nothing of the hub's own environment: it may be an operator's shell.
c.Spawner.env_keep = ["LANG", "LC_ALL"]
c.Spawner.environment = {
    "PATH": f"{bin_dir}:/usr/local/bin:/usr/bin:/bin",
    # Tells a try-out's processes apart, which all have one uid.
    "WODSTUDENT": lambda spawner: spawner.user.name,
}
# The backend asks again and again: no request of its own needs to wait for a start.
c.JupyterHub.tornado_settings = {"slow_spawn_timeout": 0}
# A loaded host takes 20 s for ten servers. A server that died is noticed only after this, too.
c.Spawner.http_timeout = int(env.get("WODHUBSTARTTIME", "60"))
c.Spawner.start_timeout = 2 * c.Spawner.http_timeout
# A student's notebook that does not end when asked must not hold up the next participant.
c.LocalProcessSpawner.interrupt_timeout = 5
c.LocalProcessSpawner.term_timeout = 5
c.LocalProcessSpawner.kill_timeout = 5
