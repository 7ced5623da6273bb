"""The look of feedback and report: one self-contained page, no script, no request, readable in light and dark."""

import base64
import re

STYLE = """
:root { color-scheme: light dark; --ink: #1d2126; --soft: #59616b; --page: #ffffff; --card: #f4f6f8; --line: #d4d9df;
  --good: #0b6b3a; --bad: #a3260f; --half: #7a5200; --link: #0b5cad; }
@media (prefers-color-scheme: dark) { :root { --ink: #e6e9ec; --soft: #a4adb7; --page: #14171b; --card: #1e2329;
  --line: #3a424c; --good: #6fd39b; --bad: #ff9a86; --half: #f0c060; --link: #8cc3ff; } }
* { box-sizing: border-box; }
body { margin: 0 auto; padding: 1.2rem; max-width: 60rem; background: var(--page); color: var(--ink);
  font: 1rem/1.5 system-ui, sans-serif; overflow-wrap: anywhere; }
h1 { font-size: 1.5rem; margin: 0 0 .2rem; } h2 { font-size: 1.2rem; margin: 2rem 0 .5rem; }
h3 { font-size: 1rem; margin: 1rem 0 .3rem; } p { margin: .4rem 0; } .soft { color: var(--soft); }
a { color: var(--link); } .wide { overflow-x: auto; }
table { border-collapse: collapse; width: 100%; } caption { text-align: left; color: var(--soft); padding: .2rem 0; }
th, td { text-align: left; vertical-align: top; padding: .35rem .6rem; border-bottom: 1px solid var(--line); }
.wide th, .wide td { overflow-wrap: normal; } td.num, th.num { text-align: right; white-space: nowrap; }
.good { color: var(--good); } .bad { color: var(--bad); } .half { color: var(--half); }
.mark { font-weight: 600; white-space: nowrap; }
section.task, .box { background: var(--card); border: 1px solid var(--line); border-radius: .5rem; padding: .8rem 1rem;
  margin: 1rem 0; }
section.task > h2 { margin-top: 0; } ul.checks { list-style: none; padding: 0; margin: .4rem 0; }
ul.checks li { margin: .25rem 0; } .told { white-space: pre-wrap; margin: .1rem 0 .1rem 1.2rem; }
pre { background: var(--page); border: 1px solid var(--line); border-radius: .3rem; padding: .6rem; overflow-x: auto;
  font: .85rem/1.45 ui-monospace, monospace; margin: .4rem 0; overflow-wrap: normal; max-height: 30rem; }
img { max-width: 100%; height: auto; background: #fff; border-radius: .3rem; } summary { cursor: pointer; }
details { margin: .5rem 0; } blockquote { margin: .4rem 0; padding-left: .8rem; border-left: 3px solid var(--line); }
.points { font-size: 1.3rem; font-weight: 600; }
"""

HEAD = """<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; img-src data:; style-src 'unsafe-inline'">
<link rel="icon" href="data:,">
<title>{{ title }}</title><style>""" + STYLE + """</style></head><body>
"""
FOOT = "</body></html>\n"

_ANSI = re.compile(r"\x1b\[[0-9;?]*[ -/]*[@-~]")
_PICTURES = ("image/png", "image/jpeg", "image/gif")
LONGEST = 20_000


def render(template: str, **values) -> str:
    """A page from a Jinja template; every value is escaped unless it was marked safe here."""
    import jinja2

    environment = jinja2.Environment(autoescape=True, trim_blocks=True, lstrip_blocks=True,
                                     undefined=jinja2.StrictUndefined)
    environment.filters["points"] = lambda value: "–" if value is None else f"{value:g}"
    return environment.from_string(HEAD + template + FOOT).render(**values)


def markdown(text: str):
    """A student's markdown as safe HTML: no raw HTML, no pictures from elsewhere, no links but plain ones."""
    import bleach
    import mistune
    from markupsafe import Markup

    made = mistune.create_markdown(escape=True, plugins=["table", "strikethrough"])(text[:LONGEST])
    tags = {"p", "br", "em", "strong", "code", "pre", "ul", "ol", "li", "blockquote", "h1", "h2", "h3", "h4", "h5",
            "h6", "table", "thead", "tbody", "tr", "th", "td", "del", "hr", "a"}
    return Markup(bleach.clean(made, tags=tags, attributes={"a": ["href"]}, protocols={"http", "https", "mailto"},
                               strip=True))


def outputs(cell, hidden: list[str]) -> list[dict]:
    """What a cell showed: texts, and pictures as data URLs. HTML that a student's code made is left out."""
    shown = []
    for output in cell.get("outputs", []):
        data = output.get("data", {})
        if picture := _picture(data):
            shown.append(picture)
            continue
        if output["output_type"] == "error":
            text = "\n".join(output.get("traceback") or []) or f"{output.get('ename')}: {output.get('evalue')}"
        else:
            text = output.get("text", data.get("text/plain", ""))
        text = _ANSI.sub("", _joined(text))
        for line in hidden:
            text = text.replace(line, "[hidden test]")
        if len(text) > LONGEST:
            text = text[:LONGEST] + "\n... the rest is left out"
        if text.strip():
            shown.append({"picture": "", "text": text})
    return shown


def _picture(data: dict) -> dict | None:
    """The picture of an output as a data URL, with its description."""
    kind = next((kind for kind in _PICTURES if kind in data), None)
    if kind is None:
        return None
    try:
        raw = base64.b64decode("".join(_joined(data[kind]).split()), validate=True)
    except ValueError:
        return None
    told = _joined(data.get("text/plain", ""))
    alt = told.removeprefix("Figure: ") if told.startswith("Figure: ") else "A picture that the notebook drew"
    return {"picture": f"data:{kind};base64,{base64.b64encode(raw).decode()}", "text": alt}


def _joined(text) -> str:
    return "".join(text) if isinstance(text, list) else str(text)
