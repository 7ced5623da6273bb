"""From the book's MyST to Markdown that Colab and Jupyter show as it is meant."""

from __future__ import annotations

import posixpath
import re
from pathlib import Path

import site_address
import yaml
from references import PROOFS, Bibliography, numbers, targets

_OPEN = re.compile(r"^(:{3,})\{([\w:-]+)\}\s*(.*)$")
_ROLE = re.compile(r"\{([\w:]+)\}`([^`]+)`")
_LINK = re.compile(r"\]\(([^)#\s]+\.(?:md|ipynb))\)")
_CODE = re.compile(r"(```.*?```)", re.S)


class PlainMarkdown:
    """Converts the Markdown of one page. ``notebooks``: the pages that have a notebook of their own."""

    def __init__(self, page: str, root: Path, bibliography: Bibliography, notebooks: set[str]):
        self.page, self.root, self.bibliography, self.notebooks = page, root, bibliography, notebooks
        config = yaml.safe_load((root / "_config.yml").read_text(encoding="utf8"))["sphinx"]["config"]
        self.macros = config["mathjax3_config"]["tex"]["macros"]
        self.exercises = 0

    def parts(self, text: str):
        """("text", Markdown) and ("say", paragraph with glued numbers), in order."""
        gathered = []
        for block in _paragraphs(self._blocks(text.splitlines())):
            if "{glue:text}" not in block:
                gathered.append(block)
                continue
            if gathered:
                yield "text", "\n\n".join(gathered)
            gathered = []
            yield "say", block
        if gathered:
            yield "text", "\n\n".join(gathered)

    def caption(self, metadata) -> str | None:
        """The numbered caption of a cell's figure, or None."""
        figure = metadata.get("mystnb", {}).get("figure")
        if figure is None:
            return None
        _, number, _ = numbers(self.root)[figure["name"]]
        return f"**Fig. {number}** {self._inline(' '.join(figure['caption'].split()))}"

    def _blocks(self, lines: list[str]) -> str:
        out, i = [], 0
        while i < len(lines):
            line = lines[i]
            if re.match(r"^\([\w:-]+\)=\s*$", line):
                i += 1
            elif match := _OPEN.match(line):
                end = next(j for j in range(i + 1, len(lines)) if lines[j].rstrip() == match[1])
                out += ["", *self._directive(match[2], match[3].strip(), lines[i + 1 : end]).splitlines(), ""]
                i = end + 1
            elif line.strip() == "$$":
                end = next(j for j in range(i + 1, len(lines)) if lines[j].startswith("$$"))
                out += ["$$", *map(self._math, lines[i + 1 : end])]
                if label := re.search(r"\(([\w:-]+)\)", lines[end]):
                    out.append(rf"\tag{{{numbers(self.root)[label[1]][1]}}}")
                out.append("$$")
                i = end + 1
            elif line.startswith("```"):
                end = next(j for j in range(i + 1, len(lines)) if lines[j].startswith("```"))
                out += lines[i : end + 1]
                i = end + 1
            else:
                out.append(self._inline(line))
                i += 1
        return "\n".join(out)

    def _directive(self, name: str, argument: str, lines: list[str]) -> str:
        options = {}
        while lines and (match := re.match(r"^:([\w-]+):\s*(.*)$", lines[0])):
            options[match[1]], lines = match[2], lines[1:]
        body, title = self._blocks(lines).strip(), self._inline(argument)
        kind = name.removeprefix("prf:")
        if name == "prf:proof":
            return f"*Proof.* {body} $\\square$"
        if kind in PROOFS or name == "exercise":
            number = numbers(self.root)[options["label"]][1]
            return f"**{kind.capitalize()} {number} ({title}).**\n\n{body}"
        if name in ("dropdown", "solution"):
            summary = "Answer" if name == "solution" else title
            return f"<details><summary>{summary}</summary>\n\n{body}\n\n</details>"
        if name in ("admonition", "grid-item-card"):
            return f"**{title}.**\n\n{body}" if title[-1] not in "?!" else f"**{title}**\n\n{body}"
        if name == "grid":
            return body
        raise ValueError(f"{self.page}: the directive {name} has no plain form yet; add one to plain_markdown.py")

    def _inline(self, text: str) -> str:
        # Code spans keep their text; a role is a name in braces with a code span right behind it.
        text = _LINK.sub(lambda m: f"]({self._address(m[1])})", text)
        text = _ROLE.sub(self._role, text)
        return re.sub(r"(?<!`)\$[^$`]+\$", lambda m: self._math(m[0]), text)

    def _role(self, match: re.Match) -> str:
        role, content = match[1], match[2]
        if role == "glue:text":
            return match[0]
        if role in ("cite:t", "cite:p"):
            return self.bibliography.cite(content, textual=role == "cite:t")
        if role == "ref" and (named := re.match(r"(.+?)\s*<(.+)>$", content)):
            return f"[{named[1]}]({self._page_address(targets(self.root)[named[2]])})"
        kind, number, page = numbers(self.root)[content]
        word = {"equation": f"({number})", "fig": f"Fig. {number}"}.get(kind, f"{kind.capitalize()} {number}")
        return word if page == self.page else f"[{word}]({self._page_address(page)})"

    def _math(self, text: str) -> str:
        for name, meaning in self.macros.items():
            text = re.sub(rf"\\{name}(?![a-zA-Z])", lambda m, meaning=meaning: meaning, text)
        return text

    def _address(self, target: str) -> str:
        path = posixpath.normpath(posixpath.join(posixpath.dirname(self.page), target))
        return site_address.colab(path) if path.endswith(".ipynb") else self._page_address(path.removesuffix(".md"))

    def _page_address(self, page: str) -> str:
        if page in self.notebooks:
            return site_address.colab(f"{page}.ipynb")
        return f"{site_address.pages(site_address.repository()[0])}{page}.html"


def _paragraphs(text: str) -> list[str]:
    """Blocks between blank lines; code fences stay whole."""
    blocks = []
    for piece in _CODE.split(text):
        blocks += [piece] if piece.startswith("```") else re.split(r"\n\s*\n", piece)
    return [block.strip("\n") for block in blocks if block.strip()]
