"""Anna of the shop team: she finds Amend's question in the team's inbox, and agrees to it with a key of her own.

The loop asks her where a scenario's playbook asks people. She answers as a program of hers would, through the API.
"""

from typing import Any

import httpx

from story.part import Broken
from story.stage import Stage

NAME = "anna"
COMMENT = "take it back"


class Approver:
    def __init__(self, stage: Stage) -> None:
        self._inbox = stage.inbox
        self._url = f"http://{stage.place.amend}/api/v1/runs"
        self._headers = {"Authorization": f"Bearer {stage.place.key(NAME)}"}

    def question(self) -> dict[str, Any] | None:
        """The newest letter that asks for something."""
        return next((letter for letter in reversed(self._inbox.letters) if letter["question"]), None)

    def agree(self, letter: dict[str, Any]) -> None:
        """To what the letter shows and to nothing else, which is what its digest is for."""
        said = {"digest": letter["question"]["digest"], "comment": COMMENT}
        url = f"{self._url}/{letter['run']['id']}/approve"
        answer = httpx.post(url, headers=self._headers, json=said, timeout=30, trust_env=False)
        if not answer.is_success:
            raise Broken(f"Amend does not take {NAME}'s answer: {answer.text}")
