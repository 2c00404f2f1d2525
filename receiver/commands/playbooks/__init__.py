"""`amend playbooks …`: check playbooks by themselves, rehearse them, and try them on what was and on what might be.

cli.py mounts it; `amend check` looks at the same files together with everything around them.
"""

from receiver.commands.options import group
from receiver.commands.playbooks import backtest, check, init, policies, rehearse, schema, trigger

app = group("Playbooks: checked, rehearsed, and tried.")
app.command(epilog=init.EXAMPLES)(init.init)
app.command(epilog=check.EXAMPLES)(check.check)
app.command("test", epilog=rehearse.EXAMPLES)(rehearse.rehearse)
app.command(epilog=trigger.EXAMPLES)(trigger.trigger)
app.command(epilog=backtest.EXAMPLES)(backtest.backtest)
app.command("import", epilog=policies.EXAMPLES)(policies.import_)
app.command(epilog=schema.EXAMPLES)(schema.schema)
