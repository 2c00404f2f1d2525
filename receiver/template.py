"""Texts of a playbook that an alert's labels and numbers are filled into, as pydantic's fields.

Playbooks and the arguments of verbs use them: checked when a file is read, filled in when a run brings the values as
the validation's context.
"""

from typing import Annotated

from pydantic import AfterValidator, ValidationInfo

from receiver import render


def _template(text: str, info: ValidationInfo) -> str:
    if info.context is None:
        render.check(text)
        return text
    return render.render(text, info.context)


def _url_template(text: str, info: ValidationInfo) -> str:
    if info.context is None:
        render.check(text)
        return text
    return render.render_url(text, info.context)


Template = Annotated[str, AfterValidator(_template)]
UrlTemplate = Annotated[str, AfterValidator(_url_template)]
