#!/usr/bin/env python3
"""Writes what real PyYAML reads in each *.yml here to *.json, with types spelled out.

Run with a Python that has PyYAML: venv/bin/python tests/yaml/expect.py
A file that PyYAML refuses gives "error".
"""
import datetime
import json
import pathlib

import yaml


class Loader(yaml.SafeLoader):
    pass


Loader.add_constructor("!vault", lambda loader, node: ("vault", node.value))
Loader.add_constructor("!unsafe", lambda loader, node: ("unsafe", node.value))


def typed(value):
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, tuple):
        return list(value)
    if isinstance(value, int):
        return ["int", str(value)]
    if isinstance(value, float):
        return ["float", repr(value)]
    if isinstance(value, (str, datetime.date)):
        return ["str", str(value)]
    if isinstance(value, list):
        return ["list", [typed(item) for item in value]]
    return ["map", [[typed(key), typed(item)] for key, item in value.items()]]


for path in sorted(pathlib.Path(__file__).parent.glob("*.yml")):
    try:
        result = typed(yaml.load(path.read_text(encoding="utf-8"), Loader))
    except (yaml.YAMLError, ValueError) as error:
        print(f"{path.name}: {' '.join(str(error).split())}")
        result = "error"
    path.with_suffix(".json").write_text(json.dumps(result, ensure_ascii=False) + "\n", encoding="utf-8")
