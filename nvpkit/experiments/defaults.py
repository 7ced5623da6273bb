"""What `nvpkit train` does for each model and data unless it is told otherwise."""


def squeezing(*scales):
    """Return scales that squeeze first; each is given as its numbers of checkerboard and of channel couplings.

    >>> squeezing((1, 0), (0, 2))
    [['squeeze', 'squeezed_checkerboard'], ['squeeze', 'channel', 'channel']]
    """
    return [["squeeze"] + ["squeezed_checkerboard"] * first + ["channel"] * then for first, then in scales]


# Small nets, half of them 1x1, on squeezed images, and learned noise: many cheap steps. benchmarks/fit_images.py has
# what they reach.
CHEAP = {
    "hidden": 32,
    "n_blocks": 1,
    "kernels": (3, 1),
    "skips": False,
    "norm": "pixel_actnorm",
    "plan": squeezing((8, 0), (2, 2)),
    "variational": {"width": 16, "n_couplings": 2},
}
# What a training takes unless it is told otherwise, for each model and each data set or kind of data. "settings" go to
# the builder, the rest to fit.
DEFAULTS = {
    "nice": {
        "toy": {"steps": 1500, "lr": 1e-2, "batch_size": 256, "settings": {"hidden": (64, 64)}},
        "digits": {
            "steps": 2000,
            "lr": 2e-3,
            "batch_size": 128,
            "settings": {"n_layers": 8, "hidden": (128, 128), "dropout": 0.2},
        },
        "images": {"steps": 4000, "lr": 1e-3, "batch_size": 128, "settings": {"hidden": (500, 500, 500)}},
    },
    "real_nvp": {
        "toy": {"steps": 3000, "batch_size": 512, "settings": {}},
        "digits": {
            "steps": 1500,
            "lr": 2e-3,
            "batch_size": 128,
            "settings": {
                "n_layers": 8,
                "hidden": (128, 128),
                "max_log_scale": None,
                "norm": "batchnorm",
                "dropout": 0.2,
            },
        },
        "images": {
            "steps": 3000,
            "lr": 1e-3,
            "batch_size": 128,
            "settings": {"n_layers": 6, "hidden": (256, 256), "max_log_scale": None, "norm": "actnorm"},
        },
    },
    "image_real_nvp": {
        "digits": {
            "steps": 370,
            "lr": 7e-3,
            "batch_size": 64,
            "average": 0.998,
            "settings": {**CHEAP, "plan": squeezing((4, 2), (2, 2))},
        },
        # Grey images with an even background: it gets most of the room.
        "images": {
            "steps": 1650,
            "lr": 5e-3,
            "batch_size": 32,
            "average": 0.998,
            "settings": {**CHEAP, "equalize": 0.9, "alpha": 1e-5},
        },
        "cifar10": {"steps": 1800, "lr": 2e-3, "batch_size": 32, "average": 0.998, "settings": CHEAP},
    },
}
