"""What the documentation's build adds to mkdocs: equations as MathML, the command line from its parser."""

import html
import re

from latex2mathml.converter import convert

EQUATION = re.compile(r'<(span|div) class="arithmatex">\\([(\[])(.*?)\\[)\]]</\1>', re.DOTALL)


def on_page_markdown(markdown, page, **_):
    """Fill in what comes from code."""
    if "<!-- every verb -->" in markdown:
        markdown = markdown.replace("<!-- every verb -->", verbs())
    return markdown


def on_page_content(content, **_):
    """Equations as MathML: browsers draw it themselves, without a script."""
    return EQUATION.sub(
        lambda found: convert(html.unescape(found[3]).strip(), display="block" if found[2] == "[" else "inline"),
        content,
    )


def verbs():
    """Markdown of every verb's help, from the parser itself."""
    from factortopy.cli.main import parser

    actions = next(action for action in parser()._actions if action.dest == "verb")
    said = {choice.dest: choice.help for choice in actions._choices_actions}
    parts = []
    for name, verb in actions.choices.items():
        verb.prog = f"python -m factortopy {name}"
        parts.append(f"## {name}\n\n{said.get(name) or ''}\n\n```text\n{verb.format_help().rstrip()}\n```\n")
    return "\n".join(parts)
