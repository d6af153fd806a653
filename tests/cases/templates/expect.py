#!/usr/bin/env python3
"""Fills the `expected` section of each case with what real Ansible renders.

Run with the Python of a venv that has ansible-core (and jmespath for json_query):
    venv/bin/python tests/cases/templates/expect.py [--check] [FILE.case ...]
--check changes nothing and tells which cases would change. A case with a
`fails` section must fail under Ansible too; its text is ours and is kept.
Cases in different/ are known not to be met; name them to fill them.
"""
import json
import pathlib
import re
import sys
import tempfile

from ansible.inventory.manager import InventoryManager
from ansible.parsing.dataloader import DataLoader
from ansible.parsing import vault
from ansible.parsing.vault import VaultSecret
from ansible.plugins.loader import filter_loader, init_plugin_loader
from ansible.template import Templar
from ansible.utils.display import Display
from ansible.vars.hostvars import HostVars
from ansible.vars.manager import VariableManager

try:  # ansible-core 2.19 and later
    from ansible.template import trust_as_template
except ImportError:
    def trust_as_template(text):
        return text

HERE = pathlib.Path(__file__).parent
JSON_QUERY = """
import jmespath
class FilterModule:
    def filters(self):
        return {'json_query': lambda data, query: jmespath.search(query, data)}
"""


def read(path):
    """Sections in order: name -> text; the head is the section ''."""
    parts = re.split(r"(?m)^--- (.*)\n", path.read_text(encoding="utf-8"))
    sections = {"": parts[0]}
    for name, text in zip(parts[1::2], parts[2::2]):
        sections[name] = text[:-1] if text.endswith("\n") else text
    return sections


def text_of(sections, name):
    if name + " (json)" in sections:
        return json.loads(sections[name + " (json)"])
    return sections.get(name)


def render(sections):
    loader = DataLoader()
    password = text_of(sections, "vault") or "none"
    secrets = [("default", VaultSecret(password.encode()))]
    loader.set_vault_secrets(secrets)
    if hasattr(vault, "VaultSecretsContext"):
        vault.VaultSecretsContext._current = None
        vault.VaultSecretsContext.initialize(vault.VaultSecretsContext(secrets))
    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder, "vars.yml")
        path.write_bytes((text_of(sections, "vars") or "").encode())
        try:
            variables = loader.load_from_file(str(path), trusted_as_template=True)
        except TypeError:
            variables = loader.load_from_file(str(path))
    variables = variables or {}
    host = variables.get("inventory_hostname", "localhost")
    inventory = InventoryManager(loader=loader, sources=f"{host},")
    manager = VariableManager(loader=loader, inventory=inventory)
    manager._extra_vars = variables
    manager._hostvars = HostVars(inventory=inventory, variable_manager=manager, loader=loader)
    everything = manager.get_vars(host=inventory.get_host(host))
    everything["vars"] = everything.copy()
    template = trust_as_template(text_of(sections, "template"))
    templar = Templar(loader=loader, variables=everything)
    try:  # as plugins/action/template.py of 2.18 does
        result = templar.do_template(template, preserve_trailing_newlines=True, escape_backslashes=False)
    except AttributeError:
        result = templar.template(template, escape_backslashes=False)
    return "" if result is None else str(result)


def write(path, sections, expected):
    for name in ("expected", "expected (json)"):
        sections.pop(name, None)
    # A byte that does not survive a text file goes in as JSON.
    if re.search(r"[^\n -~\u00a1-\uffff]|^--- ", expected, re.M) or "\u2028" in expected:
        sections["expected (json)"] = json.dumps(expected)
    else:
        sections["expected"] = expected
    body = "".join(f"--- {name}\n{text}\n" for name, text in sections.items() if name)
    path.write_text(sections[""] + body, encoding="utf-8")


def main():
    check = "--check" in sys.argv
    names = [name for name in sys.argv[1:] if name != "--check"]
    Display.warning = Display.deprecated = lambda *_, **__: None
    init_plugin_loader()
    plugins = tempfile.mkdtemp()
    pathlib.Path(plugins, "json_query.py").write_text(JSON_QUERY)
    filter_loader.add_directory(plugins)
    wrong = 0
    for path in [pathlib.Path(name) for name in names] or sorted(HERE.glob("*.case")):
        sections = read(path)
        try:
            result, error = render(sections), None
        except Exception as raised:
            result, error = None, raised
        if ("fails" in sections) != (error is not None):
            wrong += 1
            print(f"{path.name}: {'should fail' if error is None else f'failed: {error}'}")
        elif error is None and result != text_of(sections, "expected"):
            wrong += 1
            print(f"{path.name}: {'differs' if check else 'written'}: {result!r}")
            if not check:
                write(path, sections, result)
    print(f"{wrong} cases {'differ' if check else 'changed'}")


main()
