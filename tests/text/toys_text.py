"""A few lines that toy tokenizers are trained on."""

LINES = [
    "the parcel came to the tree and the box was late", "The Box was a Box and the parcel a parcel",
    "快递 迟到 盆景 快递", "tree box tree Box the tree", "zqz qz zq z q parcel parcel tree tree",
] * 4  # fmt: skip
