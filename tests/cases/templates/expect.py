#!/usr/bin/env python3
"""What real Ansible renders: fills the `expected` section of each case, or answers a test.

Run with the Python of a venv that has ansible-core (and jmespath for json_query):
    venv/bin/python tests/cases/templates/expect.py [--check] [FILE.case ...]
--check changes nothing and tells which cases would change. A case with a
`fails` section must fail under Ansible too; its text is ours and is kept.
Cases in different/ are known not to be met; name them to fill them.
    venv/bin/python tests/cases/templates/expect.py --serve
answers questions, one JSON object in a line each: {"template": TEXT} with
"vars" (YAML), "vault" (a password) and "files" (name -> text, for include)
gets {"text": …} or {"error": …}; {"plugins": true} gets the names of all filters and tests.
"""
import functools
import json
import pathlib
import re
import sys
import tempfile

import jinja2
from ansible.inventory.manager import InventoryManager
from ansible.parsing.dataloader import DataLoader
from ansible.parsing import vault
from ansible.parsing.vault import VaultSecret
from ansible.plugins.loader import filter_loader, init_plugin_loader, test_loader
from ansible.template import Templar
from ansible.utils.display import Display
from ansible.vars.hostvars import HostVars
from ansible.vars.manager import VariableManager

try:  # ansible-core 2.19 and later
    from ansible._internal._templating._template_vars import generate_ansible_template_vars
    from ansible.template import trust_as_template
except ImportError:
    def trust_as_template(text):
        return text

HERE = pathlib.Path(__file__).parent
# The template module's own defaults.
OVERRIDES = {"trim_blocks": True, "lstrip_blocks": False, "newline_sequence": "\n"}
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


@functools.lru_cache(maxsize=64)
def variables_of(yaml, password):
    """All that a template sees, as the template module's task would."""
    loader = DataLoader()
    secrets = [("default", VaultSecret(password.encode()))]
    loader.set_vault_secrets(secrets)
    if hasattr(vault, "VaultSecretsContext"):
        vault.VaultSecretsContext._current = None
        vault.VaultSecretsContext.initialize(vault.VaultSecretsContext(secrets))
    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder, "vars.yml")
        path.write_bytes(yaml.encode())
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
    return loader, everything


def render(template, yaml="", password="none", files=None):
    """As plugins/action/template.py does."""
    loader, everything = variables_of(yaml, password)
    with tempfile.TemporaryDirectory() as folder:
        for name, text in (files or {}).items():
            path = pathlib.Path(folder, name)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(text.encode())
        path = pathlib.Path(folder, "template.j2")
        path.write_bytes(template.encode())
        template = trust_as_template(loader.get_text_file_contents(str(path)))
        search = [str(pathlib.Path(folder, "templates")), folder]
        templar = Templar(loader=loader, variables=everything)
        try:
            seen = everything | generate_ansible_template_vars("template.j2", str(path), str(path))
            seen |= everything
            templar = templar.copy_with_new_env(searchpath=search, available_variables=seen)
            result = templar.template(template, escape_backslashes=False, overrides=OVERRIDES)
        except NameError:  # ansible-core before 2.19
            templar.environment.loader.searchpath = search
            result = templar.do_template(template, preserve_trailing_newlines=True, escape_backslashes=False)
    return "" if result is None else str(result)


def render_case(sections):
    files = {name[5:].removesuffix(" (json)"): text_of(sections, name.removesuffix(" (json)"))
             for name in sections if name.startswith("file ")}
    return render(text_of(sections, "template"), text_of(sections, "vars") or "",
                  text_of(sections, "vault") or "none", files)


def message(error):
    """An error with all that led to it."""
    parts = []
    while error is not None:
        parts.append(str(error))
        error = error.__cause__
    return ": ".join(parts)


def plugins():
    environment = Templar(loader=DataLoader(), variables={}).copy_with_new_env().environment
    def names(loader, known):
        own = {name.rpartition(".")[2] for name in loader._plugin_instance_cache or ()}
        for plugin in loader.all():
            own.update([plugin.ansible_name.rpartition(".")[2]])
        return sorted(own | set(known))
    return {"filters": names(filter_loader, jinja2.defaults.DEFAULT_FILTERS),
            "tests": names(test_loader, jinja2.defaults.DEFAULT_TESTS)}


def serve():
    out = sys.stdout
    # Whatever prints must not end up among the answers.
    sys.stdout = sys.stderr
    for line in sys.stdin:
        asked = json.loads(line)
        try:
            if "plugins" in asked:
                answer = plugins()
            else:
                answer = {"text": render(asked["template"], asked.get("vars") or "",
                                         asked.get("vault") or "none", asked.get("files"))}
        except Exception as raised:
            answer = {"error": message(raised)}
        print(json.dumps(answer), file=out, flush=True)


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
    if "--serve" in sys.argv:
        return serve()
    wrong = 0
    for path in [pathlib.Path(name) for name in names] or sorted(HERE.glob("*.case")):
        sections = read(path)
        try:
            result, error = render_case(sections), None
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
