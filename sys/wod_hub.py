"""JupyterHub for try-outs without root: who may log in, and how a server starts.

All students are the operator's own Unix account here, so nothing keeps them apart: for a demo
or a test on one's own machine, never for participants.
"""

import asyncio
import hashlib
import hmac
import json
import os
import stat

from jupyterhub.auth import Authenticator
from jupyterhub.spawner import SimpleLocalProcessSpawner
from traitlets import Unicode

# More would let a broken password file keep the hub's threads busy.
MOST_ROUNDS = 5_000_000


class PasswordFileError(Exception):
    """The password file cannot be used; the text says why."""


def read_passwords(path):
    """The hashes by account name; {} before the first student has a password."""
    try:
        with open(path, encoding="utf-8") as file:
            if stat.S_IMODE(os.fstat(file.fileno()).st_mode) & 0o077:
                raise PasswordFileError(f"{path} is open to others; run chmod 600 {path}")
            passwords = json.load(file)
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        raise PasswordFileError(f"{path} cannot be read: {error}") from error
    if not isinstance(passwords, dict):
        raise PasswordFileError(f"{path} is not a JSON object of account names and hashes")
    return passwords


def matches(password, stored):
    """Whether `stored`, `pbkdf2_sha256$rounds$salthex$hashhex`, is a hash of the password.

    Anything else, such as the `!` of a locked student, matches no password.
    """
    try:
        scheme, rounds, salt, expected = stored.split("$")
        rounds, salt, expected = int(rounds), bytes.fromhex(salt), bytes.fromhex(expected)
    except (AttributeError, ValueError):
        return False
    if scheme != "pbkdf2_sha256" or not 0 < rounds <= MOST_ROUNDS or len(expected) != 32:
        return False
    found = hashlib.pbkdf2_hmac("sha256", password.encode("utf-8"), salt, rounds)
    return hmac.compare_digest(found, expected)


class PasswordFileAuthenticator(Authenticator):
    """Checks a login against the file that `wod` writes for its sandbox students."""

    password_file = Unicode(help="a JSON object of account names and hashes, mode 0600").tag(
        config=True
    )

    async def authenticate(self, handler, data):
        try:
            stored = read_passwords(self.password_file).get(data["username"])
        except PasswordFileError as error:
            self.log.error("nobody can log in: %s", error)
            return None
        # Hashing takes a while, and the hub has one thread for everybody.
        if await asyncio.to_thread(matches, data["password"], stored):
            return data["username"]
        return None


class SandboxSpawner(SimpleLocalProcessSpawner):
    """Starts a server in a home that is there already; the home is `wod`'s to make."""

    def make_preexec_fn(self, name):
        home = self.home_dir

        def preexec():
            os.chdir(home)

        return preexec
