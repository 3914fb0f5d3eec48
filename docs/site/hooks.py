"""What the documentation's build adds to mkdocs: equations as MathML, the command line from its parser, late pages."""

import html
import re
from pathlib import Path

from latex2mathml.converter import convert

# Pages that are put into the menu where they exist; the menu of mkdocs.yml stays short of them until then.
LATE = {
    "How to": {"finetune.md": "Fine-tuning", "jobs.md": "Work in the background", "cluster.md": "A cluster"},
    "Explanation": {"faults.md": "When something fails", "security.md": "Security"},
}
EQUATION = re.compile(r'<(span|div) class="arithmatex">\\([(\[])(.*?)\\[)\]]</\1>', re.DOTALL)


def on_config(config):
    """Put pages that were written into the menu."""
    docs = Path(config["docs_dir"])
    for section in config["nav"]:
        for name, pages in LATE.items():
            if isinstance(section, dict) and name in section:
                known = {page for entry in section[name] for page in entry.values()}
                section[name] += [
                    {title: page} for page, title in pages.items() if (docs / page).exists() and page not in known
                ]
    return config


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
    from factortopy.__main__ import parser

    actions = next(action for action in parser()._actions if action.dest == "verb")
    said = {choice.dest: choice.help for choice in actions._choices_actions}
    parts = []
    for name, verb in actions.choices.items():
        verb.prog = f"python -m factortopy {name}"
        parts.append(f"## {name}\n\n{said.get(name) or ''}\n\n```text\n{verb.format_help().rstrip()}\n```\n")
    return "\n".join(parts)
