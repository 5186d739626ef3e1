"""`sbir features`: from images to a store."""

import argparse
from pathlib import Path

from sbir.commands import Commands


def add(commands: Commands) -> None:
    """Add `features`."""
    features = commands.add_parser("features", help="extract features of a data set into a store")
    features.add_argument("root", type=Path, metavar="DATASET_ROOT")
    features.add_argument("--dataset", metavar="NAME", help="which data set it is, where its layout does not tell")
    features.add_argument(
        "--split",
        metavar="NAME|FILE",
        help="a published split such as sketchy:eccv18 "
        "(with +generalised also photos of seen classes are held), or a file",
    )
    features.add_argument("--variant", metavar="WHAT=WHICH", help="such as sketch=tx_000000000010; see sbir data list")
    features.add_argument("--backbone", default="vgg16", metavar="NAME[,NAME]", help=_names())
    features.add_argument(
        "--text-backbone",
        metavar="hf:FOLDER|NAME",
        help="an encoder of transformers for the captions, a folder or a name of the Hugging Face hub",
    )
    features.add_argument(
        "--weights", metavar="random|FILE", help="the network's published ones, downloaded, when left out (imagenet)"
    )
    features.add_argument("--size", type=int, metavar="PX", help="that of the published weights when left out")
    features.add_argument("--dtype", default="float32", metavar="float32|float16")
    features.add_argument("--images", type=int, metavar="PX", help="store the images too, PX x PX (methods on pixels)")
    features.add_argument("--strokes", type=int, metavar="T", help="store drawings too, at most T points each")
    features.add_argument("--seed", type=int, default=0, help="of random weights, and of the order of rows")
    features.add_argument("--out", type=Path, required=True, metavar="STORE")
    features.add_argument("--skip-broken", action="store_true", help="leave out images that cannot be read")
    features.add_argument("--workers", type=int, metavar="N", help="actors; all cores or GPUs when left out")
    features.set_defaults(run=_features)


def _names() -> str:
    return (
        "vgg16 (or vgg16:bgr), alexnet, googlenet, resnet18, resnet50, squeezenet1_1, mobilenet_v2, "
        "dinov2_small|base|large|giant, torchvision:NAME@LAYER, timm:NAME, openclip:NAME/TAG, or none"
    )


def _features(args: argparse.Namespace) -> None:
    from sbir.features.extract import extract

    extract(
        args.root,
        args.out,
        backbone=args.backbone,
        text_backbone=args.text_backbone,
        weights=args.weights,
        size=args.size,
        dtype=args.dtype,
        images=args.images,
        strokes=args.strokes,
        seed=args.seed,
        skip_broken=args.skip_broken,
        workers=args.workers,
        name=args.dataset,
        split=args.split,
        variant=args.variant,
    )
    print(f"wrote {args.out}")
