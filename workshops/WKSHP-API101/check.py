"""Compares an answer with a digest, so that reading this file gives nothing away."""
import hashlib
import json

RIGHT = {
    1: '2477ae2dbdc64ee0',
    2: '9718c3782963d5ba',
    3: '9eb9df652f4ddb92',
    4: 'c719f91bdeb48872',
    5: 'cdf4f2efe20df95d',
}


def digest(question, answer):
    text = json.dumps([question, answer])
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def check(question, answer):
    right = answer is not None and digest(question, answer) == RIGHT[question]
    print(f'question {question}:', 'right' if right else 'not yet')
