"""Build steps of the embedded head: MakeHuman's CC0 data in, ``assets/head/head.npz`` out."""
