"""`nvpkit ...`: thin commands. Everything heavy is imported inside them, so that --help is immediate."""

import contextlib
import json
import sys
from pathlib import Path
from typing import Annotated

import typer

from nvpkit.course.commands import course_app
from nvpkit.errors import NvpkitError

app = typer.Typer(
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
    help="Normalizing flows: train, sample and evaluate them, fetch data, and run a course.",
)
data_app = typer.Typer(no_args_is_help=True, help="The image data sets: what is here, and how to get the rest.")
app.add_typer(data_app, name="data")
app.add_typer(course_app, name="course")

Checkpoint = Annotated[
    Path, typer.Argument(metavar="CHECKPOINT", help="The folder that `nvpkit train` wrote, or a file in it.")
]
Seed = Annotated[int, typer.Option(help="Seed of every random draw.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON object instead of text.")]


@contextlib.contextmanager
def _one_sentence(stopped=""):
    """Turn an expected error into one sentence on stderr and exit code 1."""
    try:
        yield
    except KeyboardInterrupt as error:
        typer.echo(f"Stopped. {stopped}".strip(), err=True)
        raise typer.Exit(130) from error
    except (NvpkitError, ValueError, FloatingPointError) as error:
        _fail(" ".join(str(error).split()), error)
    except OSError as error:
        where = f"{error.filename}: " if error.filename else ""
        _fail(f"{where}{error.strerror or error}; check the path and its permissions", error)


def _fail(message, error):
    typer.echo(f"Error: {message}", err=True)
    raise typer.Exit(1) from error


@contextlib.contextmanager
def _only_json(as_json):
    """Keep stdout for the JSON object: notes of the library go to stderr."""
    with contextlib.redirect_stdout(sys.stderr) if as_json else contextlib.nullcontext():
        yield


def _report(figures, as_json):
    if as_json:
        typer.echo(json.dumps(figures, indent=2))
        return
    for key, value in figures.items():
        shown = f"{value:.4g}" if isinstance(value, float) else value
        typer.echo(f"{key.replace('_', ' '):20} {shown}")


def _widths(text):
    try:
        widths = tuple(int(part) for part in text.split(","))
    except ValueError as error:
        raise ValueError(f"--hidden expects widths such as 128 or 128,128, got {text!r}") from error
    return widths


@app.command()
def train(
    data: Annotated[
        str,
        typer.Option(
            help="digits, mnist, kmnist, fashion_mnist, usps or cifar10; or a toy: parabola, moons, rings, "
            "checkerboard, eight_gaussians, spirals."
        ),
    ] = "digits",
    model: Annotated[
        str, typer.Option(help="nice or real_nvp (vectors: toys, images as rows of pixels), image_real_nvp (images).")
    ] = "nice",
    out: Annotated[Path | None, typer.Option(help="Folder for the results; runs/MODEL-DATA unless given.")] = None,
    steps: Annotated[int | None, typer.Option(help="Training steps; by default what suits the data.")] = None,
    lr: Annotated[float | None, typer.Option(help="Largest learning rate of the schedule.")] = None,
    batch_size: Annotated[int | None, typer.Option(help="Samples in each step.")] = None,
    average: Annotated[
        float | None, typer.Option(help="Decay of the average of the weights, such as .999; it is what is kept.")
    ] = None,
    patience: Annotated[
        int | None, typer.Option(help="Stop after so many validations, of 20 (image_real_nvp: 5), without a new best.")
    ] = None,
    hidden: Annotated[
        str | None, typer.Option(help="Widths of each coupling's net, such as 128,128; one width for image_real_nvp.")
    ] = None,
    dropout: Annotated[
        float | None, typer.Option(help="Share of hidden units dropped in training (nice, real_nvp).")
    ] = None,
    layers: Annotated[int | None, typer.Option(help="Number of coupling layers (nice, real_nvp).")] = None,
    blocks: Annotated[int | None, typer.Option(help="Residual blocks of each net (image_real_nvp).")] = None,
    norm: Annotated[
        str | None, typer.Option(help="actnorm, batchnorm or pixel_actnorm (real_nvp, image_real_nvp).")
    ] = None,
    plan: Annotated[str | None, typer.Option(help="paper or squeeze_first (image_real_nvp).")] = None,
    variational: Annotated[
        bool, typer.Option("--variational", help="Learn the noise of dequantisation (image_real_nvp).")
    ] = False,
    seed: Seed = 0,
    quick: Annotated[bool, typer.Option("--quick", help="A short try of 200 steps.")] = False,
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on from the checkpoint of an interrupted training in the same folder.")
    ] = False,
    compiled: Annotated[
        bool, typer.Option("--compile", help="Compile the flow first: a minute or two, then faster steps.")
    ] = False,
    bf16: Annotated[
        bool, typer.Option("--bf16", help="Train the conditioners in bfloat16; the saved flow computes in float32.")
    ] = False,
    device: Annotated[str, typer.Option(help="auto, cpu or cuda.")] = "auto",
    as_json: AsJson = False,
):
    """Train a flow, save it, and print its figures on the test data.

    Options that are not given have defaults for each model and kind of data.

    Example: nvpkit train --model real_nvp --data moons --out runs/moons
    """
    out = out or Path("runs") / f"{model}-{data}"
    with _one_sentence("The same command with --resume goes on from the last checkpoint."):
        with _only_json(as_json):
            from nvpkit import experiments

            figures = experiments.train(
                model,
                data,
                out,
                seed=seed,
                quick=quick,
                device=device,
                resume=resume,
                progress=not as_json,
                steps=steps,
                lr=lr,
                batch_size=batch_size,
                average=average,
                patience=patience,
                compile=compiled or None,
                bf16=bf16 or None,
                hidden=None if hidden is None else _widths(hidden),
                dropout=dropout,
                n_layers=layers,
                n_blocks=blocks,
                norm=norm,
                plan=plan,
                variational=variational or None,
            )
        _report({**figures, "saved_in": str(out)}, as_json)


@app.command()
def sample(
    checkpoint: Checkpoint,
    n: Annotated[int, typer.Option("--n", help="Number of samples.")] = 64,
    out: Annotated[Path, typer.Option(help="The picture to write: png, pdf or svg.")] = Path("samples.png"),
    temperature: Annotated[float, typer.Option(help="Factor on the latent draws; below 1 nearer to the mode.")] = 1.0,
    seed: Seed = 0,
):
    """Draw samples of a trained flow and write them as a picture."""
    with _one_sentence():
        import matplotlib

        matplotlib.use("agg")
        from nvpkit import experiments

        typer.echo(f"{n} samples in {experiments.sample(checkpoint, n, out, temperature, seed)}")


@app.command()
def evaluate(
    checkpoint: Checkpoint,
    data: Annotated[str | None, typer.Option(help="Test data; that of the training unless given.")] = None,
    draws: Annotated[
        int, typer.Option(help="Add the importance-weighted bound with so many draws of the noise (images).")
    ] = 0,
    seed: Seed = 0,
    as_json: AsJson = False,
):
    """Print bits per dimension (KL for toys), nats, round-trip error and log-det error on the test data."""
    with _one_sentence():
        with _only_json(as_json):
            from nvpkit import experiments

            figures = experiments.evaluate(checkpoint, data, seed, draws)
        _report(figures, as_json)


@data_app.command("list")
def list_data(as_json: AsJson = False):
    """Say which data sets are here, and where they are looked for."""
    from nvpkit import data
    from nvpkit.data.images import SETS

    folders = [str(folder) for folder in data.search_folders()]
    rows = [
        {"name": name, "shape": list(shape), "levels": levels, "available": data.available(name)}
        for name, (_, levels, shape) in SETS.items()
    ]
    textures = data.texture_names()
    if as_json:
        typer.echo(json.dumps({"folders": folders, "sets": rows, "textures": list(textures)}, indent=2))
        return
    for row in rows:
        size = "x".join(map(str, row["shape"]))
        state = "here" if row["available"] else f"missing: nvpkit data download {row['name']}"
        typer.echo(f"{row['name']:14} {size:8} {row['levels']:3} levels  {state}")
    typer.echo(f"textures       {', '.join(textures)}")
    typer.echo(f"searched: {', '.join(folders)}; digits, brick, grass and gravel are installed with the package")


@data_app.command("download")
def download_data(
    name: Annotated[str, typer.Argument(help="mnist, kmnist, fashion_mnist, usps or cifar10.")],
    root: Annotated[
        Path | None, typer.Option(help="Folder to fill; $NVPKIT_DATA or the user's cache folder unless given.")
    ] = None,
):
    """Fetch a data set through torchvision and check its files."""
    with _one_sentence():
        from nvpkit import data

        folder = data.download(name, root)
        typer.echo(f"{name} is installed with the package" if folder is None else f"{name} is in {folder}")


if __name__ == "__main__":
    app()
