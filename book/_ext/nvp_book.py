"""Sphinx glue of the book: addresses, the execution cache, MathJax without network, tidy page scripts."""

from __future__ import annotations

import hashlib
import importlib.metadata
import os
import shutil
from pathlib import Path

import site_address
from docutils import nodes

ROOT = Path(__file__).resolve().parents[2]

# Pages run in their own kernels: these find the package of this checkout and the pages' helper modules,
# and use one thread, so that figures are the same on every machine.
os.environ["PYTHONPATH"] = os.pathsep.join(
    [str(ROOT), str(ROOT / "book"), os.environ.get("PYTHONPATH", "")]
).rstrip(os.pathsep)
os.environ.setdefault("OMP_NUM_THREADS", "1")
# A backend set from outside would leave the cells without pictures.
os.environ.pop("MPLBACKEND", None)
os.environ.setdefault("PYDEVD_DISABLE_FILE_VALIDATION", "1")


def _own_profile(folder: Path) -> str:
    """Make an IPython folder for the pages' kernels: no startup files of the user, no warning about TCP."""
    profile = folder / "profile_default"
    profile.mkdir(parents=True, exist_ok=True)
    (profile / "ipython_kernel_config.py").write_text("c.IPKernelApp.log_level = 40\n", encoding="utf8")
    return str(folder)


os.environ["IPYTHONDIR"] = _own_profile(ROOT / "_build" / ".ipython")

# Parts of the package that no page uses: a change there leaves every figure as it is.
_UNUSED = {"course", "checks", "cli.py", "__main__.py"}


def code_digest(root: Path = ROOT) -> str:
    """Digest of everything but the cells that decides what a page's cells print."""
    kit = [p for p in (root / "nvpkit").rglob("*.py") if p.relative_to(root / "nvpkit").parts[0] not in _UNUSED]
    helpers = [p for p in (root / "book" / "pagekit").iterdir() if p.suffix in {".py", ".js", ".css"}]
    digest = hashlib.sha256()
    for path in [*sorted(kit), *sorted(helpers), root / "requirements.txt"]:
        if path.is_file():
            digest.update(path.relative_to(root).as_posix().encode())
            digest.update(path.read_bytes())
    return digest.hexdigest()


def _addresses(app, config):
    url = config.html_theme_options["repository_url"]
    config.html_baseurl = config.ogp_site_url = site_address.pages(url)
    config.notfound_urls_prefix = "/" + config.html_baseurl.split("/", 3)[3]
    # One cache for every output folder: the tests' build reuses what `make course` has run, and the reverse.
    config.nb_execution_cache_path = str(ROOT / "_build" / ".jupyter_cache")


def _drop_stale_cache(app):
    # The first use of matplotlib on a machine prints to stderr; pages treat that as a fault, so it happens here.
    import matplotlib.font_manager  # noqa: F401

    cache, now = Path(app.config.nb_execution_cache_path), code_digest()
    if _note(cache.parent / ".nvpkit.sha256", now) and cache.exists():
        shutil.rmtree(cache)
    # Output folders share the cache, but each has pages of its own to read again.
    app.nvp_stale = _note(Path(app.doctreedir) / ".nvpkit.sha256", now)


def _note(stamp, now):
    """Write the digest down; say whether another one stood there."""
    changed = not stamp.exists() or stamp.read_text(encoding="utf8") != now
    stamp.parent.mkdir(parents=True, exist_ok=True)
    stamp.write_text(now, encoding="utf8")
    return changed


def _outdated(app, env, added, changed, removed):
    return sorted(env.found_docs - added - removed) if app.nvp_stale else []


def _links_inside(app, doctree, docname):
    """Turn links to a page's source in the repository, which notebooks need, into links to the page of the book."""
    options = app.config.html_theme_options
    prefix = f"{options['repository_url']}/blob/{options['repository_branch']}/"
    for node in doctree.findall(nodes.reference):
        target, suffix = os.path.splitext(node.get("refuri", "").removeprefix(prefix))
        if node.get("refuri", "").startswith(prefix) and suffix in {".md", ".ipynb"} and target in app.env.found_docs:
            node["refuri"] = app.builder.get_relative_uri(docname, target)
            node["internal"] = True


def _tidy_scripts(app, pagename, templatename, context, doctree):
    """Leave out sphinx-thebe, whose script throws on every page, and scripts that are there twice."""
    seen, kept = set(), []
    for script in context.get("script_files", []):
        body = (getattr(script, "attributes", None) or {}).get("body") or ""
        name = str(getattr(script, "filename", "") or "")
        if "THEBE_JS_URL" in body or "sphinx-thebe" in name or (body or name) in seen:
            continue
        seen.add(body or name)
        kept.append(script)
    if "script_files" in context:
        context["script_files"][:] = kept
    if "css_files" in context:
        context["css_files"][:] = [
            css for css in context["css_files"] if "thebe" not in str(getattr(css, "filename", css))
        ]


def _plain_citations(app, pagename, templatename, context, doctree):
    """Drop the roles that docutils gives to citation lists: their content does not fit them, so readers stumble."""
    body = context.get("body") or ""
    context["body"] = body.replace('<div role="list" class="citation-list">', '<div class="citation-list">').replace(
        ' role="doc-biblioentry"', ""
    )


def _copy_mathjax(app, exc):
    """Copy what MathJax's chtml output needs, and nothing else, from the package that carries it."""
    if exc is not None or app.builder.format != "html":
        return
    try:
        carrier = importlib.metadata.distribution("sphinx-mathjax-offline")
    except importlib.metadata.PackageNotFoundError:
        raise RuntimeError("sphinx-mathjax-offline is not installed: pip install 'nvpkit[book]'") from None
    # The package's folder has a name with hyphens, so it cannot be imported: ask for its files instead.
    source = Path(carrier.locate_file("sphinx-mathjax-offline/static/mathjax"))
    target = Path(app.outdir) / "_static" / "mathjax"
    if (target / "tex-chtml.js").exists():
        return
    fonts = Path("output") / "chtml" / "fonts" / "woff-v2"
    (target / fonts).mkdir(parents=True, exist_ok=True)
    for font in (source / fonts).glob("*.woff"):
        shutil.copy2(font, target / fonts)
    shutil.copy2(source / "tex-chtml.js", target)


def _slim(app, exc):
    # 1.4 MB of icon script; the icons come from the CSS webfonts.
    script = Path(app.outdir) / "_static" / "scripts" / "fontawesome.js"
    if exc is None and app.builder.format == "html" and script.exists():
        script.write_text("/* icons are served by the CSS webfonts */\n", encoding="utf8")


def setup(app):
    app.connect("config-inited", _addresses, priority=1)
    app.connect("builder-inited", _drop_stale_cache)
    app.connect("env-get-outdated", _outdated)
    app.connect("doctree-resolved", _links_inside)
    app.connect("html-page-context", _tidy_scripts, priority=999)
    app.connect("html-page-context", _plain_citations)
    app.connect("build-finished", _copy_mathjax)
    app.connect("build-finished", _slim)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
