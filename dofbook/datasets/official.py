"""What the official releases contain: file names, sizes, checksums, shapes.

Checksums are of the unpacked files. Those of MNIST, Fashion-MNIST and SVHN belong to the downloads
that tensorflow-datasets registers; those of CIFAR-10 to binary batches whose Python twins have the
published md5s. Of CIFAR-100's binary version only the archive's checksum is published.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class File:
    """Name one official file and its size and checksum unpacked, as far as they are known."""

    name: str
    size: int | None = None
    sha256: str | None = None
    md5: str | None = None


@dataclass(frozen=True)
class Release:
    """Describe one official release, of format "idx", "cifar", "pickle" or "mat".

    ``train`` and ``test`` are the files of the splits, ``sizes`` their numbers of images of
    ``image_shape`` (H, W, C). The files lie in ``folder`` of the official ``archive``, if there is
    one, or in ``others``, such as torchvision's. ``fingerprint`` is that of the official data in
    official order, where known, and ``python`` the release of the same data as pickles.
    """

    format: str
    train: tuple[File, ...]
    test: tuple[File, ...]
    sizes: tuple[int, int]
    image_shape: tuple[int, int, int]
    num_classes: int = 10
    folder: str | None = None
    archive: str | None = None
    archive_sha256: str | None = None
    others: tuple[str, ...] = ()
    fingerprint: str | None = None
    python: "Release | None" = None

    @property
    def files(self) -> tuple[File, ...]:
        """All files, training first."""
        return self.train + self.test

    def wanted(self) -> str:
        """Name the files a user should provide."""
        suffix = ".gz" if self.format == "idx" else ""
        return self.archive or ", ".join(file.name + suffix for file in self.files)


def _idx(torchvision: str, fingerprint: str, *checksums: str) -> Release:
    kinds = ("images-idx3", "labels-idx1")
    names = [f"{part}-{kind}-ubyte" for part in ("train", "t10k") for kind in kinds]
    files = tuple(map(File, names, (47040016, 60008, 7840016, 10008), checksums))
    known = {"others": (f"{torchvision}/raw", "raw"), "fingerprint": fingerprint}
    return Release("idx", files[:2], files[2:], (60000, 10000), (28, 28, 1), **known)


def _cifar(classes: int, binary: tuple[File, ...], python: dict[str, str], **official) -> Release:
    """Describe both versions of a release; the last file is the test split."""

    def release(kind, files, folder, version, **known):
        where = f"cifar-{classes}-{folder}", f"cifar-{classes}-{version}.tar.gz"
        sizes, shape = (50000, 10000), (32, 32, 3)
        return Release(kind, files[:-1], files[-1:], sizes, shape, classes, *where, **known)

    folders = ("batches-bin", "batches-py") if classes == 10 else ("binary", "python")
    pickles = tuple(File(name, md5=md5) for name, md5 in python.items())
    twin = release("pickle", pickles, folders[1], "python")
    return release("cifar", binary, folders[0], "binary", python=twin, **official)


_CIFAR10 = {
    "data_batch_1": "cee916563c9f80d84e3cc88e17fdc0941787f1244f00a67874d45b261883ada5",
    "data_batch_2": "a591ca11fa1708a91ee40f54b3da4784ccd871ecf2137de63f51ada8b3fa57ed",
    "data_batch_3": "bbe8596564c0f86427f876058170b84dac6670ddf06d79402899d93ceea26f67",
    "data_batch_4": "014e562d6e23c72197cc727519169a60359f5eccd8945ad5a09d710285ff4e48",
    "data_batch_5": "755304fc0b379caeae8c14f0dac912fbc7d6cd469eb67a1029a08a39453a9add",
    "test_batch": "8e2eb146ae340b09e24670f29cabc6326dba54da8789dab6768acf480273f65b",
}
_SVHN = tuple(
    File(f"{split}_32x32.mat", size, sha256)
    for split, size, sha256 in (
        ("train", 182040794, "435e94d69a87fde4fd4d7f3dd208dfc32cb6ae8af2240d066de1df7508d083b8"),
        ("test", 64275384, "cdce80dfb2a2c4c6160906d0bd7c68ec5a99d7ca4831afa54f09182025b6a75b"),
    )
)

RELEASES = {
    "mnist": _idx(
        "MNIST",
        "c1a44cd987adea06a723558e60762a763befa3cccc6bcbb05653f86cf68f5530",
        "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
        "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5",
        "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
        "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2",
    ),
    "fashion_mnist": _idx(
        "FashionMNIST",
        "715868ef620cfff128d9e6ddab09b5058437961858c8b66b9c59a924180d6b61",
        "c59f468a2f672dc815687fe0f83887768d799fd8a3f3276145d20f83aa44d888",
        "bad3541b69d912435c50bb6ba87bec294ff4f6a2e1246121d8633921760443d9",
        "5b4141f0afbad91edebe8549f8fcffe087ea10ca49f1dbef5c9a5cd8815ce37b",
        "0402a96d92fd2663957122ceb108a494c5af83dab82d92729df917d7dec38c34",
    ),
    "cifar10": _cifar(
        10,
        tuple(File(f"{name}.bin", 30730000, sha256) for name, sha256 in _CIFAR10.items()),
        {
            "data_batch_1": "c99cafc152244af753f735de768cd75f",
            "data_batch_2": "d4bba439e000b95fd0a9bffe97cbabec",
            "data_batch_3": "54ebc095f3ab1f0389bbae665268c751",
            "data_batch_4": "634d18415352ddfa80567beed471001a",
            "data_batch_5": "482c414d41f54cd18b22e5b47cb7c3cb",
            "test_batch": "40351d587109b95175f43aff81a1287e",
        },
        archive_sha256="c4a38c50a1bc5f3a1c5537f2155ab9d68f9f25eb1ed8d9ddda3db29a59bca1dd",
        fingerprint="775d1cdb78ca59c4aecb20bd9c893a3138a8eb8a31294b5d28ba31e69d818ed4",
    ),
    "cifar100": _cifar(
        100,
        (File("train.bin", 153700000), File("test.bin", 30740000)),
        {"train": "16019d7e3df5f24257cddd939b257f8d", "test": "f0ef6b0ae62326f3e7ffdfab6717acfc"},
        archive_sha256="58a81ae192c23a4be8b1804d68e518ed807d710a4eb253b1f2a199162a40d8ec",
    ),
    "svhn_cropped": Release("mat", _SVHN[:1], _SVHN[1:], (73257, 26032), (32, 32, 3)),
}
