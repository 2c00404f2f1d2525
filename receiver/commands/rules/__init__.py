"""`amend rules …`: the commands that write, test and try detection rules, one file per command; cli.py mounts them.

Each command imports what it needs when it runs, so that `--help` answers at once.
"""

from receiver.commands.options import group
from receiver.commands.rules import backtest, generate, init, run_tests, tune

app = group("Write detection rules from specs, and test them.")
app.command(epilog=init.EXAMPLES)(init.init)
app.command(epilog=generate.EXAMPLES)(generate.generate)
app.command("test", epilog=run_tests.EXAMPLES)(run_tests.run_tests)
app.command(epilog=backtest.EXAMPLES)(backtest.backtest)
app.command(epilog=tune.EXAMPLES)(tune.tune)
