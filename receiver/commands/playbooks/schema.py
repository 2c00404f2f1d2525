"""`amend playbooks schema`: what a playbook file may hold, for editors."""

from receiver.commands.options import examples
from receiver.commands.terminal import say_json

EXAMPLES = examples("amend playbooks schema > playbooks/schema.json")


def schema() -> None:
    """Print the JSON Schema of playbook files, with which editors complete and check them."""
    from receiver import playbook
    from receiver.actions import VERBS

    say_json(playbook.schema(VERBS))
