"""The real Ansible Vault: one JSON request per line on stdin, one answer per line on stdout."""

import base64
import json
import sys

from ansible.parsing.vault import VaultLib, VaultSecret


def answer(request):
    secrets = [
        (label, VaultSecret(password.encode())) for label, password in request["passwords"]
    ]
    vault = VaultLib(secrets)
    if "plain" in request:
        label, secret = secrets[0]
        plain = base64.b64decode(request["plain"])
        sealed = vault.encrypt(plain, secret=secret, vault_id=label)
        return {"sealed": sealed.decode()}
    plain = vault.decrypt(request["sealed"].encode())
    return {"plain": base64.b64encode(plain).decode()}


for line in sys.stdin:
    try:
        answered = answer(json.loads(line))
    except Exception as error:
        answered = {"error": str(error)}
    print(json.dumps(answered), flush=True)
