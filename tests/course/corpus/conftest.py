"""The answers are read as text and run with a notebook's names: they are no modules to import."""

collect_ignore_glob = ["right/*", "wrong/*"]
