"""The SHA-256 sums of the image files that nvpkit accepts, by path below the data root.

The IDX files are the official ones, packed and unpacked. A sum that starts with ``md5:`` is of a file for which only
the MD5 sum is published. ``NOTES`` says what is special about a file that is not the official one: it is printed when
the file is used.
"""

ACCEPTED = {
    "MNIST/raw/train-images-idx3-ubyte": ["ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db"],
    "MNIST/raw/train-images-idx3-ubyte.gz": ["440fcabf73cc546fa21475e81ea370265605f56be210a4024d2ca8f203523609"],
    "MNIST/raw/train-labels-idx1-ubyte": ["65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5"],
    "MNIST/raw/train-labels-idx1-ubyte.gz": ["3552534a0a558bbed6aed32b30c495cca23d567ec52cac8be1a0730e8010255c"],
    "MNIST/raw/t10k-images-idx3-ubyte": ["0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7"],
    "MNIST/raw/t10k-images-idx3-ubyte.gz": ["8d422c7b0a1c1c79245a5bcf07fe86e33eeafee792b84584aec276f5a2dbc4e6"],
    "MNIST/raw/t10k-labels-idx1-ubyte": ["ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2"],
    "MNIST/raw/t10k-labels-idx1-ubyte.gz": ["f7ae60f92e00ec6debd23a6088c31dbd2371eca3ffa0defaefb259924204aec6"],
    "KMNIST/raw/train-images-idx3-ubyte": ["7112ba9ec422d98de4885262d4a4dff14cc4fefb81c11ace8bf563a8255df5c3"],
    "KMNIST/raw/train-images-idx3-ubyte.gz": ["51467d22d8cc72929e2a028a0428f2086b092bb31cfb79c69cc0a90ce135fde4"],
    "KMNIST/raw/train-labels-idx1-ubyte": ["2a16eeae62da984b8bd24fa32e31d47291f01dac3fe84d5594f304f71e7d374b"],
    "KMNIST/raw/train-labels-idx1-ubyte.gz": ["e38f9ebcd0f3ebcdec7fc8eabdcdaef93bb0df8ea12bee65224341c8183d8e17"],
    "KMNIST/raw/t10k-images-idx3-ubyte": ["76fbd229ce87db80dd281af5e6670de4ad0e42fb30a7bd643972994c47c1f42e"],
    "KMNIST/raw/t10k-images-idx3-ubyte.gz": ["edd7a857845ad6bb1d0ba43fe7e794d164fe2dce499a1694695a792adfac43c5"],
    "KMNIST/raw/t10k-labels-idx1-ubyte": ["a11dc742be8e781a40a92f53d6a4957e7b7d36df2faa097659131ebfd8fd60c6"],
    "KMNIST/raw/t10k-labels-idx1-ubyte.gz": ["20bb9a0ef54c7db3efc55a92eef5582c109615df22683c380526788f98e42a1c"],
    "FashionMNIST/raw/train-images-idx3-ubyte": ["c59f468a2f672dc815687fe0f83887768d799fd8a3f3276145d20f83aa44d888"],
    "FashionMNIST/raw/train-images-idx3-ubyte.gz": ["3aede38d61863908ad78613f6a32ed271626dd12800ba2636569512369268a84"],
    "FashionMNIST/raw/train-labels-idx1-ubyte": ["bad3541b69d912435c50bb6ba87bec294ff4f6a2e1246121d8633921760443d9"],
    "FashionMNIST/raw/train-labels-idx1-ubyte.gz": ["a04f17134ac03560a47e3764e11b92fc97de4d1bfaf8ba1a3aa29af54cc90845"],
    "FashionMNIST/raw/t10k-images-idx3-ubyte": ["5b4141f0afbad91edebe8549f8fcffe087ea10ca49f1dbef5c9a5cd8815ce37b"],
    "FashionMNIST/raw/t10k-images-idx3-ubyte.gz": ["346e55b948d973a97e58d2351dde16a484bd415d4595297633bb08f03db6a073"],
    "FashionMNIST/raw/t10k-labels-idx1-ubyte": ["0402a96d92fd2663957122ceb108a494c5af83dab82d92729df917d7dec38c34"],
    "FashionMNIST/raw/t10k-labels-idx1-ubyte.gz": ["67da17c76eaffca5446c3361aaab5c3cd6d1c2608764d35dfb1850b086bf8dd5"],
    "USPS/usps.bz2": [
        "md5:ec16c51db3855ca6c91edd34d0e9b197",
        "caec874fbcdcd11751576c8579376130f7555dd1ce150bc52e7a9727e4172409",
    ],
    "USPS/usps.t.bz2": ["a9c0164e797d60142a50604917f0baa604f326e9a689698763793fa5d12ffc4e"],
    "CIFAR10/cifar10_subset.npz": ["b0a7228d346a02438ac56d476c802315012429b5c05e4855dc4f25173cc92853"],
    "textures/bark_bark014.png": ["d7794822fe7fb99df83a2a88aee2929f74e83e828cfee29a7efdb8b7a3bbedee"],
    "textures/mosaic_facade005.png": ["271b3b94073d1477334f940ddbbadbe577a3736117837bf2f9ca2b024c02dd72"],
    "textures/onyx_onyx003.png": ["43d3976edfa902dcc23d94bc90d40b4b3dd4dc976f50ff74d04760649ebee2b3"],
    "textures/rust_metal053c.png": ["7b4cffe4bd7fe8f4e1422e3cafd468804ecf55eb9c10359d108c1e6ae65f6ccb"],
    "textures/slate_rock058.png": ["59878b060903a8390635a6d563efa79dbd7780ccf89f6ef248b94339806c8f23"],
    "textures/stonewall_bricks102.png": ["ba8e3ea3d9892441b14c1d5b742b6299da8c854df166637902e100860f2d0d62"],
    "textures/tiles_long_white.png": ["9523c343cce13ba3d0ac56da3e521f13f77f83bac8a0a6b95726a46918b2c449"],
    "textures/wood_rosewood_veneer1.png": ["1aa790955367b9e80e078ab9e76036d0501448e8e5a863bd5ae0533868c8d875"],
}

NOTES = {
    "caec874fbcdcd11751576c8579376130f7555dd1ce150bc52e7a9727e4172409": (
        "USPS: the training file is a rebuilt one, not LIBSVM's own; its pixels agree with the official ones"
    ),
    "b0a7228d346a02438ac56d476c802315012429b5c05e4855dc4f25173cc92853": (
        "CIFAR-10: this is a subset, the first 5,000 training and the first 1,000 test images"
    ),
}
