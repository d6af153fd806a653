"""Makes vectors.json: what any implementation has to come to, from the description in
`wod keys --help` and Python's own hmac, not from ours."""

import hashlib
import hmac
import json
import sys

CASES = [
    ("2026-01-31-9f3c", "0123456789abcdef" * 4, 1798761600, "<1@frontend>", "CREATE 121 825", "WKSHP-API101"),
    ("k", "s", 0, "<a@b>", "CREATE 121 825 someone@example.org", "CHLG-API101"),
    ("A.b-c_9", "a secret of 65 bytes, longer than one block of the hash, is hashed", 99999999999, "<x.y.z@h>", "RESET 21,30 0", "WKSHP-Git101"),
    ("frontend", "schl\u00fcssel", 1798761600, "<2@frontend>", "CREATE 7 9 m\u00fcller@example.org", "WKSHP-API101"),
    ("frontend", "0" * 64, 1798761600, "no-brackets", "PURGE [object Promise] 12", ""),
    ("frontend", "0" * 64, 1798761600, "<3@frontend>", "purge 121 825", "VOID"),
]


def vector(key, secret, at, message_id, subject, line):
    text = "".join(part + "\n" for part in ["wod-signature-v1", key, str(at), message_id, subject, line])
    mac = hmac.new(secret.encode(), text.encode(), hashlib.sha256).hexdigest()
    return {"key": key, "secret": secret, "at": at, "message_id": message_id, "subject": subject,
            "line": line, "header": f"v1 {key} {at} {mac}"}


json.dump([vector(*case) for case in CASES], sys.stdout, indent=1, ensure_ascii=False)
print()
