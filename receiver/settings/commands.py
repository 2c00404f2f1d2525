"""Programs that playbooks may run, each under a name: the playbook chooses the name, and only what comes behind it."""

from datetime import timedelta

from pydantic import Field, field_validator

from receiver.documents import Part
from receiver.settings.values import SomeTime


class Command(Part):
    """One program with the arguments that it always gets; no shell sees them."""

    argv: tuple[str, ...] = Field(min_length=1, examples=["[/usr/local/bin/flush, --for]"])
    timeout: SomeTime = timedelta(seconds=30)

    @field_validator("argv")
    @classmethod
    def _absolute(cls, argv: tuple[str, ...]) -> tuple[str, ...]:
        if not argv[0].startswith("/"):
            raise ValueError(
                f'"{argv[0]}" is looked for nowhere; write the whole path, for example /usr/local/bin/flush'
            )
        if any("\x00" in each for each in argv):
            raise ValueError("an argument holds a NUL")
        return argv
