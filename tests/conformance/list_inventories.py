"""Lists inventory directories with the real ansible-inventory: a JSON object by directory name, null where it fails."""
import json
import os
import sys
import traceback

from ansible import constants
from ansible.cli.inventory import InventoryCLI


def listed(path):
    """In a child of its own: what Ansible keeps for the life of a process is one inventory's then."""
    out = os.path.join(os.environ['HOME'], 'listed.json')
    if os.path.exists(out):
        os.remove(out)
    sys.stdout.flush()
    child = os.fork()
    if child == 0:
        os.dup2(2, 1)
        # A hosts file that it cannot read is else only a warning. No hosts file at all is fine.
        has_hosts = set(os.listdir(path)) - {'group_vars', 'host_vars'}
        constants.INVENTORY_ANY_UNPARSED_IS_FAILED = bool(has_hosts)
        code = 1
        try:
            InventoryCLI(['ansible-inventory', '-i', path, '--list', '--output', out]).run()
        except SystemExit as end:
            code = end.code
        except BaseException:
            traceback.print_exc()
        sys.stderr.flush()
        os._exit(code or 0)
    if os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]):
        return None
    with open(out) as file:
        return json.load(file)


if __name__ == '__main__':
    print(json.dumps({os.path.basename(path): listed(path) for path in sys.argv[1:]}))
