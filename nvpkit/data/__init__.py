"""Data: toy densities on the plane, and images as integers."""

from nvpkit.data.downloads import download
from nvpkit.data.images import available, cache_folder, images, levels, search_folders
from nvpkit.data.mixtures import Mixtures, label_layout, random_mixtures
from nvpkit.data.textures import random_crops, texture, texture_names
from nvpkit.data.toy import checkerboard, eight_gaussians, moons, parabola, rings, spirals, toy

__all__ = [
    "Mixtures",
    "available",
    "cache_folder",
    "checkerboard",
    "download",
    "eight_gaussians",
    "images",
    "label_layout",
    "levels",
    "moons",
    "parabola",
    "random_crops",
    "random_mixtures",
    "rings",
    "search_folders",
    "spirals",
    "texture",
    "texture_names",
    "toy",
]
