"""A request that the engine refuses, in the words and with the status of the Docker Engine.

Raised anywhere below the API, which turns it into `{"message": …}`.
"""


class Refusal(Exception):
    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.message = message


def no_such_container(name: str) -> Refusal:
    return Refusal(404, f"No such container: {name}")


def no_such_image(name: str) -> Refusal:
    return Refusal(404, f"No such image: {name}")


def no_such_network(name: str) -> Refusal:
    return Refusal(404, f"network {name} not found")
