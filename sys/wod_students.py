"""How students log in and how their servers start on a real host.

A server starts in the student's own slice of systemd, so that all of a student's processes together get
so much and no more, and with limits of its own where there is no systemd.

Only the hub imports this, as root. Nothing that a student can write is read here.
"""

import asyncio
import os
import pwd
import resource

from jupyterhub.auth import PAMAuthenticator
from jupyterhub.spawner import LocalProcessSpawner
from traitlets import Integer

# There while systemd is the first process; what sd_booted(3) looks at.
SYSTEMD = "/run/systemd/system"
# 1 and not 0: a core handler (a pipe in core_pattern) is started all the same with 0.
NO_CORE = (1, 1)
# When memory runs out, servers go before the hub and the backend.
OOM_SCORE = "500"


class StudentAuthenticator(PAMAuthenticator):
    """PAM, with the address of a wrong password as the proxy saw it.

    Tornado believes an X-Real-IP that anybody may send: a guesser would get others banned. What the
    proxy adds at the end of X-Forwarded-For is true.
    """

    def authenticate(self, handler, data):
        forwarded = handler.request.headers.get("X-Forwarded-For")
        if forwarded:
            handler.request.remote_ip = forwarded.rsplit(",", 1)[-1].strip()
        return super().authenticate(handler, data)


class StudentSpawner(LocalProcessSpawner):
    """A server under its student's account. 0 stands for no limit."""

    cpu_percent = Integer(100, help="of one core, for all that a student runs").tag(config=True)
    memory_mb = Integer(2048, help="MiB, for all that a student runs").tag(config=True)
    tasks = Integer(512, help="processes and threads of a student").tag(config=True)

    async def start(self):
        plain = self.cmd
        if os.path.isdir(SYSTEMD):
            account = pwd.getpwnam(self.user.name)
            await self.limit_slice(account.pw_uid)
            self.cmd = [*self.in_slice(account), *plain]
        try:
            return await super().start()
        finally:
            self.cmd = plain

    def slice_properties(self):
        """What the slice gets; a slice that had more before gets less now, too."""
        memory = f"{self.memory_mb}M" if self.memory_mb else "infinity"
        # The kernel slows down whoever comes near, before it ends anything.
        soft = f"{self.memory_mb * 9 // 10}M" if self.memory_mb else "infinity"
        return [
            f"CPUQuota={self.cpu_percent}%" if self.cpu_percent else "CPUQuota=",
            f"MemoryHigh={soft}",
            f"MemoryMax={memory}",
            f"TasksMax={self.tasks or 'infinity'}",
        ]

    async def limit_slice(self, uid):
        """Until the next start of the host. ssh and su of the student end up in there as well."""
        words = ["systemctl", "set-property", "--runtime", f"user-{uid}.slice"]
        # The limits of each process hold without it, and a class waits: go on.
        try:
            process = await asyncio.create_subprocess_exec(
                *words, *self.slice_properties(), stdin=asyncio.subprocess.DEVNULL
            )
            status = await process.wait()
        except OSError as error:
            status = error
        if status:
            self.log.error("user-%s.slice has no limits: systemctl: %s", uid, status)

    def in_slice(self, account):
        """Each becomes the next under the same pid. systemd-run has to be root to make a scope, and
        would keep root's groups if it changed the account itself."""
        uid, gid = account.pw_uid, account.pw_gid
        return [
            *("systemd-run", "--scope", "--quiet", "--collect", f"--slice=user-{uid}.slice"),
            *(f"--description=JupyterHub server of {account.pw_name}", "--"),
            *("setpriv", f"--reuid={uid}", f"--regid={gid}", "--init-groups", "--"),
        ]

    def make_preexec_fn(self, name):
        """Limits of each process, and what is left to do of becoming the student."""
        become = None if os.path.isdir(SYSTEMD) else super().make_preexec_fn(name)
        home = pwd.getpwnam(name).pw_dir
        tasks = self.tasks

        def preexec():
            with open("/proc/self/oom_score_adj", "w", encoding="ascii") as file:
                file.write(OOM_SCORE)
            resource.setrlimit(resource.RLIMIT_CORE, NO_CORE)
            if tasks:
                resource.setrlimit(resource.RLIMIT_NPROC, (tasks, tasks))
            if become:
                become()
            else:
                os.umask(0o077)
                os.chdir(home if os.path.isdir(home) else "/")

        return preexec
